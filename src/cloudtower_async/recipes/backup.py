"""Backups of VMs: a snapshot that is as consistent as the guest allows, and its LUN snapshots."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from .. import models
from ..errors import CloudtowerError, InvalidInput, NotFound, OutcomeUnknown
from ..types import WithTask
from .many import check_number, chosen_vms, each, only
from .progress import Telling, carry_out, follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .. import inputs
    from ..session import Cloudtower
    from .progress import OnProgress

_STAMP = "%Y%m%dT%H%M%SZ"
_STAMP_PATTERN = r"-\d{8}T\d{6}Z"


class Backup(msgspec.Struct, kw_only=True, frozen=True):
    """What has become of the backup of a VM.

    Attributes:
        vm: The VM as it was when the backup began.
        snapshot: Its snapshot, which has ``consistent_type``; None: it could not be made, and
            `error` says why.
        lun_snapshots: Those of the snapshot's disks.
        removed: The older snapshots that were deleted.
        error: What went wrong; None: nothing. With a snapshot, it went wrong after that was made.
    """

    vm: models.Vm
    snapshot: models.VmSnapshot | None
    lun_snapshots: list[models.IscsiLunSnapshot]
    removed: list[models.VmSnapshot]
    error: CloudtowerError | None


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
    """Take a snapshot of a VM, wait for it, and find the LUN snapshots of its disks.

    The steps that `on_progress` is told are ``"snapshot"``, ``"lun snapshots"`` and ``"remove"``.
    Meanwhile `Cloudtower.lock` is held on the VM. Who cancels it leaves at the server what was
    begun: the snapshot may still come to be. Older ones are deleted only when it is there.

    Args:
        tower: The session to work with.
        vm: Name or id of the VM.
        name: What to call the snapshot; None: the prefix and the time in UTC, as in
            ``backup-20260131T020000Z``.
        prefix: What the names of these backups begin with.
        keep: How many of these backups the VM is to have afterwards: older ones are deleted, if
            their names are this prefix and a time. Others are left alone. None: delete none.
        quiesce: Have the file systems of the guest consistent, where its VM tools are running.
            Else, and without, the snapshot is as after a power failure.
        timeout: Seconds to wait for each task; None: no limit.
        on_progress: Told how far it is.

    Returns:
        The backup. What goes wrong once there is a snapshot is its `error`, and not raised.

    Raises:
        NotFound: There is no such VM.
        Ambiguous: Several have the name.
        TaskError: The snapshot was not made, or not in time.
        CallError: One of the calls for it failed.
        InvalidInput: An argument cannot be used.

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
) -> list[Backup]:
    """Back up many VMs, some at a time: `backup_vm` for each of them.

    One that fails does not end the others. Who cancels it leaves at the server what was begun.

    Args:
        tower: The session to work with.
        where: Which VMs.
        prefix: What the names of these backups begin with.
        keep: How many of these backups each VM is to have afterwards; None: delete none.
        quiesce: As of `backup_vm`.
        limit: Maximum number of VMs at a time.
        missing_ok: Return an empty list when no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for each task; None: no limit.
        on_progress: Told how far it is.

    Returns:
        What has become of each VM, by name: an `error` is where one could not be backed up.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: The where may match everything.
        CallError: The VMs cannot be read.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            for backup in await backup_vms(tower, {"cluster": {"name": "prod"}}, keep=7):
                print(backup.vm.name, backup.error or "ok")
    """
    check_number("backup_vms", limit=limit)
    plan = _Plan("backup_vms", tower, None, prefix, keep, quiesce, timeout)
    vms = await chosen_vms("backup_vms", tower, where, missing_ok=missing_ok)
    return await each(partial(plan.back_up, Telling(on_progress, len(vms))), vms, limit)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How VMs are backed up; the arguments of the recipe of this name."""

    recipe: str
    tower: Cloudtower
    name: str | None
    prefix: str
    keep: int | None
    quiesce: bool
    timeout: float | None

    def __post_init__(self) -> None:
        check_number(self.recipe, keep=self.keep)
        if not self.prefix:
            raise InvalidInput(f"{self.recipe}: prefix: must not be empty")
        if self.name is not None and self.keep is not None:
            raise InvalidInput(
                f"{self.recipe}: keep: backups are told by their names; leave out name, or keep"
            )

    async def back_up(self, tell: Telling, vm: models.Vm) -> Backup:
        """Back up one VM. What goes wrong is in what it returns."""
        snapshot: models.VmSnapshot | None = None
        luns: list[models.IscsiLunSnapshot] = []
        removed: list[models.VmSnapshot] = []
        error: CloudtowerError | None = None
        try:
            async with self.tower.lock(vm.id):
                snapshot = await self._snapshot(vm, tell)
                tell.step(vm.name, "lun snapshots")
                luns = await self._lun_snapshots(snapshot)
                for old in await self._surplus(vm, snapshot):
                    if await self._remove(old, vm, tell):
                        removed.append(old)  # noqa: PERF401 - what came before an error counts
        except CloudtowerError as exc:
            error = exc
        tell.end(vm.name, error)
        return Backup(vm=vm, snapshot=snapshot, lun_snapshots=luns, removed=removed, error=error)

    async def _snapshot(self, vm: models.Vm, tell: Telling) -> models.VmSnapshot:
        quiesce = self.quiesce and vm.vm_tools_status == "RUNNING"
        stamp = datetime.now(UTC).strftime(_STAMP)
        tell.step(vm.name, "snapshot")
        answer = await self.tower.vm_snapshot.create_vm_snapshot(
            data=[
                {
                    "vm_id": vm.id,
                    "name": self.name or f"{self.prefix}-{stamp}",
                    "consistent_type": "FILE_SYSTEM_CONSISTENT" if quiesce else "CRASH_CONSISTENT",
                }
            ]
        )
        created = only(answer, "vm_snapshot.create_vm_snapshot", self.tower)
        told = partial(tell.step, vm.name, "snapshot")
        return await carry_out(self.tower, created, told, self.timeout)

    async def _lun_snapshots(self, snapshot: models.VmSnapshot) -> list[models.IscsiLunSnapshot]:
        disks = [disk for disk in snapshot.vm_disks or () if disk.type == "DISK"]
        names = [disk.snapshot_local_id for disk in disks if disk.snapshot_local_id]
        if not names:
            return []
        get = self.tower.iscsi_lun_snapshot.get_iscsi_lun_snapshots
        return await get(where={"name_in": names})

    async def _surplus(
        self, vm: models.Vm, snapshot: models.VmSnapshot
    ) -> Sequence[models.VmSnapshot]:
        """The backups that are too many, the oldest first; never the one just made."""
        if self.keep is None:
            return []
        ours = re.compile(re.escape(self.prefix) + _STAMP_PATTERN)
        found = await self.tower.fetch_all(
            self.tower.vm_snapshot.get_vm_snapshots,
            where={"vm": {"id": vm.id}, "name_starts_with": self.prefix},
        )
        older = [
            one
            for one in found
            if ours.fullmatch(one.name)
            and one.id != snapshot.id
            and one.entity_async_status is None  # else somebody makes or deletes it now
        ]
        older.sort(key=lambda one: one.name)
        return older[: max(0, len(older) + 1 - int(self.keep))]

    async def _remove(self, old: models.VmSnapshot, vm: models.Vm, tell: Telling) -> bool:
        """Delete an old backup; return False if something else has deleted it meanwhile."""
        tell.step(vm.name, "remove")
        doubt: NotFound | OutcomeUnknown | None = None
        deleted: Sequence[WithTask[models.DeleteVmSnapshot]] = ()
        try:
            deleted = await self.tower.vm_snapshot.delete_vm_snapshot(where={"id": old.id})
        except (NotFound, OutcomeUnknown) as exc:
            doubt = exc
        for one in deleted:
            await follow(self.tower, one, partial(tell.step, vm.name, "remove"), self.timeout)
        if deleted:
            return True
        gone = WithTask(data=models.DeleteVmSnapshot(id=old.id))
        if await self.tower.settle([gone], timeout=self.timeout):
            raise doubt or CloudtowerError(f"the server did not delete snapshot {old.name}")
        return isinstance(doubt, OutcomeUnknown)
