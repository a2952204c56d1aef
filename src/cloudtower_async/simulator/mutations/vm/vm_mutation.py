"""Handlers for mutations of VMs and their devices, with checks that these mutations share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...fleet.aggregates import refresh_around
from ...http_errors import HttpError, NoMatchError
from ...tasks import Failure, Work, do_nothing
from ..body_validation import check_body
from ..context import Result, reject_locked, select_vms
from .devices import refresh_vm, renew_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ...store.filters import Document
    from ..body import Body
    from ..context import Context, Handler, Results

    Apply = Callable[[], Failure | None]
    Prepare = Callable[[Context, Document, Any], Apply]


def checked(effects: Mapping[str, Handler]) -> dict[str, Handler]:
    """Return handlers that check the body against the schema and then call the given handlers."""
    return {path: _checked(path, effect) for path, effect in effects.items()}


def _checked(path: str, effect: Handler) -> Handler:
    def check(context: Context, body: object) -> Results:
        check_body(path, body)
        return effect(context, body)

    return check


def find(context: Context, resource: str, where: object, path: str = "where") -> list[Document]:
    """Return the documents that match a filter in a body. `path` is the key of the filter.

    Raises:
        NoMatchError: No document matches, and `path` is ``"where"``.
        HttpError: No document matches, and `path` is not ``"where"``.
    """
    found = context.store.select(resource, where)
    if not found:
        if path == "where":
            raise NoMatchError(f"no {resource} matches the filter")
        raise HttpError(404, f"{path}: no {resource} matches")
    return found


def get_document(context: Context, resource: str, identifier: str) -> Document:
    """Return the document with the given id.

    Raises:
        HttpError: The document does not exist.
    """
    document = context.store.table(resource).get(identifier)
    if document is None:
        raise HttpError(404, f"there is no {resource} {identifier}")
    return document


def check_cluster(document: Document, cluster: str) -> Document:
    """Check that a document belongs to a cluster, and return the document.

    Raises:
        HttpError: The document belongs to another cluster.
    """
    if document["cluster"] != cluster:
        raise HttpError(400, f"{document['name']} is of another cluster")
    return document


def reject_status(vm: Document, allowed: Collection[str], what: str) -> None:
    """Reject the request if the status of a VM is not one of the allowed statuses."""
    if vm["status"] not in allowed:
        wanted = " or ".join(sorted(allowed))
        raise HttpError(
            400, f"VM {vm['name']} is {vm['status']}: {what} is possible when it is {wanted}"
        )


def check_stopped(context: Context, vm: Document, what: str) -> Failure | None:
    """Return the failure of a task that needs a stopped VM, or None if the task can succeed.

    For a VM that is not stopped, the result depends on `Behavior.running_vms`: None for
    ``"accepted"``, the failure for ``"task_fails"``.

    Raises:
        HttpError: The VM is not stopped, and `Behavior.running_vms` is ``"refused"``.
    """
    choice = context.factory.behavior.running_vms
    if choice == "refused":
        reject_status(vm, {"STOPPED"}, what)
    if choice == "accepted" or vm["status"] == "STOPPED":
        return None
    return Failure(f"the VM is {vm['status']}", "VM_STATE_NOT_ALLOWED", "VM_NOT_STOPPED")


@dataclass(frozen=True, slots=True)
class VmMutation:
    """Handler of a mutation that makes the same change to all VMs that match a filter.

    Args:
        mutation: Name of the mutation on the server.
        prepare: Function that checks the request for one VM. Its arguments are the context, the VM
            and the member ``data`` of the body. Its result is the function to call at the end of
            the task. If the check fails for one VM, the handler starts no tasks.
        allowed: Allowed statuses of the VMs. With None, all statuses are allowed.
    """

    mutation: str
    prepare: Prepare
    allowed: frozenset[str] | None = None

    def __call__(self, context: Context, body: Body) -> list[Result]:
        vms = select_vms(context, body)
        for vm in vms:
            if self.allowed is not None:
                reject_status(vm, self.allowed, self.mutation)
        prepared = [(vm, self.prepare(context, vm, body.get("data"))) for vm in vms]
        return [change_vm(context, self.mutation, vm, apply) for vm, apply in prepared]


@dataclass(frozen=True, slots=True)
class DeviceMutation:
    """Handler of a mutation that changes all disks or NICs that match a filter.

    Each VM gets one task for all of its matching devices.

    Args:
        resource: Resource type of the devices: ``VmDisk`` or ``VmNic``.
        mutation: Name of the mutation on the server.
        prepare: Function that checks the request for one device. Its arguments are the context, the
            device and the whole body. Its result is the function to call at the end of the task.
    """

    resource: str
    mutation: str
    prepare: Prepare

    def __call__(self, context: Context, body: Body) -> list[Result]:
        parts = find(context, self.resource, body["where"])
        by_vm: dict[str, list[Document]] = {}
        for part in parts:
            by_vm.setdefault(part["vm"], []).append(part)
        vms = [context.store.get("Vm", one) for one in by_vm]
        reject_locked(context, vms)
        prepared = {
            vm["id"]: [self.prepare(context, part, body) for part in by_vm[vm["id"]]] for vm in vms
        }
        return [
            change_vm(context, self.mutation, vm, run_in_turn(prepared[vm["id"]])) for vm in vms
        ]


def run_in_turn(applies: list[Apply]) -> Apply:
    """Return a function that calls several functions in order until one of them fails."""

    def apply() -> Failure | None:
        for one in applies:
            if failure := one():
                return failure
        return None

    return apply


def change_vm(
    context: Context,
    mutation: str,
    vm: Document,
    apply: Apply,
    fail: Callable[[], None] = do_nothing,
) -> Result:
    """Start a task that changes a VM and recalculates the totals of its host and cluster.

    Args:
        context: Context of the mutation.
        mutation: Name of the mutation on the server.
        vm: VM to change.
        apply: Function that changes the VM at the end of the task.
        fail: Function to call after the task has failed.
    """
    store = context.store

    def succeed() -> Failure | None:
        if failure := apply():
            return failure
        refresh_vm(store, vm)
        if context.factory.behavior.sync_renews_ids:
            renew_ids(context.factory, vm)
        refresh_around(store, vm)
        return None

    task_id = context.start(mutation, "Vm", vm, Work(succeed, fail), locks=[vm])
    return Result("Vm", vm["id"], task_id)
