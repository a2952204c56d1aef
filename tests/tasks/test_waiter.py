"""Waiting for tasks with the simulator.

The clock of the simulator advances with every request, so no test waits for real time.
"""

from __future__ import annotations

import asyncio
import gc
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from cloudtower_async import (
    Cloudtower,
    Forbidden,
    InvalidInput,
    ServerError,
    SessionClosed,
    StatusError,
    TaskFailed,
    TaskNotFound,
    TasksFailed,
    TaskTimeout,
    WithTask,
)
from cloudtower_async.simulator.clock import Clock
from cloudtower_async.simulator.tasks import Failure
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cloudtower_async.models import Task, Vm
    from cloudtower_async.tasks.waiter import Waitable

pytestmark = pytest.mark.anyio

QUICK = 0.002  # seconds between polls


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    # A task ends after ten requests.
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(clusters=1, vms=40, seed=3, clock=clock, task_duration=10.0) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        yield tower


async def start(tower: Cloudtower, number: int) -> list[WithTask[Vm]]:
    stopped = await tower.vm.get_vms(where={"status": "STOPPED"}, first=number)
    assert len(stopped) == number
    return await tower.vm.start_vm(where={"id_in": [vm.id for vm in stopped]})


def ids_of(started: list[WithTask[Vm]]) -> list[str]:
    return [one.task_id for one in started if one.task_id]


def polls(sim: Simulator) -> list[list[str]]:
    """Return the ids in each request for tasks."""
    bodies = [r.body for r in sim.requests if r.path == "get-tasks"]
    return [body["where"]["id_in"] for body in bodies]


async def test_wait_returns_the_ended_tasks_in_the_order_given(
    sim: Simulator, tower: Cloudtower
) -> None:
    started = await start(tower, 3)
    backwards = started[::-1]
    tasks = await tower.wait(backwards, interval=QUICK)
    assert [task.id for task in tasks] == ids_of(backwards)
    assert {task.status for task in tasks} == {"SUCCESSED"}
    vms = await tower.vm.get_vms(where={"id_in": [one.data.id for one in started]})
    assert {vm.status for vm in vms} == {"RUNNING"}


async def test_any_nesting_of_ids_and_answers_is_taken_and_left_as_it_was(
    sim: Simulator, tower: Cloudtower
) -> None:
    first, second, third = await start(tower, 3)
    assert second.task_id is not None
    given: list[Waitable] = [
        first,
        [second.task_id, (third,)],
        first,
        None,
        WithTask[None](data=None),
    ]
    before = list(given)
    tasks = await tower.wait(given, interval=QUICK)
    assert [task.id for task in tasks] == ids_of([first, second, third])
    assert given == before


async def test_a_single_answer_or_id_is_accepted(sim: Simulator, tower: Cloudtower) -> None:
    first, second = await start(tower, 2)
    assert second.task_id is not None
    assert [t.id for t in await tower.wait(first, interval=QUICK)] == [first.task_id]
    assert [t.id for t in await tower.wait(second.task_id, interval=QUICK)] == [second.task_id]


async def test_tasks_returned_by_a_query_are_accepted(sim: Simulator, tower: Cloudtower) -> None:
    started = await start(tower, 2)
    tasks = await tower.task.get_tasks(where={"id_in": ids_of(started)})
    assert [t.status for t in await tower.wait(tasks, interval=QUICK)] == ["SUCCESSED"] * 2
    assert [t.id for t in await tower.wait(tasks[0])] == [tasks[0].id]


@pytest.mark.parametrize("wrong", [5, b"cl01", [{"id": "cl01"}], [["cl01", 1.5]], {"task_id": 5}])
async def test_answers_without_a_task_are_rejected(
    sim: Simulator,
    tower: Cloudtower,
    wrong: Any,  # noqa: ANN401
) -> None:
    with pytest.raises(InvalidInput, match=r"wait: expected ids of tasks, .* got (int|dict|float)"):
        await tower.wait(wrong)
    assert polls(sim) == []


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("interval", 0),
        ("interval", -3),
        ("interval", float("nan")),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("timeout", "300"),
        ("grace", -1),
        ("grace", None),
    ],
)
async def test_invalid_time_outs_and_intervals_are_rejected(
    sim: Simulator,
    tower: Cloudtower,
    argument: str,
    wrong: Any,  # noqa: ANN401
) -> None:
    with pytest.raises(InvalidInput, match=f"wait: {argument}: expected a number of seconds"):
        await tower.wait("cl01", **{argument: wrong})
    assert polls(sim) == []


@pytest.mark.parametrize("nothing", [[], None, [None], WithTask(data=1), [[], ()]])
async def test_nothing_to_wait_for_returns_at_once_and_sends_nothing(
    sim: Simulator, tower: Cloudtower, nothing: list[None]
) -> None:
    assert await tower.wait(nothing) == []
    assert polls(sim) == []


async def test_a_failed_task_raises_the_message_of_the_server(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.tasks.fail_next(Failure("no space", code="VM_START_FAILED", ec="NO_SPACE"))
    (started,) = await start(tower, 1)
    with pytest.raises(TaskFailed) as caught:
        await tower.wait(started, interval=QUICK)
    error = caught.value
    assert (error.task_id, error.code, error.ec) == (
        started.task_id,
        "VM_START_FAILED",
        "NO_SPACE",
    )
    assert error.message == "no space"
    assert (error.resource_id, error.resource_type) == (started.data.id, "Vm")
    assert error.task is not None
    assert error.task.status == "FAILED"
    assert "no space" in str(error)
    assert error.task.description in str(error)
    assert "\n" not in str(error)


async def test_several_failures_come_as_a_group_with_the_successes(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.tasks.fail_next(times=2)
    started = await start(tower, 5)
    with pytest.raises(TasksFailed) as caught:
        await tower.wait(started, interval=QUICK)
    failed = {error.task_id for error in caught.value.exceptions if isinstance(error, TaskFailed)}
    assert len(failed) == 2
    assert {task.id for task in caught.value.succeeded} == set(ids_of(started)) - failed


async def test_one_failure_of_several_tasks_is_a_group_too(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.tasks.fail_next(Failure("no space"))
    started = await start(tower, 2)
    with pytest.raises(TasksFailed, match=r"1 of 2 tasks failed; the first: .*no space") as caught:
        await tower.wait(started, interval=QUICK)
    (error,) = caught.value.exceptions
    assert isinstance(error, TaskFailed)
    assert len(caught.value.succeeded) == 1


async def test_fail_fast_does_not_wait_for_the_others(sim: Simulator, tower: Cloudtower) -> None:
    sim.tasks.fail_next()
    started = await start(tower, 2)
    sim.tasks.pause(ids_of(started)[1])
    with pytest.raises(TaskFailed):
        await tower.wait(started, interval=QUICK, fail_fast=True)


async def test_a_task_that_shows_up_late_is_waited_for(sim: Simulator, tower: Cloudtower) -> None:
    sim.tasks.hide_next(polls=4)
    (started,) = await start(tower, 1)
    (task,) = await tower.wait(started, interval=QUICK)
    assert task.status == "SUCCESSED"
    assert len(polls(sim)) > 4


async def test_a_task_that_never_shows_up_is_not_found(sim: Simulator, tower: Cloudtower) -> None:
    with pytest.raises(TaskNotFound) as caught:
        await tower.wait("cl0000000000000000000000", grace=0, interval=QUICK)
    assert caught.value.task_id == "cl0000000000000000000000"


async def test_a_task_that_continues_times_out_and_is_named(
    sim: Simulator, tower: Cloudtower
) -> None:
    started = await start(tower, 2)
    ended, paused = ids_of(started)
    sim.tasks.pause(paused)
    await tower.wait(ended, interval=QUICK)
    with pytest.raises(TaskTimeout) as caught:
        await tower.wait(started, timeout=1, interval=QUICK)
    assert caught.value.pending == (paused,)


async def test_a_task_that_the_server_never_listed_is_reported(
    sim: Simulator, tower: Cloudtower
) -> None:
    with pytest.raises(TaskTimeout) as caught:
        await tower.wait("nope", timeout=0.5, interval=QUICK)
    error = caught.value
    assert (error.pending, error.unknown, error.last_seen) == (("nope",), ("nope",), {})
    assert str(error) == (
        "1 task not known to have ended after 0.5 s: nope (unknown to the server so far). "
        "Check the unknown ids and the endpoint, or wait again, with a longer timeout= if needed."
    )


async def test_a_task_that_shows_up_late_is_not_unknown_any_more(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.tasks.hide_next(polls=1)
    (task_id,) = ids_of(await start(tower, 1))
    sim.tasks.pause(task_id)
    with pytest.raises(TaskTimeout) as caught:
        await tower.wait([task_id, "nope"], timeout=0.5, interval=QUICK)
    assert caught.value.unknown == ("nope",)
    assert list(caught.value.last_seen) == [task_id]


async def test_a_paused_task_is_no_ended_task(sim: Simulator, tower: Cloudtower) -> None:
    (started,) = await start(tower, 1)
    assert started.task_id is not None
    sim.tasks.pause(started.task_id)
    ended: list[Task] = []
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            ended.extend(await tower.wait(started, interval=QUICK))

        group.start_soon(wait)
        while len(polls(sim)) < 3:
            await tower.api_info.get_api_version()
        assert ended == []
        sim.tasks.resume(started.task_id)
    assert [task.status for task in ended] == ["SUCCESSED"]


async def test_all_waiters_share_one_poll(sim: Simulator, tower: Cloudtower) -> None:
    started = await start(tower, 8)
    ended: list[str] = []

    async def wait(one: WithTask[Vm]) -> None:
        (task,) = await tower.wait(one, interval=QUICK)
        ended.append(task.id)

    async with anyio.create_task_group() as group:
        for one in started:
            group.start_soon(wait, one)
    assert sorted(ended) == sorted(ids_of(started))
    asked = polls(sim)
    assert set(ids_of(started)) in [set(ids) for ids in asked]
    # A task ends after ten requests.
    assert len(asked) <= 10


async def test_many_ids_go_in_few_requests(sim: Simulator, tower: Cloudtower) -> None:
    unknown = [f"cl{number:022}" for number in range(1_100)]
    with pytest.raises(TasksFailed) as caught:
        await tower.wait(unknown, grace=0, interval=QUICK)
    assert len(caught.value.exceptions) == 1_100
    assert sorted(len(ids) for ids in polls(sim)) == [100, 500, 500]


@pytest.mark.parametrize("who", ["the leader", "a follower"])
async def test_cancelling_one_waiter_does_not_affect_the_others(
    sim: Simulator, tower: Cloudtower, who: str
) -> None:
    first, second, third = await start(tower, 3)
    ended: list[str | None] = []
    scopes: list[anyio.CancelScope] = []
    sim.faults.hang("get-tasks")

    async def wait(one: WithTask[Vm]) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await tower.wait(one, interval=QUICK)
            ended.append(one.task_id)

    async with anyio.create_task_group() as group:
        for one in (first, second, third):
            group.start_soon(wait, one)
        while not polls(sim):
            await tower.api_info.get_api_version()
        assert ended == []
        if who == "a follower":
            scopes[1].cancel()
            await wait_all_tasks_blocked()
        scopes[0].cancel()
    cancelled = {first.task_id} if who == "the leader" else {first.task_id, second.task_id}
    assert set(ended) == {first.task_id, second.task_id, third.task_id} - cancelled
    # These tasks have no waiter left, so they are no longer polled.
    assert cancelled.isdisjoint(polls(sim)[-1])


async def test_a_failed_poll_is_retried(sim: Simulator, tower: Cloudtower) -> None:
    (started,) = await start(tower, 1)
    sim.faults.fail("get-tasks", status=500)
    sim.faults.fail("get-tasks", status=429)
    sim.faults.reset("get-tasks")
    sim.faults.garbage("get-tasks")
    sim.faults.html("get-tasks")
    sim.faults.truncate("get-tasks")
    (task,) = await tower.wait(started, interval=QUICK)
    assert task.status == "SUCCESSED"


async def test_a_time_out_reports_the_error_of_the_last_poll(
    sim: Simulator, tower: Cloudtower, caplog: pytest.LogCaptureFixture
) -> None:
    (started,) = await start(tower, 1)
    sim.faults.fail("get-tasks", status=500, times=10_000)
    with pytest.raises(TaskTimeout) as caught:
        await tower.wait(started, timeout=0.1, interval=QUICK)
    assert isinstance(caught.value.poll_error, ServerError)
    assert "not known to have ended" in str(caught.value)
    assert "500" in str(caught.value)
    # A wait may take minutes: the log reports the error at once, and only once.
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


@pytest.mark.parametrize("status", [403, 404, 501, 505])
async def test_permanent_errors_end_every_wait(
    sim: Simulator, tower: Cloudtower, status: int
) -> None:
    started = await start(tower, 3)
    sim.faults.fail("get-tasks", status=status)
    refused: list[StatusError] = []

    async def wait(one: WithTask[Vm]) -> None:
        with pytest.raises(StatusError) as caught:
            await tower.wait(one, interval=QUICK)
        refused.append(caught.value)

    async with anyio.create_task_group() as group:
        for one in started:
            group.start_soon(wait, one)
    assert len({id(error) for error in refused}) == 3
    assert len(polls(sim)) == 1


@pytest.mark.parametrize("moment", ["asleep", "asking"])
async def test_closing_the_session_ends_every_wait(sim: Simulator, moment: str) -> None:
    tower = Cloudtower(sim.url, username=sim.username, password=sim.password)
    started = await start(tower, 3)
    for task_id in ids_of(started):
        sim.tasks.pause(task_id)
    if moment == "asking":
        sim.faults.hang("get-tasks", times=10)
    told: list[str | None] = []

    async def wait(one: WithTask[Vm]) -> None:
        with pytest.raises(SessionClosed):
            await tower.wait(one, timeout=None)
        told.append(one.task_id)

    async with anyio.create_task_group() as group:
        for one in started:
            group.start_soon(wait, one)
        await wait_all_tasks_blocked()
        await tower.close()
    assert sorted(told, key=str) == sorted(ids_of(started))


async def test_waiting_on_a_closed_session_says_so(sim: Simulator) -> None:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        started = await start(tower, 1)
    with pytest.raises(SessionClosed, match="the session is closed; make a new one"):
        await tower.wait(started)


async def test_no_task_runs_after_the_last_waiter_leaves(sim: Simulator, tower: Cloudtower) -> None:
    started = await start(tower, 3)
    before = asyncio.all_tasks()
    async with anyio.create_task_group() as group:
        for one in started[:-1]:
            group.start_soon(partial(tower.wait, one, interval=QUICK))
        await tower.wait(started[-1], interval=QUICK)
        group.cancel_scope.cancel()
    started_here = asyncio.all_tasks() - before
    # The simulator has one task per connection.
    assert [task for task in started_here if "RequestHandler" not in repr(task)] == []


async def test_sessions_over_one_connection_share_the_poll(
    sim: Simulator, tower: Cloudtower
) -> None:
    first, second = await start(tower, 2)
    chinese = tower.with_options(content_language="zh-CN")
    async with anyio.create_task_group() as group:
        group.start_soon(partial(tower.wait, first, interval=QUICK))
        group.start_soon(partial(chinese.wait, second, interval=QUICK))
    assert {first.task_id, second.task_id} in [set(ids) for ids in polls(sim)]


async def test_the_call_of_a_mutation_is_taken_as_it_is(sim: Simulator, tower: Cloudtower) -> None:
    [vm] = await tower.vm.get_vms(where={"status": "STOPPED"}, first=1)
    [task] = await tower.wait(tower.vm.start_vm(where={"id": vm.id}), interval=QUICK)
    assert (task.status, task.resource_id) == ("SUCCESSED", vm.id)


async def test_any_answer_with_a_task_id_is_waited_for(sim: Simulator, tower: Cloudtower) -> None:
    [host, *_] = await tower.host.get_hosts()
    check = tower.host.enter_maintenance_mode_pre_check(where={"id": host.id})
    [task] = await tower.wait(check, interval=QUICK)
    assert task.status == "SUCCESSED"
    [vm] = await tower.vm.get_vms(where={"status": "STOPPED"}, first=1)
    answer: Any = await tower.request("start-vm", {"where": {"id": vm.id}})
    [task] = await tower.wait(answer, interval=QUICK)
    assert (task.status, task.resource_id) == ("SUCCESSED", vm.id)
    nothing: dict[str, object] = {"task_id": None, "data": {}}
    assert await tower.wait(nothing) == []


async def test_errors_of_an_awaited_mutation_are_raised(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("start-vm", status=403)
    with pytest.raises(Forbidden):
        await tower.wait(tower.vm.start_vm(where={"id": "cl01"}))
    assert polls(sim) == []


async def test_with_an_invalid_interval_the_mutation_is_not_sent(
    sim: Simulator, tower: Cloudtower
) -> None:
    with pytest.raises(InvalidInput, match="wait: interval"):
        await tower.wait(tower.vm.start_vm(where={"id": "cl01"}), interval=-1)
    assert sim.mutations() == []


async def test_calls_in_a_list_are_refused_and_closed(sim: Simulator, tower: Cloudtower) -> None:
    def calls() -> Any:  # noqa: ANN401
        return [[tower.vm.start_vm(where={"id": one})] for one in ("cl01", "cl02")]

    with pytest.raises(InvalidInput, match=r"wait: expected ids .* got coroutine; await each call"):
        await tower.wait(calls())
    with pytest.raises(InvalidInput, match="wait: timeout"):
        await tower.wait(calls(), timeout=-1)
    with pytest.raises(InvalidInput, match="progress: expected ids"):
        _ = [task async for task in tower.progress(calls())]
    gc.collect()  # Python warns now about coroutines that were never awaited
    assert sim.mutations() == []


async def test_an_empty_answer_is_awaited_and_nothing_more_is_sent(
    sim: Simulator, tower: Cloudtower
) -> None:
    nothing: list[WithTask[Vm]] = []

    async def change() -> list[WithTask[Vm]]:
        assert await tower.vm.get_vms(where={"id_in": []}) == []
        return nothing

    assert await tower.wait(change()) == []
    assert len(sim.sent("get-vms")) == 1
    assert polls(sim) == []


async def test_tasks_known_to_have_ended_are_not_requested(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.tasks.fail_next(Failure("no space"))
    started = await start(tower, 3)
    tasks = [task async for task in tower.as_completed(started, interval=QUICK)]
    before = len(polls(sim))
    [failed] = [task for task in tasks if task.status == "FAILED"]
    with pytest.raises(TaskFailed, match="no space"):
        await tower.wait(failed)
    with pytest.raises(TasksFailed) as caught:
        await tower.wait([failed.id, *tasks])
    assert len(caught.value.succeeded) == 2
    assert [task async for task in tower.as_completed(tasks)] == tasks
    assert len(polls(sim)) == before


async def test_tasks_are_yielded_as_they_end_even_after_failures(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.tasks.fail_next(times=1)
    first, second, third = ids_of(await start(tower, 3))
    sim.tasks.pause(second)
    sim.tasks.pause(third)
    came: list[tuple[str, str]] = []
    async for task in tower.as_completed([third, second, first], interval=QUICK):
        came.append((task.id, task.status))
        if task.id == first:
            sim.tasks.resume(third)
        elif task.id == third:
            sim.tasks.resume(second)
    assert came == [(first, "FAILED"), (third, "SUCCESSED"), (second, "SUCCESSED")]


async def test_as_completed_polls_only_while_waiting_for_the_next_task(
    sim: Simulator, tower: Cloudtower
) -> None:
    first, second = ids_of(await start(tower, 2))
    sim.tasks.pause(second)
    async for task in tower.as_completed([first, second], interval=QUICK):
        assert task.id == first
        seen = len(polls(sim))
        for _ in range(20):
            await tower.api_info.get_api_version()
        assert len(polls(sim)) == seen
        break  # no iterator has to be closed
    await tower.wait(first, interval=QUICK)
    assert polls(sim)[-1] == [first]


async def test_unknown_tasks_are_reported_after_the_others(
    sim: Simulator, tower: Cloudtower
) -> None:
    started = await start(tower, 2)
    came: list[str] = []

    async def collect() -> None:
        async for task in tower.as_completed(["cl01", *started], interval=QUICK, grace=0):
            came.append(task.id)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(TasksFailed) as caught:
        await collect()
    assert sorted(came) == sorted(ids_of(started))
    assert [str(error) for error in caught.value.exceptions] == [str(TaskNotFound("cl01"))]
    assert [task.id for task in caught.value.succeeded] == ids_of(started)
    with pytest.raises(TaskNotFound):
        _ = [task async for task in tower.as_completed("cl01", interval=QUICK, grace=0)]


@pytest.mark.parametrize("iterate", [Cloudtower.as_completed, Cloudtower.progress])
async def test_errors_of_an_iteration_contain_the_results_of_all_tasks(
    sim: Simulator, tower: Cloudtower, iterate: Callable[..., AsyncIterator[Task]]
) -> None:
    sim.tasks.fail_next(Failure("no space"))
    failing, succeeding, paused = ids_of(await start(tower, 3))
    sim.tasks.pause(paused)
    with pytest.raises(TasksFailed):
        await tower.wait([failing, succeeding], interval=QUICK)
    with pytest.raises(TaskTimeout) as late:  # after one poll
        async for _ in iterate(tower, [paused, failing, succeeding], interval=QUICK, timeout=0.3):
            pass
    assert late.value.pending == (paused,)
    assert [error.task_id for error in late.value.failures] == [failing]
    assert [task.id for task in late.value.succeeded] == [succeeding]
    with pytest.raises(TasksFailed, match="2 of 3 tasks failed") as caught:
        async for _ in iterate(tower, [failing, succeeding, "cl01"], interval=QUICK, grace=0):
            pass
    assert [error.task_id for error in caught.value.failed] == [failing]
    assert str(caught.value.exceptions[1]) == str(TaskNotFound("cl01"))
    assert [task.id for task in caught.value.succeeded] == [succeeding]


async def test_time_in_the_body_of_the_loop_is_not_waiting(
    sim: Simulator, tower: Cloudtower
) -> None:
    started = await start(tower, 2)
    sim.tasks.pause(ids_of(started)[1])
    came: list[str] = []

    async def collect() -> None:
        async for task in tower.as_completed(started, interval=QUICK, timeout=0.2):
            came.append(task.id)
            await anyio.sleep(0.3)

    with pytest.raises(TaskTimeout) as caught:
        await collect()
    assert came == ids_of(started)[:1]
    assert caught.value.pending == (ids_of(started)[1],)


async def test_progress_reports_each_change_once(sim: Simulator, tower: Cloudtower) -> None:
    sim.tasks.fail_next(times=1)
    started = await start(tower, 2)
    seen: dict[str | None, list[tuple[str, float]]] = {task_id: [] for task_id in ids_of(started)}
    async for task in tower.progress(started, interval=QUICK):
        seen[task.id].append((task.status, task.progress))
        # An equal state is no change: time stands still.
        sim.clock.per_request = 0.0
        await tower.wait(tower.task.get_tasks(where={"id": task.id, "status": "SUCCESSED"}))
        sim.clock.per_request = 1.0
    for states in seen.values():
        assert len(states) > 3
        assert len(set(states)) == len(states)
        assert [progress for _, progress in states] == sorted(progress for _, progress in states)
    assert sorted(states[-1][0] for states in seen.values()) == ["FAILED", "SUCCESSED"]


async def test_an_unchanged_task_is_reported_once(sim: Simulator, tower: Cloudtower) -> None:
    [started] = await start(tower, 1)
    assert started.task_id is not None
    sim.tasks.pause(started.task_id)
    told: list[str] = []

    async def watch() -> None:
        async for task in tower.progress(started, interval=QUICK):
            told.append(task.status)  # noqa: PERF401 - read meanwhile

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        while len(polls(sim)) < 5:
            await tower.api_info.get_api_version()
        assert told == ["PAUSED"]
        group.cancel_scope.cancel()


@pytest.mark.parametrize("what", ["as_completed", "progress"])
async def test_the_iterators_check_what_they_are_given(
    sim: Simulator, tower: Cloudtower, what: str
) -> None:
    iterate = getattr(tower, what)
    with pytest.raises(InvalidInput, match=f"{what}: timeout"):
        _ = [task async for task in iterate("cl01", timeout=-1)]
    with pytest.raises(InvalidInput, match=f"{what}: expected ids of tasks"):
        _ = [task async for task in iterate([5])]
    assert [task async for task in iterate([])] == []
    assert polls(sim) == []


async def test_a_time_out_reports_pending_tasks_and_results_of_the_others(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.tasks.fail_next()
    failed, ended, stuck = ids_of(await start(tower, 3))
    sim.tasks.pause(stuck)
    with pytest.raises(TaskTimeout) as caught:
        await tower.wait([failed, ended, stuck, "cl01"], timeout=0.3, interval=QUICK)
    error = caught.value
    assert error.pending == (stuck, "cl01")
    assert error.last_seen == {stuck: ("PAUSED", 0.0)}
    assert error.unknown == ("cl01",)
    vm_id = sim.store.get("Task", stuck)["resource_id"]
    shown = (
        f"{stuck} (PAUSED, 0%), cl01 (unknown to the server so far) "
        f"(creating or changing {vm_id}). Other tasks that failed: 1."
    )
    assert shown in str(error)
    assert [task.id for task in error.succeeded] == [ended]
    assert [str(one) for one in error.failures] != []


async def test_a_time_out_names_the_resources_of_the_answers(
    sim: Simulator, tower: Cloudtower
) -> None:
    started = await start(tower, 3)
    ended, *stuck = started
    for one in stuck:
        sim.tasks.pause(one.task_id or "")
    await tower.wait(ended, interval=QUICK)
    backwards = [one.data.id for one in reversed(stuck)]
    plain = [{"task_id": one.task_id, "data": {"id": one.data.id}} for one in reversed(stuck)]
    tasks = await tower.task.get_tasks(where={"id_in": ids_of(stuck)})
    by_id = {task.id: task for task in tasks}
    waitables: tuple[Waitable, ...] = (
        started[::-1],
        plain,
        [tower.pending(one) for one in reversed(stuck)],
        [by_id[task_id] for task_id in reversed(ids_of(stuck))],
        ids_of(stuck)[::-1],  # the ids of the resources come from the polled tasks
    )
    for waitable in waitables:
        with pytest.raises(TaskTimeout, match=re.escape(f"changing {', '.join(backwards)})")) as e:
            await tower.wait(waitable, timeout=0.3, interval=QUICK)
        assert e.value.resource_ids == tuple(backwards)
    for failing in (
        tower.settle(started[::-1], timeout=0.3, interval=QUICK),
        anext(tower.as_completed(stuck[::-1], timeout=0.3, interval=QUICK)),
    ):
        with pytest.raises(TaskTimeout) as e:
            await failing
        assert e.value.resource_ids == tuple(backwards)


async def test_a_time_out_names_each_resource_of_an_answer_once(
    sim: Simulator, tower: Cloudtower
) -> None:
    [started] = await start(tower, 1)
    assert started.task_id is not None
    sim.tasks.pause(started.task_id)
    answers: list[dict[str, object]] = [
        {"task_id": started.task_id, "data": [{"id": "b"}, {"id": "a"}, {"id": None}, {}]},
        {"task_id": started.task_id, "data": {"id": "b"}},
        {"task_id": "cl01", "data": None},
    ]
    with pytest.raises(TaskTimeout) as caught:
        await tower.wait(answers, timeout=0.3, interval=QUICK)
    assert caught.value.resource_ids == ("b", "a")


async def test_a_task_that_vanishes_is_not_found(sim: Simulator, tower: Cloudtower) -> None:
    [task_id] = ids_of(await start(tower, 1))
    sim.tasks.pause(task_id)

    async def watch() -> None:
        async for _ in tower.progress(task_id, interval=QUICK, grace=0):
            sim.store.remove("Task", task_id)

    with pytest.raises(
        TaskNotFound, match=r"disappeared .* last known state was PAUSED \(0%\)"
    ) as caught:
        await watch()
    assert caught.value.last_seen == ("PAUSED", 0.0)


async def test_the_grace_counts_from_the_first_look(sim: Simulator, tower: Cloudtower) -> None:
    # The server is unavailable for longer than the grace, and then shows the task late.
    sim.faults.fail("get-tasks", status=500, times=40)
    sim.tasks.hide_next(polls=2)
    [started] = await start(tower, 1)
    [task] = await tower.wait(started, interval=QUICK, grace=0.05)
    assert task.status == "SUCCESSED"
