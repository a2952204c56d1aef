"""Many waiters, faults, and cancellation at any moment, with the simulator and its clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import anyio
import anyio.lowlevel
import hypothesis
import hypothesis.strategies as st
import pytest

from cloudtower_async import (
    Cloudtower,
    LoginFailed,
    RetryPolicy,
    TaskFailed,
    TasksFailed,
    TaskTimeout,
)
from cloudtower_async.simulator.faults import EVERY_FAULT
from cloudtower_async.simulator.tasks import Work
from cloudtower_async.testing import Clock, Failure, Simulator
from tests.support import Countdown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from cloudtower_async.models import Task

QUICK = 0.002  # seconds between polls
AGES = 1e6  # seconds of the simulator's clock


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(clusters=1, vms=2, seed=3, clock=clock) as simulator:
        yield simulator


@asynccontextmanager
async def session(sim: Simulator, timeout: float = 60.0) -> AsyncGenerator[Cloudtower]:
    # The tests are about errors of polls, not about retries that avoid these errors.
    once = RetryPolicy(attempts=1)
    async with Cloudtower(
        sim.url, username=sim.username, password=sim.password, timeout=timeout, retry=once
    ) as tower:
        yield tower


@pytest.fixture
async def tower(sim: Simulator) -> AsyncGenerator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


def begin(sim: Simulator, number: int, durations: Sequence[float] = (AGES,)) -> list[str]:
    """Start tasks with these durations, one after the other."""
    [cluster] = sim.store.table("Cluster")
    ids: list[str] = []
    for index in range(number):
        sim.tasks.duration = durations[index % len(durations)]
        ids.append(sim.tasks.start({"cluster": cluster, "description": f"no. {index}"}, Work()))
    return ids


def end(sim: Simulator, task_id: str, failure: Failure | None = None) -> None:
    """Let one paused task end, and no other."""
    if failure is not None:
        sim.tasks.abort(task_id, failure)
        return
    sim.tasks.resume(task_id)
    sim.clock.advance(2 * AGES)
    sim.tasks.advance()


def polls(sim: Simulator) -> list[list[str]]:
    """Return the ids in each request for tasks."""
    return [body["where"]["id_in"] for body in sim.sent("get-tasks")]


@pytest.mark.anyio
async def test_thousands_of_waiters_share_few_requests(sim: Simulator, tower: Cloudtower) -> None:
    ids = begin(sim, 2_300, durations=range(2, 40))
    got: list[str] = []

    async def wait(task_id: str) -> None:
        [task] = await tower.wait(task_id, interval=QUICK)
        assert (task.id, task.status) == (task_id, "SUCCESSED")
        got.append(task_id)

    async with anyio.create_task_group() as group:
        for task_id in ids:
            group.start_soon(wait, task_id)
    assert Counter(got) == Counter(ids)
    asked = polls(sim)
    # Waiters that start together share requests: five times 500 ids cover all of them.
    assert sorted(task_id for some in asked[:5] for task_id in some) == sorted(ids)
    assert [len(some) for some in asked[:5]] == [500, 500, 500, 500, 300]
    # After that, the number of requests is never above the minimum for all of them.
    rounds = max(Counter(task_id for some in asked for task_id in some).values())
    assert len(asked) <= 5 * rounds
    # No page limit of the server truncates an answer.
    assert [body["first"] for body in sim.sent("get-tasks")] == [len(some) for some in asked]


@pytest.mark.anyio
async def test_an_id_with_many_waiters_is_requested_once_per_poll(
    sim: Simulator, tower: Cloudtower
) -> None:
    first, second = begin(sim, 2, durations=[6])
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(partial(tower.wait, [first, second], interval=QUICK))
            group.start_soon(partial(tower.wait, [second, first, first], interval=QUICK))
    assert {tuple(sorted(some)) for some in polls(sim)} == {tuple(sorted([first, second]))}


@pytest.mark.anyio
async def test_a_late_waiter_is_served_at_once_without_more_polls_for_others(
    sim: Simulator, tower: Cloudtower
) -> None:
    [patient], late = begin(sim, 1), begin(sim, 5, durations=[2])
    before = 0
    async with anyio.create_task_group() as group:
        group.start_soon(partial(tower.wait, patient, timeout=None, interval=1e6))
        # The quick first polls are over, and the next poll is far away.
        while len(polls(sim)) < 3:
            await tower.api_info.get_api_version()
        before = len(polls(sim))
        for task_id in late:
            await tower.wait(task_id, interval=QUICK)
        group.cancel_scope.cancel()
    after = polls(sim)[before:]
    assert set(late) <= {task_id for some in after for task_id in some}
    # At most its next quick poll came in that time.
    assert sum(patient in some for some in after) <= 2 < len(after)


# Like EVERY_FAULT, except that hanging takes real time.
FAULTS = [fault for fault in EVERY_FAULT if fault.kind != "hang"] * 3 + [
    fault for fault in EVERY_FAULT if fault.kind == "hang"
]


@pytest.mark.anyio
async def test_under_faults_each_wait_ends_in_time_with_the_right_result(sim: Simulator) -> None:
    failing, stuck = set(range(0, 2_000, 50)), set(range(1, 2_000, 50))
    ids: list[str] = []
    for index in range(2_000):
        if index in failing:
            sim.tasks.fail_next()
        ids += begin(sim, 1, durations=[5 + index % 40])
        if index in stuck:
            sim.tasks.pause(ids[-1])
    ends: Counter[str] = Counter()

    async def wait(tower: Cloudtower, index: int) -> None:
        task_id = ids[index]
        wait = partial(tower.wait, task_id, interval=0.01)
        if index in failing:
            with pytest.raises(TaskFailed, match=task_id):
                await wait(timeout=None)
            ends["failed"] += 1
        elif index in stuck:
            with pytest.raises(TaskTimeout, match=task_id):
                await wait(timeout=2.0)
            ends["timed out"] += 1
        else:
            [task] = await wait(timeout=None)
            assert (task.id, task.status) == (task_id, "SUCCESSED")
            ends["succeeded"] += 1
        # Not before its end.
        assert sim.tasks.runs(task_id) == (index in stuck)
        if index % 400 == 2:
            sim.accounts.revoke_tokens()

    # Maximum duration of a hanging request.
    async with session(sim, timeout=1.0) as tower:
        sim.faults.at_random(0.4, FAULTS, seed=11)
        async with anyio.create_task_group() as group:
            for index in range(2_000):
                group.start_soon(wait, tower, index)
        sim.faults.at_random(0)
    assert ends == {"failed": 40, "timed out": 40, "succeeded": 1_920}
    assert len(sim.sent("login")) > 1


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", ["none", "hang", "fail"])
async def test_a_wait_times_out_after_the_given_time_also_under_faults(
    sim: Simulator, tower: Cloudtower, trouble: str
) -> None:
    ids = begin(sim, 3)
    seconds = 0.2
    if trouble == "hang":
        sim.faults.hang("get-tasks", times=100)
    elif trouble == "fail":
        sim.faults.fail("get-tasks", times=10_000)
    over: list[str] = []

    async def wait(task_id: str) -> None:
        began = anyio.current_time()
        with pytest.raises(TaskTimeout):
            await tower.wait(task_id, timeout=seconds, interval=QUICK)
        assert anyio.current_time() - began >= seconds
        over.append(task_id)

    async with anyio.create_task_group() as group:
        for task_id in ids:
            group.start_soon(wait, task_id)
        await anyio.wait_all_tasks_blocked()
        await anyio.sleep(seconds)
        # Then the waiters only need their turns.
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert sorted(over) == sorted(ids)


@pytest.mark.anyio
async def test_a_login_that_is_refused_meanwhile_ends_every_wait(
    sim: Simulator, tower: Cloudtower
) -> None:
    ids = begin(sim, 3)
    refused: list[str] = []

    async def wait(task_id: str) -> None:
        with pytest.raises(LoginFailed):
            await tower.wait(task_id, timeout=None, interval=QUICK)
        refused.append(task_id)

    async with anyio.create_task_group() as group:
        for task_id in ids:
            group.start_soon(wait, task_id)
        while not polls(sim):
            await anyio.lowlevel.checkpoint()
        sim.accounts.set_password(sim.username, "another")
        sim.accounts.revoke_tokens()
    assert sorted(refused) == sorted(ids)
    assert len(sim.sent("login")) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", [False, True])
async def test_the_leading_waiter_can_be_cancelled_at_any_moment(
    sim: Simulator, tower: Cloudtower, trouble: bool
) -> None:
    [stuck] = begin(sim, 1)
    moments = 0
    # A whole poll and the pause after it, cancelled at the first moment, the second, …
    for rounds in range(1, 2_000):
        [short] = begin(sim, 1, durations=[3])
        if trouble:
            sim.faults.fail("get-tasks")
        before = asyncio.all_tasks()
        async with asyncio.TaskGroup() as group:
            # The first waiter is the leader.
            leader = group.create_task(tower.wait(stuck, timeout=None, interval=QUICK))
            countdown = Countdown(rounds, leader.cancel)
            [task] = await tower.wait(short, interval=QUICK)
            countdown.stop()
            leader.cancel()
        assert (task.id, task.status) == (short, "SUCCESSED")
        left = asyncio.all_tasks() - before
        # The simulator has one task per connection.
        assert [one for one in left if "RequestHandler" not in repr(one)] == []
        if not countdown.fired:
            break
        moments += 1
        sim.faults.clear()
    assert moments > 20


@dataclass(eq=False)
class Waiter:
    """One waiter, and the expected result of its wait."""

    wanted: list[str]
    fail_fast: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)
    outcome: object = None
    decided: object = None

    async def wait(self, tower: Cloudtower) -> None:
        with self.scope:
            try:
                tasks = await tower.wait(
                    self.wanted, timeout=None, interval=QUICK, fail_fast=self.fail_fast
                )
            except TaskFailed as error:
                self.outcome = "failed", error.task_id
            except TasksFailed as group:
                failed = [one.task_id for one in group.exceptions if isinstance(one, TaskFailed)]
                self.outcome = "group", sorted(failed), ids_of(group.succeeded)
            else:
                self.outcome = "ended", ids_of(tasks)
        self.done.set()

    def expected(self, ended: dict[str, bool]) -> object:
        """Return the expected result of the wait, or None if the wait continues.

        `ended` contains the ended tasks by id. The value is False for failed tasks.
        """
        each = list(dict.fromkeys(self.wanted))
        failed = [task_id for task_id in each if ended.get(task_id) is False]
        succeeded = [task_id for task_id in each if ended.get(task_id)]
        if failed and (self.fail_fast or len(each) == 1):
            return "failed", failed[0]
        if len(failed) + len(succeeded) < len(each):
            return None
        return ("group", sorted(failed), succeeded) if failed else ("ended", succeeded)


def ids_of(tasks: Sequence[Task]) -> list[str]:
    return [task.id for task in tasks]


TASKS = 5


class Step(NamedTuple):
    """One event: a waiter joins, a task ends, a waiter is cancelled, or a request fails."""

    what: str
    numbers: tuple[int, ...] = ()
    fail_fast: bool = False


def steps() -> st.SearchStrategy[list[Step]]:
    number = st.integers(0, TASKS - 1).map(lambda number: (number,))
    numbers = st.lists(st.integers(0, TASKS - 1), min_size=1, max_size=4).map(tuple)
    step = st.one_of(
        st.builds(Step, st.just("join"), numbers, st.booleans()),
        st.builds(Step, st.just("join"), numbers),
        st.builds(Step, st.sampled_from(["finish", "fail", "cancel"]), number),
        st.builds(Step, st.sampled_from(["trouble: fail", "trouble: reset", "trouble: garbage"])),
    )
    return st.lists(step, min_size=1, max_size=12)


async def play(steps: list[Step]) -> None:
    """Take the steps, and compare with the model after each step."""
    clock = Clock(running=False)
    async with Simulator(clusters=1, vms=2, seed=3, clock=clock) as sim, session(sim) as tower:
        ids = begin(sim, TASKS)
        for task_id in ids:
            sim.tasks.pause(task_id)
        ended: dict[str, bool] = {}
        waiters: list[Waiter] = []
        before = asyncio.all_tasks()
        async with anyio.create_task_group() as group:
            for what, numbers, fail_fast in steps:
                if what == "join":
                    waiters.append(Waiter([ids[number] for number in numbers], fail_fast))
                    group.start_soon(waiters[-1].wait, tower)
                elif what.startswith("trouble: "):
                    getattr(sim.faults, what.removeprefix("trouble: "))("get-tasks")
                elif what == "cancel" and waiters:
                    waiter = waiters.pop(numbers[0] % len(waiters))
                    waiter.scope.cancel()
                    await waiter.done.wait()
                elif what in ("finish", "fail") and ids[numbers[0]] not in ended:
                    task_id = ids[numbers[0]]
                    ended[task_id] = what == "finish"
                    end(sim, task_id, None if ended[task_id] else Failure())
                for waiter in waiters:
                    waiter.decided = waiter.decided or waiter.expected(ended)
                    if waiter.decided:
                        await waiter.done.wait()
                    assert waiter.outcome == waiter.decided
                await nobody_asks_too_much(sim, [w for w in waiters if not w.done.is_set()])
            group.cancel_scope.cancel()
        left = asyncio.all_tasks() - before
        assert [one for one in left if "RequestHandler" not in repr(one)] == []


async def nobody_asks_too_much(sim: Simulator, waiters: list[Waiter]) -> None:
    """The next poll requests exactly the tasks that are still awaited."""
    wanted = {task_id for waiter in waiters for task_id in waiter.wanted}
    seen = len(polls(sim)) + 2  # polls in progress have arrived
    while wanted and len(polls(sim)) <= seen:
        await anyio.lowlevel.checkpoint()
    if not wanted:
        seen = len(polls(sim))
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert len(polls(sim)) == seen
    else:
        assert set(polls(sim)[-1]) <= wanted


@hypothesis.settings(max_examples=25, suppress_health_check=[hypothesis.HealthCheck.too_slow])
@hypothesis.given(steps())
def test_joining_leaving_and_ending_in_any_order(steps: list[Step]) -> None:
    anyio.run(play, steps)


@pytest.mark.anyio
async def test_an_exception_of_a_hook_ends_the_wait_as_it_is(sim: Simulator) -> None:
    class BrokenHookError(Exception):
        pass

    async def fail(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        if params.url.path.endswith("/get-tasks"):
            raise BrokenHookError

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(fail)
    [cluster] = sim.store.table("Cluster")
    task = sim.tasks.start({"cluster": cluster, "description": "any"}, Work())
    async with Cloudtower(
        sim.url, username=sim.username, password=sim.password, trace_configs=[trace]
    ) as tower:
        for failed in await asyncio.gather(
            *(tower.wait(task, interval=QUICK) for _ in range(3)), return_exceptions=True
        ):
            assert isinstance(failed, BrokenHookError)
