"""A simulator with a session for the tests of recipes; tasks end at the first poll."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from cloudtower_async.recipes import Progress

NOTHING_MATCHES = [(200, b"[]"), (304, b""), (404, None)]
"""Status and body with which servers may answer a mutation whose filter matches nothing."""


@asynccontextmanager
async def simulated(
    *,
    lock_timeout: float = 60.0,
    trace: aiohttp.TraceConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[tuple[Simulator, Cloudtower]]:
    """Serve a small fleet, and connect to it."""
    chosen: dict[str, Any] = {"clusters": 2, "vms": 12, "seed": 5, "task_duration": 0.0, **options}
    async with (
        Simulator(**chosen) as sim,
        Cloudtower(
            sim.url,
            username=sim.username,
            password=sim.password,
            lock_timeout=lock_timeout,
            trace_configs=[trace] if trace else [],
        ) as tower,
    ):
        yield sim, tower


def after_each(path: str, act: Callable[[int], None]) -> aiohttp.TraceConfig:
    """Call a function after each answer to an operation, with the number of answers so far."""
    times = 0

    async def ended(_: object, __: object, about: aiohttp.TraceRequestEndParams) -> None:
        nonlocal times
        if about.url.path.endswith(f"/{path}"):
            times += 1
            act(times)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    return trace


def steps(heard: list[Progress]) -> list[str]:
    """Return the reported steps without consecutive duplicates."""
    told = [one.step for one in heard]
    return [step for place, step in enumerate(told) if told[place - 1 : place] != [step]]
