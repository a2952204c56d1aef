"""`python -m benchmarks.subscribers`: memory and polls of 1,000 subscribers of a view.

The memory includes the task that waits for the next state. It does not include the state, which all
subscribers share.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator

from .figures import Figure, print_as_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloudtower_async import Subscription
    from cloudtower_async.models import Vm

SUBSCRIBERS, VMS, STATES = 1_000, 200, 5
INTERVAL = 0.2


async def measure() -> list[Figure]:
    """Let 1,000 tasks subscribe, change a VM several times, and return the figures."""
    received, each, polls, intervals = 0, 0.0, 0.0, 1.0

    async def follow(states: Subscription[Mapping[str, Vm]]) -> None:
        nonlocal received
        async with states:
            async for _ in states:
                received += 1

    async with (
        Simulator(clusters=1, vms=VMS) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
        anyio.create_task_group() as group,
        tower.watch(tower.vm.get_vms, INTERVAL) as view,
    ):
        listing = len(sim.sent("get-vms"))  # number of requests for one listing of all VMs
        group.start_soon(follow, view.subscribe())  # the leader sends its own request
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(SUBSCRIBERS):
            group.start_soon(follow, view.subscribe())
        while received <= SUBSCRIBERS:
            await anyio.lowlevel.checkpoint()
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / SUBSCRIBERS
        tracemalloc.stop()
        before = len(sim.sent("get-vms"))
        began = anyio.current_time()
        vm_id = min(sim.store.table("Vm"))
        for number in range(STATES):
            sim.store.change("Vm", vm_id, description=str(number))
            goal = (SUBSCRIBERS + 1) * (number + 2)
            while received < goal:  # noqa: ASYNC110 - many tasks count
                await anyio.sleep(INTERVAL / 20)
        intervals = (anyio.current_time() - began) / INTERVAL
        polls = (len(sim.sent("get-vms")) - before) / listing
        group.cancel_scope.cancel()
    return [
        Figure(
            what="memory per subscriber of a view, including its asyncio task",
            value=each,
            unit="bytes",
            note=f"{SUBSCRIBERS:,} subscribers of a view of {VMS} VMs",
        ),
        Figure(
            what=f"polls per interval for a view with {SUBSCRIBERS:,} subscribers",
            value=polls / intervals,
            goal=1.05,
            note=f"{polls:.0f} polls in {intervals:.1f} intervals; the subscribers received "
            f"{received:,} states of the view",
        ),
    ]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print_as_lines(anyio.run(measure))


if __name__ == "__main__":
    main()
