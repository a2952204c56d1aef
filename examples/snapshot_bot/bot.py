"""A night: plan it, take the snapshots, delete those that are too old, report."""

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

_ROUNDS = 2  # what failed is tried once more at the end: a VM may have been locked

_log = logging.getLogger("snapshot_bot")


@dataclass(frozen=True, kw_only=True)
class Night:
    """What is to be done in a night.

    Args:
        date: Which night.
        where: The VMs.
        prefix: What the names of the snapshots begin with; the date follows.
        limit: Most VMs at a time.
        per_cluster: Most VMs of a cluster at a time.
        keep: How many of these snapshots each VM is to have; None: delete none.
        timeout: Seconds that a snapshot may take.
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
        """Of the snapshots. It tells the night, so a VM has one of them at most."""
        return f"{self.prefix}-{self.date}"


async def run_night(tower: Cloudtower, journal: Journal, state: State, night: Night) -> Report:
    """Do what has not been done yet of a night.

    Raises:
        CallError: The VMs can't be read.
    """
    if not await state.rows():
        # Which VMs the night is about is decided once: who starts again goes on with these.
        await state.plan(await tower.fetch_all(tower.vm.get_vms, where=night.where))
    for _ in range(_ROUNDS):
        await _take_snapshots(tower, journal, state, night)
    rows = await state.rows()
    removal = _Removal(0, [])
    if night.keep is not None:
        done = {row.vm_id for row in rows if row.snapshot_id is not None}
        try:
            removal = await _remove_old(tower, night, night.keep, done)
        except CloudtowerError as error:  # the report is to come all the same
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
        # The cluster's first: who waits for a busy cluster takes no place of the others.
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
    """Delete the snapshots that are too many, of VMs that have tonight's.

    Which these are is read from the server each time, so a crash in here loses nothing. A snapshot
    whose name is not exactly the prefix and a date is nobody's but its maker's.
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
            and snapshot.entity_async_status is None  # else it is being deleted already
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
                pass  # something else has deleted them
            except CloudtowerError as error:
                removal.errors.append(f"VM {vm_id}: {error}")
            else:
                removal.removed += len(deleted)

    async with anyio.create_task_group() as group:
        for vm_id, snapshots in older.items():
            # Tonight's is kept, and the newest of the others.
            surplus = sorted(snapshots)[: max(0, len(snapshots) + 1 - keep)]
            if surplus:
                group.start_soon(remove, vm_id, [snapshot_id for _, snapshot_id in surplus])
    return removal
