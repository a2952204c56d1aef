"""Snapshot of a VM that is taken only once, even if a call is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudtower_async.jobs import once

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower, WithTask
    from cloudtower_async.jobs import Journal
    from cloudtower_async.models import Vm, VmSnapshot


async def snapshot_once(
    tower: Cloudtower, journal: Journal, vm: Vm, name: str, *, timeout: float
) -> VmSnapshot:
    """Make sure that a VM has a snapshot with this name, and return the completed snapshot.

    Args:
        tower: The session.
        journal: Journal of this Tower.
        vm: The VM.
        name: Name of the snapshot. No other snapshot of this VM may have this name.
        timeout: Seconds to wait until the snapshot is complete.

    Raises:
        CloudtowerError: The snapshot failed, or was not complete within `timeout`.
    """
    quiesce = vm.vm_tools_status == "RUNNING"

    async def create(tower: Cloudtower) -> list[WithTask[VmSnapshot]]:
        return await tower.vm_snapshot.create_vm_snapshot(
            data=[
                {
                    "vm_id": vm.id,
                    "name": name,
                    "consistent_type": "FILE_SYSTEM_CONSISTENT" if quiesce else "CRASH_CONSISTENT",
                }
            ]
        )

    async def find(tower: Cloudtower) -> VmSnapshot | None:
        found = await tower.vm_snapshot.get_vm_snapshots(
            where={"vm": {"id": vm.id}, "name": name}, first=1
        )
        return found[0] if found else None

    return await once(tower, journal, f"{name}/{vm.id}", create, find=find, timeout=timeout)
