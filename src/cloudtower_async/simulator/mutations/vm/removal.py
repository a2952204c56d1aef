"""The recycle bin, and deleting VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...http_errors import RefusedError
from ...tasks import Failure, Work
from ..body import part
from ..world import Outcome, start_on_vm, vms_of
from .guests import stop
from .snapshots import remove_snapshot
from .vm_builder import discard_vm
from .vms import check_off, checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...store.filters import Document
    from ..body import Body
    from ..world import Effect, World


def _recycle(world: World, body: Body) -> list[Outcome]:
    vms = vms_of(world, body)
    failures = {vm["id"]: check_off(world, vm, "moveVmToRecycleBin") for vm in vms}

    def recycle(vm: Document) -> Callable[[], Failure | None]:
        def apply() -> Failure | None:
            if failure := failures[vm["id"]]:
                return failure
            stop(world, vm)
            world.maker.store.change("Vm", vm["id"], folder=None)
            vm.update(
                in_recycle_bin=True,
                deleted_at=world.maker.clock.timestamp(),
                original_name=vm["name"],
                name=f"{vm['name']}-{world.maker.ids.uuid()[:8]}",  # its name is free again
            )
            return None

        return apply

    return [
        Outcome(None, vm["id"], start_on_vm(world, "moveVmToRecycleBin", vm, recycle(vm)))
        for vm in vms
    ]


def _recover(world: World, body: Body) -> list[Outcome]:
    vms = vms_of(world, body, recycled=True)
    for vm in vms:
        if not vm["in_recycle_bin"]:
            raise RefusedError(400, f"VM {vm['name']} is not in the recycle bin")

    def recover(vm: Document) -> Callable[[], None]:
        def apply() -> None:
            vm.update(
                in_recycle_bin=False,
                deleted_at=None,
                name=vm["original_name"] or vm["name"],
                original_name=None,
            )

        return apply

    return [
        Outcome(None, vm["id"], start_on_vm(world, "recoverVmFromRecycleBin", vm, recover(vm)))
        for vm in vms
    ]


def _delete(world: World, body: Body) -> list[Outcome]:
    vms = vms_of(world, body, recycled=True)
    failures = [check_off(world, vm, "deleteVm") for vm in vms]
    snapshots = part(body, "effect").get("include_snapshots", False)
    return [
        _delete_one(world, vm, failure, snapshots=snapshots)
        for vm, failure in zip(vms, failures, strict=True)
    ]


def _delete_one(world: World, vm: Document, failure: Failure | None, *, snapshots: bool) -> Outcome:
    store = world.maker.store

    def succeed() -> Failure | None:
        if failure is not None:
            return failure
        for identifier in list(vm.get("snapshots") or ()) if snapshots else ():
            remove_snapshot(store, store.get("VmSnapshot", identifier))
        discard_vm(world, vm)
        return None

    task_id = world.start("deleteVm", "Vm", vm, Work(succeed), locks=[vm], status="DELETING")
    return Outcome(None, vm["id"], task_id)


EFFECTS: dict[str, Effect] = checked(
    {
        "move-vm-to-recycle": _recycle,
        "recover-vm-from-recycle": _recover,
        "delete-vm": _delete,
    }
)
