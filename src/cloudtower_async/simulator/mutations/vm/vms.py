"""What the effects on VMs share: finding what they are about, and how such a mutation runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...fleet.totals import refresh_around
from ...http_errors import NothingMatchesError, RefusedError
from ...tasks import Failure, Work
from ..body_validation import check_body
from ..world import Outcome, refuse_locked, vms_of
from .devices import refresh_vm, renew_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ...store.filters import Document
    from ..body import Body
    from ..world import Effect, Outcomes, World

    Apply = Callable[[], Failure | None]
    Prepare = Callable[[World, Document, Any], Apply]


def checked(effects: Mapping[str, Effect]) -> dict[str, Effect]:
    """The effects, each behind a check of its body against the schema."""
    return {path: _checked(path, effect) for path, effect in effects.items()}


def _checked(path: str, effect: Effect) -> Effect:
    def check(world: World, body: object) -> Outcomes:
        check_body(path, body)
        return effect(world, body)

    return check


def find(world: World, resource: str, where: object, path: str = "where") -> list[Document]:
    """Return what a filter inside a body matches: at least one.

    Raises:
        NothingMatchesError: Nothing matches, and it is the filter of the mutation itself.
        RefusedError: Nothing matches a filter at another place.
    """
    found = world.maker.store.select(resource, where)
    if not found:
        if path == "where":
            raise NothingMatchesError(f"no {resource} matches the where")
        raise RefusedError(404, f"{path}: no {resource} matches")
    return found


def find_one(world: World, resource: str, identifier: str) -> Document:
    """What an id in a body names."""
    document = world.maker.store.table(resource).get(identifier)
    if document is None:
        raise RefusedError(404, f"there is no {resource} {identifier}")
    return document


def of_cluster(document: Document, cluster: str) -> Document:
    """The document, unless it is of another cluster than what it is meant for."""
    if document["cluster"] != cluster:
        raise RefusedError(400, f"{document['name']} is of another cluster")
    return document


def refuse_status(vm: Document, allowed: Collection[str], what: str) -> None:
    """Statuses allow or refuse."""
    if vm["status"] not in allowed:
        wanted = " or ".join(sorted(allowed))
        raise RefusedError(
            400, f"VM {vm['name']} is {vm['status']}: {what} is possible when it is {wanted}"
        )


def check_off(world: World, vm: Document, what: str) -> Failure | None:
    """Return how a task that wants its VM stopped fails, as far as the server minds at all.

    Raises:
        RefusedError: The server refuses the call.
    """
    choice = world.maker.behavior.running_vms
    if choice == "refused":
        refuse_status(vm, {"STOPPED"}, what)
    if choice == "accepted" or vm["status"] == "STOPPED":
        return None
    return Failure(f"the VM is {vm['status']}", "VM_STATE_NOT_ALLOWED", "VM_NOT_STOPPED")


@dataclass(frozen=True, slots=True)
class OnVms:
    """A mutation that does the same to every VM of a where.

    Args:
        mutation: What the server calls it.
        prepare: Checks what is asked of one VM, given the ``data`` of the body, and returns what
            is done when the task's time has come. Nothing starts when one VM is refused.
        allowed: The statuses that a VM may have; None for any.
    """

    mutation: str
    prepare: Prepare
    allowed: frozenset[str] | None = None

    def __call__(self, world: World, body: Body) -> list[Outcome]:
        vms = vms_of(world, body)
        for vm in vms:
            if self.allowed is not None:
                refuse_status(vm, self.allowed, self.mutation)
        prepared = [(vm, self.prepare(world, vm, body.get("data"))) for vm in vms]
        return [change_vm(world, self.mutation, vm, apply) for vm, apply in prepared]


@dataclass(frozen=True, slots=True)
class OnParts:
    """A mutation of disks or NICs, found by a where of their own; each VM's in one task.

    Args:
        resource: ``VmDisk`` or ``VmNic``.
        mutation: What the server calls it.
        prepare: Like that of ``OnVms``, for one of the parts, given the whole body.
    """

    resource: str
    mutation: str
    prepare: Prepare

    def __call__(self, world: World, body: Body) -> list[Outcome]:
        parts = find(world, self.resource, body["where"])
        by_vm: dict[str, list[Document]] = {}
        for part in parts:
            by_vm.setdefault(part["vm"], []).append(part)
        vms = [world.maker.store.get("Vm", one) for one in by_vm]
        refuse_locked(world, vms)
        prepared = {
            vm["id"]: [self.prepare(world, part, body) for part in by_vm[vm["id"]]] for vm in vms
        }
        return [change_vm(world, self.mutation, vm, in_turn(prepared[vm["id"]])) for vm in vms]


def in_turn(applies: list[Apply]) -> Apply:
    """One after the other, until one fails."""

    def apply() -> Failure | None:
        for one in applies:
            if failure := one():
                return failure
        return None

    return apply


def _nothing() -> None:
    pass


def change_vm(
    world: World,
    mutation: str,
    vm: Document,
    apply: Apply,
    fail: Callable[[], None] = _nothing,
) -> Outcome:
    """Start a task that changes a VM; what adds up is added up again afterwards.

    Args:
        world: Has the VM.
        mutation: What the server calls the change.
        vm: The VM.
        apply: Called when the time of the task has come.
        fail: Called when the task has failed.
    """
    store = world.maker.store

    def succeed() -> Failure | None:
        if failure := apply():
            return failure
        refresh_vm(store, vm)
        if world.maker.behavior.sync_renews_ids:
            renew_ids(world.maker, vm)
        refresh_around(store, vm)
        return None

    task_id = world.start(mutation, "Vm", vm, Work(succeed, fail), locks=[vm])
    return Outcome("Vm", vm["id"], task_id)
