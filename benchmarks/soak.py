"""`python -m benchmarks.soak`: memory growth over many minutes.

Reads, mutations, waits and cancelled calls run without a pause against a simulator, which runs in a
separate process and injects faults. The growth is the slope of a line that is fitted to the memory.
The first fifth of the time is ignored.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from pathlib import Path

import anyio
import anyio.to_thread

from cloudtower_async import Cloudtower, CloudtowerError, RetryPolicy

from .apart import Address, heard, serving, tell
from .figures import Figure, print_as_lines

MINUTES = 10.0
SAMPLES = 200
SIZE = "2 clusters, 200 VMs"


async def serve(minutes: float) -> None:
    """Serve with a few random faults until the input ends."""
    from cloudtower_async.simulator.faults import Fault
    from cloudtower_async.testing import Simulator

    faults = (
        Fault(kind="reset"),
        Fault(kind="truncate", executed=True),
        Fault(kind="answer", status=503),
        Fault(kind="answer", status=401),
    )
    async with Simulator(SIZE, task_duration=0.05, keep_requests=100) as sim:
        sim.faults.at_random(0.02, faults, seed=1)
        tell(Address(sim.url, sim.username, sim.password))
        await heard(minutes * 60 + 120)


async def round_of_work(tower: Cloudtower) -> int:
    """Make various concurrent calls, and return how many of them failed despite retries."""
    failed = 0

    async def read() -> None:
        async for _ in tower.iterate(tower.vm.get_vms, page_size=50):
            pass
        await tower.alert.get_alerts(content_language="zh-CN")
        await tower.request("get-clusters", {"first": 1})

    async def change() -> None:
        vms = await tower.vm.get_vms(where={"status": "RUNNING"}, first=3)
        ids = [vm.id for vm in vms]
        await tower.wait(await tower.vm.restart_vm(where={"id_in": ids}), interval=0.1)

    async def give_up() -> None:
        with anyio.move_on_after(0.002):
            await tower.host.get_hosts()

    async def attempt(number: int) -> None:
        nonlocal failed
        try:
            await (read, read, change, give_up)[number % 4]()
        except* CloudtowerError:
            failed += 1

    async with anyio.create_task_group() as group:
        for number in range(16):
            group.start_soon(attempt, number)
    return failed


def memory() -> float:
    """Return the resident memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


async def soak(minutes: float) -> Figure:
    """Run the load, sample the memory, and return the figure of its growth."""
    samples: list[tuple[float, float]] = []
    rounds = failed = 0
    with serving("soak", "--serve", "--minutes", str(minutes)) as address:
        async with Cloudtower(
            address.url,
            username=address.username,
            password=address.password,
            retry=RetryPolicy(backoff=0.01),
        ) as tower:
            start = time.monotonic()
            while (passed := time.monotonic() - start) < minutes * 60:
                failed += await round_of_work(tower)
                rounds += 1
                if passed >= len(samples) * minutes * 60 / SAMPLES:
                    gc.collect()
                    samples.append((passed / 3600, await anyio.to_thread.run_sync(memory)))
    settled = samples[len(samples) // 5 :]
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope
    first, last = settled[0][1], settled[-1][1]
    return Figure(
        what=f"growth of memory over {minutes:g} minutes",
        value=slope,
        unit="MB/h",
        note=f"{first:.1f} MB, at the end {last:.1f} MB; {rounds:,} rounds, {failed} failed calls",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        anyio.run(serve, options.minutes)
    else:
        print_as_lines([anyio.run(soak, options.minutes)])


if __name__ == "__main__":
    main()
