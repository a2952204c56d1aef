"""Mutations that create and delete snapshots of VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...fleet.snapshots import freeze, lun_snapshots, snapshot_fields
from ...http_errors import HttpError, NoMatchError, require_member
from ...tasks import Failure, Work
from ..context import Result, reject_locked

if TYPE_CHECKING:
    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Body
    from ..context import Context, Handler


_NO_TOOLS = Failure(
    "a file system consistent snapshot needs running VM tools",
    "VM_SNAPSHOT_CREATE_FAILED",
    "VM_TOOLS_NOT_RUNNING",
)


def _create_snapshots(context: Context, body: Body) -> list[Result]:
    store = context.store
    wanted = [
        (
            require_member(item, "vm_id", str),
            require_member(item, "name", str),
            item.get("consistent_type") or "CRASH_CONSISTENT",
        )
        for item in require_member(body, "data", list[dict[str, Any]])
    ]
    if missing := [vm for vm, _, _ in wanted if vm not in store.table("Vm")]:
        raise HttpError(404, f"there is no VM {missing[0]}")
    reject_locked(context, [store.get("Vm", vm) for vm, _, _ in wanted])
    return [
        _create_snapshot(context, store.get("Vm", vm), name, consistent_type)
        for vm, name, consistent_type in wanted
    ]


def _create_snapshot(context: Context, vm: Document, name: str, consistent_type: str) -> Result:
    factory = context.factory
    identifier = factory.ids.cuid()
    snapshot = factory.store.add(
        "VmSnapshot",
        {
            "id": identifier,
            "local_id": f"placeholder-{factory.ids.uuid()}",
            "entityAsyncStatus": "CREATING",
            **snapshot_fields(vm, name, consistent_type),
        },
    )

    def succeed() -> Failure | None:
        if consistent_type == "FILE_SYSTEM_CONSISTENT" and vm["vm_tools_status"] != "RUNNING":
            return _NO_TOOLS
        snapshot["local_id"] = factory.ids.uuid()
        freeze(factory, snapshot, factory.clock.timestamp())
        return None

    work = Work(succeed, lambda: factory.store.remove("VmSnapshot", identifier))
    task_id = context.start("createVmSnapshot", "VmSnapshot", snapshot, work, locks=[snapshot, vm])
    return Result("VmSnapshot", identifier, task_id)


def _delete_snapshots(context: Context, body: Body) -> list[Result]:
    store = context.store
    snapshots = store.select("VmSnapshot", require_member(body, "where", dict[str, Any]))
    if not snapshots:
        raise NoMatchError("no snapshot matches the filter")
    reject_locked(context, snapshots, owner="vm")

    def delete(snapshot: Document) -> str:
        def succeed() -> None:
            remove_snapshot(store, snapshot)

        return context.start(
            "deleteVmSnapshot",
            "VmSnapshot",
            snapshot,
            Work(succeed),
            locks=[snapshot],
            status="DELETING",
        )

    return [Result(None, snapshot["id"], delete(snapshot)) for snapshot in snapshots]


def remove_snapshot(store: Store, snapshot: Document) -> None:
    """Remove a VM snapshot and the LUN snapshots of its disks."""
    for lun_snapshot in lun_snapshots(store, snapshot):
        store.remove("IscsiLunSnapshot", lun_snapshot["id"])
    store.remove("VmSnapshot", snapshot["id"])


MUTATIONS: dict[str, Handler] = {
    "create-vm-snapshot": _create_snapshots,
    "delete-vm-snapshot": _delete_snapshots,
}
