"""Locks between tasks of one process for the same resource."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from anyio import wait_all_tasks_blocked
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import Cloudtower, CloudtowerError, InvalidInput, LockTimeout, SessionClosed
from cloudtower_async.tasks.resource_locks import ResourceLocks
from cloudtower_async.transport.http import Transport
from tests.support import cancelled_at, settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    Lock = Callable[..., AbstractAsyncContextManager[None]]

pytestmark = pytest.mark.anyio


# No request is sent: a lock is local to the process.


@pytest.fixture
async def tower() -> AsyncIterator[Cloudtower]:
    async with Cloudtower("tower.example", token="t") as tower:
        yield tower


@pytest.fixture
def locks() -> Iterator[ResourceLocks]:
    locks = ResourceLocks(Transport(settings()))
    yield locks
    assert locks.lines == {}  # unused locks are forgotten


class Caller:
    """Locks resources in a separate task until it is told to release them.

    Args:
        lock: Function that locks them.
        ids: Ids of the resources.
    """

    def __init__(self, lock: Lock, *ids: str) -> None:
        self.ids = ids
        self.holds = False
        self._lock = lock
        self._done = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        with self._scope:
            async with self._lock(*self.ids):
                self.holds = True
                await self._done.wait()

    async def end(self) -> None:
        self._done.set()
        await wait_all_tasks_blocked()

    async def cancel(self) -> None:
        self._scope.cancel()
        await wait_all_tasks_blocked()


async def test_callers_get_the_lock_in_the_order_of_their_calls(locks: ResourceLocks) -> None:
    callers = [Caller(locks.hold, "vm") for _ in range(4)]
    async with anyio.create_task_group() as group:
        for caller in callers:
            group.start_soon(caller.run)
        await wait_all_tasks_blocked()
        for number, caller in enumerate(callers):
            assert [one.holds for one in callers] == [other <= number for other in range(4)]
            await caller.end()


async def test_other_resources_are_not_waited_for(locks: ResourceLocks) -> None:
    async with locks.hold("a"), anyio.create_task_group() as group:
        other = Caller(locks.hold, "b")
        group.start_soon(other.run)
        await wait_all_tasks_blocked()
        assert other.holds
        await other.end()


async def test_locking_no_resources_succeeds_at_once(locks: ResourceLocks) -> None:
    async with locks.hold(), locks.hold():
        assert locks.lines == {}


async def test_an_id_given_twice_is_one(locks: ResourceLocks) -> None:
    async with locks.hold("a", "a"):
        pass


async def test_sessions_over_one_connection_keep_each_other_away(tower: Cloudtower) -> None:
    chinese = tower.with_options(content_language="zh-CN")
    async with anyio.create_task_group() as group:
        async with tower.lock("vm"):
            other = Caller(chinese.lock, "vm")
            group.start_soon(other.run)
            await wait_all_tasks_blocked()
            assert not other.holds
        await wait_all_tasks_blocked()
        assert other.holds
        await other.end()


async def test_an_error_in_the_block_releases_its_locks(locks: ResourceLocks) -> None:
    with pytest.raises(KeyError):
        async with locks.hold("a", "b"):
            raise KeyError
    async with locks.hold("a", "b"):
        pass


async def test_a_time_out_names_the_resources_locked_by_others(locks: ResourceLocks) -> None:
    async with anyio.create_task_group() as group:
        holder = Caller(locks.hold, "a", "b")
        group.start_soon(holder.run)
        await wait_all_tasks_blocked()
        with pytest.raises(LockTimeout) as caught:
            async with locks.hold("c", "b", "a", timeout=0.01):
                pytest.fail("it is held by another")
        assert caught.value.resource_ids == ("b", "a")
        assert str(caught.value) == (
            "locked by other callers of this process after 0.01 s: b, a. Pass a longer timeout=."
        )
        assert isinstance(caught.value, TimeoutError)
        async with locks.hold("c"):
            pass
        await holder.end()


async def test_locking_a_resource_twice_in_one_task_is_rejected(locks: ResourceLocks) -> None:
    async with locks.hold("a", "b"):
        with pytest.raises(CloudtowerError, match="this task holds b already"):
            async with locks.hold("c", "b"):
                pytest.fail("it would wait for itself")
        async with locks.hold("c"):
            pass


@pytest.mark.parametrize("wrong", [["a"], 5, None])
async def test_invalid_ids_are_rejected(
    locks: ResourceLocks,
    wrong: Any,  # noqa: ANN401
) -> None:
    with pytest.raises(InvalidInput, match="lock: expected ids of resources, got "):
        async with locks.hold("a", wrong):
            pytest.fail("there is nothing to hold")


@pytest.mark.parametrize("wrong", [0, -1, float("inf")])
async def test_an_invalid_time_out_is_rejected(locks: ResourceLocks, wrong: float) -> None:
    with pytest.raises(InvalidInput, match="lock: timeout: expected a number of seconds"):
        async with locks.hold("a", timeout=wrong):
            pytest.fail("it waited for no time")


async def test_closing_the_session_ends_the_waiting(tower: Cloudtower) -> None:
    told: list[bool] = []

    async def wait() -> None:
        with pytest.raises(SessionClosed):
            async with tower.lock("a"):
                pytest.fail("it is held by another")
        told.append(True)

    async with anyio.create_task_group() as group, tower.lock("a"):
        group.start_soon(wait)
        group.start_soon(wait)
        await wait_all_tasks_blocked()
        await tower.close()
        await wait_all_tasks_blocked()
        assert told == [True, True]
    with pytest.raises(SessionClosed):
        async with tower.lock("a"):
            pytest.fail("it is closed")


async def test_a_waiter_cancelled_when_it_gets_the_lock_passes_it_on(locks: ResourceLocks) -> None:
    second, third = Caller(locks.hold, "a"), Caller(locks.hold, "a")
    async with anyio.create_task_group() as group:
        async with locks.hold("a"):
            waiting = asyncio.create_task(second.run())
            await wait_all_tasks_blocked()
            group.start_soon(third.run)
            await wait_all_tasks_blocked()
        # Its turn has come, but it has not run since. A scope would let it run; a task does not.
        waiting.cancel()
        await wait_all_tasks_blocked()
        assert waiting.cancelled()
        assert (second.holds, third.holds) == (False, True)
        await third.end()


async def test_cancelling_anywhere_leaves_nothing_held(locks: ResourceLocks) -> None:
    async def work() -> None:
        async with locks.hold("a", "b"):
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()

    points = 0
    while True:
        first, last = Caller(locks.hold, "a"), Caller(locks.hold, "b")
        cancelled: list[bool] = []

        async def run(point: int = points, seen: list[bool] = cancelled) -> None:
            seen.append(await cancelled_at(point, work()))

        async with anyio.create_task_group() as group:
            group.start_soon(first.run)
            await wait_all_tasks_blocked()
            group.start_soon(run)
            await wait_all_tasks_blocked()
            group.start_soon(last.run)
            await first.end()
            assert last.holds
            await last.end()
        assert locks.lines == {}
        if cancelled == [False]:
            break
        points += 1
    # Waiting for its turn, and twice within the block.
    assert points == 3


STEPS = st.lists(
    st.sets(st.sampled_from("abcd"))  # another task that locks these
    | st.tuples(st.booleans(), st.integers(0, 5)),  # one ends, or is cancelled
    max_size=25,
)


@given(STEPS)
async def test_any_sequence_of_callers_matches_the_model(
    steps: list[set[str] | tuple[bool, int]],
) -> None:
    locks = ResourceLocks(Transport(settings()))
    line: list[Caller] = []
    async with anyio.create_task_group() as group:
        for step in steps:
            if isinstance(step, set):
                line.append(Caller(locks.hold, *step))
                group.start_soon(line[-1].run)
                await wait_all_tasks_blocked()
            elif step[1] < len(line):
                leaving = line.pop(step[1])
                await (leaving.end() if step[0] and leaving.holds else leaving.cancel())
            taken: set[str] = set()
            for caller in line:
                assert caller.holds is taken.isdisjoint(caller.ids)
                taken |= {*caller.ids}
        group.cancel_scope.cancel()
    assert locks.lines == {}
