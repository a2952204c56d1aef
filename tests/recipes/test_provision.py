"""Creating VMs, over HTTP against the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import (
    Ambiguous,
    Cloudtower,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    TaskFailed,
)
from cloudtower_async.recipes import (
    ExistingVolume,
    NewDisk,
    Nic,
    Progress,
    create_blank_vm,
    create_vm_from_template,
)
from tests.recipes.towers import simulated, steps
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from cloudtower_async.models import Vm, VmDisk, VmNic
    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio

GIB = 2**30


def a_cluster(sim: Simulator) -> dict[str, Any]:
    return sim.store.select("Cluster", {"hypervisor": "ELF"})[0]


def a_network(sim: Simulator) -> str:
    where = {"type": "VM", "vds": {"cluster": {"id": a_cluster(sim)["id"]}}}
    return str(sim.store.select("Vlan", where)[0]["name"])


def an_image(sim: Simulator) -> dict[str, Any]:
    where = {"clusters_some": {"id": a_cluster(sim)["id"]}}
    return sim.store.select("ContentLibraryImage", where)[0]


async def disks(tower: Cloudtower, vm: Vm) -> list[VmDisk]:
    return await tower.vm_disk.get_vm_disks(where={"vm": {"id": vm.id}}, order_by="boot_ASC")


async def nics(tower: Cloudtower, vm: Vm) -> list[VmNic]:
    return await tower.vm_nic.get_vm_nics(where={"vm": {"id": vm.id}}, order_by="order_ASC")


async def a_volume(tower: Cloudtower, cluster_id: str, name: str) -> str:
    [volume] = await tower.settle(
        tower.vm_volume.create_vm_volume(
            [
                {
                    "cluster_id": cluster_id,
                    "name": name,
                    "size": GIB,
                    "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
                    "sharing": False,
                }
            ]
        )
    )
    return volume.id


async def test_a_blank_vm_has_the_requested_settings() -> None:
    async with simulated() as (sim, tower):
        cluster, image, network = a_cluster(sim), an_image(sim), a_network(sim)
        volume = await a_volume(tower, cluster["id"], "web-data")
        heard: list[Progress] = []
        vm = await create_blank_vm(
            tower,
            "blog-1",
            cluster=cluster["name"],
            vcpu=4,
            memory=8 * GIB,
            disks=[
                NewDisk(size=40 * GIB),
                ExistingVolume(volume="web-data", bus="SCSI"),
                NewDisk(size=GIB, name="logs", policy="REPLICA_3_THIN_PROVISION"),
            ],
            cd_roms=[image["name"], None],
            nics=[Nic(vlan=network), Nic(vlan=network, mac_address="52:54:00:11:22:33")],
            description="the blog",
            firmware="UEFI",
            ha=False,
            on_progress=heard.append,
        )
        assert (vm.name, vm.status, vm.description) == ("blog-1", "STOPPED", "the blog")
        assert (vm.vcpu, vm.cpu.cores, vm.cpu.sockets, vm.memory) == (4, 4, 1, 8 * GIB)
        assert (vm.firmware, vm.ha) == ("UEFI", False)
        assert vm.entity_async_status is None
        found = await disks(tower, vm)
        assert [disk.type for disk in found] == ["DISK"] * 3 + ["CD_ROM"] * 2
        assert [disk.bus for disk in found[:3]] == ["VIRTIO", "SCSI", "VIRTIO"]
        assert [disk.boot for disk in found] == [1, 2, 3, 4, 5]
        first, second, third = (disk.vm_volume for disk in found[:3])
        assert first is not None
        assert second is not None
        assert third is not None
        assert (first.name, second.id, third.name) == ("blog-1-1", volume, "logs")
        assert sim.store.get("VmVolume", first.id)["size"] == 40 * GIB
        assert sim.store.get("VmVolume", third.id)["elf_storage_policy"] == (
            "REPLICA_3_THIN_PROVISION"
        )
        assert found[3].elf_image is not None
        assert found[3].elf_image.id in image["elf_images"]
        assert found[4].elf_image is None
        [one, other] = await nics(tower, vm)
        assert one.vlan is not None
        assert one.vlan.name == network
        assert other.mac_address == "52:54:00:11:22:33"
    assert steps(heard) == ["create", "done"]


async def test_a_blank_vm_can_have_nothing_and_start() -> None:
    async with simulated() as (sim, tower):
        cluster = a_cluster(sim)["id"]
        vm = await create_blank_vm(tower, "blog-1", cluster=cluster, vcpu=1, memory=GIB, start=True)
        assert vm.status == "RUNNING"
        assert await disks(tower, vm) == []
        assert await nics(tower, vm) == []


async def test_a_vm_of_a_template_is_as_the_template() -> None:
    async with simulated() as (sim, tower):
        [template] = sim.store.select("ContentLibraryVmTemplate", {"name": "rocky-9"})
        vm = await create_vm_from_template(
            tower, "blog-1", template="rocky-9", cluster=a_cluster(sim)["name"]
        )
        assert (vm.vcpu, vm.memory) == (template["vcpu"], template["memory"])
        assert len(await disks(tower, vm)) == 1
        assert len(await nics(tower, vm)) == 1
        [[sent]] = sim.sent("create-vm-from-content-library-template")
        assert sent == {
            "name": "blog-1",
            "template_id": template["id"],
            "cluster_id": a_cluster(sim)["id"],
            "is_full_copy": False,
            "status": "STOPPED",
        }


async def test_a_template_can_be_changed() -> None:
    async with simulated() as (sim, tower):
        network = a_network(sim)
        vm = await create_vm_from_template(
            tower,
            "blog-1",
            template="rocky-9",
            cluster=a_cluster(sim)["id"],
            vcpu=8,
            memory=16 * GIB,
            new_disks=[NewDisk(size=GIB)],
            change_disks=[{"disk_index": 0, "bus": "SCSI"}],
            nics=[Nic(vlan=network), Nic(vlan=network, enabled=False)],
            cloud_init={
                "hostname": "blog",
                "networks": [
                    {
                        "type": "IPV4",
                        "nic_index": 0,
                        "ip_address": "10.1.2.3",
                        "netmask": "255.255.255.0",
                    }
                ],
            },
            full_copy=True,
            start=True,
        )
        assert (vm.vcpu, vm.memory, vm.hostname, vm.status) == (8, 16 * GIB, "blog", "RUNNING")
        found = await disks(tower, vm)
        assert [(disk.bus, disk.boot) for disk in found] == [("SCSI", 1), ("VIRTIO", 2)]
        [one, other] = await nics(tower, vm)
        assert (one.ip_address, other.enabled) == ("10.1.2.3", False)
        [[sent]] = sim.sent("create-vm-from-content-library-template")
        assert sent["is_full_copy"] is True


async def test_disks_of_a_template_can_be_left_out() -> None:
    async with simulated() as (sim, tower):
        vm = await create_vm_from_template(
            tower,
            "blog-1",
            template="rocky-9",
            cluster=a_cluster(sim)["id"],
            remove_disks=[0],
            nics=[],
        )
        assert await disks(tower, vm) == []
        assert await nics(tower, vm) == []


async def test_a_template_without_cloud_init_fails_the_task() -> None:
    async with simulated() as (sim, tower):
        heard: list[Progress] = []
        with pytest.raises(TaskFailed) as caught:
            await create_vm_from_template(
                tower,
                "blog-1",
                template="windows-2022",
                cluster=a_cluster(sim)["id"],
                cloud_init={"hostname": "blog"},
                on_progress=heard.append,
            )
        assert caught.value.ec == "VM_CLOUD_INIT_CONFIG_ERROR"
        assert await tower.vm.get_vms(where={"name": "blog-1"}) == []
    assert steps(heard) == ["create", "failed"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cluster": "nowhere"}, "there is no cluster 'nowhere'"),
        ({"disks": [ExistingVolume(volume="x")]}, "there is no volume 'x' in cluster "),
        ({"cd_roms": ["x.iso"]}, r"there is no image 'x\.iso' in cluster "),
        ({"nics": [Nic(vlan="x")]}, "there is no VM network 'x' in cluster "),
    ],
)
async def test_missing_resources_are_named(options: dict[str, Any], said: str) -> None:
    async with simulated() as (sim, tower):
        options = {"cluster": a_cluster(sim)["id"], **options}
        with pytest.raises(NotFound, match=said):
            await create_blank_vm(tower, "blog-1", vcpu=1, memory=GIB, **options)
        assert sim.mutations() == []


async def test_a_template_that_the_cluster_does_not_have_is_named() -> None:
    async with simulated(clusters=3) as (sim, tower):
        [vmware] = sim.store.select("Cluster", {"hypervisor": "VMWARE"})
        with pytest.raises(NotFound, match=f"no template 'rocky-9' in cluster {vmware['name']}"):
            await create_vm_from_template(tower, "blog-1", template="rocky-9", cluster=vmware["id"])


async def test_a_name_that_several_have_is_named() -> None:
    async with simulated() as (sim, tower):
        cluster = a_cluster(sim)["id"]
        for _ in range(2):
            await a_volume(tower, cluster, "twin")
        with pytest.raises(Ambiguous, match="there are 2 of volume 'twin' in cluster ") as caught:
            await create_blank_vm(
                tower,
                "blog-1",
                cluster=cluster,
                vcpu=1,
                memory=GIB,
                disks=[ExistingVolume(volume="twin")],
            )
        assert len(caught.value.ids) == caught.value.count == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": ""}, "name: must not be empty"),
        ({"vcpu": 0}, "vcpu: "),
        ({"memory": 0.5}, "memory: "),
        ({"disks": [NewDisk(size=GIB), NewDisk(size=0)]}, r"disks\[1\]\.size: "),
        ({"disks": [{"size": GIB}]}, r"disks\[0\]: expected NewDisk or ExistingVolume, got dict"),
        ({"nics": ["production"]}, r"nics\[0\]: expected Nic, got str"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    options: dict[str, Any], said: str
) -> None:
    async with simulated() as (sim, tower):
        before = len(sim.requests)
        arguments: dict[str, Any] = {
            "name": "n",
            "cluster": "c",
            "vcpu": 1,
            "memory": GIB,
            **options,
        }
        with pytest.raises(InvalidInput, match=f"^create_blank_vm: {said}"):
            await create_blank_vm(tower, **arguments)
        assert len(sim.requests) == before


async def test_a_creation_of_unknown_outcome_is_not_sent_again() -> None:
    async with simulated() as (sim, tower):
        sim.faults.reset("create-vm")
        with pytest.raises(OutcomeUnknown):
            await create_blank_vm(tower, "blog-1", cluster=a_cluster(sim)["id"], vcpu=1, memory=GIB)
        assert len(sim.sent("create-vm")) == 1


async def test_after_a_cancellation_the_server_continues() -> None:
    async with simulated(task_duration=3600) as (sim, tower):
        before = tasks_of_clients()
        with anyio.CancelScope() as scope:

            def cancel(_: Progress) -> None:
                if sim.sent("create-vm"):
                    scope.cancel()

            await create_blank_vm(
                tower,
                "blog-1",
                cluster=a_cluster(sim)["id"],
                vcpu=1,
                memory=GIB,
                on_progress=cancel,
            )
        assert scope.cancelled_caught
        assert tasks_of_clients() == before
        [vm] = sim.store.select("Vm", {"name": "blog-1"})
        assert vm["entityAsyncStatus"] == "CREATING"


async def test_exceptions_of_the_listener_are_raised_before_any_creation() -> None:
    def stop(_: Progress) -> None:
        raise KeyError("mine")

    async with simulated() as (sim, tower):
        with pytest.raises(KeyError, match="mine"):
            await create_blank_vm(
                tower,
                "blog-1",
                cluster=a_cluster(sim)["id"],
                vcpu=1,
                memory=GIB,
                on_progress=stop,
            )
        assert sim.mutations() == []
