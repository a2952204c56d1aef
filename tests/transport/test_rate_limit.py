"""Limits of concurrent requests and of requests per second, and the queue for them."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import anyio
import pytest
from anyio import wait_all_tasks_blocked
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudtower_async.transport.rate_limit import Bucket, RateLimiter, reserved_slots
from cloudtower_async.types import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Calls: TypeAlias = "list[tuple[str, RateLimiter, Priority]]"

pytestmark = pytest.mark.anyio

SHARE = 8
"""Number of calls that may overtake a call of lower priority."""


def test_a_bucket_holds_the_tokens_of_one_second() -> None:
    bucket = Bucket(4.0)
    now = 100.0
    at: list[float] = []
    for _ in range(8):
        now += bucket.wait(now)
        bucket.take(now)
        at.append(now - 100.0)
    assert at == pytest.approx([0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0])
    assert bucket.wait(now + 60) == 0


def test_a_bucket_below_one_token_per_second_holds_one() -> None:
    bucket = Bucket(0.1)
    assert bucket.wait(5.0) == 0
    bucket.take(5.0)
    assert bucket.wait(5.0) == pytest.approx(10.0)
    assert bucket.wait(12.0) == pytest.approx(3.0)


async def test_calls_enter_in_order_and_stay_within_the_limit() -> None:
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


@pytest.mark.parametrize(
    ("in_flight", "reserved"), [(1, 0), (9, 0), (10, 1), (39, 1), (40, 2), (100, 5)]
)
def test_a_twentieth_of_the_slots_is_reserved_unless_there_are_few(
    in_flight: int, reserved: int
) -> None:
    assert reserved_slots(in_flight) == reserved


async def test_reserved_slots_are_for_high_priority_only() -> None:
    limits = RateLimiter(3, None, reserved=1)
    assert [limits.enter_at_once() for _ in range(3)] == [True, True, False]
    async with anyio.create_task_group() as group:
        group.start_soon(limits.enter, "normal")
        await wait_all_tasks_blocked()
        await limits.enter("high")
        assert (limits.free, limits.queued) == (0, 1)
        limits.leave()
        await wait_all_tasks_blocked()
        assert (limits.free, limits.queued) == (1, 1)
        limits.leave()
    assert (limits.free, limits.queued) == (1, 0)


async def let_in(limits: RateLimiter, waiting: Calls) -> str:
    """Queue calls in this order, and return the order in which the limiter admits them."""
    order: list[str] = []

    async def call(name: str, of: RateLimiter, priority: Priority) -> None:
        await of.enter(priority)
        order.append(name)
        of.leave()

    assert limits.enter_at_once()
    async with anyio.create_task_group() as group:
        for one in waiting:
            group.start_soon(call, *one)
        await wait_all_tasks_blocked()
        assert limits.queued == len(waiting)
        limits.leave()
    return " ".join(order)


async def test_calls_enter_by_priority_and_then_in_their_order() -> None:
    one = RateLimiter(1, None)
    part = RateLimiter(1, None, within=one)
    calls: Calls = [
        ("l1", one, "low"),
        ("n1", part, "normal"),
        ("l2", part, "low"),
        ("h1", one, "high"),
        ("n2", one, "normal"),
        ("h2", part, "high"),
        ("n3", part, "normal"),
        ("h3", one, "high"),
    ]
    assert await let_in(one, calls) == "h1 h2 h3 n1 n2 n3 l1 l2"


async def test_a_call_is_overtaken_by_a_limited_number_of_others() -> None:
    one = RateLimiter(1, None)
    kinds: list[Priority] = ["low", "normal", "high"]
    calls: Calls = [(kind[0], one, kind) for kind in kinds for _ in range(20)]
    order = (await let_in(one, calls)).split()
    assert order[: SHARE + 2] == [*"h" * SHARE, "l", "n"]
    for kind in "ln":
        places = [place for place, each in enumerate(order) if each == kind]
        gaps = [after - before for before, after in itertools.pairwise(places[:3])]
        assert max(gaps) <= SHARE + 2
    assert sorted(order) == sorted("hln" * 20)


async def test_calls_that_are_always_overtaken_get_reserved_slots_in_the_end() -> None:
    limits = RateLimiter(10, None, reserved=5)
    for _ in range(8):
        await limits.enter("high")  # enough to leave only reserved slots free
    async with anyio.create_task_group() as group:
        group.start_soon(limits.enter, "low")
        await wait_all_tasks_blocked()
        for number in range(SHARE):
            assert limits.queued == 1, number
            await limits.enter("high")
            limits.leave()
            await wait_all_tasks_blocked()
        assert limits.queued == 0
    assert limits.free == 1


async def test_a_cancelled_waiter_has_taken_nothing() -> None:
    limits = RateLimiter(1, 0.001)
    await limits.enter()  # takes the initial token of the bucket
    limits.leave()

    async with anyio.create_task_group() as group:
        for _ in range(3):
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
    for one in (limits, slots):
        assert (one.free, one.queued) == (1, 0)


async def test_a_call_that_is_cancelled_when_it_has_just_been_let_in_passes_its_slot_on() -> None:
    limits = RateLimiter(1, None)
    assert limits.enter_at_once()
    first = asyncio.ensure_future(limits.enter("high"))
    second = asyncio.ensure_future(limits.enter())
    await wait_all_tasks_blocked()
    limits.leave()
    first.cancel()
    await second
    assert (limits.free, limits.queued) == (0, 0)
    assert first.cancelled()


class LoopWithoutWaiting(asyncio.SelectorEventLoop):
    """Event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]
        if not ready and scheduled:
            self.now = max(self.now, scheduled[0].when())  # pyright: ignore
        super()._run_once()  # type: ignore[misc]


def run_jumping(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=LoopWithoutWaiting) as runner:
        runner.run(work())


async def starts(calls: Calls) -> list[tuple[str, float]]:
    """Let calls enter and leave, and return the seconds until each call entered."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    entered: list[tuple[str, float]] = []

    async def call(name: str, of: RateLimiter, priority: Priority) -> None:
        assert not of.enter_at_once()
        await of.enter(priority)
        entered.append((name, round(loop.time() - began, 3)))
        of.leave()

    async with asyncio.TaskGroup() as group:
        for one in calls:
            group.create_task(call(*one))
    return entered


def test_calls_wait_for_a_token_by_priority_and_keep_no_slot_meanwhile() -> None:
    async def work() -> None:
        limits = RateLimiter(10, 2.0)
        kinds: list[Priority] = ["low", "low", "normal", "normal", "normal", "high", "high"]
        entered = await starts([(kind[0], limits, kind) for kind in kinds])
        # The first two find tokens before the others arrive.
        assert entered == [
            ("l", 0.0),
            ("l", 0.0),
            ("h", 0.5),
            ("h", 1.0),
            ("n", 1.5),
            ("n", 2.0),
            ("n", 2.5),
        ]
        assert (limits.free, limits.queued) == (10, 0)

    run_jumping(work)


def test_the_rates_of_a_part_and_of_the_session_both_apply_when_a_request_starts() -> None:
    async def work() -> None:
        session = RateLimiter(10, 4.0)
        part = RateLimiter(None, 1.0, within=session)
        calls: Calls = [("p", part, "normal") for _ in range(4)]
        calls.extend(("s", session, "normal") for _ in range(9))
        entered = await starts(calls)
        of_part = [when for name, when in entered if name == "p"]
        assert of_part == [0.0, 1.0, 2.0, 3.0]
        every = [when for _, when in entered]
        for second in range(3):
            assert len([when for when in every if second < when <= second + 1]) <= 4
        assert max(every) == 3.0
        assert (session.free, session.queued, part.free) == (10, 0, math.inf)

    run_jumping(work)


PRIORITIES: tuple[Priority, ...] = get_args(Priority)
NUMBERS = st.integers(0, 11)
ENTER = st.tuples(st.just("enter"), st.sampled_from(PRIORITIES), st.integers(0, 2))
ALONE, TOGETHER = ["leave", "cancel"], ["leave, then cancel", "leave and cancel"]


def actions(*names: str) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    other = st.tuples(st.sampled_from(names), NUMBERS)
    return st.lists(st.one_of(ENTER, ENTER, other), min_size=15, max_size=50)


class Model:
    """Calls that enter, leave and are cancelled, with the invariants of the limits.

    Args:
        in_flight: Slots of the session.
        reserved: Number of these slots that are reserved.
        of_part: Slots of a limiter within the session. A third limiter within this limiter has one
            slot.
    """

    def __init__(self, in_flight: int, reserved: int, of_part: int) -> None:
        self.session = RateLimiter(in_flight, None, reserved=reserved)
        part = RateLimiter(of_part, None, within=self.session)
        self.limiters = [self.session, part, RateLimiter(1, None, within=part)]
        self.slots = [in_flight, of_part, 1]
        self.reserved = reserved
        self.waiting: dict[asyncio.Task[None], tuple[Priority, int]] = {}
        self.running: dict[asyncio.Task[None], tuple[Priority, int]] = {}
        self.leaving: dict[asyncio.Task[None], asyncio.Event] = {}
        self.overtaken = dict.fromkeys(PRIORITIES, 0)
        self.order: list[asyncio.Task[None]] = []
        self.exact = True  # one event at a time, so that the next call is determined

    def used(self, depth: int) -> int:
        return sum(of >= depth for _, of in self.running.values())

    def has_room(self, of: int, *, reserved: int) -> bool:
        taken = [self.slots[depth] - self.used(depth) for depth in range(of + 1)]
        return taken[0] > reserved and min(taken) > 0

    def may_enter(self, priority: Priority, of: int) -> bool:
        high = priority == "high" or self.is_due(priority)
        return self.has_room(of, reserved=0 if high else self.reserved)

    def is_due(self, priority: Priority) -> bool:
        return not self.exact or self.overtaken[priority] >= SHARE

    def has_entered(self, task: asyncio.Task[None], *, at_once: bool) -> None:
        """Check that the call that just entered was the next call in the queue."""
        priority, of = self.waiting.pop(task)
        assert self.may_enter(priority, of)
        rank = PRIORITIES.index(priority)
        for other, its in self.waiting.values():
            if not self.has_room(its, reserved=0 if other == "high" else self.reserved):
                continue
            if PRIORITIES.index(other) < rank:  # it was overtaken often enough to be the next one
                assert self.is_due(priority)
        earlier = [
            one
            for one in itertools.takewhile(lambda one: one is not task, self.order)
            if one in self.waiting and self.waiting[one][0] == priority
            if self.has_room(self.waiting[one][1], reserved=0 if rank == 0 else self.reserved)
        ]
        assert not earlier or not self.exact
        self.running[task] = (priority, of)
        assert self.used(0) <= self.slots[0]
        if at_once:
            return
        self.overtaken[priority] = 0
        for lower in PRIORITIES[rank + 1 :]:
            if any(other == lower for other, _ in self.waiting.values()):
                self.overtaken[lower] += 1

    async def call(self, priority: Priority, of: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        limiter = self.limiters[of]
        at_once = limiter.enter_at_once()
        if not at_once:
            await limiter.enter(priority)
        self.has_entered(task, at_once=at_once)
        try:
            await self.leaving[task].wait()
        finally:
            del self.running[task]
            limiter.leave()

    async def act(self, action: tuple[Any, ...]) -> None:
        name = action[0]
        self.exact &= name not in TOGETHER
        if name == "enter":
            task = asyncio.ensure_future(self.call(*action[1:]))
            self.waiting[task] = action[1:]
            self.order.append(task)
            self.leaving[task] = asyncio.Event()
        if "leave" in name and self.running:
            self.leaving[[*self.running][action[1] % len(self.running)]].set()
        if name == "leave, then cancel":
            await asyncio.sleep(0)  # the next call may just have been determined
        if "cancel" in name and (every := [*self.waiting, *self.running]):
            number: int = action[1]
            task = every[number % len(every)]
            task.cancel()
            self.waiting.pop(task, None)
        for _ in range(8):  # a call leaves, another one enters
            await asyncio.sleep(0)
        self.check()

    def check(self) -> None:
        """Check that all waiting calls must wait, and that the counts are right."""
        for depth, limiter in enumerate(self.limiters):
            assert limiter.free == self.slots[depth] - self.used(depth)
        assert self.session.queued == len(self.waiting)
        for priority, of in self.waiting.values():
            reserved = 0 if priority == "high" else self.reserved
            assert not self.has_room(of, reserved=reserved)

    async def run(self, actions: list[tuple[Any, ...]]) -> None:
        for action in actions:
            await self.act(action)
        while self.running or self.waiting:
            assert self.running, "somebody waits for nothing"
            await self.act(("leave", 0))
        assert [limiter.free for limiter in self.limiters] == self.slots
        results = await asyncio.gather(*self.order, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}


@settings(max_examples=120, deadline=None)
@given(
    actions=st.one_of(actions(*ALONE), actions(*ALONE, *TOGETHER)),
    in_flight=st.integers(1, 4),
    reserved=st.integers(0, 2),
    of_part=st.integers(1, 4),
)
def test_limits_order_and_reserved_slots_always_hold(
    actions: list[tuple[Any, ...]], in_flight: int, reserved: int, of_part: int
) -> None:
    model = Model(in_flight, min(reserved, in_flight - 1), of_part)
    anyio.run(model.run, actions)
