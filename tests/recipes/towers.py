"""A simulator with a session, for the tests of recipes; tasks end as soon as they are looked at."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from cloudtower_async.recipes import Progress


@asynccontextmanager
async def simulated(
    *,
    lock_timeout: float = 60.0,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[tuple[Simulator, Cloudtower]]:
    """Serve a small fleet, and connect to it."""
    chosen: dict[str, Any] = {"clusters": 2, "vms": 12, "seed": 5, "task_duration": 0.0, **options}
    async with (
        Simulator(**chosen) as sim,
        Cloudtower(
            sim.url, username=sim.username, password=sim.password, lock_timeout=lock_timeout
        ) as tower,
    ):
        yield sim, tower


def steps(heard: list[Progress]) -> list[str]:
    """The steps that were told, without those that repeat the one before."""
    told = [one.step for one in heard]
    return [step for place, step in enumerate(told) if told[place - 1 : place] != [step]]
