"""Disks, CD-ROMs, NICs, GPUs and settings of VMs, and removing VMs, over HTTP."""

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
    matches_nothing,
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


def of(vm: dict[str, Any], **data: object) -> dict[str, Any]:
    where = {"where": {"id": vm["id"]}}
    return {**where, "data": data} if data else where


def add(client: Client, resource: str, **values: object) -> dict[str, Any]:
    """Add a device that the fleet may lack."""
    ids = client.sim.store.table(resource)
    return client.sim.store.add(resource, {"id": f"{resource}-{len(ids)}", **values})


def an_image(client: Client, cluster: str) -> dict[str, Any]:
    return add(client, "ElfImage", cluster=cluster, name="iso", local_id="l", path="/iso", size=1)


# Disks


async def test_disks_are_added_and_removed(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    number, size = len(parts(client, vm)), vm["provisioned_size"]
    disks = new_vm(client)["vm_disks"]["mount_new_create_disks"]
    limits = {"io_policy": "RESTRICT_WHOLE_VM", "max_iops": 50}
    data = {"vm_disks": {"mount_new_create_disks": disks}, **limits}
    [task] = await do(client, "add-vm-disk", of(vm, **data))
    assert task["description"].startswith("Add disks")
    assert len(parts(client, vm)) == number + 1
    assert vm["provisioned_size"] == size + 10 * GIB
    assert (vm["io_policy"], vm["max_iops"]) == ("RESTRICT_WHOLE_VM", 50)
    added = parts(client, vm)[-1]
    await do(client, "remove-vm-disk", of(vm, disk_ids=[added["id"]]))
    assert (len(parts(client, vm)), vm["provisioned_size"]) == (number, size)


@pytest.mark.parametrize("renewed", [False, True])
async def test_ids_of_disks_and_nics_change_only_with_a_synchronization(renewed: bool) -> None:
    sim = Simulator(clock=Clock(running=False), task_duration=DURATION, sync_renews_ids=renewed)
    async with connected(sim) as client:
        vm = await create(client)
        before = {*vm["vm_disks"], *vm["vm_nics"]}
        [old] = parts(client, vm)
        await do(client, "update-vm-basic-info", of(vm, description="x"))
        await do(client, "update-vm-nic", of(vm, nic_index=0, mirror=True))
        after = {*vm["vm_disks"], *vm["vm_nics"]}
        assert (before.isdisjoint(after), before == after) == (renewed, not renewed)
        assert [disk["vm_volume"] for disk in parts(client, vm)] == [old["vm_volume"]]
        body = of(vm, disk_ids=[old["id"]])
        if renewed:
            assert "has no DISK" in await refused(client, "remove-vm-disk", body, 404)
        else:
            await do(client, "remove-vm-disk", body)


async def test_the_answer_of_add_vm_disk_contains_the_new_disk(client: Client) -> None:
    vm = await create(client)
    before = set(vm["vm_disks"])
    volume = {"name": "more", "size": 8e9, "elf_storage_policy": "REPLICA_2_THIN_PROVISION"}
    disk = {"boot": 3, "bus": "VIRTIO", "vm_volume": volume}
    body = of(vm, vm_disks={"mount_new_create_disks": [disk]})
    [answer] = await send(client, "add-vm-disk", body)
    [new] = {disk["id"] for disk in answer["data"]["vm_disks"]} - before
    await ended(client, [answer])
    assert new in vm["vm_disks"]
    await do(client, "update-vm-disk", of(vm, vm_disk_id=new, bus="SCSI"))
    assert client.sim.store.get("VmDisk", new)["bus"] == "SCSI"
    await do(client, "remove-vm-disk", of(vm, disk_ids=[new]))
    assert set(vm["vm_disks"]) == before


async def test_a_disk_whose_addition_fails_is_gone_with_its_volume(client: Client) -> None:
    vm = await create(client)
    spare = await create(client)
    [free] = parts(client, spare)
    await do(client, "remove-vm-disk", of(spare, disk_ids=[free["id"]]))
    before = set(vm["vm_disks"]), set(client.sim.store.table("VmVolume"))
    client.sim.tasks.fail_next()
    volume = {"name": "more", "size": 8, "elf_storage_policy": "REPLICA_2_THIN_PROVISION"}
    disks = {
        "mount_new_create_disks": [{"boot": 3, "bus": "VIRTIO", "vm_volume": volume}],
        "mount_disks": [{"boot": 4, "bus": "VIRTIO", "vm_volume_id": free["vm_volume"]}],
    }
    [answer] = await send(client, "add-vm-disk", of(vm, vm_disks=disks))
    [task] = await ended(client, [answer])
    assert task["status"] == "FAILED"
    assert (set(vm["vm_disks"]), set(client.sim.store.table("VmVolume"))) == before
    assert client.sim.store.get("VmVolume", free["vm_volume"])["mounting"] is False


async def test_a_disk_is_expanded_but_never_shrunk(client: Client) -> None:
    vm = await create(client)
    [disk], [cd_rom] = parts(client, vm), parts(client, vm, "CD_ROM")
    body = {"where": {"vm": {"id": vm["id"]}, "type": "DISK"}, "size": 20, "size_unit": "GB"}
    await do(client, "expand-vm-disk", body)
    volume = client.sim.store.get("VmVolume", disk["vm_volume"])
    assert volume["size"] == vm["provisioned_size"] == 20 * GIB
    assert "larger already" in await refused(client, "expand-vm-disk", {**body, "size": 1})
    [cd_rom] = parts(client, vm, "CD_ROM")
    where = {"where": {"id": cd_rom["id"]}}
    assert "CD-ROM" in await refused(client, "expand-vm-disk", {**where, "size": 1})
    await matches_nothing(client, "expand-vm-disk", {"where": {"id": "none"}, "size": 1})
    [answer] = await send(client, "expand-vm-disk", {**body, "size": 10**6})
    [task] = await ended(client, [answer])
    assert "NO_SPACE" in task["error_message"]


async def test_a_disk_may_be_kept_in_the_cache(client: Client) -> None:
    vm = await create(client)
    where = {"where": {"id": parts(client, vm)[0]["id"]}}
    await do(client, "set-vm-disk-resident-in-cache", {**where, "resident_in_cache": True})
    assert client.sim.store.get("VmVolume", parts(client, vm)[0]["vm_volume"])["resident_in_cache"]
    where = {"where": {"id": parts(client, vm, "CD_ROM")[0]["id"]}}
    body = {**where, "resident_in_cache": True}
    assert "no volume" in await refused(client, "set-vm-disk-resident-in-cache", body)


async def test_a_disk_changes_its_bus_and_its_volume(client: Client) -> None:
    store = client.sim.store
    vm, other = await create(client), await create(client)
    free = parts(client, other)[0]
    await do(client, "remove-vm-disk", of(other, disk_ids=[free["id"]]))
    [disk] = parts(client, vm)
    old, new = disk["vm_volume"], free["vm_volume"]
    data = {"vm_disk_id": disk["id"], "bus": "SCSI", "vm_volume_id": new}
    await do(client, "update-vm-disk", of(vm, **data))
    [disk] = parts(client, vm)
    assert (disk["bus"], disk["vm_volume"]) == ("SCSI", new)
    assert [store.get("VmVolume", one)["mounting"] for one in (old, new)] == [False, True]
    assert "enough" not in await refused(
        client, "update-vm-disk", of(other, vm_disk_id=disk["id"]), 404
    )
    cd_rom = parts(client, vm, "CD_ROM")[0]["id"]
    message = await refused(client, "update-vm-disk", of(vm, vm_disk_id=cd_rom, vm_volume_id=old))
    assert "mounts no volume" in message
    image = an_image(client, vm["cluster"])["id"]
    message = await refused(
        client, "update-vm-disk", of(vm, vm_disk_id=disk["id"], elf_image_id=image)
    )
    assert "mounts no image" in message


async def test_the_bus_of_a_disk_stays_while_the_vm_is_on(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    disk = parts(client, vm)[0]
    message = await refused(client, "update-vm-disk", of(vm, vm_disk_id=disk["id"], bus="SCSI"))
    assert "RUNNING" in message
    disk["bus"] = "IDE"
    message = await refused(client, "remove-vm-disk", of(vm, disk_ids=[disk["id"]]))
    assert "IDE" in message


async def test_limits_are_of_each_disk_or_of_the_vm(client: Client) -> None:
    vm = await create(client)
    each = [{"boot": 1, "data": {"max_bandwidth": 1, "max_bandwidth_unit": "KBps"}}]
    data = {"io_policy": "RESTRICT_EACH_DISK", "each_disk": each, "whole_vm": {"max_iops": 7}}
    await do(client, "update-vm-io-policy", of(vm, **data))
    assert (parts(client, vm)[0]["max_bandwidth"], vm["max_iops"]) == (1024, 7)
    nothing: dict[str, object] = {}
    wrong = [{"boot": 9, "data": nothing}]
    message = await refused(client, "update-vm-io-policy", of(vm, each_disk=wrong))
    assert "boot 9" in message


async def test_an_empty_list_of_parts_is_refused(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    assert "at least one" in await refused(client, "add-vm-disk", of(vm, vm_disks={}))
    assert "at least one" in await refused(client, "add-vm-nic", of(vm, vm_nics=[]))
    size = {"name": "v", "size": 0}
    disks = {"mount_new_create_disks": [{"boot": 1, "bus": "IDE", "vm_volume": size}]}
    assert "size" in await refused(client, "add-vm-disk", of(vm, vm_disks=disks))


# CD-ROMs


async def test_cd_roms_come_and_go_with_their_images(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    image = an_image(client, vm["cluster"])
    data = {"vm_cd_roms": [{"boot": 5, "elf_image_id": image["id"]}]}
    await do(client, "add-vm-cd-rom", of(vm, **data))
    [cd_rom] = parts(client, vm, "CD_ROM")
    assert (cd_rom["elf_image"], cd_rom["boot"]) == (image["id"], 5)
    await do(client, "eject-iso-from-vm-cd-rom", {"where": {"id": cd_rom["id"]}})
    [cd_rom] = parts(client, vm, "CD_ROM")
    assert cd_rom["elf_image"] is None
    data = {"vm_disk_id": cd_rom["id"], "elf_image_id": image["id"]}
    await do(client, "update-vm-disk", of(vm, **data))
    [cd_rom] = parts(client, vm, "CD_ROM")
    assert cd_rom["elf_image"] == image["id"]
    body = {"where": {"id": cd_rom["id"]}, "disabled": True}
    await do(client, "toggle-vm-cd-rom-disable", body)
    [cd_rom] = parts(client, vm, "CD_ROM")
    assert cd_rom["disabled"] is True
    await do(client, "remove-vm-cd-rom", of(vm, cd_rom_ids=[cd_rom["id"]]))
    assert parts(client, vm, "CD_ROM") == []
    disk = {"where": {"id": parts(client, vm)[0]["id"]}}
    assert "not a CD-ROM" in await refused(client, "eject-iso-from-vm-cd-rom", disk)
    running = a_vm(client, "RUNNING")
    data = {"vm_cd_roms": [{"boot": 5}]}
    assert "RUNNING" in await refused(client, "add-vm-cd-rom", of(running, **data))


async def test_an_image_of_the_content_library_is_that_of_the_cluster(client: Client) -> None:
    store = client.sim.store
    here, there = (cluster["id"] for cluster in store.select("Cluster"))
    image = an_image(client, here)
    values = {"name": "lib", "path": "/", "size": 1, "createdAt": "", "description": ""}
    library = add(client, "ContentLibraryImage", elf_images=[image["id"]], **values)
    cd_rom = {"mount_cd_roms": [{"boot": 1, "content_library_image_id": library["id"]}]}
    vm = await create(client, vm_disks=cd_rom)
    assert parts(client, vm, "CD_ROM")[0]["elf_image"] == image["id"]
    store.change("ElfImage", image["id"], cluster=there)
    message = await refused(client, "create-vm", [new_vm(client, vm_disks=cd_rom)])
    assert "not on this cluster" in message


async def test_vm_tools_are_put_into_a_cd_rom() -> None:
    simulator = Simulator(clock=Clock(running=False), task_duration=DURATION, guest_tools=False)
    async with connected(simulator) as client:
        store = client.sim.store
        vm = await create(client, status="RUNNING")
        for image in store.select("SvtImage", {"cluster": {"id": vm["cluster"]}}):
            store.remove("SvtImage", image["id"])
        assert "no image" in await refused(client, "install-vmtools", of(vm))
        common = {"cluster": vm["cluster"], "path": "/", "size": 1, "local_id": "l", "name": "t"}
        old = add(client, "SvtImage", version=1, **common)
        new = add(client, "SvtImage", version=2, **common)
        await do(client, "install-vmtools", of(vm))
        [cd_rom] = parts(client, vm, "CD_ROM")
        assert cd_rom["svt_image"] == new["id"]
        assert vm["vm_tools_status"] == "NOT_INSTALLED"
        data = {"cd_rom_id": cd_rom["id"], "svt_image_id": old["id"]}
        await do(client, "install-vmtools", of(vm, **data))
        assert parts(client, vm, "CD_ROM")[0]["svt_image"] == old["id"]
        data["cd_rom_id"] = parts(client, vm)[0]["id"]
        assert "no such CD-ROM" in await refused(client, "install-vmtools", of(vm, **data))


# NICs


async def test_nics_are_added_changed_and_removed(client: Client) -> None:
    vm = a_vm(client, "RUNNING", vm_tools_status="RUNNING")
    [first] = nics(client, vm)
    vlan = new_vm(client)["vm_nics"][0]["connect_vlan_id"]
    data = {"vm_nics": [{"connect_vlan_id": vlan, "model": "E1000"}]}
    await do(client, "add-vm-nic", of(vm, **data))
    assert [nic["order"] for nic in nics(client, vm)] == [0, 1]
    change = {"nic_index": 1, "enabled": False, "connect_vlan_id": vlan, "model": "VIRTIO"}
    await do(client, "update-vm-nic", of(vm, **change))
    nic = nics(client, vm)[1]
    assert (nic["enabled"], nic["vlan"], nic["model"]) == (False, vlan, "VIRTIO")
    where = {"where": {"id": nic["id"]}}
    body = {**where, "data": {"mac_address": "52:54:00:00:ff:ff", "mirror": True}}
    await do(client, "update-vm-nic-advance-info", body)
    where = {"where": {"mac_address": "52:54:00:00:ff:ff"}}
    body = {**where, "data": {"ip_address": "10.0.0.9", "subnet_mask": "255.0.0.0"}}
    await do(client, "update-vm-nic-basic-info", body)
    qos = {"ingress": {"enabled": True, "rate_limit": 1, "rate_limit_unit": "Gbps"}}
    await do(client, "update-vm-nic-qos-option", {**where, "data": {"qos": qos}})
    nic = nics(client, vm)[1]
    assert (nic["mirror"], nic["ip_address"]) == (True, "10.0.0.9")
    assert nic["ingress_rate_limit_max_rate_in_bitps"] == 10**9
    await do(client, "remove-vm-nic", of(vm, nic_index=[0]))
    [nic] = nics(client, vm)
    assert (nic["order"], nic["mac_address"]) == (0, "52:54:00:00:ff:ff")
    assert nic["mac_address"] != first["mac_address"]
    assert "no NIC 4" in await refused(client, "remove-vm-nic", of(vm, nic_index=[4]))


IP_SETTINGS = {"ip_address": "10.0.0.9", "subnet_mask": "255.0.0.0", "gateway": "10.0.0.1"}


@pytest.mark.parametrize("key", IP_SETTINGS)
async def test_ip_settings_of_a_nic_need_vm_tools(client: Client, key: str) -> None:
    stopped, running = a_vm(client, "STOPPED"), a_vm(client, "RUNNING")
    running["vm_tools_status"] = "NOT_INSTALLED"
    for vm in (stopped, running):
        [nic] = nics(client, vm)
        body = {"where": {"id": nic["id"]}, "data": {key: IP_SETTINGS[key]}}
        message = await refused(client, "update-vm-nic-basic-info", body)
        assert f"{key}: VM {vm['name']} needs running VM tools" in message
        change = of(vm, nic_index=0, **{key: IP_SETTINGS[key]})
        assert "VM tools" in await refused(client, "update-vm-nic", change)


async def test_changes_to_a_nic_of_a_running_vm_need_vm_tools(client: Client) -> None:
    stopped, running = a_vm(client, "STOPPED"), a_vm(client, "RUNNING")
    running["vm_tools_status"] = "NOT_RUNNING"
    [nic] = nics(client, running)
    body = {"where": {"id": nic["id"]}, "data": {"mirror": True}}
    assert "VM tools" in await refused(client, "update-vm-nic-advance-info", body)
    qos = {"egress": {"enabled": True, "rate_limit": 1}}
    await do(client, "update-vm-nic-qos-option", {**body, "data": {"qos": qos}})
    body["where"] = {"id": nics(client, stopped)[0]["id"]}
    await do(client, "update-vm-nic-advance-info", body)


async def test_nics_of_several_vms_go_at_once(client: Client) -> None:
    one, other, third = await create(client), await create(client), await create(client)
    vms = [one["id"], other["id"], third["id"]]
    body = {"where": {"vm": {"id_in": vms}}, "effect": {"vm_ids": vms[:2]}}
    assert len(await do(client, "remove-vm-nic-by-where", body)) == 2
    assert (nics(client, one), nics(client, other), len(nics(client, third))) == ([], [], 1)
    await matches_nothing(client, "remove-vm-nic-by-where", body)
    body = {"where": {"vm": {"id": third["id"]}}, "effect": {}}
    await do(client, "remove-vm-nic-by-where", body)
    assert nics(client, third) == []


async def test_a_nic_cannot_be_moved_to_another_cluster(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    other = client.sim.store.select("Vlan", {"vds": {"cluster": {"id_not": vm["cluster"]}}})[0]
    body = {"where": {"vm": {"id": vm["id"]}}, "data": {"connect_vlan_id": other["id"]}}
    assert "another cluster" in await refused(client, "update-vm-nic-advance-info", body)
    body = {"where": {"vm": {"id": vm["id"]}}, "data": {"nic_id": "x"}}
    await refused(client, "update-vm-nic-advance-info", body, 501)


# Devices of the host


def a_gpu(client: Client, cluster: str, **values: object) -> dict[str, Any]:
    host = client.sim.store.select("Host", {"cluster": {"id": cluster}})[0]
    values = {"name": "gpu", "user_usage": "PASS_THROUGH", **values}
    return add(client, "GpuDevice", host=host["id"], **values)


async def test_a_gpu_belongs_to_one_vm(client: Client) -> None:
    vm, other = await create(client), await create(client)
    gpu = a_gpu(client, vm["cluster"])
    body = {"where": {"id": vm["id"]}, "data": [{"gpu_id": gpu["id"]}]}
    await do(client, "add-vm-gpu-device", body)
    assert (vm["gpu_devices"], gpu["vms"]) == ([gpu["id"]], [vm["id"]])
    theirs = {"where": {"id": other["id"]}, "data": [{"gpu_id": gpu["id"]}]}
    assert "another VM" in await refused(client, "add-vm-gpu-device", theirs)
    await refused(client, "remove-vm-gpu-device", theirs, 404)
    await do(client, "remove-vm-gpu-device", body)
    assert gpu["vms"] == []
    running = a_vm(client, "RUNNING")
    body = {"where": {"id": running["id"]}, "data": [{"gpu_id": gpu["id"]}]}
    assert "RUNNING" in await refused(client, "add-vm-gpu-device", body)


async def test_a_gpu_may_be_shared_as_far_as_it_goes(client: Client) -> None:
    vgpus = {"user_usage": "VGPU", "available_vgpus_num": 3, "assigned_vgpus_num": 0}
    cluster = client.sim.store.select("Cluster")[0]["id"]
    gpu = a_gpu(client, cluster, **vgpus)
    wanted = [{"gpu_id": gpu["id"], "amount": 2}]
    host = {"host_id": gpu["host"], "ha": False}
    vm = await create(client, gpu_devices=wanted, **host)
    assert (gpu["available_vgpus_num"], gpu["assigned_vgpus_num"]) == (1, 2)
    message = await refused(client, "create-vm", [new_vm(client, gpu_devices=wanted, **host)])
    assert "not so many" in message
    body = {"where": {"id": vm["id"]}, "data": wanted}
    await do(client, "remove-vm-gpu-device", body)
    assert (gpu["available_vgpus_num"], gpu["assigned_vgpus_num"]) == (3, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "host_id: required"),
        ({"host_id": "AUTO_SCHEDULE"}, "host_id: required"),
        ({"ha": True}, "ha: not possible"),
    ],
)
async def test_a_vm_with_gpus_needs_a_host_and_no_high_availability(
    client: Client, values: dict[str, Any], message: str
) -> None:
    cluster = client.sim.store.select("Cluster")[0]["id"]
    gpu = a_gpu(client, cluster)
    given = {"ha": False, "gpu_devices": [{"gpu_id": gpu["id"]}], **values}
    if values.get("ha"):
        given["host_id"] = gpu["host"]
    assert message in await refused(client, "create-vm", [new_vm(client, **given)])


async def test_a_nic_of_the_host_belongs_to_one_vm(client: Client) -> None:
    vm, other = await create(client), await create(client)
    nic = add(client, "Nic", host=vm["host"], name="eth9")
    data = {"pci_nics": {"id": nic["id"]}}
    await do(client, "add-vm-pci-nic", of(vm, **data))
    assert vm["pci_nics"] == [nic["id"]]
    assert "another VM" in await refused(client, "add-vm-pci-nic", of(other, **data))
    await refused(client, "remove-vm-pci-nic", of(other, **data), 404)
    await do(client, "remove-vm-pci-nic", of(vm, **data))
    assert (vm["pci_nics"], nic["vms"]) == ([], [])
    third = await create(client, **data)
    assert third["pci_nics"] == [nic["id"]]


# Settings


async def test_a_vm_can_be_renamed(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    priority = {"ha_priority": "LEVEL_3_HIGH"}
    body = of(vm, name="new", description="d", **priority)
    [answer] = await send(client, "update-vm-basic-info", body)
    assert answer["data"]["name"] != "new"
    await ended(client, [answer])
    [shown] = await client.ask("get-vms", {"where": {"name": "new"}})
    assert (shown["id"], shown["description"]) == (vm["id"], "d")
    assert shown["ha_priority"] == "LEVEL_3_HIGH"
    off = of(vm, ha=False, **priority)
    assert "ha_priority" in await refused(client, "update-vm-basic-info", off)
    await do(client, "update-vm-basic-info", of(vm, ha=False))
    assert "ha_priority" in await refused(client, "update-vm-basic-info", of(vm, **priority))
    assert "name" in await refused(client, "update-vm-basic-info", of(vm, name=" "))


async def test_a_vm_that_is_off_changes_its_size_freely(client: Client) -> None:
    vm = await create(client)
    data = {"cpu_cores": 1, "cpu_sockets": 1, "vcpu": 1, "memory": 1, "memory_unit": "GB"}
    await do(client, "update-vm-basic-info", of(vm, **data))
    assert (vm["vcpu"], vm["cpu"], vm["memory"]) == (1, {"cores": 1, "sockets": 1}, GIB)
    assert_in_step(client)


async def test_a_vm_that_is_on_can_only_grow(client: Client) -> None:
    vm = await create(client, status="RUNNING")
    host = client.sim.store.get("Host", vm["host"])
    room = host["allocatable_memory_bytes"]
    await do(client, "update-vm-basic-info", of(vm, memory=6 * GIB, vcpu=8))
    assert (vm["memory"], vm["vcpu"]) == (6 * GIB, 8)
    assert host["allocatable_memory_bytes"] == room - 2 * GIB
    assert "smaller" in await refused(client, "update-vm-basic-info", of(vm, memory=GIB))
    assert "smaller" in await refused(client, "update-vm-basic-info", of(vm, vcpu=2))
    [answer] = await send(client, "update-vm-basic-info", of(vm, memory=10**15))
    [task] = await ended(client, [answer])
    assert "NO_MEMORY" in task["error_message"]


async def test_advanced_options_are_for_vms_that_are_off(client: Client) -> None:
    vm = await create(client)
    data = {"clock_offset": "LOCALTIME", "video_type": "VGA", "windows_optimize": True}
    await do(client, "update-vm-advanced-options", of(vm, cpu_model="haswell", **data))
    assert (vm["clock_offset"], vm["video_type"], vm["win_opt"]) == ("LOCALTIME", "VGA", True)
    assert vm["cpu_model"] == "haswell"
    message = await refused(client, "update-vm-advanced-options", of(vm, cpu_model="z80"))
    assert "no z80" in message
    running = a_vm(client, "RUNNING")
    assert "RUNNING" in await refused(client, "update-vm-advanced-options", of(running, **data))


async def test_changes_through_vm_tools_require_vm_tools(client: Client) -> None:
    vm = a_vm(client, "RUNNING", vm_tools_status="RUNNING")
    data = {"hostname": "h", "dns_servers": ["1.1.1.1", "8.8.8.8"], "ntp_servers": ["n"]}
    await do(client, "update-vm-host-options", of(vm, **data))
    assert (vm["hostname"], vm["dns_servers"]) == ("h", "1.1.1.1,8.8.8.8")
    secret = {"username": "admin", "password": "s3cret!"}
    [task] = await do(client, "reset-vm-guest-os-password", of(vm, **secret))
    assert "s3cret!" not in str(task)
    empty = {"username": "admin", "password": ""}
    assert "empty" in await refused(client, "reset-vm-guest-os-password", of(vm, **empty))
    without = a_vm(client, "RUNNING", vm_tools_status="NOT_RUNNING")
    for path, wanted in (("update-vm-host-options", data), ("reset-vm-guest-os-password", secret)):
        assert "NOT_RUNNING" in await refused(client, path, of(without, **wanted))


async def test_a_vm_gets_an_owner_who_exists(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    owner = {"search_for": "username", "value": "viewer"}
    await do(client, "update-vm-owner", of(vm, **owner))
    await refused(client, "update-vm-owner", of(vm, search_for="id", value="viewer"), 404)
    await create(client, owner=owner)


async def test_a_vm_is_in_one_folder(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    common = {"cluster": vm["cluster"], "vm_num": 0}
    one, other = (add(client, "VmFolder", name=name, **common) for name in ("one", "other"))
    for folder in (one, other):
        await do(client, "add-vm-to-folder", of(vm, folder_id=folder["id"]))
    assert (one["vms"], other["vms"]) == ([], [vm["id"]])
    assert (one["vm_num"], other["vm_num"]) == (0, 1)
    await do(client, "remove-vm-from-folder", of(vm))
    assert (vm["folder"], other["vm_num"]) == (None, 0)
    vm = await create(client, folder_id=one["id"])
    assert (vm["folder"], one["vm_num"]) == (one["id"], 1)


async def test_a_vm_may_be_created_into_a_placement_group(client: Client) -> None:
    cluster = client.sim.store.select("Cluster")[0]["id"]
    group = add(client, "VmPlacementGroup", name="apart", cluster=cluster)
    vm = await create(client, vm_placement_group={"id": group["id"]})
    assert group["vms"] == [vm["id"]]


# Recycle bin and deletion


async def test_the_recycle_bin_keeps_a_vm(client: Client) -> None:
    vm = await create(client, name="old")
    [task] = await do(client, "move-vm-to-recycle", of(vm))
    assert task["description"] == "Move VM old to the recycle bin"
    assert vm["in_recycle_bin"] is True
    assert (vm["original_name"], vm["name"] != "old") == ("old", True)
    assert vm["deleted_at"] == task["finished_at"]
    assert "recycle bin" in await refused(client, "start-vm", of(vm))
    assert "recycle bin" in await refused(client, "move-vm-to-recycle", of(vm))
    await do(client, "recover-vm-from-recycle", of(vm))
    assert (vm["name"], vm["in_recycle_bin"], vm["deleted_at"]) == ("old", False, None)
    assert "not in the recycle bin" in await refused(client, "recover-vm-from-recycle", of(vm))
    await do(client, "move-vm-to-recycle", of(vm))
    await do(client, "delete-vm", of(vm))
    assert vm["id"] not in client.sim.store.table("Vm")


async def test_a_deleted_vm_takes_its_parts_with_it(client: Client) -> None:
    store = client.sim.store
    tables = ("Vm", "VmDisk", "VmNic", "VmVolume", "VmSnapshot", "IscsiLunSnapshot")
    before = figures(client), [len(store.table(name)) for name in tables]
    vm = await create(client)
    data = [{"vm_id": vm["id"], "name": "s"}]
    [answer] = await send(client, "create-vm-snapshot", {"data": data})
    await ended(client, [answer])
    [answer] = await send(client, "delete-vm", {**of(vm), "effect": {"include_snapshots": True}})
    assert answer["data"] == {"id": vm["id"]}
    assert vm["entityAsyncStatus"] == "DELETING"
    await ended(client, [answer])
    assert await client.ask("get-vms", {"where": {"id": vm["id"]}}) == []
    assert (figures(client), [len(store.table(name)) for name in tables]) == before


async def test_space_of_a_deleted_vm_is_free_again(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    cluster = client.sim.store.get("Cluster", vm["cluster"])
    before = cluster["used_data_space"]
    written = vm["unique_size"]
    await do(client, "delete-vm", of(vm))
    assert cluster["used_data_space"] == before - 2 * written
    assert_in_step(client)


@pytest.mark.parametrize("path", ["delete-vm", "move-vm-to-recycle"])
@pytest.mark.parametrize("status", ["RUNNING", "SUSPENDED"])
@pytest.mark.parametrize("choice", get_args(RunningVms))
async def test_a_vm_that_is_on_is_removed_as_the_option_says(
    choice: RunningVms, path: str, status: str
) -> None:
    sim = Simulator(clock=Clock(running=False), task_duration=DURATION, running_vms=choice)
    async with connected(sim) as client:
        vm = sim.store.select("Vm", {"status": status})[0]
        if choice == "refused":
            assert status in await refused(client, path, of(vm))
        else:
            [task] = await ended(client, await send(client, path, of(vm)))
            assert task["status"] == ("SUCCESSED" if choice == "accepted" else "FAILED")
        gone = vm["id"] not in sim.store.table("Vm") or vm["in_recycle_bin"]
        assert gone is (choice == "accepted")
        assert vm["status"] == ("STOPPED" if vm["in_recycle_bin"] else status)
        assert_in_step(client)
        await matches_nothing(client, path, {"where": {"id": "nobody"}})


async def test_a_deletion_that_fails_leaves_the_vm(client: Client) -> None:
    vm = await create(client)
    client.sim.tasks.fail_next()
    [answer] = await send(client, "delete-vm", of(vm))
    [task] = await ended(client, [answer])
    assert (task["status"], vm["entityAsyncStatus"]) == ("FAILED", None)
    assert vm["id"] in client.sim.store.table("Vm")


async def test_a_busy_vm_is_locked_for_all_of_it(client: Client) -> None:
    vm = await create(client)
    await send(client, "update-vm-basic-info", of(vm, description="x"))
    disk = {"where": {"vm": {"id": vm["id"]}}, "size": 1}
    bodies = {
        "delete-vm": of(vm),
        "update-vm-owner": of(vm, search_for="username", value="root"),
        "expand-vm-disk": disk,
        "remove-vm-nic-by-where": {"where": {"vm": {"id": vm["id"]}}, "effect": {}},
        "clone-vm": [{"src_vm_id": vm["id"], "name": "c"}],
    }
    for path, body in bodies.items():
        answer = await client.send(path, body)
        assert (answer.status, answer.json["code"]) == (400, "ResourceLocked"), path
        assert answer.json["props"]["locked_resources"] == [{"id": vm["id"], "type": "VM"}]
