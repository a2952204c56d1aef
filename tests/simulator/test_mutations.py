"""Effects of mutations on the simulated fleet, and the times of these effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.calls.registry import operation_at
from cloudtower_async.testing import Clock, Failure, FleetSize, Simulator
from tests.simulator.client import Client, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    sim = Simulator(clock=Clock(running=False), task_duration=10.0)
    async with connected(sim) as client:
        yield client


def a_vm(client: Client, status: str) -> dict[str, Any]:
    return client.sim.store.select("Vm", {"status": status})[0]


async def task_of(client: Client, identifier: str) -> dict[str, Any]:
    tasks: list[dict[str, Any]] = await client.ask("get-tasks", {"where": {"id": identifier}})
    return tasks[0]


POWER = [
    ("start-vm", "STOPPED", "RUNNING"),
    ("shutdown-vm", "RUNNING", "STOPPED"),
    ("poweroff-vm", "RUNNING", "STOPPED"),
    ("poweroff-vm", "SUSPENDED", "STOPPED"),
    ("restart-vm", "RUNNING", "RUNNING"),
    ("force-restart-vm", "RUNNING", "RUNNING"),
    ("suspend-vm", "RUNNING", "SUSPENDED"),
    ("resume-vm", "SUSPENDED", "RUNNING"),
]


@pytest.mark.parametrize(("path", "before", "after"), POWER)
async def test_power(client: Client, path: str, before: str, after: str) -> None:
    vm = a_vm(client, before)
    answer = await client.send(path, {"where": {"id": vm["id"]}})
    operation_at(f"/{path}").decoder.decode(answer.content)
    [changed] = answer.json
    assert changed["data"]["status"] == before
    assert changed["data"]["entityAsyncStatus"] == "UPDATING"
    assert (await task_of(client, changed["task_id"]))["status"] == "PENDING"
    client.sim.clock.advance(5.5)
    task = await task_of(client, changed["task_id"])
    assert (task["status"], task["progress"]) == ("EXECUTING", 0.5)
    assert (task["resource_id"], task["user"]["name"]) == (vm["id"], "root")
    assert vm["status"] == before
    client.sim.clock.advance(5.0)
    assert (await task_of(client, changed["task_id"]))["status"] == "SUCCESSED"
    assert (vm["status"], vm["entityAsyncStatus"]) == (after, None)
    assert (vm["cpu_usage"] is not None) == (after == "RUNNING")


async def test_figures_of_host_and_cluster_follow(client: Client) -> None:
    store = client.sim.store
    vm = a_vm(client, "RUNNING")
    host, cluster = store.get("Host", vm["host"]), store.get("Cluster", vm["cluster"])
    before = host["running_vm_num"], cluster["running_vm_num"], cluster["used_cpu_hz"]
    await client.ask("poweroff-vm", {"where": {"id": vm["id"]}})
    client.sim.clock.advance(10.0)
    await client.ask("get-hosts")
    assert host["running_vm_num"] == before[0] - 1
    assert cluster["running_vm_num"] == before[1] - 1
    assert cluster["used_cpu_hz"] < before[2]
    assert vm["last_shutdown_time"] == client.sim.clock.timestamp()


async def test_a_state_that_already_holds_needs_no_task(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    [answer] = await client.ask("start-vm", {"where": {"id": vm["id"]}})
    assert answer["task_id"] is None
    assert vm["entityAsyncStatus"] is None


async def test_impossible_changes_are_rejected(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    answer = await client.send("suspend-vm", {"where": {"id": vm["id"]}})
    assert answer.status == 400
    assert "is STOPPED" in answer.json["message"]


async def test_a_snapshot_of_no_vm_is_404(client: Client) -> None:
    body = {"data": [{"vm_id": "nobody", "name": "x"}]}
    answer = await client.send("create-vm-snapshot", body)
    assert answer.status == answer.json["status"] == 404


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("start-vm", {}, "where: required"),
        ("start-vm", {"where": 1}, "where: Expected `object`, got `int`"),
        ("start-vm", {"where": {"nmae": 1}}, "where.nmae: Vm has no such key"),
        ("start-vm", {"where": {}, "data": {}}, "host_id: required"),
        ("start-vm", {"where": {}, "data": 1}, "host_id: required"),
        ("create-vm-snapshot", {"data": {}}, "data: Expected `array`, got `object`"),
        ("create-vm-snapshot", {"data": [{"name": "x"}]}, "vm_id: required"),
    ],
)
async def test_a_wrong_body_is_refused(
    client: Client, path: str, body: object, message: str
) -> None:
    answer = await client.send(path, body)
    assert answer.status == 400
    assert answer.json["message"].startswith(message)
    assert not any(vm["entityAsyncStatus"] for vm in client.sim.store.table("Vm").values())


async def test_a_busy_vm_is_locked(client: Client) -> None:
    vms = client.sim.store.select("Vm", {"status": "RUNNING"})[:2]
    await client.ask("restart-vm", {"where": {"id": vms[0]["id"]}})
    where = {"where": {"id_in": [vm["id"] for vm in vms]}}
    for path, body in (
        ("restart-vm", where),
        ("create-vm-snapshot", {"data": [{"vm_id": vms[0]["id"], "name": "x"}]}),
    ):
        answer = await client.send(path, body)
        assert answer.status == 400
        assert answer.json["code"] == "ResourceLocked"
        assert answer.json["props"] == {"locked_resources": [{"id": vms[0]["id"], "type": "VM"}]}
    assert vms[1]["entityAsyncStatus"] is None
    client.sim.clock.advance(10.0)
    assert len(await client.ask("restart-vm", where)) == 2


async def test_the_lock_may_outlast_the_task() -> None:
    sim = Simulator(clock=Clock(running=False), task_duration=1.0, settle_delay=5.0)
    async with connected(sim) as client:
        vm = a_vm(client, "RUNNING")
        [answer] = await client.ask("restart-vm", {"where": {"id": vm["id"]}})
        sim.clock.advance(2.0)
        assert (await task_of(client, answer["task_id"]))["status"] == "SUCCESSED"
        assert vm["entityAsyncStatus"] == "UPDATING"
        sim.clock.advance(5.0)
        await client.ask("get-vms")
        assert vm["entityAsyncStatus"] is None


async def test_a_task_may_fail_and_leaves_things_as_they_were(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    client.sim.tasks.fail_next(Failure("no host is left", code="VM_START_FAILED"))
    [answer] = await client.ask("start-vm", {"where": {"id": vm["id"]}})
    client.sim.clock.advance(10.0)
    task = await task_of(client, answer["task_id"])
    assert (task["status"], task["error_code"]) == ("FAILED", "VM_START_FAILED")
    assert "no host is left" in task["error_message"]
    assert (vm["status"], vm["entityAsyncStatus"]) == ("STOPPED", None)


async def test_a_task_may_be_missing_at_first(client: Client) -> None:
    client.sim.tasks.hide_next(polls=2)
    vm = a_vm(client, "RUNNING")
    [answer] = await client.ask("restart-vm", {"where": {"id": vm["id"]}})
    where = {"where": {"id": answer["task_id"]}}
    found = [len(await client.ask("get-tasks", where)) for _ in range(3)]
    assert found == [0, 0, 1]


async def test_tasks_are_described_in_the_requested_language(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    [answer] = await client.ask("start-vm", {"where": {"id": vm["id"]}})
    where = {"where": {"id": answer["task_id"]}}
    [task] = await client.ask("get-tasks", where, content_language="zh-CN")
    assert task["description"] == f"开启虚拟机 {vm['name']}"


async def test_a_vm_can_be_started_on_another_host(client: Client) -> None:
    store = client.sim.store
    vm = a_vm(client, "STOPPED")
    old = store.get("Host", vm["host"])
    new = next(
        host
        for host in store.table("Host").values()
        if host["cluster"] == vm["cluster"] and host is not old
    )
    body = {"where": {"id": vm["id"]}, "data": {"host_id": new["id"]}}
    number = old["vm_num"], new["vm_num"]
    new["allocatable_memory_bytes"] = 0
    [answer] = await client.ask("start-vm", body)
    client.sim.clock.advance(10.0)
    assert "NO_MEMORY" in (await task_of(client, answer["task_id"]))["error_message"]
    new["allocatable_memory_bytes"] = vm["memory"]
    await client.ask("start-vm", body)
    client.sim.clock.advance(10.0)
    [shown] = await client.ask("get-vms", {"where": {"id": vm["id"]}})
    assert (shown["host"]["id"], shown["status"]) == (new["id"], "RUNNING")
    assert (old["vm_num"], new["vm_num"]) == (number[0] - 1, number[1] + 1)


async def test_a_vm_can_be_started_where_it_is(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    await client.ask("start-vm", {"where": {"id": vm["id"]}, "data": {"host_id": vm["host"]}})
    client.sim.clock.advance(10.0)
    assert len(await client.ask("get-vms", {"where": {"id": vm["id"], "status": "RUNNING"}})) == 1


async def test_a_vm_cannot_be_started_just_anywhere(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    elsewhere = client.sim.store.select("Host", {"cluster": {"id_not": vm["cluster"]}})[0]
    for host, status in ((elsewhere["id"], 400), ("nowhere", 404)):
        body = {"where": {"id": vm["id"]}, "data": {"host_id": host}}
        assert (await client.send("start-vm", body)).status == status


async def create_snapshot(client: Client, vm: dict[str, Any]) -> dict[str, Any]:
    data = [{"vm_id": vm["id"], "name": "nightly", "consistent_type": "FILE_SYSTEM_CONSISTENT"}]
    answer = await client.send("create-vm-snapshot", {"data": data})
    operation_at("/create-vm-snapshot").decoder.decode(answer.content)
    [made] = answer.json
    return dict(made)


async def test_a_snapshot_and_its_lun_snapshots(client: Client) -> None:
    [vm, *_] = client.sim.store.select("Vm", {"vm_tools_status": "RUNNING"})
    made = await create_snapshot(client, vm)
    assert made["data"]["entityAsyncStatus"] == "CREATING"
    assert made["data"]["vm_disks"] is None
    assert vm["entityAsyncStatus"] == "UPDATING"
    client.sim.clock.advance(10.0)
    answer = await client.send("get-vm-snapshots", {"where": {"id": made["data"]["id"]}})
    operation_at("/get-vm-snapshots").decoder.decode(answer.content)
    [snapshot] = answer.json
    assert (snapshot["name"], snapshot["vm"]["id"]) == ("nightly", vm["id"])
    assert snapshot["consistent_type"] == "FILE_SYSTEM_CONSISTENT"
    assert snapshot["entityAsyncStatus"] is vm["entityAsyncStatus"] is None
    assert snapshot["local_id"] != made["data"]["local_id"]
    names = [disk["snapshot_local_id"] for disk in snapshot["vm_disks"]]
    luns = await client.ask("get-iscsi-lun-snapshots", {"where": {"name_in": names}})
    assert len(luns) == len(names) == len(vm["vm_disks"])
    [shown] = await client.ask("get-vms", {"where": {"id": vm["id"]}})
    assert snapshot["id"] in [one["id"] for one in shown["snapshots"]]


async def test_a_snapshot_that_fails_is_gone(client: Client) -> None:
    client.sim.tasks.fail_next()
    made = await create_snapshot(client, a_vm(client, "RUNNING"))
    client.sim.clock.advance(10.0)
    assert await client.ask("get-vm-snapshots", {"where": {"id": made["data"]["id"]}}) == []


async def test_a_deleted_snapshot_takes_its_lun_snapshots_with_it(client: Client) -> None:
    store = client.sim.store
    snapshot = next(iter(store.table("VmSnapshot").values()))
    luns = len(store.table("IscsiLunSnapshot"))
    answer = await client.send("delete-vm-snapshot", {"where": {"id": snapshot["id"]}})
    operation_at("/delete-vm-snapshot").decoder.decode(answer.content)
    [deleted] = answer.json
    assert deleted["data"] == {"id": snapshot["id"]}
    assert snapshot["entityAsyncStatus"] == "DELETING"
    again = await client.send("delete-vm-snapshot", {"where": {"id": snapshot["id"]}})
    assert again.json["props"] == {"locked_resources": [{"id": snapshot["vm"], "type": "VM"}]}
    client.sim.clock.advance(10.0)
    assert (await task_of(client, deleted["task_id"]))["status"] == "SUCCESSED"
    assert snapshot["id"] not in store.table("VmSnapshot")
    assert len(store.table("IscsiLunSnapshot")) == luns - len(snapshot["vm_disks"])
    vm = store.get("Vm", snapshot["vm"])
    assert snapshot["id"] not in vm["snapshots"]


async def test_figures_of_a_disconnected_cluster_stay_unknown() -> None:
    sim = Simulator(FleetSize(clusters=4), clock=Clock(running=False))
    async with connected(sim) as client:
        vm = sim.store.select("Vm", {"cluster": {"connect_state": "DISCONNECTED"}})[0]
        answer = await client.send("start-vm", {"where": {"id": vm["id"]}})
        assert answer.status == 400
        assert "is UNKNOWN" in answer.json["message"]
