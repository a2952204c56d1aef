"""How many at a time, and how many a second."""

from __future__ import annotations

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from cloudtower_async.transport.rate_limit import Bucket, RateLimiter

pytestmark = pytest.mark.anyio


def test_a_bucket_gives_what_comes_in_and_holds_that_of_a_second() -> None:
    bucket = Bucket(4.0)
    now = 100.0
    at: list[float] = []
    for _ in range(8):
        now += bucket.wait(now)
        bucket.take(now)
        at.append(now - 100.0)
    assert at == pytest.approx([0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0])
    assert bucket.wait(now + 60) == 0


def test_a_bucket_of_less_than_one_a_second_holds_one() -> None:
    bucket = Bucket(0.1)
    assert bucket.wait(5.0) == 0
    bucket.take(5.0)
    assert bucket.wait(5.0) == pytest.approx(10.0)
    assert bucket.wait(12.0) == pytest.approx(3.0)


async def test_no_more_than_that_many_are_let_in_and_in_their_order() -> None:
    limits = RateLimiter(2, None)
    inside: list[int] = []
    order: list[int] = []
    release = anyio.Event()

    async def enter(number: int) -> None:
        await limits.enter()
        order.append(number)
        inside.append(number)
        await release.wait()
        assert len(inside) <= 2
        inside.remove(number)
        limits.leave()

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(enter, number)
        await wait_all_tasks_blocked()
        assert inside == [0, 1]
        release.set()
    assert order == list(range(6))


async def test_who_is_cancelled_while_it_waits_has_taken_nothing() -> None:
    limits = RateLimiter(1, 0.001)
    await limits.enter()  # takes the one that the bucket holds at first
    limits.leave()

    async with anyio.create_task_group() as group:
        for _ in range(3):  # one waits for its time, the others for a slot
            group.start_soon(limits.enter)
        await wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    slots = RateLimiter(1, None)
    assert slots.enter_at_once()
    assert not slots.enter_at_once()
    async with anyio.create_task_group() as group:
        group.start_soon(slots.enter)
        await wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    slots.leave()
    for one in (limits.slots, slots.slots):
        assert one.value == 1
        assert one.statistics().tasks_waiting == 0


async def test_the_rate_lets_through_one_after_the_other() -> None:
    limits = RateLimiter(10, 500.0)
    order: list[int] = []

    async def enter(number: int) -> None:
        assert not limits.enter_at_once()
        await limits.enter()
        order.append(number)
        limits.leave()

    async with anyio.create_task_group() as group:
        for number in range(520):  # twenty more than there are at first
            group.start_soon(enter, number)
    assert order == list(range(520))
