"""Clusters as they are typed: by name or by id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..spelling import did_you_mean
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import Cloudtower

_MOST_NAMES = 20  # in a message


async def cluster_ids(tower: Cloudtower, names: Sequence[str]) -> list[str]:
    """The ids of the clusters with these names or ids.

    Raises:
        UsageError: There is no such cluster.
    """
    clusters = await tower.cluster.get_clusters()
    ids: list[str] = []
    for name in names:
        found = [cluster.id for cluster in clusters if name in (cluster.id, cluster.name)]
        if not found:
            # A server that breaks its schema may send null as a name.
            known = sorted({cluster.name for cluster in clusters if cluster.name})
            there = did_you_mean(name, known) or f"; there are: {_listed(known)}"
            raise UsageError(f"--cluster: there is no cluster {name!r}{there}")
        ids += found
    return ids


def _listed(names: list[str]) -> str:
    hidden = len(names) - _MOST_NAMES
    more = f" and {hidden} more" if hidden > 0 else ""
    return (", ".join(names[:_MOST_NAMES]) or "none") + more
