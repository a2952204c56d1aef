r"""Replace VMs: create and label new VMs, update the VMs that stay, and delete the old VMs.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/replace_vms.py NAME-OF-THE-CLUSTER web 3

The program creates the VMs web-new-1 to web-new-3 and deletes VMs whose names start with web-old-.
With CLOUDTOWER_MUTATIONS=plan, the program changes nothing and prints the planned changes.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from cloudtower_async import Cloudtower, CloudtowerError

if TYPE_CHECKING:
    from cloudtower_async.inputs import VmCreationParams, VmWhereInput


def new_vm(name: str, cluster_id: str) -> VmCreationParams:
    return {
        "name": name,
        "cluster_id": cluster_id,
        "cpu_cores": 1,
        "cpu_sockets": 2,
        "vcpu": 2,
        "memory": 4 * 2**30,
        "firmware": "BIOS",
        "ha": True,
        "status": "STOPPED",
        "vm_disks": {},
        "vm_nics": [],
    }


async def replace(tower: Cloudtower, cluster_name: str, prefix: str, number: int) -> None:
    cluster = await tower.resolve(tower.cluster.get_clusters, cluster_name)
    names = [f"{prefix}-new-{place}" for place in range(1, number + 1)]
    new = await tower.settle(tower.vm.create_vm([new_vm(name, cluster.id) for name in names]))
    ids = [vm.id for vm in new]
    [label] = await tower.settle(tower.label.create_label([{"key": "group", "value": prefix}]))
    await tower.wait(
        tower.label.add_labels_to_resources(where={"id": label.id}, data={"vms": {"id_in": ids}})
    )
    here: VmWhereInput = {"cluster": {"id": cluster.id}}
    old: VmWhereInput = {**here, "name_starts_with": f"{prefix}-old-"}
    stay: VmWhereInput = {**here, "name_starts_with": f"{prefix}-stay-"}
    await tower.settle(tower.vm.update_vm(where=stay, data={"description": "one of the new group"}))
    await tower.settle(tower.vm.start_vm(where={"id_in": ids}))
    await tower.settle(tower.vm.poweroff_vm(where={**old, "status_not": "STOPPED"}))
    await tower.settle(tower.vm.delete_vm(where=old))


async def main(cluster_name: str, prefix: str, number: str) -> None:
    async with Cloudtower.from_env() as tower:
        await replace(tower, cluster_name, prefix, int(number))
        if tower.mutations == "plan":
            print(tower.plan)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except CloudtowerError as error:
        sys.exit(str(error))
