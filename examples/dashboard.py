r"""Print the dashboard of a CloudTower or of some of its clusters as a few lines of text.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/dashboard.py [NAME-OF-A-CLUSTER …]
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.recipes import build_dashboard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloudtower_async.recipes import Dashboard


def text(board: Dashboard) -> str:
    """Return the dashboard as text."""
    count, storage = board.alerts.counts, board.storage
    lines = [
        f"alerts   {count.critical} critical, {count.notice} notices, {count.info} infos",
        *(f"         {alert.message}" for alert in board.alerts.critical),
        f"CPU      {board.cpu.usage} of {board.cpu.total}, {board.cpu.cores}",
        f"memory   {board.memory.usage} of {board.memory.total}",
        f"storage  {storage.usage} of {storage.total}, {storage.available} available",
    ]
    lines += [
        f"disks    {kind}: {disks.total}, {disks.warning} with warnings, {disks.error} faulty"
        for kind, disks in board.disks.items()
        if disks.total
    ]
    lines += [
        f"cluster  {cluster.name}: {cluster.connect_state}, {cluster.hosts} hosts, "
        f"{cluster.running_vms} of {cluster.vms} VMs run"
        for cluster in board.clusters
    ]
    return "\n".join(lines)


async def main(names: Sequence[str]) -> None:
    async with Cloudtower.from_env() as tower:
        clusters = [await tower.resolve(tower.cluster.get_clusters, name) for name in names]
        board = await build_dashboard(tower, [cluster.id for cluster in clusters] or None)
    print(text(board))


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except CloudtowerError as error:
        sys.exit(str(error))
