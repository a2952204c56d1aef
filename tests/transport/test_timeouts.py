"""Time limits of calls, and the source of a cancellation, without a server."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async.transport.timeouts import SessionScope, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Test = Callable[["Loop"], Awaitable[None]]


class Loop(asyncio.SelectorEventLoop):
    """An event loop with a clock that only moves when it is set."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    async def set_clock(self, now: float) -> None:
        """Set the clock, and run all timers that are due."""
        self.now = now
        for _ in range(4):  # a timer runs, cancels a task, the task ends, its waiter resumes
            await asyncio.sleep(0)


def run(test: Test) -> None:
    """Run a test in a `Loop`."""
    loop = Loop()

    async def main() -> None:
        await test(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


async def wait(scope: SessionScope, deadline: float) -> str:
    """Wait until the deadline, as a call without an answer does."""
    try:
        with TimeLimit(scope, deadline):
            await asyncio.Event().wait()
    except TimeoutError:
        return "over time"
    return "never"


@given(times=st.lists(st.integers(1, 50), max_size=12), steps=st.lists(st.integers(1, 20)))
def test_each_wait_ends_at_its_deadline_in_any_order(times: list[int], steps: list[int]) -> None:
    async def test(loop: Loop) -> None:
        scope, start = SessionScope(), loop.now
        tasks = [asyncio.create_task(wait(scope, start + time)) for time in times]
        await loop.set_clock(start)
        for now in [*accumulate_from(start, steps), start + 50]:
            await loop.set_clock(now)
            assert [task.done() for task in tasks] == [start + time <= now for time in times]
        assert await asyncio.gather(*tasks) == ["over time"] * len(times)

    run(test)


def accumulate_from(start: float, steps: list[int]) -> list[float]:
    """Return the time after each step. Times from `start` + 50 on are omitted."""
    return [start + sum(steps[: n + 1]) for n in range(len(steps)) if sum(steps[: n + 1]) < 50]


def test_a_shorter_time_counts_though_it_came_later() -> None:
    async def test(loop: Loop) -> None:
        scope = SessionScope()
        long = asyncio.create_task(wait(scope, loop.now + 300))
        await loop.set_clock(loop.now)
        short = asyncio.create_task(wait(scope, loop.now + 1))
        await loop.set_clock(loop.now)
        await loop.set_clock(loop.now + 1)
        assert short.done()
        assert not long.done()
        await loop.set_clock(loop.now + 299)
        assert await long == "over time"

    run(test)


def test_a_time_that_is_over_already_ends_it() -> None:
    async def test(loop: Loop) -> None:
        assert await wait(SessionScope(), loop.now - 1) == "over time"

    run(test)


def test_calls_that_end_in_time_are_not_cancelled() -> None:
    async def test(loop: Loop) -> None:
        scope = SessionScope()
        with TimeLimit(scope, loop.now + 1):
            await asyncio.sleep(0)
        await loop.set_clock(loop.now + 2)  # nothing is raised here
        with TimeLimit(scope, loop.now + 1):
            await asyncio.sleep(0)

    run(test)


def test_an_additional_cancellation_stays_in_effect() -> None:
    async def test(loop: Loop) -> None:
        scope = SessionScope()
        task = asyncio.create_task(wait(scope, loop.now + 1))
        await loop.set_clock(loop.now)
        loop.call_at(loop.now + 1, task.cancel)  # at the same moment
        await loop.set_clock(loop.now + 1)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)


def test_an_error_of_the_call_is_raised_although_its_time_is_over() -> None:
    async def fail(scope: SessionScope, deadline: float) -> None:
        with TimeLimit(scope, deadline):
            try:
                await asyncio.Event().wait()
            finally:
                raise LookupError

    async def test(loop: Loop) -> None:
        task = asyncio.create_task(fail(SessionScope(), loop.now + 1))
        await loop.set_clock(loop.now)
        await loop.set_clock(loop.now + 1)
        with pytest.raises(LookupError):
            await task
        assert task.cancelling() == 0  # as without a cancellation

    run(test)


def test_limits_may_be_inside_of_others() -> None:
    async def nested(scope: SessionScope, now: float) -> str:
        try:
            with TimeLimit(scope, now + 1):
                return await wait(scope, now + 2)
        except TimeoutError:
            return "the outer one"

    async def test(loop: Loop) -> None:
        task = asyncio.create_task(nested(SessionScope(), loop.now))
        await loop.set_clock(loop.now)
        await loop.set_clock(loop.now + 1)
        assert await task == "the outer one"

    run(test)


def test_ending_all_waits_leaves_no_timer_behind() -> None:
    async def test(loop: Loop) -> None:
        scope = SessionScope()
        tasks = [asyncio.create_task(wait(scope, loop.now + n)) for n in (3, 300)]
        await loop.set_clock(loop.now)
        scope.end_blocks()
        await loop.set_clock(loop.now)
        assert await asyncio.gather(*tasks) == ["over time"] * 2
        left = weakref.ref(scope)
        del scope, tasks
        gc.collect()
        assert left() is None  # no timer is left in the loop

    run(test)


def test_a_task_that_ends_all_limits_is_not_cancelled_later() -> None:
    async def test(loop: Loop) -> None:
        scope = SessionScope()
        with TimeLimit(scope, loop.now + 1):
            scope.end_blocks()  # as when a hook of a call closes the session
        await loop.set_clock(loop.now)  # would raise

    run(test)


def test_a_timer_of_a_loop_that_has_ended_counts_for_nothing() -> None:
    scope = SessionScope()

    async def enter(loop: Loop) -> None:
        with TimeLimit(scope, loop.now + 1):
            pass

    async def test(loop: Loop) -> None:
        task = asyncio.create_task(wait(scope, loop.now + 2))
        await loop.set_clock(loop.now)
        await loop.set_clock(loop.now + 2)
        assert task.done()
        assert await task == "over time"

    run(enter)
    run(test)
