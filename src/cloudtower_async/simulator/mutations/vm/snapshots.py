"""Snapshots of VMs, with those of their disks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...fleet.guests import freeze, lun_snapshots, snapshot_fields
from ...http_errors import NothingMatchesError, RefusedError, member
from ...tasks import Failure, Work
from ..world import Outcome, refuse_locked

if TYPE_CHECKING:
    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Body
    from ..world import Effect, World


_NO_TOOLS = Failure(
    "a file system consistent snapshot needs running VM tools",
    "VM_SNAPSHOT_CREATE_FAILED",
    "VM_TOOLS_NOT_RUNNING",
)


def _create_snapshots(world: World, body: Body) -> list[Outcome]:
    store = world.maker.store
    wanted = [
        (
            member(item, "vm_id", str),
            member(item, "name", str),
            item.get("consistent_type") or "CRASH_CONSISTENT",
        )
        for item in member(body, "data", list[dict[str, Any]])
    ]
    if missing := [vm for vm, _, _ in wanted if vm not in store.table("Vm")]:
        raise RefusedError(404, f"there is no VM {missing[0]}")
    refuse_locked(world, [store.get("Vm", vm) for vm, _, _ in wanted])
    return [
        _create_snapshot(world, store.get("Vm", vm), name, consistent_type)
        for vm, name, consistent_type in wanted
    ]


def _create_snapshot(world: World, vm: Document, name: str, consistent_type: str) -> Outcome:
    maker = world.maker
    identifier = maker.ids.cuid()
    snapshot = maker.store.add(
        "VmSnapshot",
        {
            "id": identifier,
            "local_id": f"placeholder-{maker.ids.uuid()}",
            "entityAsyncStatus": "CREATING",
            **snapshot_fields(vm, name, consistent_type),
        },
    )

    def succeed() -> Failure | None:
        if consistent_type == "FILE_SYSTEM_CONSISTENT" and vm["vm_tools_status"] != "RUNNING":
            return _NO_TOOLS
        snapshot["local_id"] = maker.ids.uuid()
        freeze(maker, snapshot, maker.clock.timestamp())
        return None

    work = Work(succeed, lambda: maker.store.remove("VmSnapshot", identifier))
    task_id = world.start("createVmSnapshot", "VmSnapshot", snapshot, work, locks=[snapshot, vm])
    return Outcome("VmSnapshot", identifier, task_id)


def _delete_snapshots(world: World, body: Body) -> list[Outcome]:
    store = world.maker.store
    snapshots = store.select("VmSnapshot", member(body, "where", dict[str, Any]))
    if not snapshots:
        raise NothingMatchesError("no snapshot matches the where")
    refuse_locked(world, snapshots, owner="vm")

    def delete(snapshot: Document) -> str:
        def succeed() -> None:
            remove_snapshot(store, snapshot)

        return world.start(
            "deleteVmSnapshot",
            "VmSnapshot",
            snapshot,
            Work(succeed),
            locks=[snapshot],
            status="DELETING",
        )

    return [Outcome(None, snapshot["id"], delete(snapshot)) for snapshot in snapshots]


def remove_snapshot(store: Store, snapshot: Document) -> None:
    """Take a snapshot out of the world, with those of its disks."""
    for lun_snapshot in lun_snapshots(store, snapshot):
        store.remove("IscsiLunSnapshot", lun_snapshot["id"])
    store.remove("VmSnapshot", snapshot["id"])


EFFECTS: dict[str, Effect] = {
    "create-vm-snapshot": _create_snapshots,
    "delete-vm-snapshot": _delete_snapshots,
}
