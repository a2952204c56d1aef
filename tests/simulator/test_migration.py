"""Moving VMs to other hosts and clusters, and hosts under maintenance, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import recipes
from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import Client, connected, our_client
from tests.simulator.machines import (
    DURATION,
    a_vm,
    assert_in_step,
    create,
    do,
    ended,
    matches_nothing,
    nics,
    parts,
    refused,
    send,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(clock=Clock(running=False), task_duration=DURATION)) as client:
        yield client


def others(client: Client, vm: dict[str, Any]) -> list[dict[str, Any]]:
    """The other hosts of a VM's cluster."""
    where = {"cluster": {"id": vm["cluster"]}, "id_not": vm["host"]}
    return client.sim.store.select("Host", where)


async def advance(client: Client, seconds: float) -> None:
    client.sim.clock.advance(seconds)
    await client.ask("get-vms", {"first": 1})
    await client.ask("get-vms", {"first": 1})


async def test_a_running_vm_moves_to_another_host(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    target = others(client, vm)[0]
    room = target["allocatable_memory_bytes"]
    body = {"where": {"id": vm["id"]}, "data": {"host_id": target["id"]}}
    await do(client, "migrate-vm", body)
    assert (vm["host"], vm["node_ip"]) == (target["id"], target["management_ip"])
    assert target["allocatable_memory_bytes"] == room - vm["memory"]
    assert_in_step(client)
    assert "already" in await refused(client, "migrate-vm", body)


async def test_a_vm_finds_the_host_with_the_most_room(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    best = max(others(client, vm), key=lambda host: host["allocatable_memory_bytes"])
    await do(client, "migrate-vm", {"where": {"id": vm["id"]}})
    assert vm["host"] == best["id"]


async def test_a_stopped_vm_moves_without_room_to_any_host_or_a_named_one(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    for host in client.sim.store.select("Host"):
        host["allocatable_memory_bytes"] = 0
    before = vm["host"]
    target = others(client, vm)[0]
    for data in ({"host_id": target["id"]}, {"host_id": "AUTO_SCHEDULE"}, None):
        body = {"where": {"id": vm["id"]}} | ({} if data is None else {"data": data})
        before = vm["host"]
        await do(client, "migrate-vm", body)
        assert vm["host"] != before
        if data == {"host_id": target["id"]}:
            assert vm["host"] == target["id"]
    assert vm["status"] == "STOPPED"
    assert_in_step(client)


async def test_a_vm_needs_room_where_it_goes(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    before = vm["host"]
    for host in others(client, vm):
        host["allocatable_memory_bytes"] = 0
    target = others(client, vm)[0]["id"]
    for data in ({}, {"data": {"host_id": target}}):
        [answer] = await send(client, "migrate-vm", {"where": {"id": vm["id"]}, **data})
        [task] = await ended(client, [answer])
        assert "NO_MEMORY" in task["error_message"]
    assert (vm["host"], vm["entityAsyncStatus"]) == (before, None)


async def test_impossible_migrations_are_rejected(client: Client) -> None:
    store = client.sim.store
    suspended, vm = a_vm(client, "STOPPED"), a_vm(client, "RUNNING")
    suspended["status"] = "SUSPENDED"
    assert "SUSPENDED" in await refused(client, "migrate-vm", {"where": {"id": suspended["id"]}})
    elsewhere = store.select("Host", {"cluster": {"id_not": vm["cluster"]}})[0]["id"]
    body = {"where": {"id": vm["id"]}, "data": {"host_id": elsewhere}}
    assert "another cluster" in await refused(client, "migrate-vm", body)
    await refused(client, "migrate-vm", {**body, "data": {"host_id": "none"}}, 404)
    gpu = store.add("GpuDevice", {"id": "gpu", "name": "gpu", "host": vm["host"]})
    store.change("Vm", vm["id"], gpu_devices=[gpu["id"]])
    assert "devices" in await refused(client, "migrate-vm", {"where": {"id": vm["id"]}})


# Across clusters


def across(client: Client, vm: dict[str, Any], kind: str, **config: object) -> dict[str, Any]:
    store = client.sim.store
    cluster = store.select("Cluster", {"id_not": vm["cluster"]})[0]["id"]
    target = store.select("Vlan", {"vds": {"cluster": {"id": cluster}}})[0]["local_id"]
    mapping = [
        {
            "src_vlan_local_id": store.get("Vlan", nic["vlan"])["local_id"],
            "dest_vlan_local_id": target,
        }
        for nic in nics(client, vm)
    ]
    settings = {"migrate_type": kind, "network_mapping": mapping, **config}
    data = {"cluster_id": cluster, "vm_config": settings}
    return {"where": {"id": vm["id"]}, "data": data}


ACROSS = "migrate-vm-across-cluster"


@pytest.mark.parametrize(
    ("kind", "status"), [("LIVE_MIGRATE", "RUNNING"), ("COLD_MIGRATE", "STOPPED")]
)
async def test_a_vm_is_recreated_in_the_other_cluster(
    client: Client, kind: str, status: str
) -> None:
    store = client.sim.store
    vm = await create(client, status=status)
    body = across(client, vm, kind, new_name="moved", elf_storage_policy="REPLICA_3_THIN_PROVISION")
    await do(client, ACROSS, body)
    [moved] = store.select("Vm", {"name": "moved"})
    assert (moved["cluster"], moved["status"]) == (body["data"]["cluster_id"], status)
    assert moved["entityAsyncStatus"] is None
    assert nics(client, moved)[0]["mac_address"] == nics(client, vm)[0]["mac_address"]
    [volume] = [store.get("VmVolume", disk["vm_volume"]) for disk in parts(client, moved)]
    assert volume["cluster"] == moved["cluster"]
    assert volume["elf_storage_policy_replica_num"] == 3
    assert (vm["status"], vm["entityAsyncStatus"]) == ("STOPPED", None)
    assert_in_step(client)


async def test_the_source_vm_may_be_deleted_after_the_migration(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    await do(client, ACROSS, across(client, vm, "LIVE_MIGRATE", delete_src_vm=True))
    [moved] = client.sim.store.select("Vm", {"name": vm["name"]})
    assert (moved["id"] != vm["id"], moved["used_size"]) == (True, vm["used_size"])
    assert_in_step(client)


async def test_without_room_there_the_vm_stays_here(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    number = len(client.sim.store.table("Vm"))
    body = across(client, vm, "LIVE_MIGRATE", delete_src_vm=True)
    for host in client.sim.store.select("Host", {"cluster": {"id": body["data"]["cluster_id"]}}):
        host |= {"allocatable_memory_bytes": 0, "os_memory_bytes": host["total_memory_bytes"]}
    [answer] = await send(client, ACROSS, body)
    [task] = await ended(client, [answer])
    assert (task["status"], vm["status"]) == ("FAILED", "RUNNING")
    assert len(client.sim.store.table("Vm")) == number


async def test_impossible_migrations_across_clusters_are_rejected(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    body = across(client, vm, "LIVE_MIGRATE")
    cold = across(client, vm, "COLD_MIGRATE")
    assert "RUNNING" in await refused(client, ACROSS, cold)
    here = {**body, "data": {**body["data"], "cluster_id": vm["cluster"]}}
    assert "already" in await refused(client, ACROSS, here)
    unmapped = across(client, vm, "LIVE_MIGRATE", network_mapping=[])
    assert "network_mapping" in await refused(client, ACROSS, unmapped)
    many = across(client, vm, "LIVE_MIGRATE", new_name="x")
    many["where"] = {"status": "RUNNING"}
    assert "new_name" in await refused(client, ACROSS, many)
    nowhere = {**body, "data": {**body["data"], "host_id": "none"}}
    await refused(client, ACROSS, nowhere, 404)


async def test_a_migration_is_aborted(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    [answer] = await send(client, ACROSS, across(client, vm, "LIVE_MIGRATE"))
    await advance(client, DURATION / 2)
    body = {"tasks": {"id": answer["task_id"]}}
    [task] = await send(client, "abort-migrate-vm-across-cluster", body)
    assert (task["status"], task["error_code"]) == ("FAILED", "VM_MIGRATE_ABORTED")
    assert (vm["status"], vm["entityAsyncStatus"]) == ("RUNNING", None)
    await matches_nothing(client, "abort-migrate-vm-across-cluster", body)
    await refused(client, "abort-migrate-vm-across-cluster", {"tasks": {"id": "none"}}, 404)


async def test_an_abort_of_everything_aborts_everything(client: Client) -> None:
    vms = client.sim.store.select("Vm", {"status": "RUNNING"})[:2]
    for vm in vms:
        await send(client, ACROSS, across(client, vm, "LIVE_MIGRATE"))
    assert len(await send(client, "abort-migrate-vm-across-cluster", {"tasks": {}})) == 2


async def test_a_cut_over_waits_until_the_vm_is_stopped(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    [answer] = await send(client, ACROSS, across(client, vm, "CUTOVER_MIGRATE", new_name="moved"))
    where = {"where": {"id": answer["task_id"]}}
    await advance(client, 5 * DURATION)
    [task] = await client.ask("get-tasks", where)
    assert (task["status"], vm["status"]) == ("EXECUTING", "RUNNING")
    assert task["progress"] < 1
    body = {"tasks": {"id": answer["task_id"]}, "force": True}
    [stopping] = await send(client, "stop-vm-in-cutover-migration", body)
    assert stopping["data"]["id"] == vm["id"]
    await advance(client, DURATION)
    [task] = await client.ask("get-tasks", where)
    assert (task["status"], vm["status"]) == ("SUCCESSED", "STOPPED")
    [moved] = client.sim.store.select("Vm", {"name": "moved"})
    assert moved["status"] == "RUNNING"


async def test_only_a_cut_over_waits_for_its_vm_to_stop(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    [answer] = await send(client, ACROSS, across(client, vm, "LIVE_MIGRATE"))
    body = {"tasks": {"id": answer["task_id"]}}
    assert "does not wait" in await refused(client, "stop-vm-in-cutover-migration", body)


# Maintenance

ENTER, EXIT = "enter-maintance-mode", "exit-maintance-mode"


def a_host(client: Client) -> dict[str, Any]:
    """A host without suspended VMs."""
    store = client.sim.store
    host = store.get("Host", a_vm(client, "RUNNING")["host"])
    for vm in store.select("Vm", {"host": {"id": host["id"]}, "status": "SUSPENDED"}):
        vm["status"] = "STOPPED"
    return host


async def enter(client: Client, host: dict[str, Any], *stopped: str) -> Any:  # noqa: ANN401
    body = {"where": {"host_id": host["id"]}, "data": {"shutdown_vms": list(stopped)}}
    return await send(client, ENTER, body)


async def test_a_host_enters_and_leaves_maintenance_mode(client: Client) -> None:
    store = client.sim.store
    host = a_host(client)
    where = {"id": host["id"]}
    check = await send(client, "enter-maintenance-mode-precheck", {"where": where})
    result = {"where": {"task_id": check["task_id"]}}
    path = "enter-maintance-mode-precheck-result"
    assert await send(client, path, result) == {"done": False, "shutdownVms": []}
    await advance(client, DURATION)
    assert await send(client, path, result) == {"done": True, "shutdownVms": []}
    vms = store.select("Vm", {"host": where, "status": "RUNNING"})
    away, shut = vms[1:], vms[0]
    answer = await enter(client, host, shut["local_id"])
    assert host["host_state"]["state"] == "ENTERING_MAINTENANCE_MODE"
    assert all(vm["entityAsyncStatus"] == "UPDATING" for vm in vms)
    await ended(client, answer)
    [shown] = await client.ask("get-hosts", {"where": where})
    assert shown["host_state"]["state"] == "MAINTENANCE_MODE"
    assert shown["host_state"]["maintenance_job_id"] == answer["task_id"]
    assert host["running_vm_num"] == 0
    assert (shut["status"], {vm["status"] for vm in away}) == ("STOPPED", {"RUNNING"})
    assert_in_step(client)
    found = await send(client, "exit-maintance-mode-precheck-result", {"where": where})
    assert {vm["vm_uuid"] for vm in found["liveMigrateVms"]} == {vm["local_id"] for vm in away}
    assert [vm["vm_name"] for vm in found["shutDownVms"]] == [shut["name"]]
    back = {
        "live_migrate_back_vms": [vm["vm_uuid"] for vm in found["liveMigrateVms"]],
        "poweron_vms": [shut["id"]],
    }
    await do(client, EXIT, {"where": {"host_id": host["id"]}, "data": back})
    assert (host["host_state"], host["entityAsyncStatus"]) == (None, None)
    assert {vm["host"] for vm in vms} == {host["id"]}
    assert shut["status"] == "RUNNING"
    assert_in_step(client)


async def test_stopped_vms_move_and_come_back_too(client: Client) -> None:
    store = client.sim.store
    stopped = a_vm(client, "STOPPED")
    host = store.get("Host", stopped["host"])
    for vm in store.select("Vm", {"host": {"id": host["id"]}, "status": "SUSPENDED"}):
        vm["status"] = "STOPPED"
    await ended(client, await enter(client, host))
    assert host["vms"] == []
    assert_in_step(client)
    where = {"where": {"id": host["id"]}}
    found = await send(client, "exit-maintance-mode-precheck-result", where)
    shown = {vm["vm_uuid"]: vm for vm in found["offlineMigrateVms"]}
    assert shown[stopped["local_id"]] == {
        "state": "done",
        "target_host_name": host["name"],
        "verify": {"changed": False, "reason": ""},
        "vm_ha": stopped["ha"],
        "vm_name": stopped["name"],
        "vm_state": "stopped",
        "vm_uuid": stopped["local_id"],
    }
    assert {vm["vm_state"] for vm in found["liveMigrateVms"]} <= {"running"}
    back = {"offline_migrate_back_vms": list(shown)}
    await do(client, EXIT, {"where": {"host_id": host["id"]}, "data": back})
    assert (stopped["host"], stopped["status"]) == (host["id"], "STOPPED")
    assert_in_step(client)


async def test_stopped_vms_stay_where_no_other_host_is_in_use(client: Client) -> None:
    store = client.sim.store
    host = a_host(client)
    vms = store.select("Vm", {"host": {"id": host["id"]}})
    for vm in vms:
        vm["status"] = "STOPPED"
    for other in store.select("Host", {"id_not": host["id"]}):
        other["connect_status"] = "DISCONNECTED"
    await ended(client, await enter(client, host))
    assert host["host_state"]["state"] == "MAINTENANCE_MODE"
    assert set(host["vms"]) == {vm["id"] for vm in vms} != set()


async def test_the_recipe_brings_back_what_was_moved() -> None:
    async with Simulator(task_duration=0.01) as sim, our_client(sim) as tower:
        [running, *_] = sim.store.select("Vm", {"status": "RUNNING"})
        host = sim.store.get("Host", running["host"])
        for vm in sim.store.select("Vm", {"host": {"id": host["id"]}, "status": "SUSPENDED"}):
            vm["status"] = "STOPPED"
        off = sim.add_vm(status="STOPPED", host=host["id"])
        before = set(host["vms"])
        await recipes.enter_maintenance(tower, host["id"])
        assert host["vms"] == []
        left = await recipes.leave_maintenance(tower, host["id"])
        assert set(host["vms"]) == {vm.id for vm in left.back} == before
        assert off["id"] in before
        assert left.not_back == []


async def test_vms_that_cannot_move_have_to_be_shut_down(client: Client) -> None:
    store = client.sim.store
    host = a_host(client)
    vms = store.select("Vm", {"host": {"id": host["id"]}, "status": "RUNNING"})
    vms[0]["status"] = "SUSPENDED"
    check = await send(client, "enter-maintenance-mode-precheck", {"where": {"id": host["id"]}})
    await advance(client, DURATION)
    result = {"where": {"task_id": check["task_id"]}}
    found = await send(client, "enter-maintance-mode-precheck-result", result)
    assert found["shutdownVms"] == [{"vm_uuid": vms[0]["local_id"]}]
    body = {"where": {"host_id": host["id"]}, "data": {}}
    assert vms[0]["name"] in await refused(client, ENTER, body)
    await ended(client, await enter(client, host, vms[0]["local_id"]))
    assert vms[0]["status"] == "STOPPED"


async def test_room_that_is_gone_fails_the_task(client: Client) -> None:
    host = a_host(client)
    answer = await enter(client, host)
    for other in client.sim.store.select("Host", {"id_not": host["id"]}):
        other["allocatable_memory_bytes"] = 0
    [task] = await ended(client, answer)
    assert (task["status"], host["host_state"]) == ("FAILED", None)
    assert host["running_vm_num"] > 0


async def test_nothing_runs_on_a_host_under_maintenance(client: Client) -> None:
    host = a_host(client)
    vm = await create(client, host_id=host["id"])
    await ended(client, await enter(client, host))
    await do(client, "start-vm", {"where": {"id": vm["id"]}})
    assert vm["host"] != host["id"]
    running = a_vm(client, "RUNNING")
    body = {"where": {"id": running["id"]}, "data": {"host_id": host["id"]}}
    [answer] = await send(client, "migrate-vm", body)
    [task] = await ended(client, [answer])
    assert task["status"] == "FAILED"


async def test_maintenance_operations_in_the_wrong_order_are_rejected(client: Client) -> None:
    host = a_host(client)
    leave = {"where": {"host_id": host["id"]}, "data": {}}
    assert "is IN_USE" in await refused(client, EXIT, leave)
    where = {"where": {"id": host["id"]}}
    assert "is IN_USE" in await refused(client, "exit-maintance-mode-precheck-result", where)
    answer = await enter(client, host)
    assert "busy" in await refused(client, ENTER, leave)
    await ended(client, answer)
    assert "MAINTENANCE_MODE" in await refused(client, ENTER, leave)
    assert "more than one" in await refused(
        client, "enter-maintenance-mode-precheck", {"where": {}}
    )
    result = "enter-maintance-mode-precheck-result"
    body = {"where": {"task_id": answer["task_id"]}}
    assert "checks no host" in await refused(client, result, body)
    await refused(client, result, {"where": {"task_id": "none"}}, 404)


# Power of hosts


def power(host: dict[str, Any], action: str, *, force: bool = False) -> dict[str, Any]:
    return {"where": {"host_id": host["id"]}, "data": {"action": action, "force": force}}


async def test_a_host_under_maintenance_is_powered_off(client: Client) -> None:
    host = a_host(client)
    path = "operate-host-power"
    assert "is IN_USE" in await refused(client, path, power(host, "poweroff"))
    await ended(client, await enter(client, host))
    await do(client, path, power(host, "reboot"))
    assert host["connect_status"] == "CONNECTED"
    await do(client, path, power(host, "poweroff"))
    assert (host["connect_status"], host["merged_status"]) == ("DISCONNECTED", "DISCONNECTED")
    assert "not connected" in await refused(client, path, power(host, "reboot"))


async def test_vms_with_high_availability_outlive_their_host(client: Client) -> None:
    store = client.sim.store
    host = a_host(client)
    vms = store.select("Vm", {"host": {"id": host["id"]}, "status": "RUNNING"})
    vms[0]["ha"] = False
    await do(client, "operate-host-power", power(host, "poweroff", force=True))
    assert (vms[0]["status"], vms[0]["host"]) == ("STOPPED", host["id"])
    assert {vm["status"] for vm in vms[1:]} == {"RUNNING"}
    assert host["id"] not in {vm["host"] for vm in vms[1:]}
    assert_in_step(client)
