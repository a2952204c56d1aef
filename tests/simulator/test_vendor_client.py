"""The vendor's client accepts the answers of the simulator.

The vendor's client validates answers while it decodes them. It blocks, so it runs in a thread.
"""

# ruff: noqa: ANN401 - the vendor's client has no types
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

from cloudtower_async.simulator.store.schema import queried_resources
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.simulator.queries import COUNTS, LISTS
from tests.simulator.vendor import VERSION, Vendor, cloudtower, knows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    # Every request takes simulated time, so that waiting for a task takes no real time.
    clock = Clock(running=False, per_request=0.5)
    size = FleetSize(clusters=4, snapshots=6)
    async with Simulator(size, clock=clock, task_duration=2.0) as sim:
        yield sim


async def run(function: Any, *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(function, *arguments)


async def test_it_accepts_every_resource(sim: Simulator, tell: Callable[[str], None]) -> None:
    known = [resource for resource in queried_resources() if knows(LISTS[resource])]

    def ask() -> dict[str, int]:
        vendor = Vendor(sim)
        found: dict[str, int] = {}
        for resource in known:
            found[resource] = len(vendor.ask(LISTS[resource]))
            counts = COUNTS.get(resource)
            if counts and knows(counts):
                assert vendor.ask(counts).aggregate.count == found[resource]
        return found

    found = await run(ask)
    tell(
        f"cloudtower-sdk {VERSION} accepts {sum(found.values())} documents of all"
        f" {len(known)} resources that it knows"
    )
    assert found == {resource: len(sim.store.table(resource)) for resource in known}


async def test_it_filters_with_its_models(sim: Simulator) -> None:
    def ask() -> list[str]:
        where = cloudtower.VmWhereInput(
            status=cloudtower.VmStatus.RUNNING,
            cluster=cloudtower.ClusterWhereInput(name_in=["atlas-01", "cygnus-01"]),
            vm_disks_some=cloudtower.VmDiskWhereInput(
                vm_volume=cloudtower.VmVolumeWhereInput(size_gt=30 * 2**30)
            ),
        )
        body = cloudtower.GetVmsRequestBody(
            where=where, first=3, order_by=cloudtower.VmOrderByInput.NAME_DESC
        )
        return [vm.name for vm in Vendor(sim).api("vm").get_vms(body)]

    names = await run(ask)
    store = sim.store
    expected: list[str] = []
    for vm in store.table("Vm").values():
        volumes = [store.get("VmDisk", one)["vm_volume"] for one in vm["vm_disks"]]
        large = any(store.get("VmVolume", one)["size"] > 30 * 2**30 for one in volumes)
        cluster = store.get("Cluster", vm["cluster"])["name"]
        if vm["status"] == "RUNNING" and cluster in {"atlas-01", "cygnus-01"} and large:
            expected.append(vm["name"])
    assert names == sorted(expected, reverse=True)[:3] != []


async def test_it_starts_vms_and_waits_for_the_tasks(sim: Simulator) -> None:
    stopped = [vm["id"] for vm in sim.store.select("Vm", {"status": "STOPPED"})]

    def start() -> list[str]:
        wait_tasks = importlib.import_module("cloudtower.utils").wait_tasks
        vendor = Vendor(sim)
        where = {"where": {"id_in": stopped}}
        started = vendor.api("vm").start_vm(where)
        wait_tasks([one.task_id for one in started], vendor.client, interval=0)
        return [vm.status for vm in vendor.api("vm").get_vms(where)]

    assert await run(start) == ["RUNNING"] * len(stopped) != []


async def test_it_sees_a_failed_task(sim: Simulator) -> None:
    sim.tasks.fail_next()

    def start() -> str:
        utils = importlib.import_module("cloudtower.utils")
        vendor = Vendor(sim)
        vm = vendor.api("vm").get_vms({"where": {"status": "STOPPED"}, "first": 1})[0]
        started = vendor.api("vm").start_vm({"where": {"id": vm.id}})
        with pytest.raises(cloudtower.ApiException) as caught:
            utils.wait_tasks([started[0].task_id], vendor.client, interval=0)
        return str(caught.value)

    assert "INTERNAL_ERROR" in await run(start)


async def test_the_backup_scenario(sim: Simulator) -> None:
    def back_up() -> tuple[list[str], list[str]]:
        wait_tasks = importlib.import_module("cloudtower.utils").wait_tasks
        vendor = Vendor(sim)
        vm = vendor.api("vm").get_vms({"where": {"status": "RUNNING"}, "first": 1})[0]
        data = [{"vm_id": vm.id, "name": "nightly", "consistent_type": "CRASH_CONSISTENT"}]
        made = vendor.api("vm_snapshot").create_vm_snapshot({"data": data})[0]
        wait_tasks([made.task_id], vendor.client, interval=0)
        where = {"where": {"id": made.data.id}}
        snapshot = vendor.api("vm_snapshot").get_vm_snapshots(where)[0]
        disks = [one.snapshot_local_id for one in snapshot.vm_disks if one.type == "DISK"]
        luns = vendor.api("iscsi_lun_snapshot").get_iscsi_lun_snapshots(
            {"where": {"name_in": disks}}
        )
        return disks, [lun.name for lun in luns]

    disks, luns = await run(back_up)
    assert sorted(disks) == sorted(luns) != []


async def test_texts_are_returned_in_the_requested_language(sim: Simulator) -> None:
    def ask() -> tuple[str, str, int]:
        alerts = Vendor(sim).api("alert")
        texts = [
            alerts.get_alerts({"first": 1}, content_language=language)[0].message
            for language in ("en-US", "zh-CN")
        ]
        with pytest.raises(cloudtower.ApiException) as caught:
            alerts.get_alerts({"first": 1}, content_language="de-DE")
        return texts[0], texts[1], caught.value.status

    english, chinese, status = await run(ask)
    assert chinese == sim.store.translations[english]
    assert status == 400


async def test_it_sees_locks_and_wrong_passwords(sim: Simulator) -> None:
    def ask() -> tuple[str, int]:
        vendor = Vendor(sim)
        where = {"where": {"status": "RUNNING", "name_contains": "web"}}
        vendor.api("vm").restart_vm(where)
        with pytest.raises(cloudtower.ApiException) as locked:
            vendor.api("vm").restart_vm(where)
        with pytest.raises(cloudtower.ApiException) as refused:
            vendor.api("user").login({"username": sim.username, "password": "wrong"})
        return locked.value.body, refused.value.status

    body, status = await run(ask)
    assert "ResourceLocked" in body
    assert status == 400


async def test_its_version_call_works(sim: Simulator) -> None:
    assert await run(lambda: Vendor(sim).api("api_info").get_api_version()) == "4.9.0"
