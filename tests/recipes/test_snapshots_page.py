"""Claims about the simulator on the page about snapshots and rollback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloudtower_async import BadRequest, Cloudtower, NotFound, ResourceLocked, TaskFailed
from cloudtower_async.models import Vm, VmSnapshot
from cloudtower_async.testing import Simulator
from tests.recipes.towers import simulated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cloudtower_async.inputs import ConsistentType, VmSnapshotCreationParamsData
    from cloudtower_async.simulator.behavior import RunningVms

    Check = Callable[[Simulator, Cloudtower], Awaitable[None]]

pytestmark = pytest.mark.anyio

PAGE = Path("docs/recipes/snapshots.md").read_text(encoding="utf-8")
_, _, TABLE = PAGE.partition("## Simulator and real servers")
ROWS = re.findall(r"^\| (.+?) \| .+ \|$", TABLE, re.MULTILINE)[2:]
CHECKS: dict[str, Check] = {}


def row(situation: str) -> Callable[[Check], Check]:
    """Register a check of the row of the table that has this situation."""

    def register(check: Check) -> Check:
        CHECKS[situation] = check
        return check

    return register


async def snapshot_of(
    tower: Cloudtower, vm: str, consistent_type: ConsistentType | None = "CRASH_CONSISTENT"
) -> VmSnapshot:
    wanted: VmSnapshotCreationParamsData = {"vm_id": vm, "name": "before"}
    if consistent_type:
        wanted["consistent_type"] = consistent_type
    [snapshot] = await tower.settle(tower.vm_snapshot.create_vm_snapshot(data=[wanted]))
    return snapshot


async def roll_back(tower: Cloudtower, vm: str, snapshot: str) -> Vm:
    call = tower.vm.rollback_vm(where={"id": vm}, data={"snapshot_id": snapshot})
    [back] = await tower.settle(call)
    return back


@row("rolling back a running VM")
async def a_running_vm_rolls_back(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm(vcpu=1)
    snapshot = await snapshot_of(tower, vm["id"])
    vm["vcpu"] = 4
    back = await roll_back(tower, vm["id"], snapshot.id)
    assert (back.status, back.vcpu) == ("RUNNING", 1)
    sim.clock.advance(10)
    [shown] = await tower.vm.get_vms(where={"id": vm["id"]})
    assert shown.ips  # the guest reports the addresses of its new NICs
    choices: list[tuple[RunningVms, type[Exception]]] = [
        ("task_fails", TaskFailed),
        ("refused", BadRequest),
    ]
    for choice, error in choices:
        async with simulated(running_vms=choice) as (other, session):
            [snapshot] = await session.vm_snapshot.get_vm_snapshots(
                where={"vm": {"status": "RUNNING"}}, first=1
            )
            assert snapshot.vm
            with pytest.raises(error):
                await roll_back(session, snapshot.vm.id, snapshot.id)
            assert other.store.get("Vm", snapshot.vm.id)["status"] == "RUNNING"


@row("rolling back to a snapshot of another VM")
async def another_vms_snapshot_is_refused(sim: Simulator, tower: Cloudtower) -> None:
    vm, other = sim.add_vm(status="STOPPED"), sim.add_vm(status="STOPPED")
    snapshot = await snapshot_of(tower, other["id"])
    with pytest.raises(BadRequest):
        await roll_back(tower, vm["id"], snapshot.id)


@row("rolling back to a deleted snapshot")
async def a_deleted_snapshot_is_not_found(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm(status="STOPPED")
    snapshot = await snapshot_of(tower, vm["id"])
    await tower.settle(tower.vm_snapshot.delete_vm_snapshot(where={"id": snapshot.id}))
    with pytest.raises(NotFound):
        await roll_back(tower, vm["id"], snapshot.id)


@row("settings that a rollback restores")
async def settings_are_restored(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm(status="STOPPED", name="old", vcpu=2, memory=2**30)
    call = tower.vm.add_vm_cd_rom(
        where={"id": vm["id"]}, data={"vm_cd_roms": [{"boot": 5, "index": 0}]}
    )
    await tower.settle(call)
    before = {name: vm[name] for name in ("vcpu", "memory", "ha", "firmware", "provisioned_size")}

    def devices() -> tuple[list[str], list[str]]:
        disks = [sim.store.get("VmDisk", one)["type"] for one in vm["vm_disks"]]
        return sorted(disks), [sim.store.get("VmNic", one)["mac_address"] for one in vm["vm_nics"]]

    all_devices = devices()
    assert all_devices[0] == ["CD_ROM", "DISK"]
    snapshot = await snapshot_of(tower, vm["id"])
    changes = {"name": "new", "vcpu": 4, "memory": 2**31, "ha": False, "firmware": "UEFI"}
    sim.store.change("Vm", vm["id"], vm_disks=[], vm_nics=[], provisioned_size=0, **changes)
    back = await roll_back(tower, vm["id"], snapshot.id)
    assert back.name == "new"
    assert {name: vm[name] for name in before} == before
    assert devices() == all_devices


@row("other snapshots of the VM after a rollback")
async def other_snapshots_are_kept(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm(status="STOPPED")
    snapshots = [await snapshot_of(tower, vm["id"]) for _ in range(3)]
    await roll_back(tower, vm["id"], snapshots[1].id)
    assert vm["snapshots"] == [snapshot.id for snapshot in snapshots]


@row("creating a snapshot without `consistent_type`")
async def the_default_type(sim: Simulator, tower: Cloudtower) -> None:
    snapshot = await snapshot_of(tower, sim.add_vm()["id"], None)
    assert snapshot.consistent_type == "CRASH_CONSISTENT"


@row("requesting `FILE_SYSTEM_CONSISTENT` while VM tools are not running")
async def without_vm_tools(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm(vm_tools_status="NOT_RUNNING")
    with pytest.raises(TaskFailed) as caught:
        await snapshot_of(tower, vm["id"], "FILE_SYSTEM_CONSISTENT")
    assert caught.value.code == "VM_SNAPSHOT_CREATE_FAILED"
    assert caught.value.ec == "VM_TOOLS_NOT_RUNNING"


@row("locks while a snapshot is created")
async def locks(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm()
    sim.tasks.duration = 3600
    [begun] = await tower.vm_snapshot.create_vm_snapshot(
        data=[{"vm_id": vm["id"], "name": "s", "consistent_type": "CRASH_CONSISTENT"}]
    )
    hasty = tower.with_options(lock_timeout=0)
    with pytest.raises(ResourceLocked):
        await hasty.vm.update_vm(where={"id": vm["id"]}, data={"vcpu": 1})
    with pytest.raises(ResourceLocked):
        await hasty.vm_snapshot.delete_vm_snapshot(where={"id": begun.data.id})


def test_each_row_of_the_table_has_a_check() -> None:
    assert list(CHECKS) == ROWS


@pytest.mark.parametrize("situation", ROWS)
async def test_a_row_of_the_table(situation: str) -> None:
    async with simulated() as (sim, tower):
        await CHECKS[situation](sim, tower)
