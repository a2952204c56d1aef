"""Templates of clusters and of the content library, over HTTP, and VMs created from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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


async def a_template(client: Client, vm: dict[str, Any], **values: object) -> dict[str, Any]:
    body = [{"vm_id": vm["id"], "name": "golden", "cloud_init_supported": True, **values}]
    [answer] = await send(client, "clone-vm-template-from-vm", body)
    await ended(client, [answer])
    return client.sim.store.get("VmTemplate", answer["data"]["id"])


async def a_library_template(
    client: Client, vm: dict[str, Any], path: str = "clone", **values: object
) -> dict[str, Any]:
    body = {"vm": {"id": vm["id"]}, "name": "golden", "clusters": {"id": vm["cluster"]}, **values}
    answer = await send(client, f"{path}-content-library-vm-template-from-vm", [body])
    await ended(client, answer)
    return client.sim.store.get("ContentLibraryVmTemplate", answer[0]["data"]["id"])


async def made(client: Client, path: str, *items: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await send(client, path, list(items))
    tasks = await ended(client, answer)
    assert [task["status"] for task in tasks] == ["SUCCESSED"] * len(items), tasks
    return [client.sim.store.get("Vm", item["data"]["id"]) for item in answer]


async def test_a_vm_is_cloned_to_a_template(client: Client) -> None:
    vm = await create(client)
    body = [{"vm_id": vm["id"], "name": "golden", "cloud_init_supported": False}]
    [answer] = await send(client, "clone-vm-template-from-vm", body)
    assert answer["data"]["entityAsyncStatus"] == "CREATING"
    assert answer["data"]["local_id"].startswith("placeholder-")
    await ended(client, [answer])
    where = {"where": {"id": answer["data"]["id"]}}
    [shown] = await send(client, "get-vm-templates", where)
    assert (shown["name"], shown["size"], shown["vcpu"]) == ("golden", 10 * GIB, 4)
    assert [disk["type"] for disk in shown["vm_disks"]] == ["DISK", "CD_ROM"]
    assert shown["vm_nics"][0]["vlan"]["vlan_local_id"]
    assert shown["entityAsyncStatus"] is None
    assert vm["id"] in client.sim.store.table("Vm")


async def test_a_vm_becomes_a_template_and_a_template_a_vm(client: Client) -> None:
    store = client.sim.store
    vm = await create(client)
    mac = nics(client, vm)[0]["mac_address"]
    body = [{"vm_id": vm["id"], "name": "golden", "cloud_init_supported": False}]
    [answer] = await send(client, "convert-vm-template-from-vm", body)
    assert vm["entityAsyncStatus"] == "DELETING"
    await ended(client, [answer])
    assert vm["id"] not in store.table("Vm")
    template = answer["data"]["id"]
    values = {"converted_from_template_id": template, "name": "back"}
    [back] = await made(client, "convert-vm-template-to-vm", values)
    assert template not in store.table("VmTemplate")
    assert (back["name"], back["memory"], back["provisioned_size"]) == ("back", 4 * GIB, 10 * GIB)
    assert nics(client, back)[0]["mac_address"] != mac
    assert_in_step(client)
    await refused(client, "convert-vm-template-to-vm", [values], 404)


async def test_a_conversion_that_fails_leaves_the_template(client: Client) -> None:
    template = await a_template(client, await create(client))
    client.sim.tasks.fail_next()
    values = {"converted_from_template_id": template["id"], "name": "back"}
    [answer] = await send(client, "convert-vm-template-to-vm", [values])
    assert template["entityAsyncStatus"] == "DELETING"
    await ended(client, [answer])
    assert template["entityAsyncStatus"] is None
    assert answer["data"]["id"] not in client.sim.store.table("Vm")


async def test_a_template_that_fails_is_gone(client: Client) -> None:
    vm = await create(client)
    client.sim.tasks.fail_next()
    body = [{"vm_id": vm["id"], "name": "golden", "cloud_init_supported": False}]
    [answer] = await send(client, "convert-vm-template-from-vm", body)
    await ended(client, [answer])
    assert answer["data"]["id"] not in client.sim.store.table("VmTemplate")
    assert vm["entityAsyncStatus"] is None


async def test_invalid_templates_are_rejected(client: Client) -> None:
    running = a_vm(client, "RUNNING")
    common = {"name": "golden", "cloud_init_supported": False}
    body = [{"vm_id": running["id"], **common}]
    assert "RUNNING" in await refused(client, "convert-vm-template-from-vm", body)
    path = "clone-vm-template-from-vm"
    await refused(client, path, [{"vm_id": "nobody", **common}], 404)
    await refused(client, path, [{**body[0], "name": " "}])
    other = client.sim.store.select("Cluster")[1]["id"]
    assert "another cluster" in await refused(client, path, [{**body[0], "cluster_id": other}])


async def test_a_vm_is_created_from_a_template(client: Client) -> None:
    template = await a_template(client, await create(client))
    body = {"template_id": template["id"], "name": "one", "is_full_copy": False}
    more = {"status": "RUNNING", "cpu_cores": 1, "cpu_sockets": 1, "memory": 1, "memory_unit": "GB"}
    one, two = await made(
        client, "create-vm-from-template", body, {**body, **more, "name": "two", "vm_nics": []}
    )
    assert (one["status"], one["vcpu"], one["memory"]) == ("STOPPED", 4, 4 * GIB)
    assert (two["status"], two["vcpu"], two["memory"]) == ("RUNNING", 1, GIB)
    assert (len(nics(client, one)), len(nics(client, two))) == (1, 0)
    assert one["cloud_init_supported"] is True


async def test_disks_of_a_template_can_be_changed_left_out_and_added(client: Client) -> None:
    disks = new_vm(client)["vm_disks"]["mount_new_create_disks"]
    source = await create(client, vm_disks={"mount_new_create_disks": disks * 3})
    template = await a_template(client, source)
    spare = await create(client)
    [free] = parts(client, spare)
    remove = {"where": {"id": spare["id"]}, "data": {"disk_ids": [free["id"]]}}
    await do(client, "remove-vm-disk", remove)
    operate = {
        "modify_disks": [{"disk_index": 0, "bus": "SCSI", "vm_volume_id": free["vm_volume"]}],
        "remove_disks": {"disk_index": [1]},
        "new_disks": {"mount_cd_roms": [{"boot": 9}], "mount_new_create_disks": disks},
    }
    body = {"template_id": template["id"], "name": "one", "is_full_copy": True}
    [vm] = await made(client, "create-vm-from-template", {**body, "disk_operate": operate})
    assert [disk["bus"] for disk in parts(client, vm)] == ["SCSI", "VIRTIO", "VIRTIO"]
    assert parts(client, vm)[0]["vm_volume"] != free["vm_volume"]  # only the bus is changed
    assert len(parts(client, vm, "CD_ROM")) == 1
    operate = {"remove_disks": {"disk_index": [7]}}
    message = await refused(client, "create-vm-from-template", [{**body, "disk_operate": operate}])
    assert "no disk 7" in message


async def test_cloud_init_sets_hostname_dns_servers_and_addresses(client: Client) -> None:
    source = await create(client)
    template = await a_template(client, source)
    static = {"nic_index": 0, "type": "IPV4", "ip_address": "10.9.8.7", "netmask": "255.0.0.0"}
    cloud_init = {"hostname": "h", "nameservers": ["1.1.1.1"], "networks": [static]}
    body = {"template_id": template["id"], "name": "one", "is_full_copy": False}
    values = {**body, "status": "RUNNING", "cloud_init": cloud_init}
    [vm] = await made(client, "create-vm-from-template", values)
    client.sim.clock.advance(1)  # the guest starts
    await client.ask("get-tasks", {"first": 1})
    assert (vm["hostname"], vm["dns_servers"], vm["ips"]) == ("h", "1.1.1.1", "10.9.8.7")
    assert nics(client, vm)[0]["subnet_mask"] == "255.0.0.0"
    wrong = {"networks": [{"nic_index": 3, "type": "IPV4_DHCP"}]}
    message = await refused(client, "create-vm-from-template", [{**body, "cloud_init": wrong}])
    assert "no NIC 3" in message
    dhcp = {"networks": [{"nic_index": 0, "type": "IPV4_DHCP"}]}
    [vm] = await made(
        client, "create-vm-from-template", {**body, "name": "two", "cloud_init": dhcp}
    )
    assert nics(client, vm)[0]["ip_address"] == ""


async def test_without_cloud_init_in_the_template_the_task_fails(client: Client) -> None:
    template = await a_template(client, await create(client), cloud_init_supported=False)
    body = {"template_id": template["id"], "name": "one", "is_full_copy": False}
    values = [{**body, "cloud_init": {"hostname": "h"}}]
    [answer] = await send(client, "create-vm-from-template", values)
    [task] = await ended(client, [answer])
    assert task["error_code"] == "CREATE_VM_FORM_TEMPLATE_FAILED"
    assert "VM_CLOUD_INIT_CONFIG_ERROR" in task["error_message"]


async def test_a_vm_is_created_from_a_content_library_template(client: Client) -> None:
    store = client.sim.store
    source = await create(client)
    template = await a_library_template(client, source)
    assert (template["clusters"], template["size"]) == ([source["cluster"]], 10 * GIB)
    [local] = [store.get("VmTemplate", one) for one in template["vm_templates"]]
    assert template["vm_template_uuids"] == [local["local_id"]]
    body = {
        "template_id": template["id"],
        "name": "one",
        "is_full_copy": True,
        "cluster_id": source["cluster"],
    }
    [vm] = await made(client, "create-vm-from-content-library-template", body)
    assert (vm["vcpu"], vm["provisioned_size"]) == (4, 10 * GIB)
    assert len(nics(client, vm)) == len(parts(client, vm, "CD_ROM")) == 1
    other = store.select("Cluster")[1]["id"]
    path = "create-vm-from-content-library-template"
    assert "not on this cluster" in await refused(client, path, [{**body, "cluster_id": other}])
    await refused(client, path, [{**body, "cluster_id": "nowhere"}], 404)
    await refused(client, path, [{**body, "template_id": "none"}], 404)


async def test_frozen_disks_carry_storage_policies_that_a_query_finds(client: Client) -> None:
    disks = new_vm(client)["vm_disks"]["mount_new_create_disks"]
    thick = {**disks[0]["vm_volume"], "elf_storage_policy": "REPLICA_3_THICK_PROVISION"}
    source = await create(
        client, vm_disks={"mount_new_create_disks": [*disks, {**disks[0], "vm_volume": thick}]}
    )
    snapshot = {"data": [{"vm_id": source["id"], "name": "s"}]}
    await do(client, "create-vm-snapshot", snapshot)
    local = await a_template(client, source)
    library = await a_library_template(client, source)
    copy = library["vm_templates"][0]
    for path, where in (
        ("get-vm-snapshots", {"name": "s"}),
        ("get-vm-templates", {"id": local["id"]}),
        ("get-vm-templates", {"id": copy}),
    ):
        [shown] = await client.ask(path, {"where": where})
        found: list[tuple[int, bool]] = []
        for disk in shown["vm_disks"]:
            wanted = {"local_id": disk["storage_policy_uuid"], "cluster": {"id": source["cluster"]}}
            [policy] = await client.ask("get-elf-storage-policies", {"where": wanted})
            found.append((policy["replica_num"], policy["thin_provision"]))
        assert found == [(2, True), (3, False)]
    for path, key, source_id in (
        ("create-vm-from-template", "template_id", copy),
        ("create-vm-from-template", "template_id", local["id"]),
        ("rebuild-vm-from-snapshot", "rebuild_from_snapshot_id", shown_snapshot(client)),
    ):
        full = {"is_full_copy": False} if key == "template_id" else {}
        [vm] = await made(client, path, {key: source_id, "name": new_vm(client)["name"], **full})
        volumes = [client.sim.store.get("VmVolume", one["vm_volume"]) for one in parts(client, vm)]
        policies = [one["elf_storage_policy"] for one in volumes]
        assert policies == ["REPLICA_2_THIN_PROVISION", "REPLICA_3_THICK_PROVISION"]


def shown_snapshot(client: Client) -> str:
    return str(client.sim.store.select("VmSnapshot", {"name": "s"})[0]["id"])


async def test_every_frozen_disk_of_the_fleet_has_a_policy_that_a_query_finds(
    client: Client,
) -> None:
    uuids = {one["local_id"] for one in await client.ask("get-elf-storage-policies")}
    for path in ("get-vm-templates", "get-vm-snapshots"):
        shown = await client.ask(path)
        disks = [disk for one in shown for disk in one["vm_disks"] if disk["type"] == "DISK"]
        assert {disk["storage_policy_uuid"] for disk in disks} <= uuids
        assert disks


async def test_a_batch_makes_all_vms_in_one_task(client: Client) -> None:
    template = await a_library_template(client, await create(client))
    one = {"cluster_id": template["clusters"][0], "is_full_copy": False, "name": "one"}
    path = "create-vm-from-content-library-template-batch"
    body = {"template_id": template["id"], "vms": [one, {**one, "name": "two"}]}
    answer = await send(client, path, body)
    ids = [vm["id"] for vm in answer["data"]]
    await ended(client, answer)
    vms = [client.sim.store.get("Vm", one) for one in ids]
    assert [vm["name"] for vm in vms] == ["one", "two"]
    assert [vm["entityAsyncStatus"] for vm in vms] == [None, None]
    three = {**one, "name": "three"}
    huge = {**one, "name": "four", "status": "RUNNING", "memory": 2**50}
    answer = await send(client, path, {**body, "vms": [three, huge]})
    [task] = await ended(client, answer)
    assert task["status"] == "FAILED"
    assert not {vm["id"] for vm in answer["data"]} & client.sim.store.table("Vm").keys()
    assert "at least one" in await refused(client, path, {**body, "vms": []})
    assert_in_step(client)


async def test_a_vm_becomes_a_template_of_the_content_library(client: Client) -> None:
    vm = await create(client)
    template = await a_library_template(client, vm, "convert", clusters={})
    clusters = {cluster["id"] for cluster in client.sim.store.select("Cluster")}
    assert set(template["clusters"]) == clusters
    assert vm["id"] not in client.sim.store.table("Vm")
    path = "convert-content-library-vm-template-from-vm"
    body = {"vm": {"local_id": "none"}, "name": "x", "clusters": {}}
    await refused(client, path, [body], 404)
    body = {"vm": {"id": a_vm(client, "RUNNING")["id"]}, "name": "x", "clusters": {"id": "none"}}
    await refused(client, path, [body], 404)


async def test_a_template_is_distributed_to_clusters_and_withdrawn(client: Client) -> None:
    store = client.sim.store
    template = await a_library_template(client, await create(client))
    here, there = template["clusters"][0], store.select("Cluster")[1]["id"]
    body = {"where": {"id": template["id"]}, "data": {"clusters": {"id": there}}}
    add, remove = "distribute-content-library-vm-template", "remove-content-library-vm-template"
    [answer] = await send(client, f"{add}-clusters", body)
    assert template["entityAsyncStatus"] == "UPDATING"
    again = await client.send(f"{add}-clusters", body)
    assert again.json["code"] == "ResourceLocked"
    await ended(client, [answer])
    assert set(template["clusters"]) == {here, there}
    assert len(template["vm_templates"]) == len(template["vm_template_uuids"]) == 2
    [answer] = await send(client, f"{add}-clusters", body)
    assert answer["task_id"] is None
    await do(client, f"{remove}-clusters", body)
    assert template["clusters"] == [here]
    assert len(template["vm_templates"]) == len(template["vm_template_uuids"]) == 1
    body["data"] = {"clusters": {"id": here}}
    assert "no cluster" in await refused(client, f"{remove}-clusters", body)
