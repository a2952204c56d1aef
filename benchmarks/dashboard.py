"""`python -m benchmarks.dashboard`: time to build a dashboard, compared with its slowest request.

The server runs in a separate process and delays each request by the same time.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import aiohttp
import anyio

from .apart import Address, heard, serving, tell
from .figures import Figure, print_as_lines, spread

HELD = 0.2  # delay of each request in seconds
ROUNDS = 15
SIZE = "4 clusters, 200 VMs"


async def serve() -> None:
    """Serve until the input ends."""
    from cloudtower_async.testing import Simulator

    async with Simulator(SIZE, keep_requests=10) as sim:
        sim.faults.delay(HELD)
        tell(Address(sim.url, sim.username, sim.password))
        await heard()


class Stopwatch:
    """Stopwatch that records the duration of each request of a session."""

    def __init__(self) -> None:
        self.spent: list[float] = []
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_start.append(self._start)
        self.trace.on_request_end.append(self._end)

    async def _start(self, _session: object, context: Any, _params: object) -> None:  # noqa: ANN401
        context.began = time.perf_counter()

    async def _end(self, _session: object, context: Any, _params: object) -> None:  # noqa: ANN401
        self.spent.append(time.perf_counter() - context.began)


async def measure(address: Address) -> Figure:
    """Build several dashboards, and return the figure of their times.

    The time of each dashboard is divided by the time of its slowest request.
    """
    from cloudtower_async import Cloudtower
    from cloudtower_async.recipes import build_dashboard

    watch = Stopwatch()
    ratios: list[float] = []
    walls: list[float] = []
    async with Cloudtower(
        address.url,
        username=address.username,
        password=address.password,
        trace_configs=[watch.trace],
    ) as tower:
        await build_dashboard(tower)  # the first call loads modules and opens connections
        for _ in range(ROUNDS):
            watch.spent.clear()
            start = time.perf_counter()
            await build_dashboard(tower)
            walls.append(time.perf_counter() - start)
            ratios.append(walls[-1] / max(watch.spent))
    value, low, high = spread(ratios)
    return Figure(
        what="duration of a dashboard / duration of its slowest request",
        value=value,
        low=low,
        high=high,
        goal=1.10,
        note=f"{len(watch.spent)} requests in {spread(walls)[0] * 1e3:.0f} ms; the server waits "
        f"{HELD * 1e3:.0f} ms before each response",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    if parser.parse_args().serve:
        anyio.run(serve)
        return
    with serving("dashboard", "--serve") as address:
        print_as_lines([anyio.run(measure, address)])


if __name__ == "__main__":
    main()
