r"""Create a VM from a template, add a data disk, a NIC and cloud-init, and start the VM.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/create_vm.py web-9 rocky-9 NAME-OF-THE-CLUSTER NAME-OF-THE-NETWORK
"""

from __future__ import annotations

import asyncio
import sys

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.recipes import NewDisk, Nic, Progress, create_vm_from_template


def show(news: Progress) -> None:
    print(f"{news.subject}: {news.step} {news.fraction:.0%}")


async def main(name: str, template: str, cluster: str, network: str) -> None:
    async with Cloudtower.from_env() as tower:
        vm = await create_vm_from_template(
            tower,
            name,
            template=template,
            cluster=cluster,
            new_disks=[NewDisk(size=20 * 2**30)],
            nics=[Nic(vlan=network)],
            cloud_init={"hostname": name, "networks": [{"type": "IPV4_DHCP", "nic_index": 0}]},
            start=True,
            on_progress=show,
        )
    print(vm.name, vm.status, vm.id)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except CloudtowerError as error:
        sys.exit(str(error))
