"""A dozen simulated CloudTowers, of which one is slow and one is down."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_HOW_MANY = 12
_SLOW = 4.0  # seconds per request


@asynccontextmanager
async def simulated() -> AsyncGenerator[dict[str, Cloudtower]]:
    """Run the simulators during a ``with`` block, and yield sessions with them by name."""
    async with AsyncExitStack() as stack:
        towers: dict[str, Cloudtower] = {}
        for number in range(1, _HOW_MANY + 1):
            sim = Simulator(clusters=1, hosts_per_cluster=3, vms=5 * number, seed=number)
            await stack.enter_async_context(sim)
            towers[f"site-{number:02}"] = Cloudtower(
                sim.url, username=sim.username, password=sim.password
            )
            if number == _HOW_MANY - 1:
                sim.faults.delay(_SLOW)
            elif number == _HOW_MANY:
                await sim.nodes[0].refuse()
        yield towers
