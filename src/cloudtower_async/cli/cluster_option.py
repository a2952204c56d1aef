"""Lookup of the clusters that the option ``--cluster`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import UsageError
from .language import tr
from .similar_names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import Cloudtower

_MAX_NAMES = 20  # names in a message


async def cluster_ids(tower: Cloudtower, names: Sequence[str]) -> list[str]:
    """Return the ids of the clusters whose names or ids are in `names`.

    Raises:
        UsageError: One of `names` is not the name or id of any cluster.
    """
    clusters = await tower.cluster.get_clusters()
    ids: list[str] = []
    for name in names:
        found = [cluster.id for cluster in clusters if name in (cluster.id, cluster.name)]
        if not found:
            # A server that violates its schema may send null as a name.
            known = sorted({cluster.name for cluster in clusters if cluster.name})
            hint = did_you_mean(name, known) or tr("; there are: {names}", names=_listed(known))
            raise UsageError(
                tr("--cluster: there is no cluster {name!r}{hint}", name=name, hint=hint)
            )
        ids += found
    return ids


def _listed(names: list[str]) -> str:
    hidden = len(names) - _MAX_NAMES
    shown = ", ".join(names[:_MAX_NAMES]) or tr("none")
    return tr("{names} and {number} more", names=shown, number=hidden) if hidden > 0 else shown
