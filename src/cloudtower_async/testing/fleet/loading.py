"""A fleet from a dump, with what it takes to go on from there."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from ..maker import Maker
from ..store.dump import load
from ..store.ids import Ids
from .generic import plain_fields
from .people import add_people
from .values import Values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..clock import Clock
    from ..store.store import Store

_LATER_MS = 1_800_000_000_000  # so that new ids are none of those in the dump


def load_fleet(
    store: Store, clock: Clock, dump: Mapping[str, Any], *, seed: int, root: str
) -> Maker:
    """Fill the store. Somebody who may log in is added when the dump has nobody of this name."""
    ids = Ids(seed, epoch_ms=_LATER_MS)
    maker = Maker(store, ids, Random(f"fleet {seed}"), clock)  # noqa: S311 - made up, not secret

    def make_up(resource: str) -> dict[str, Any]:
        return plain_fields(resource, Values(maker, resource, len(store.table(resource))))

    load(store, dump, make_up)
    for target in store.table("IscsiTarget").values():
        if target["internal"]:
            maker.targets.setdefault(target["cluster"], target["id"])
    if not store.select("User", {"username": root}):
        add_people(maker, root)
    return maker
