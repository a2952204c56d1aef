"""Make sure that a VM has a snapshot."""

from __future__ import annotations

from ... import models
from ...client import Cloudtower
from ...validators import bool_fault, check_argument
from ..backup import start_snapshot
from ..batch import identified
from ..progress import carry_out, ignore_progress
from .flow import RECONCILE_TIMEOUT, Ensured, Lookup, check_texts, check_times, ensure


async def ensure_snapshot(
    tower: Cloudtower,
    vm: str,
    name: str,
    *,
    quiesce: bool = True,
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> Ensured[models.VmSnapshot]:
    """Make sure that a VM has a snapshot with this name; take it if it is missing.

    Put the date or the purpose into the name: ``"nightly-2026-01-31"``. An existing
    snapshot is returned unchanged. The VM is locked with `Cloudtower.lock` during the call.

    Duplicates are possible, because a VM can have several snapshots with the same name. Calls in
    one session run one after the other, but two programs that run at the same time can take two
    snapshots. If a call times out or its program is killed, the snapshot may appear later. A new
    call takes a second snapshot if the first snapshot has not appeared yet. If there are two
    snapshots, later calls raise `Ambiguous`.

    Args:
        tower: The session to work with.
        vm: Name or id of the VM.
        name: Name of the snapshot.
        quiesce: Whether to make the guest's file systems consistent. Has no effect if VM tools are
            not running in the guest.
        reconcile_timeout: Seconds to look for the snapshot if the response to the create request is
            lost. If the snapshot does not appear in this time, the request is sent once more.
        timeout: Maximum number of seconds for each of two waits: first for the task, then until the
            snapshot is no longer changing. None means no limit.

    Returns:
        An `Ensured`: `resource` is the snapshot, read after the server has completed all changes
        (see `Cloudtower.settle`), and `result` is ``"created"`` or ``"unchanged"``.

    Raises:
        Ambiguous: Several VMs have the name `vm`, or several snapshots of the VM have the name
            `name`.
        NotFound: The VM does not exist.
        TaskError: The task failed, or a wait took longer than `timeout`. After a time-out, call
            again later to find the snapshot.
        OutcomeUnknown: The snapshot did not appear within `reconcile_timeout` after the last
            request.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            snapshot = (await ensure_snapshot(tower, "web-1", "before-upgrade-2.4")).resource
    """
    check_texts("ensure_snapshot", vm=vm, name=name)
    check_argument("ensure_snapshot", "quiesce", bool_fault(quiesce))
    check_times("ensure_snapshot", timeout, reconcile_timeout)
    owner = identified(await tower.resolve(tower.vm.get_vms, vm), "vm.get_vms")

    def fits(snapshot: models.VmSnapshot) -> bool:
        return snapshot.name == name and snapshot.vm is not None and snapshot.vm.id == owner.id

    where = {"name": name, "vm": {"id": owner.id}}
    query = tower.vm_snapshot.get_vm_snapshots
    snapshots = Lookup(tower, query, where, fits, f"snapshot {name!r} of VM {vm!r}", timeout)

    async def take() -> models.VmSnapshot:
        started = await start_snapshot(tower, owner, name, quiesce=quiesce)
        return await carry_out(tower, started, ignore_progress, timeout)

    async with tower.lock(owner.id):
        return await ensure(snapshots.look, take, "created", reconcile_timeout)
