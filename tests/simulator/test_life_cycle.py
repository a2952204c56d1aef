"""The life of a VM from its creation to its deletion, with our own client."""

from __future__ import annotations

import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.errors import ResourceLocked
from cloudtower_async.testing import Clock, Simulator

pytestmark = pytest.mark.anyio


async def test_a_vm_lives_and_dies() -> None:
    clock = Clock(running=False, per_request=1.0)
    async with (
        Simulator(clock=clock, task_duration=2.5) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        cluster = (await tower.cluster.get_clusters(first=1))[0]
        vlan = (await tower.vlan.get_vlans(where={"vds": {"cluster": {"id": cluster.id}}}))[0]
        made = await tower.vm.create_vm(
            [
                {
                    "cluster_id": cluster.id,
                    "name": "web",
                    "ha": True,
                    "cpu_cores": 2,
                    "cpu_sockets": 1,
                    "memory": 2,
                    "memory_unit": "GB",
                    "firmware": "UEFI",
                    "status": "RUNNING",
                    "vm_disks": {"mount_cd_roms": [{"boot": 1}]},
                    "vm_nics": [{"connect_vlan_id": vlan.id}],
                }
            ]
        )
        assert made[0].data.entity_async_status == "CREATING"
        assert made[0].data.local_id.startswith("placeholder-")
        with pytest.raises(ResourceLocked):
            await tower.with_options(lock_timeout=0).vm.delete_vm(where={"id": made[0].data.id})
        await tower.wait(made, interval=0.001)
        vm = (await tower.vm.get_vms(where={"name": "web"}))[0]
        assert (vm.status, vm.entity_async_status) == ("RUNNING", None)
        assert vm.host is not None
        await tower.wait(await tower.vm.migrate_vm(where={"id": vm.id}), interval=0.001)
        moved = (await tower.vm.get_vms(where={"id": vm.id}))[0]
        assert moved.host is not None
        assert moved.host.id != vm.host.id
        for step in (tower.vm.poweroff_vm, tower.vm.move_vm_to_recycle_bin, tower.vm.delete_vm):
            await tower.wait(await step(where={"id": vm.id}), interval=0.001)
        assert await tower.vm.get_vms(where={"id": vm.id}) == []
