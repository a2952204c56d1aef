"""Job for workers: take a nightly snapshot of each VM.

cloudtower-async fleet worker examples.fleet.snapshots:nightly
cloudtower-async fleet run examples.fleet.snapshots:nightly --profiles north,south
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloudtower_async.jobs import FleetItem, FleetJob
from examples.snapshot_bot.once import snapshot_once

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower
    from cloudtower_async.jobs import Journal

_TIMEOUT = 3600.0  # time-out of a snapshot in seconds


async def list_vms(tower: Cloudtower) -> list[FleetItem]:
    """Return an item for each VM, except internal VMs and VMs in the recycle bin."""
    vms = await tower.fetch_all(
        tower.vm.get_vms, where={"in_recycle_bin": False, "internal": False}
    )
    return [FleetItem(key=vm.id, cluster=vm.cluster.id if vm.cluster else None) for vm in vms]


async def take_snapshot(tower: Cloudtower, item: FleetItem, journal: Journal) -> str:
    """Make sure that a VM has the snapshot of this run, and return the id of the snapshot."""
    vm = await tower.get_one(tower.vm.get_vms, where={"id": item.key})
    name = f"nightly-{item.run}"
    snapshot = await snapshot_once(tower, journal, vm, name, timeout=_TIMEOUT)
    return snapshot.id


nightly = FleetJob(list_vms, take_snapshot)
