r"""Start, shut down or restart the VMs whose names start with a prefix.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/power_vms.py start web-
        python examples/power_vms.py stop web-      (powers off VMs still running after 2 minutes)
        python examples/power_vms.py restart web-   (one at a time)
"""

from __future__ import annotations

import asyncio
import sys

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.recipes import PowerOutcome, restart_vms, shut_down_vms, start_vms

ACTIONS = ("start", "stop", "restart")


async def switch(tower: Cloudtower, action: str, beginning: str) -> list[PowerOutcome]:
    if action == "start":
        return await start_vms(tower, {"name_starts_with": beginning})
    if action == "stop":
        return await shut_down_vms(tower, {"name_starts_with": beginning}, force_after=120)
    return await restart_vms(tower, {"name_starts_with": beginning}, limit=1)


async def main(action: str, beginning: str) -> int:
    """Run the action on the VMs, and return the number of VMs that failed."""
    async with Cloudtower.from_env() as tower:
        outcomes = await switch(tower, action, beginning)
    for outcome in outcomes:
        print(outcome.vm.name, outcome.result, outcome.error or outcome.vm.status)
    return sum(outcome.result == "failed" for outcome in outcomes)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ACTIONS:
        sys.exit(__doc__)
    try:
        sys.exit(1 if asyncio.run(main(*sys.argv[1:])) else 0)
    except CloudtowerError as error:
        sys.exit(str(error))
