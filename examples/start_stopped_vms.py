r"""Start all stopped VMs of a cluster, wait for the tasks, and print the running VMs.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/start_stopped_vms.py NAME-OF-THE-CLUSTER
"""

from __future__ import annotations

import asyncio
import sys

from cloudtower_async import Cloudtower, CloudtowerError, TaskFailed, TasksFailed


async def start_stopped_vms(tower: Cloudtower, cluster: str) -> list[str]:
    """Start all stopped VMs of a cluster, and return the names of those that are now running."""
    stopped = await tower.vm.get_vms(where={"status": "STOPPED", "cluster": {"name": cluster}})
    if not stopped:
        return []
    ids = [vm.id for vm in stopped]
    started = await tower.vm.start_vm(where={"id_in": ids})
    try:
        await tower.wait(started)
    except (TaskFailed, TasksFailed) as error:  # the other VMs were started nevertheless
        print(error, file=sys.stderr)
    running = await tower.vm.get_vms(where={"id_in": ids, "status": "RUNNING"}, order_by="name_ASC")
    return [vm.name for vm in running]


async def main(cluster: str) -> None:
    async with Cloudtower.from_env() as tower:
        names = await start_stopped_vms(tower, cluster)
    print(f"{len(names)} started", *names, sep="\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        asyncio.run(main(sys.argv[1]))
    except CloudtowerError as error:
        sys.exit(str(error))
