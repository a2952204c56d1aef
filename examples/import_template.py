r"""Create a template of the content library from an OVF file and its disk images.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/import_template.py rocky-9 NAME-OF-THE-CLUSTER rocky.ovf rocky-disk1.vmdk …
"""

from __future__ import annotations

import asyncio
import sys

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.recipes import Progress, import_template


def show(news: Progress) -> None:
    print(f"{news.subject}: {news.step} {news.fraction:.0%}")


async def main(name: str, cluster: str, ovf: str, *disks: str) -> None:
    async with Cloudtower.from_env() as tower:
        template = await import_template(
            tower, name, ovf=ovf, disks=disks, cluster=cluster, on_progress=show
        )
    print(template.name, template.id)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except CloudtowerError as error:
        sys.exit(str(error))
