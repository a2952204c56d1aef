r"""Create a blank VM with a new disk, existing volumes and a CD-ROM image to install from.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/create_blank_vm.py web-9 NAME-OF-THE-CLUSTER rocky-9.iso \
        NAME-OF-THE-NETWORK [NAME-OF-A-VOLUME …]
"""

from __future__ import annotations

import asyncio
import sys

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.recipes import ExistingVolume, NewDisk, Nic, Progress, create_blank_vm


def show(news: Progress) -> None:
    print(f"{news.subject}: {news.step} {news.fraction:.0%}")


async def main(name: str, cluster: str, image: str, network: str, *volumes: str) -> None:
    async with Cloudtower.from_env() as tower:
        vm = await create_blank_vm(
            tower,
            name,
            cluster=cluster,
            vcpu=2,
            memory=4 * 2**30,
            disks=[NewDisk(size=20 * 2**30), *[ExistingVolume(volume=one) for one in volumes]],
            cd_roms=[image],
            nics=[Nic(vlan=network)],
            start=True,
            on_progress=show,
        )
    print(vm.name, vm.status, vm.id)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except CloudtowerError as error:
        sys.exit(str(error))
