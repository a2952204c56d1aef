"""Backups of VMs. A backup is a snapshot of a VM and the LUN snapshots of its disks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec

from .. import inputs, models
from ..client import Cloudtower
from ..concurrency import map_concurrently
from ..errors import CloudtowerError, InvalidInput, NotFound, OutcomeUnknown
from ..types import WithTask
from ..validators import callback_fault, check_argument, check_seconds
from .batch import check_number, chosen_vms, has_id, identified, only
from .progress import OnProgress, Telling, carry_out, follow, label

_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_PATTERN = r"-\d{8}T\d{6}Z"


class Backup(msgspec.Struct, kw_only=True, frozen=True):
    """Result of backing up one VM.

    Attributes:
        vm: The VM as it was when the backup began.
        snapshot: The new snapshot, whose ``consistent_type`` is ``"CRASH_CONSISTENT"`` or
            ``"FILE_SYSTEM_CONSISTENT"``. If the snapshot could not be created or read, the
            value is None, and `error` contains the reason. Only `backup_vms` returns such backups.
        lun_snapshots: LUN snapshots of the disks in the snapshot.
        removed: Older snapshots that were deleted.
        error: Error that made the backup fail, or None if the backup succeeded. If a failed
            backup has a `snapshot`, the error occurred after the snapshot was read.
        snapshot_id: Id of the snapshot, or None if the server did not send the id. If `snapshot` is
            None, a snapshot with this id may exist or appear later. See `error` for details.
        disks_without_lun_snapshot: Disks in the snapshot that have no LUN snapshot.
    """

    vm: models.Vm
    snapshot: models.VmSnapshot | None
    lun_snapshots: list[models.IscsiLunSnapshot]
    removed: list[models.VmSnapshot]
    error: Exception | None
    snapshot_id: str | None = None
    disks_without_lun_snapshot: list[models.NestedFrozenDisks] = []


async def backup_vm(
    tower: Cloudtower,
    vm: str,
    *,
    name: str | None = None,
    prefix: str = "backup",
    keep: int | None = None,
    quiesce: bool = True,
    timeout: float | None = 300.0,
    on_progress: OnProgress | None = None,
) -> Backup:
    """Take a snapshot of a VM, and find the LUN snapshot of each disk in the snapshot.

    `on_progress` reports the steps ``"snapshot"``, ``"lun snapshots"`` and ``"remove"``. The VM is
    locked with `Cloudtower.lock` during the call. If the call is cancelled, the snapshot may still
    be created. Older snapshots are deleted only after the new snapshot has been created.

    Args:
        tower: The session to work with.
        vm: Name or id of the VM.
        name: Name of the snapshot. None means `prefix` and the time in UTC:
            ``backup-20260131T020000Z``.
        prefix: Prefix of the default name. If `keep` is not None, older backups are found by this
            prefix.
        keep: Number of backups to keep, including the new backup. Older snapshots are deleted only
            if their names consist of `prefix` and a time. None means that no snapshot is deleted.
            If you pass `name`, `keep` must be None.
        quiesce: Whether to make the guest's file systems consistent. This requires VM tools running
            in the guest. If VM tools are not running, or `quiesce` is False, the snapshot is
            crash-consistent: it contains what the disks would contain after a power failure.
        timeout: Seconds to wait for each task. None means no limit.
        on_progress: Function to call with each `Progress`.

    Returns:
        The backup. If an error occurs after the new snapshot has been read, the error is not
        raised, but stored in `Backup.error`.

    Raises:
        NotFound: The VM does not exist.
        Ambiguous: Several VMs have the name.
        TaskError: The task failed, or the snapshot was not created within `timeout`. The snapshot
            may exist or appear later. Its id is in the error's `resource_ids`.
        ReadBackFailed: The server accepted the request, but the snapshot could not be read.
        OutcomeUnknown: It is unknown whether the server creates the snapshot.
        CallError: A call failed for another reason.
        InvalidInput: An argument is invalid.

    Example:
        ::

            backup = await backup_vm(tower, "web-1", keep=7)
            print(backup.snapshot.name, [lun.name for lun in backup.lun_snapshots])
    """
    plan = _Plan("backup_vm", tower, name, prefix, keep, quiesce, timeout)
    found = await tower.resolve(tower.vm.get_vms, vm)
    backup = await plan.back_up(Telling(on_progress), found)
    if backup.snapshot is None and backup.error is not None:
        raise backup.error
    return backup


async def backup_vms(
    tower: Cloudtower,
    where: inputs.VmWhereInput,
    *,
    prefix: str = "backup",
    keep: int | None = None,
    quiesce: bool = True,
    limit: int = 5,
    missing_ok: bool = False,
    timeout: float | None = 300.0,
    on_progress: OnProgress | None = None,
    on_backup: Callable[[Backup], object] | None = None,
) -> list[Backup]:
    """Back up many VMs with `backup_vm`, up to `limit` VMs concurrently.

    If the backup of a VM fails, the other VMs are still backed up. If the call is cancelled,
    snapshots whose creation has begun may still be completed by the server.

    Args:
        tower: The session to work with.
        where: Filter that selects the VMs.
        prefix: Prefix of the names of the snapshots. The time in UTC follows the prefix:
            ``backup-20260131T020000Z``.
        keep: Number of backups to keep for each VM, including the new backup. None means that no
            snapshot is deleted.
        quiesce: See `backup_vm`.
        limit: Maximum number of VMs to back up concurrently.
        missing_ok: Whether to return an empty list if no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for each task. None means no limit.
        on_progress: Function to call with each `Progress`.
        on_backup: Function to call with each finished backup, successful or failed. Use it to
            record the backups, in case the program is interrupted. The function must return
            quickly.

    Returns:
        The backups of all VMs, sorted by VM name. The `error` of a failed backup is set.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: `where` could match every VM, for example because it is empty.
        CallError: The VMs cannot be read.
        InvalidInput: An argument is invalid.

    Example:
        ::

            for backup in await backup_vms(tower, {"cluster": {"name": "prod"}}, keep=7):
                print(backup.vm.name, backup.error or "ok")
    """
    check_number("backup_vms", limit=limit)
    check_argument("backup_vms", "on_backup", callback_fault(on_backup))
    plan = _Plan("backup_vms", tower, None, prefix, keep, quiesce, timeout)
    vms = await chosen_vms("backup_vms", tower, where, missing_ok=missing_ok)
    telling = Telling(on_progress, len(vms))

    async def back_up(vm: models.Vm) -> Backup:
        backup = await plan.back_up(telling, vm)
        if on_backup is not None:
            on_backup(backup)
        return backup

    return await map_concurrently(back_up, vms, limit)


async def start_snapshot(
    tower: Cloudtower, vm: models.Vm, name: str, *, quiesce: bool
) -> WithTask[models.VmSnapshot]:
    """Start the creation of a snapshot of a VM, and return the server's answer.

    Args:
        tower: The session.
        vm: The VM.
        name: Name of the snapshot.
        quiesce: Whether to make the guest's file systems consistent. Has no effect if VM tools are
            not running in the guest.
    """
    quiesced = quiesce and vm.vm_tools_status == "RUNNING"
    answers = await tower.vm_snapshot.create_vm_snapshot(
        data=[
            {
                "vm_id": vm.id,
                "name": name,
                "consistent_type": "FILE_SYSTEM_CONSISTENT" if quiesced else "CRASH_CONSISTENT",
            }
        ]
    )
    return only(answers, "vm_snapshot.create_vm_snapshot", tower)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Arguments of `backup_vm` or `backup_vms`."""

    recipe: str
    tower: Cloudtower
    name: str | None
    prefix: str
    keep: int | None
    quiesce: bool
    timeout: float | None

    def __post_init__(self) -> None:
        check_number(self.recipe, keep=self.keep)
        check_seconds(self.recipe, "timeout", self.timeout, none_ok=True)
        if not self.prefix:
            raise InvalidInput(f"{self.recipe}: prefix: must not be empty")
        if self.name is not None and self.keep is not None:
            raise InvalidInput(
                f"{self.recipe}: keep: old backups are found by name; leave out name, or keep"
            )

    async def back_up(self, tell: Telling, vm: models.Vm) -> Backup:
        """Back up one VM, and return the result. If the backup fails, the result has the error."""
        work = _Work(self, tell, vm)
        error: Exception | None = None
        try:
            await work.run()
        except Exception as exc:
            if exc is tell.raised:
                raise
            error = exc
        tell.end(label(vm), error)
        return Backup(
            vm=vm,
            snapshot=work.snapshot,
            lun_snapshots=work.lun_snapshots,
            removed=work.removed,
            error=error,
            snapshot_id=work.snapshot_id,
            disks_without_lun_snapshot=work.disks_without,
        )


class _Work:
    """State of the backup of one VM.

    Args:
        plan: Arguments of the recipe.
        tell: Reporter of the progress.
        vm: The VM.
    """

    def __init__(self, plan: _Plan, tell: Telling, vm: models.Vm) -> None:
        self.snapshot: models.VmSnapshot | None = None
        self.snapshot_id: str | None = None
        self.lun_snapshots: list[models.IscsiLunSnapshot] = []
        self.disks_without: list[models.NestedFrozenDisks] = []
        self.removed: list[models.VmSnapshot] = []
        self._plan = plan
        self._tower = plan.tower
        self._tell = partial(tell.step, label(vm))
        self._vm = vm

    async def run(self) -> None:
        """Create the snapshot, find its LUN snapshots, and delete older backups."""
        identified(self._vm, "vm.get_vms")
        async with self._tower.lock(self._vm.id):
            self.snapshot = await self._make_snapshot()
            self._tell("lun snapshots")
            await self._find_lun_snapshots(self.snapshot)
            for old in await self._surplus(self.snapshot):
                if await self._remove(old):
                    self.removed.append(old)

    async def _make_snapshot(self) -> models.VmSnapshot:
        plan, vm = self._plan, self._vm
        stamp = datetime.now(UTC).strftime(_STAMP)
        self._tell("snapshot")
        name = plan.name or f"{plan.prefix}-{stamp}"
        created = await start_snapshot(self._tower, vm, name, quiesce=plan.quiesce)
        self.snapshot_id = created.data.id
        told = partial(self._tell, "snapshot")
        snapshot = await carry_out(self._tower, created, told, plan.timeout)
        if snapshot.vm is not None and snapshot.vm.id and snapshot.vm.id != vm.id:
            raise OutcomeUnknown(
                f"the answer names a snapshot of another VM: {snapshot.id}",
                operation="vm_snapshot.create_vm_snapshot",
                endpoint=self._tower.endpoint,
            )
        return snapshot

    async def _find_lun_snapshots(self, snapshot: models.VmSnapshot) -> None:
        disks = [disk for disk in snapshot.vm_disks or () if disk.type == "DISK"]
        names = {disk.snapshot_local_id for disk in disks if disk.snapshot_local_id}
        self.disks_without = disks
        if names:
            get = self._tower.iscsi_lun_snapshot.get_iscsi_lun_snapshots
            found = await self._tower.fetch_all(get, where={"name_in": sorted(names)})
            self.lun_snapshots = [lun for lun in found if lun.name in names]
        there = {lun.name for lun in self.lun_snapshots}
        self.disks_without = [disk for disk in disks if disk.snapshot_local_id not in there]

    async def _surplus(self, snapshot: models.VmSnapshot) -> Sequence[models.VmSnapshot]:
        """Return the snapshots of old backups to delete, oldest first.

        The new snapshot is never in the list.
        """
        prefix, keep = self._plan.prefix, self._plan.keep
        if keep is None:
            return []
        ours = re.compile(re.escape(prefix) + _STAMP_PATTERN)
        found = await self._tower.fetch_all(
            self._tower.vm_snapshot.get_vm_snapshots,
            where={"vm": {"id": self._vm.id}, "name_starts_with": prefix},
        )
        older = [
            one
            for one in found
            if one.id
            and one.id != snapshot.id
            and ours.fullmatch(one.name or "")
            # Check the conditions of the filter again, because these snapshots will be deleted.
            and one.vm is not None
            and one.vm.id == self._vm.id
            and one.entity_async_status is None  # not being created or deleted at the moment
        ]
        older.sort(key=lambda one: one.name)
        return older[: max(0, len(older) + 1 - int(keep))]

    async def _remove(self, old: models.VmSnapshot) -> bool:
        """Delete the snapshot of an old backup.

        Return True if this call deleted the snapshot, or False if the snapshot was already deleted.
        """
        self._tell("remove")
        timeout = self._plan.timeout
        doubt: NotFound | OutcomeUnknown | None = None
        deleted: Sequence[WithTask[models.DeleteVmSnapshot]] = ()
        try:
            deleted = await self._tower.vm_snapshot.delete_vm_snapshot(where={"id": old.id})
        except (NotFound, OutcomeUnknown) as exc:
            doubt = exc
        for one in deleted:
            await follow(self._tower, one, partial(self._tell, "remove"), timeout, [old.id])
        if any(has_id(one) and one.data.id == old.id for one in deleted):
            return True
        gone = WithTask(data=models.DeleteVmSnapshot(id=old.id))
        if await self._tower.settle([gone], timeout=timeout):
            raise doubt or CloudtowerError(f"the server did not delete snapshot {old.name}")
        return bool(deleted) or isinstance(doubt, OutcomeUnknown)
