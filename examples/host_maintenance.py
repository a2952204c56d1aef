r"""Put a host into maintenance mode, or take it out of maintenance mode.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/host_maintenance.py enter node-3           (moves its VMs away)
        python examples/host_maintenance.py enter node-3 --stop    (stops VMs that cannot move)
        python examples/host_maintenance.py leave node-3           (moves its VMs back)
"""

from __future__ import annotations

import asyncio
import sys

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.recipes import Progress, enter_maintenance, leave_maintenance


def show(news: Progress) -> None:
    print(f"{news.subject}: {news.step} {news.fraction:.0%}")


async def main(action: str, host: str, *, stop: bool) -> None:
    async with Cloudtower.from_env() as tower:
        if action == "enter":
            entered = await enter_maintenance(tower, host, stop_vms=stop, on_progress=show)
            print("moved:", *[vm.name for vm in entered.moved])
            print("stopped:", *[vm.name for vm in entered.stopped])
        else:
            left = await leave_maintenance(tower, host, on_progress=show)
            print("back:", *[vm.name for vm in left.back])
            print("started:", *[vm.name for vm in left.started])
            if left.not_back:
                print("not back:", *[vm.name for vm in left.not_back])


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in {"enter", "leave"}:
        sys.exit(__doc__)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], stop="--stop" in sys.argv[3:]))
    except CloudtowerError as error:
        sys.exit(str(error))
