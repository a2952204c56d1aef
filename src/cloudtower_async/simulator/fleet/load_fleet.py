"""Load a fleet from a dump."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from ..factory import Factory
from ..store.dump import load
from ..store.ids import Ids
from ..tasks import Failure
from .field_values import FieldValues
from .resource_generator import plain_fields
from .users import add_users

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..clock import Clock
    from ..store.store import Store

_STOPPED = Failure("the server was started anew")


def load_fleet(
    store: Store, clock: Clock, dump: Mapping[str, Any], *, seed: int, root: str
) -> Factory:
    """Fill the store with the fleet of a dump, and return a factory for adding more resources.

    If the dump has no user with the name `root`, the user is added. Unfinished work of the dump
    does not continue. Tasks that had not ended become failed tasks. ``entityAsyncStatus`` of all
    resources is set to null. If a host was entering maintenance mode, the host returns to normal
    operation.
    """
    ids = Ids.behind(seed, dump.values())
    factory = Factory(store, ids, Random(f"fleet {seed}"), clock)  # noqa: S311 - made up, not secret

    def make_up(resource: str) -> dict[str, Any]:
        return plain_fields(resource, FieldValues(factory, resource, len(store.table(resource))))

    load(store, dump, make_up)
    _come_to_rest(store, clock)
    for target in store.table("IscsiTarget").values():
        if target["internal"]:
            factory.targets.setdefault(target["cluster"], target["id"])
    if not store.select("User", {"username": root}):
        add_users(factory, root)
    return factory


def _come_to_rest(store: Store, clock: Clock) -> None:
    """End the unfinished tasks and changes in a dump, because nothing would continue them."""
    for task in store.table("Task").values():
        if task["status"] in {"PENDING", "EXECUTING", "PAUSED"}:
            task["finished_at"] = clock.timestamp()
            _STOPPED.show_in(task)
    for resource, described in store.resources.items():
        if "entityAsyncStatus" in described.fields:
            for document in store.table(resource).values():
                document["entityAsyncStatus"] = None
    for host in store.table("Host").values():
        state = host["host_state"]
        if state is not None and state["state"] == "ENTERING_MAINTENANCE_MODE":
            host["host_state"] = None
