"""Mutations that delete VMs, move VMs to the recycle bin, and recover VMs from the recycle bin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...http_errors import HttpError
from ...tasks import Failure, Work
from ..body import part
from ..context import Result, select_vms, start_vm_task
from .guests import stop
from .snapshots import remove_snapshot
from .vm_builder import discard_vm
from .vm_mutation import check_stopped, checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...store.filters import Document
    from ..body import Body
    from ..context import Context, Handler


def _recycle(context: Context, body: Body) -> list[Result]:
    vms = select_vms(context, body)
    failures = {vm["id"]: check_stopped(context, vm, "moveVmToRecycleBin") for vm in vms}

    def recycle(vm: Document) -> Callable[[], Failure | None]:
        def apply() -> Failure | None:
            if failure := failures[vm["id"]]:
                return failure
            stop(context, vm)
            context.store.change("Vm", vm["id"], folder=None)
            vm.update(
                in_recycle_bin=True,
                deleted_at=context.factory.clock.timestamp(),
                original_name=vm["name"],
                name=f"{vm['name']}-{context.factory.ids.uuid()[:8]}",  # frees the name
            )
            return None

        return apply

    return [
        Result(None, vm["id"], start_vm_task(context, "moveVmToRecycleBin", vm, recycle(vm)))
        for vm in vms
    ]


def _recover(context: Context, body: Body) -> list[Result]:
    vms = select_vms(context, body, recycled=True)
    for vm in vms:
        if not vm["in_recycle_bin"]:
            raise HttpError(400, f"VM {vm['name']} is not in the recycle bin")

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
        Result(None, vm["id"], start_vm_task(context, "recoverVmFromRecycleBin", vm, recover(vm)))
        for vm in vms
    ]


def _delete(context: Context, body: Body) -> list[Result]:
    vms = select_vms(context, body, recycled=True)
    failures = [check_stopped(context, vm, "deleteVm") for vm in vms]
    snapshots = part(body, "effect").get("include_snapshots", False)
    return [
        _delete_one(context, vm, failure, snapshots=snapshots)
        for vm, failure in zip(vms, failures, strict=True)
    ]


def _delete_one(
    context: Context, vm: Document, failure: Failure | None, *, snapshots: bool
) -> Result:
    store = context.store

    def succeed() -> Failure | None:
        if failure is not None:
            return failure
        for identifier in list(vm.get("snapshots") or ()) if snapshots else ():
            remove_snapshot(store, store.get("VmSnapshot", identifier))
        discard_vm(context, vm)
        return None

    task_id = context.start("deleteVm", "Vm", vm, Work(succeed), locks=[vm], status="DELETING")
    return Result(None, vm["id"], task_id)


MUTATIONS: dict[str, Handler] = checked(
    {
        "move-vm-to-recycle": _recycle,
        "recover-vm-from-recycle": _recover,
        "delete-vm": _delete,
    }
)
