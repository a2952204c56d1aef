"""Creating VMs over HTTP: blank, as a clone, from snapshots and templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from cloudtower_async.simulator.behavior import RunningVms
from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import Client, connected
from tests.simulator.machines import (
    DURATION,
    GIB,
    a_vm,
    assert_in_step,
    create,
    do,
    ended,
    figures,
    new_vm,
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


async def test_a_new_vm_is_a_placeholder_until_its_task_has_ended(client: Client) -> None:
    [answer] = await send(client, "create-vm", [new_vm(client, description="d")])
    [shown] = await client.ask("get-vms", {"where": {"id": answer["data"]["id"]}})
    assert shown["entityAsyncStatus"] == "CREATING"
    assert shown["local_id"].startswith("placeholder-")
    assert (shown["vm_disks"], shown["vm_nics"]) == ([], [])
    [task] = await ended(client, [answer])
    assert (task["resource_id"], task["description"]) == (shown["id"], "Create a VM new")
    [shown] = await client.ask("get-vms", {"where": {"id": shown["id"]}})
    assert shown["entityAsyncStatus"] is None
    assert len(shown["local_id"]) == 36
    assert (shown["name"], shown["description"], shown["status"]) == ("new", "d", "STOPPED")
    assert (shown["vcpu"], shown["cpu"]) == (4, {"cores": 2, "sockets": 2})
    assert (shown["memory"], shown["provisioned_size"]) == (4 * GIB, 10 * GIB)
    assert (len(shown["vm_disks"]), len(shown["vm_nics"])) == (2, 1)
    assert_in_step(client)


async def test_a_new_vm_has_the_requested_disks_and_nics(client: Client) -> None:
    values = new_vm(client)
    vlan = values["vm_nics"][0]["connect_vlan_id"]
    traffic = {"enabled": True, "rate_limit": 2, "rate_limit_unit": "Mbps", "burst": 8}
    vm = await create(
        client,
        max_iops=100,
        max_iops_policy="FORCED",
        max_bandwidth=2,
        max_bandwidth_unit="MBps",
        vm_nics=[
            {
                "connect_vlan_id": vlan,
                "mac_address": "52:54:00:ff:ff:01",
                "qos": {"egress": traffic},
            },
            {"connect_vlan_id": vlan, "enabled": False, "model": "E1000"},
        ],
    )
    [disk], [cd_rom] = parts(client, vm), parts(client, vm, "CD_ROM")
    assert (disk["bus"], disk["device"], disk["boot"], disk["key"]) == ("VIRTIO", "vda", 1, 1)
    assert (cd_rom["bus"], cd_rom["device"], cd_rom["boot"]) == ("IDE", "hda", 2)
    volume = client.sim.store.get("VmVolume", disk["vm_volume"])
    assert (volume["size"], volume["mounting"]) == (10 * GIB, True)
    assert volume["elf_storage_policy_replica_num"] == 2
    first, second = nics(client, vm)
    assert (first["mac_address"], first["order"]) == ("52:54:00:ff:ff:01", 0)
    assert first["egress_rate_limit_max_rate_in_bitps"] == 2_000_000
    assert (second["enabled"], second["model"], second["order"]) == (False, "E1000", 1)
    assert (vm["max_iops"], vm["max_bandwidth"]) == (100, 2 * 2**20)


async def test_a_new_vm_may_run_at_once_where_there_is_room(client: Client) -> None:
    store = client.sim.store
    values = new_vm(client, status="RUNNING")
    hosts = store.select("Host", {"cluster": {"id": values["cluster_id"]}})
    roomiest = max(hosts, key=lambda host: host["allocatable_memory_bytes"])
    before = roomiest["allocatable_memory_bytes"]
    vm = await create(client, status="RUNNING")
    assert (vm["status"], vm["host"]) == ("RUNNING", roomiest["id"])
    assert roomiest["allocatable_memory_bytes"] == before - 4 * GIB
    vm = await create(client, status="RUNNING", host_id=hosts[0]["id"])
    assert vm["host"] == hosts[0]["id"]
    assert_in_step(client)


async def test_the_server_chooses_the_host_on_request(client: Client) -> None:
    store = client.sim.store
    host = {"host_id": "AUTO_SCHEDULE"}
    vm = await create(client, status="RUNNING", **host)
    assert store.get("Host", vm["host"])["cluster"] == vm["cluster"]
    template = store.select("ContentLibraryVmTemplate")[0]
    common = {"is_full_copy": False, **host}
    of_library = {"template_id": template["id"], "cluster_id": template["clusters"][0], **common}
    for path, body in (
        ("clone-vm", {"src_vm_id": vm["id"], "name": "a", **common}),
        ("create-vm-from-content-library-template", {**of_library, "name": "b"}),
        (
            "create-vm-from-template",
            {"template_id": template["vm_templates"][0], "name": "c", **common},
        ),
    ):
        await do(client, path, [{**body, "status": "RUNNING"}])
    made = store.select("Vm", {"name_in": ["a", "b", "c"]})
    assert [one["status"] for one in made] == ["RUNNING"] * 3
    stopped = await create(client)
    await do(client, "start-vm", {"where": {"id": stopped["id"]}, "data": host})
    assert stopped["status"] == "RUNNING"


async def test_without_room_the_task_fails_and_the_vm_is_gone(client: Client) -> None:
    before = figures(client)
    [answer] = await send(client, "create-vm", [new_vm(client, status="RUNNING", memory=10_000)])
    [task] = await ended(client, [answer])
    assert task["status"] == "FAILED"
    assert "NO_MEMORY" in task["error_message"]
    assert await client.ask("get-vms", {"where": {"id": answer["data"]["id"]}}) == []
    assert figures(client) == before


async def test_a_vm_that_does_not_run_needs_no_room(client: Client) -> None:
    vm = await create(client, memory=10_000)
    assert vm["memory"] == 10_000 * GIB
    [answer] = await send(client, "start-vm", {"where": {"id": vm["id"]}})
    [task] = await ended(client, [answer])
    assert (task["status"], vm["status"]) == ("FAILED", "STOPPED")


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"name": ""}, 400, "name"),
    ({"name": "x" * 256}, 400, "name"),
    ({"memory": 0}, 400, "memory"),
    ({"cpu_cores": 0}, 400, "vcpu"),
    ({"vcpu": 3}, 400, "vcpu"),
    ({"status": "SUSPENDED"}, 400, "RUNNING or STOPPED"),
    ({"cluster_id": "nowhere", "vm_nics": []}, 404, "no Cluster nowhere"),
    ({"host_id": "nowhere"}, 404, "no Host nowhere"),
    ({"folder_id": "nowhere"}, 404, "no VmFolder nowhere"),
    ({"owner": {"search_for": "username", "value": "nobody"}}, 404, "owner"),
    ({"gpu_devices": [{"gpu_id": "none"}]}, 404, "no GpuDevice none"),
    ({"pci_nics": {"id": "none"}}, 404, "pci_nics"),
    ({"vm_placement_group": {"id": "none"}}, 404, "VmPlacementGroup"),
    ({"vm_nics": [{"connect_vlan_id": "none"}]}, 404, "no Vlan none"),
    ({"vm_nics": [{}]}, 400, "connect_vlan_id: required"),
    ({"vm_nics": [{"type": "VPC"}]}, 501, "VPC"),
    ({"vm_disks": {"mount_cd_roms": [{"boot": 1, "elf_image_id": "x"}]}}, 404, "ElfImage"),
    ({"vcpu": "4"}, 400, "body[0].vcpu: expected a whole number"),
    ({"ram": 4}, 400, "body[0].ram: there is no such key"),
]


@pytest.mark.parametrize(("values", "status", "message"), REFUSED)
async def test_invalid_creations_are_rejected(
    client: Client, values: dict[str, Any], status: int, message: str
) -> None:
    number = len(client.sim.store.table("Vm"))
    body = [new_vm(client), new_vm(client, **values)]
    assert message in await refused(client, "create-vm", [body[1]], status)
    await refused(client, "create-vm", body, status)
    assert len(client.sim.store.table("Vm")) == number


async def test_a_disconnected_cluster_takes_no_vm() -> None:
    sim = Simulator(clusters=4, vms=0, clock=Clock(running=False))
    async with connected(sim) as client:
        lost = sim.store.select("Cluster", {"connect_state": "DISCONNECTED"})[0]
        values = new_vm(client, cluster_id=lost["id"], vm_nics=[])
        assert "DISCONNECTED" in await refused(client, "create-vm", [values])


async def test_a_cluster_without_hosts_takes_no_vm() -> None:
    async with connected(Simulator(clusters=1, hosts_per_cluster=0, vms=0)) as client:
        assert "no host" in await refused(client, "create-vm", [new_vm(client)])


async def test_a_host_of_another_cluster_is_refused(client: Client) -> None:
    other = client.sim.store.select("Cluster")[1]["id"]
    host = client.sim.store.select("Host", {"cluster": {"id": other}})[0]
    message = await refused(client, "create-vm", [new_vm(client, host_id=host["id"])])
    assert "another cluster" in message


async def test_a_volume_that_exists_can_be_mounted_once(client: Client) -> None:
    store = client.sim.store
    old = await create(client)
    [disk] = parts(client, old)
    volume = disk["vm_volume"]
    mount = {"mount_disks": [{"boot": 1, "bus": "SCSI", "vm_volume_id": volume}]}
    message = await refused(client, "create-vm", [new_vm(client, vm_disks=mount)])
    assert "is mounted" in message
    where = {"where": {"id": old["id"]}, "data": {"disk_ids": [disk["id"]]}}
    await do(client, "remove-vm-disk", where)
    assert store.get("VmVolume", volume)["mounting"] is False
    vm = await create(client, vm_disks=mount)
    assert [disk["vm_volume"] for disk in parts(client, vm)] == [volume]
    assert parts(client, vm)[0]["device"] == "sda"
    assert store.get("VmVolume", volume)["mounting"] is True


async def test_a_failed_creation_leaves_nothing_behind(client: Client) -> None:
    client.sim.tasks.fail_next()
    before = figures(client), len(client.sim.store.table("VmVolume"))
    [answer] = await send(client, "create-vm", [new_vm(client)])
    [task] = await ended(client, [answer])
    assert task["status"] == "FAILED"
    assert await client.ask("get-vms", {"where": {"id": answer["data"]["id"]}}) == []
    assert (figures(client), len(client.sim.store.table("VmVolume"))) == before


async def test_a_vm_is_not_created_when_its_network_goes_meanwhile(client: Client) -> None:
    store = client.sim.store
    before = figures(client), len(store.table("VmVolume")), len(store.table("VmNic"))
    body = new_vm(client, status="RUNNING")
    [answer] = await send(client, "create-vm", [body])
    vlan = body["vm_nics"][0]["connect_vlan_id"]
    store.remove("Vlan", vlan)
    [task] = await ended(client, [answer])
    assert (task["status"], task["error_code"]) == ("FAILED", "RESOURCE_NOT_FOUND")
    assert f"there is no Vlan {vlan}" in task["error_message"]
    assert answer["data"]["id"] not in store.table("Vm")
    assert (figures(client), len(store.table("VmVolume")), len(store.table("VmNic"))) == before


@pytest.mark.parametrize("full", [True, False])
async def test_a_clone_is_like_its_source(client: Client, full: bool) -> None:
    store = client.sim.store
    source = a_vm(client, "RUNNING")
    cluster = store.get("Cluster", source["cluster"])
    before = cluster["used_data_space"]
    values = {"src_vm_id": source["id"], "name": "clone", "is_full_copy": full}
    [answer] = await send(client, "clone-vm", [values])
    await ended(client, [answer])
    clone = store.get("Vm", answer["data"]["id"])
    for field in ("memory", "vcpu", "cpu", "firmware", "description", "provisioned_size"):
        assert clone[field] == source[field]
    assert (clone["status"], clone["name"]) == ("STOPPED", "clone")
    theirs = {nic["mac_address"] for nic in nics(client, source)}
    assert theirs.isdisjoint(nic["mac_address"] for nic in nics(client, clone))
    assert [nic["vlan"] for nic in nics(client, clone)] == [
        nic["vlan"] for nic in nics(client, source)
    ]
    written = source["used_size"] if full else 0
    assert clone["unique_size"] == written
    assert cluster["used_data_space"] == before + 2 * written
    assert_in_step(client)


async def test_a_clone_may_differ(client: Client) -> None:
    source = a_vm(client, "STOPPED")
    wanted = new_vm(client)
    values: dict[str, Any] = {
        "src_vm_id": source["id"],
        "name": "clone",
        "vcpu": 8,
        "memory": 1,
        "memory_unit": "GB",
        "vm_disks": wanted["vm_disks"],
        "vm_nics": [],
    }
    [answer] = await send(client, "clone-vm", [values])
    await ended(client, [answer])
    clone = client.sim.store.get("Vm", answer["data"]["id"])
    assert (clone["vcpu"], clone["cpu"]) == (8, {"cores": 8, "sockets": 1})
    assert (clone["memory"], clone["provisioned_size"]) == (GIB, 10 * GIB)
    assert nics(client, clone) == []
    other = client.sim.store.select("Cluster")[1]["id"]
    message = await refused(client, "clone-vm", [{**values, "cluster_id": other}])
    assert "another cluster" in message


async def a_snapshot(client: Client, vm: dict[str, Any]) -> dict[str, Any]:
    data = [{"vm_id": vm["id"], "name": "before"}]
    [answer] = await send(client, "create-vm-snapshot", {"data": data})
    await ended(client, [answer])
    return client.sim.store.get("VmSnapshot", answer["data"]["id"])


async def test_a_vm_is_rebuilt_from_a_snapshot(client: Client) -> None:
    source = await create(client)
    snapshot = await a_snapshot(client, source)
    await do(client, "delete-vm", {"where": {"id": source["id"]}})
    assert snapshot["vm"] is None
    values = {"rebuild_from_snapshot_id": snapshot["id"], "name": "again", "status": "RUNNING"}
    [answer] = await send(client, "rebuild-vm-from-snapshot", [values])
    await ended(client, [answer])
    vm = client.sim.store.get("Vm", answer["data"]["id"])
    assert (vm["status"], vm["vcpu"], vm["memory"]) == ("RUNNING", 4, 4 * GIB)
    assert [disk["bus"] for disk in parts(client, vm)] == ["VIRTIO"]
    assert len(parts(client, vm, "CD_ROM")) == len(nics(client, vm)) == 1
    assert vm["provisioned_size"] == 10 * GIB


async def test_a_vm_rolls_back_to_its_snapshot(client: Client) -> None:
    vm = await create(client)
    snapshot = await a_snapshot(client, vm)
    [mac] = [nic["mac_address"] for nic in nics(client, vm)]
    [volume] = [disk["vm_volume"] for disk in parts(client, vm)]
    where = {"where": {"id": vm["id"]}}
    await do(client, "update-vm-basic-info", {**where, "data": {"vcpu": 8, "memory": 2**33}})
    await do(client, "remove-vm-nic", {**where, "data": {"nic_index": [0]}})
    disks = new_vm(client)["vm_disks"]["mount_new_create_disks"]
    new = {"vm_disks": {"mount_new_create_disks": disks}}
    await do(client, "add-vm-disk", {**where, "data": new})
    assert len(parts(client, vm)) == 2
    await do(client, "rollback-vm", {**where, "data": {"snapshot_id": snapshot["id"]}})
    assert (vm["vcpu"], vm["memory"]) == (4, 4 * GIB)
    assert [disk["vm_volume"] for disk in parts(client, vm)] == [volume]
    assert [nic["mac_address"] for nic in nics(client, vm)] == [mac]
    assert_in_step(client)


@pytest.mark.parametrize("choice", get_args(RunningVms))
async def test_a_running_vm_rolls_back_as_the_option_says(choice: RunningVms) -> None:
    sim = Simulator(clock=Clock(running=False), task_duration=DURATION, running_vms=choice)
    async with connected(sim) as client:
        vm = await create(client, status="RUNNING")
        snapshot = await a_snapshot(client, vm)
        await do(client, "update-vm-basic-info", {"where": {"id": vm["id"]}, "data": {"vcpu": 8}})
        body = {"where": {"id": vm["id"]}, "data": {"snapshot_id": snapshot["id"]}}
        if choice == "refused":
            assert "RUNNING" in await refused(client, "rollback-vm", body)
        else:
            [task] = await ended(client, await send(client, "rollback-vm", body))
            assert task["status"] == ("SUCCESSED" if choice == "accepted" else "FAILED")
        assert (vm["vcpu"], vm["status"]) == (4 if choice == "accepted" else 8, "RUNNING")


async def test_a_vm_rolls_back_only_to_its_own_snapshot(client: Client) -> None:
    vm = await create(client)
    data = {"data": {"snapshot_id": (await a_snapshot(client, vm))["id"]}}
    stopped = a_vm(client, "STOPPED", id_not=vm["id"])
    message = await refused(client, "rollback-vm", {"where": {"id": stopped["id"]}, **data})
    assert "another VM" in message
