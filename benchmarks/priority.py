"""`python -m benchmarks.priority`: waiting time of calls while thousands of reads are queued.

The server runs in a separate process and takes the same time for each call. The wait of a mutation
is compared with the duration of one read in the same run. The longest wait of a read is compared
with the average wait of all reads.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from .apart import Address, heard, talking, tell
from .figures import Figure, print_as_lines

READS = 3_000
MUTATIONS = 5
SERVICE = 0.3  # seconds per call on the server; 3,000 reads then take about 9 s


async def serve(seconds: float) -> None:
    """Serve until the second line of input. After the first line, print when mutations started."""
    from aiohttp import web

    started: list[tuple[str, float]] = []

    async def handle(request: web.Request) -> web.Response:
        path = request.path.rpartition("/")[2]
        await request.read()
        if path == "shutdown-vm":
            started.append((path, time.monotonic()))
        await asyncio.sleep(seconds)
        return web.json_response([])

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    tell(Address(f"http://127.0.0.1:{runner.addresses[0][1]}", "", ""))
    await heard()
    tell(started)
    await heard()
    await runner.cleanup()


async def measure(url: str, reads: int) -> tuple[list[float], list[float], float]:
    """Make calls, and return their times in seconds.

    Returns:
        The time when each mutation was sent, the duration of each read while other reads were
        queued, and the duration of a read without other calls.
    """
    from cloudtower_async import Cloudtower

    async with Cloudtower(url, token="of-the-benchmark") as tower:  # noqa: S106 - no secret
        await tower.vm.get_vms()
        await tower.vm.shut_down_vm(where={"id": "warm-up"})
        began = time.monotonic()
        await tower.vm.get_vms()
        alone = time.monotonic() - began
        waits: list[float] = []

        async def read() -> None:
            start = time.monotonic()
            await tower.vm.get_vms(timeout=600)
            waits.append(time.monotonic() - start)

        sent: list[float] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(reads):
                group.create_task(read())
            await asyncio.sleep(alone * 2)  # by then, all reads are queued
            for _ in range(MUTATIONS):
                sent.append(time.monotonic())
                await tower.vm.shut_down_vm(where={"id": "v1"})
        return sent, waits, alone


def figures(reads: int, seconds: float) -> list[Figure]:
    """Run the measurement, and return the figures."""
    with talking("priority", "--serve", str(seconds), place=Address) as server:
        sent, waits, alone = asyncio.run(measure(server.place.url, reads))
        server.say()
        started = server.hear(list[tuple[str, float]])
    starts = [at for _, at in started[-MUTATIONS:]]
    delays = [at - when for at, when in zip(starts, sent, strict=True)]
    note = f"{reads:,} queued reads, each of which takes {seconds:g} s on the server"
    return [
        Figure(
            what="wait of a mutation behind queued reads / duration of one read",
            value=max(delays) / alone,
            goal=1.0,
            note=f"{note}; longest wait of {MUTATIONS} mutations: {max(delays) * 1000:.0f} ms",
        ),
        Figure(
            what="wait of queued reads: longest / average",
            value=max(waits) / statistics.mean(waits),
            goal=2.0,
            note=f"{note}; average wait for the response: {statistics.mean(waits):.1f} s",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=int, default=READS)
    parser.add_argument("--seconds", type=float, default=SERVICE)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(serve(given.serve))
        return
    print_as_lines(figures(given.reads, given.seconds))


if __name__ == "__main__":
    main()
