"""Bounded concurrency: order, limit, errors and cancellation."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from cloudtower_async.concurrency import map_concurrently

pytestmark = pytest.mark.anyio


async def test_the_first_error_is_raised_unchanged_and_ends_the_others() -> None:
    ended: list[str] = []

    async def work(item: str) -> None:
        if item == "fails":
            raise LookupError(item)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(item)

    with pytest.raises(LookupError, match="fails"):
        await map_concurrently(work, ["a", "b", "fails"])
    assert sorted(ended) == ["a", "b"]


async def test_a_cancellation_is_not_lost_when_a_call_fails_at_the_same_moment() -> None:
    async def work(item: str) -> None:
        if item == "fails":
            raise LookupError(item)
        try:
            await anyio.sleep_forever()
        finally:
            running.cancel()  # while the others are being cancelled because one has failed

    for _ in range(20):  # anyio 4.14 and 4.15 lose about every third error
        running = asyncio.create_task(map_concurrently(work, ["waits", "fails"]))
        await asyncio.wait([running])
        assert running.cancelled()


async def test_results_are_in_order_and_concurrency_stays_within_the_limit() -> None:
    at_work: list[int] = []
    most: list[int] = []

    async def work(item: int) -> int:
        at_work.append(item)
        most.append(len(at_work))
        for _ in range(10 - item):
            await anyio.lowlevel.checkpoint()
        at_work.remove(item)
        return -item

    assert await map_concurrently(work, range(10), limit=3) == [-item for item in range(10)]
    assert max(most) == 3
