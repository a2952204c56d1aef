"""Steps of one night: choose the VMs, take snapshots, delete old snapshots, and report."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from cloudtower_async import CloudtowerError, NotFound

from .once import snapshot_once
from .report import Report, make_report

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from cloudtower_async import Cloudtower
    from cloudtower_async.inputs import VmWhereInput
    from cloudtower_async.jobs import Journal
    from cloudtower_async.models import Vm

    from .state import State

_ROUNDS = 2  # at the end, failed snapshots are retried once; the VM may have been locked

_log = logging.getLogger("snapshot_bot")


@dataclass(frozen=True, kw_only=True)
class Night:
    """Settings of one night.

    Args:
        date: Date of the night.
        where: Filter that selects the VMs.
        prefix: Prefix of the names of the snapshots. The date follows the prefix.
        limit: Maximum number of concurrent snapshots.
        per_cluster: Maximum number of concurrent snapshots in one cluster.
        keep: Number of snapshots with this prefix to keep for each VM. With None, no
            snapshots are deleted.
        timeout: Time-out in seconds for each snapshot.
    """

    date: date
    where: VmWhereInput
    prefix: str = "nightly"
    limit: int = 20
    per_cluster: int = 5
    keep: int | None = None
    timeout: float = 3600.0

    @property
    def name(self) -> str:
        """Name of the snapshots. It contains the date, so each VM has at most one such snapshot."""
        return f"{self.prefix}-{self.date}"


async def run_night(tower: Cloudtower, journal: Journal, state: State, night: Night) -> Report:
    """Run the remaining steps of a night, and return the report.

    Raises:
        CallError: The VMs cannot be read.
    """
    if not await state.rows():
        # The VMs of a night are chosen only once. A restarted run continues with the same VMs.
        await state.plan(await tower.fetch_all(tower.vm.get_vms, where=night.where))
    for _ in range(_ROUNDS):
        await _take_snapshots(tower, journal, state, night)
    rows = await state.rows()
    removal = _Removal(0, [])
    if night.keep is not None:
        done = {row.vm_id for row in rows if row.snapshot_id is not None}
        try:
            removal = await _remove_old(tower, night, night.keep, done)
        except CloudtowerError as error:  # return the report even so
            removal = _Removal(0, [f"the old snapshots: {error}"])
    return make_report(night.name, rows, removal.removed, removal.errors)


async def _take_snapshots(tower: Cloudtower, journal: Journal, state: State, night: Night) -> None:
    missing = {row.vm_id for row in await state.rows() if row.snapshot_id is None}
    if not missing:
        return
    vms = await tower.fetch_all(tower.vm.get_vms, where={"id_in": list(missing)})
    total = anyio.CapacityLimiter(night.limit)
    of_cluster: defaultdict[str | None, anyio.CapacityLimiter] = defaultdict(
        lambda: anyio.CapacityLimiter(night.per_cluster)
    )

    async def take(vm: Vm) -> None:
        # Acquire the limit of the cluster first, so that a busy cluster does not delay other
        # clusters.
        async with of_cluster[vm.cluster.id if vm.cluster else None], total:
            try:
                snapshot = await snapshot_once(
                    tower, journal, vm, night.name, timeout=night.timeout
                )
            except CloudtowerError as error:
                _log.warning("%s: %s", vm.name, error)
                await state.failed(vm.id, str(error))
            else:
                _log.info("%s: %s", vm.name, snapshot.name)
                await state.done(vm.id, snapshot.id)

    async with anyio.create_task_group() as group:
        for vm in vms:
            group.start_soon(take, vm)
    for vm_id in missing - {vm.id for vm in vms}:
        await state.failed(vm_id, "the VM is not there any more")


@dataclass
class _Removal:
    removed: int
    errors: list[str]


async def _remove_old(tower: Cloudtower, night: Night, keep: int, done: Iterable[str]) -> _Removal:
    """Delete surplus snapshots of the VMs that have the snapshot of this night.

    The snapshots are read from the server in each run, so that a crash here loses nothing. Only
    snapshots whose names consist of the prefix and a date are deleted.
    """
    ours = re.compile(re.escape(night.prefix) + r"-\d{4}-\d\d-\d\d")
    older: dict[str, list[tuple[str, str]]] = {vm_id: [] for vm_id in done}
    async for snapshot in tower.iterate(
        tower.vm_snapshot.get_vm_snapshots, where={"name_starts_with": f"{night.prefix}-"}
    ):
        if (
            snapshot.vm is not None
            and snapshot.vm.id in older
            and ours.fullmatch(snapshot.name)
            and snapshot.name < night.name
            and snapshot.entity_async_status is None  # not being deleted already
        ):
            older[snapshot.vm.id].append((snapshot.name, snapshot.id))
    removal = _Removal(0, [])
    limiter = anyio.CapacityLimiter(night.limit)

    async def remove(vm_id: str, ids: list[str]) -> None:
        async with limiter:
            try:
                deleted = await tower.vm_snapshot.delete_vm_snapshot(where={"id_in": ids})
                await tower.wait(deleted, timeout=night.timeout)
            except NotFound:
                pass  # already deleted
            except CloudtowerError as error:
                removal.errors.append(f"VM {vm_id}: {error}")
            else:
                removal.removed += len(deleted)

    async with anyio.create_task_group() as group:
        for vm_id, snapshots in older.items():
            # Keep the snapshot of this night and the newest older snapshots.
            surplus = sorted(snapshots)[: max(0, len(snapshots) + 1 - keep)]
            if surplus:
                group.start_soon(remove, vm_id, [snapshot_id for _, snapshot_id in surplus])
    return removal
