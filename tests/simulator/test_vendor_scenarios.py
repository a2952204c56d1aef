"""Scenarios of the vendor's Python client, step by step, with its models."""

# ruff: noqa: ANN401 - the vendor's client has no types
from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest

from cloudtower_async.testing import Clock, Simulator
from tests.simulator.vendor import Vendor, cloudtower

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

GIB = 2**30
THIN = "REPLICA_2_THIN_PROVISION"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    # Every request takes simulated time, so that waiting for a task takes no real time.
    clock = Clock(running=False, per_request=0.5)
    async with Simulator(clusters=1, clock=clock, task_duration=2.0) as sim:
        yield sim


class User:
    """A user of the vendor's client on one cluster."""

    def __init__(self, sim: Simulator) -> None:
        self.vendor = Vendor(sim)
        self.vms = self.vendor.api("vm")
        self.cluster = self.vendor.ask("get-clusters", first=1)[0]
        where = {"vds": {"cluster": {"id": self.cluster.id}}}
        self.vlan = self.vendor.ask("get-vlans", where=where, first=1)[0]

    def done(self, answer: list[Any]) -> Any:
        """Wait for the tasks of an answer, and return the resource of the first task."""
        tasks = [item.task_id for item in answer if item.task_id]
        importlib.import_module("cloudtower.utils").wait_tasks(
            tasks, self.vendor.client, interval=0
        )
        return answer[0].data

    def new_disk(self, name: str, size: float) -> Any:
        volume = cloudtower.MountNewCreateDisksParamsVmVolume(
            elf_storage_policy=THIN,
            size=size,
            name=name,
        )
        return cloudtower.MountNewCreateDisksParams(
            boot=1, bus=cloudtower.Bus.VIRTIO, vm_volume=volume
        )

    def create(self, name: str, **values: Any) -> Any:
        """Create a VM with a disk, and return its new state."""
        disks = cloudtower.VmDiskParams(
            mount_new_create_disks=[self.new_disk(f"{name}-1", 4.0 * GIB)]
        )
        params = cloudtower.VmCreationParams(
            cluster_id=self.cluster.id,
            name=name,
            ha=True,
            cpu_cores=1,
            cpu_sockets=1,
            memory=1.0 * GIB,
            firmware=cloudtower.VmFirmware.BIOS,
            status=cloudtower.VmStatus.STOPPED,
            vm_disks=disks,
            vm_nics=[cloudtower.VmNicParams(connect_vlan_id=self.vlan.id)],
            **values,
        )
        return self.vm(self.done(self.vms.create_vm([params])).id)

    def vm(self, identifier: str) -> Any:
        return self.vms.get_vms({"where": {"id": identifier}})[0]


async def run(function: Any, *arguments: Any) -> Any:
    return await anyio.to_thread.run_sync(function, *arguments)


async def test_create_edit_and_delete_a_vm(sim: Simulator) -> None:
    def scenario() -> tuple[Any, Any, list[Any]]:
        user = User(sim)
        vm = user.create("scenario", host_id="AUTO_SCHEDULE")
        edit = cloudtower.VmUpdateParams(
            where=cloudtower.VmWhereInput(id=vm.id),
            data=cloudtower.VmUpdateParamsData(name="edited", vcpu=2, memory=2.0 * GIB),
        )
        user.done(user.vms.update_vm(edit))
        edited = user.vm(vm.id)
        where = {"where": {"id": vm.id}}
        user.done(user.vms.start_vm(where))
        user.done(user.vms.delete_vm(where))  # while it runs
        return vm, edited, user.vms.get_vms(where)

    vm, edited, left = await run(scenario)
    assert (vm.status, vm.vcpu, vm.memory, vm.provisioned_size) == ("STOPPED", 1, GIB, 4 * GIB)
    assert (edited.name, edited.vcpu, edited.memory) == ("edited", 2, 2 * GIB)
    assert left == []


async def test_the_id_of_a_new_disk_serves_to_update_and_remove_it(sim: Simulator) -> None:
    def scenario() -> tuple[str, str, list[str]]:
        user = User(sim)
        vm = user.create("disks")
        first = vm.vm_disks[0].id
        where = cloudtower.VmWhereInput(id=vm.id)
        disks = cloudtower.VmDiskParams(mount_new_create_disks=[user.new_disk("more", 8e9)])
        add = cloudtower.VmAddDiskParams(
            where=where, data=cloudtower.VmAddDiskParamsData(vm_disks=disks)
        )
        shown = user.done(user.vms.add_vm_disk(add))
        [new] = [disk.id for disk in shown.vm_disks if disk.id != first]
        data = cloudtower.VmUpdateDiskParamsData(vm_disk_id=new, bus=cloudtower.Bus.SCSI)
        user.done(user.vms.update_vm_disk(cloudtower.VmUpdateDiskParams(where=where, data=data)))
        [disk] = user.vendor.ask("get-vm-disks", where={"id": new})
        data = cloudtower.VmRemoveDiskParamsData(disk_ids=[new])
        user.done(user.vms.remove_vm_disk(cloudtower.VmRemoveDiskParams(where=where, data=data)))
        return first, disk.bus, [disk.id for disk in user.vm(vm.id).vm_disks]

    first, bus, left = await run(scenario)
    assert (bus, left) == ("SCSI", [first])


async def test_a_nic_is_added_and_removed_and_the_others_keep_their_ids(sim: Simulator) -> None:
    def scenario() -> tuple[str, list[str], list[str]]:
        user = User(sim)
        vm = user.create("nics")
        first = vm.vm_nics[0].id
        where = {"id": vm.id}
        nic = {"connect_vlan_id": user.vlan.id}
        user.done(user.vms.add_vm_nic({"where": where, "data": {"vm_nics": [nic]}}))
        both = [nic.id for nic in user.vm(vm.id).vm_nics]
        user.done(user.vms.remove_vm_nic({"where": where, "data": {"nic_index": [1]}}))
        return first, both, [nic.id for nic in user.vm(vm.id).vm_nics]

    first, both, left = await run(scenario)
    assert (first in both, len(both), left) == (True, 2, [first])


async def test_a_stopped_vm_migrates_with_a_host_and_without_data(sim: Simulator) -> None:
    def scenario() -> tuple[list[str], str]:
        user = User(sim)
        vm = user.create("moves")
        hosts = user.vendor.ask("get-hosts", where={"cluster": {"id": user.cluster.id}})
        target = next(host.id for host in hosts if host.id != vm.host.id)
        where = cloudtower.VmWhereInput(id=vm.id)
        seen = [vm.host.id]
        for data in ({"host_id": target}, None):
            body = cloudtower.VmMigrateParams(where=where, data=data)
            user.done(user.vms.migrate_vm(body))
            seen.append(user.vm(vm.id).host.id)
        assert seen[1] == target
        return seen, user.vm(vm.id).status

    (first, second, third), status = await run(scenario)
    assert first != second != third
    assert status == "STOPPED"


async def test_a_snapshot_is_taken_rebuilt_rolled_back_and_deleted(sim: Simulator) -> None:
    def scenario() -> tuple[Any, Any, Any, list[Any]]:
        user = User(sim)
        api = user.vendor.api("vm_snapshot")
        vm = user.create("kept")
        data = [cloudtower.VmSnapshotCreationParamsData(vm_id=vm.id, name="before")]
        made = user.done(api.create_vm_snapshot(cloudtower.VmSnapshotCreationParams(data=data)))
        [snapshot] = api.get_vm_snapshots({"where": {"id": made.id}})
        rebuild = cloudtower.VmRebuildParams(rebuild_from_snapshot_id=made.id, name="again")
        again = user.vm(user.done(user.vms.rebuild_vm([rebuild])).id)
        where = {"id": vm.id}
        user.done(user.vms.update_vm({"where": where, "data": {"vcpu": 4}}))
        body = {"where": where, "data": {"snapshot_id": made.id}}
        user.done(user.vms.rollback_vm(body))
        user.done(api.delete_vm_snapshot({"where": {"id": made.id}}))
        left = api.get_vm_snapshots({"where": {"id": made.id}})
        return snapshot, again, user.vm(vm.id), left

    snapshot, again, rolled_back, left = await run(scenario)
    assert snapshot.consistent_type == "CRASH_CONSISTENT"
    assert [disk.size for disk in snapshot.vm_disks] == [4 * GIB]
    assert (again.name, again.provisioned_size) == ("again", 4 * GIB)
    assert (rolled_back.vcpu, left) == (1, [])


async def test_vms_are_created_from_a_template_and_their_disks_name_their_policy(
    sim: Simulator,
) -> None:
    def scenario() -> tuple[Any, Any, Any]:
        user = User(sim)
        api = user.vendor.api("vm_template")
        vm = user.create("golden")
        clone = cloudtower.VmTemplateCreationParams(
            vm_id=vm.id, name="template", cloud_init_supported=False, cluster_id=user.cluster.id
        )
        made = user.done(api.clone_vm_template_from_vm([clone]))
        [template] = api.get_vm_templates({"where": {"id": made.id}})
        params = cloudtower.VmCreateVmFromTemplateParams(
            template_id=made.id, name="of template", is_full_copy=False
        )
        of_it = user.vm(user.done(user.vms.create_vm_from_template([params])).id)
        [disk] = template.vm_disks
        policies = user.vendor.ask(
            "get-elf-storage-policies", where={"local_id": disk.storage_policy_uuid}
        )
        return template, of_it, policies

    template, vm, policies = await run(scenario)
    assert (template.size, [disk.size for disk in template.vm_disks]) == (4 * GIB, [4 * GIB])
    assert (vm.name, vm.provisioned_size, len(vm.vm_nics)) == ("of template", 4 * GIB, 1)
    assert [(one.replica_num, one.thin_provision) for one in policies] == [(2, True)]


async def test_iscsi_targets_and_luns_take_sizes_as_floats(sim: Simulator) -> None:
    def scenario() -> tuple[Any, Any, Any]:
        user = User(sim)
        targets, luns = user.vendor.api("iscsi_target"), user.vendor.api("iscsi_lun")
        snapshots = user.vendor.api("iscsi_lun_snapshot")
        params = {
            "cluster_id": user.cluster.id,
            "name": "floats",
            "thin_provision": True,
            "replica_num": 2.0,
            "stripe_num": 4.0,
            "stripe_size": 262144.0,
            "bps": 8e9,
        }
        made = user.done(targets.create_iscsi_target([params]))
        lun = cloudtower.IscsiLunCreationParams(
            iscsi_target_id=made.id, name="lun", assigned_size=8e9, replica_num=2
        )
        of_it = user.done(luns.create_iscsi_lun([lun]))
        taken = [{"iscsi_lun_id": of_it.id, "name": "taken", "iscsi_target_id": made.id}]
        snapshot = user.done(snapshots.create_iscsi_lun_snapshot(taken))
        clone = [{"snapshot_id": snapshot.id, "name": "clone", "iscsi_target_id": made.id}]
        copy = user.done(luns.clone_iscsi_lun_from_snapshot(clone))
        [target] = targets.get_iscsi_targets({"where": {"id": made.id}})
        one, other = (
            luns.get_iscsi_luns({"where": {"id": identifier}})[0]
            for identifier in (of_it.id, copy.id)
        )
        return target, one, other

    target, lun, copy = await run(scenario)
    assert (target.stripe_size, target.bps, target.replica_num) == (262_144, 8 * 10**9, 2)
    assert (lun.assigned_size, copy.assigned_size) == (8 * 10**9, 8 * 10**9)
    assert {type(one.assigned_size) for one in (lun, copy)} == {int}


async def test_a_taken_name_and_a_lock_are_api_exceptions(sim: Simulator) -> None:
    def scenario() -> list[tuple[int, str]]:
        user = User(sim)
        vm = user.create("twin")
        user.vms.start_vm({"where": {"id": vm.id}})
        found: list[tuple[int, str]] = []
        again = partial(user.create, "twin")
        gone = partial(user.vms.delete_vm, {"where": {"id": vm.id}})
        for call in (again, gone):
            with pytest.raises(cloudtower.ApiException) as caught:
                call()
            found.append((caught.value.status, caught.value.body))
        return found

    taken, locked = await run(scenario)
    assert (taken[0], '"code":"VM_DUPLICATE"' in taken[1]) == (400, True)
    assert (locked[0], '"path":"/delete-vm"' in locked[1]) == (400, True)
    assert "] locked" in locked[1]
