"""Power operations in bulk, over HTTP against the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest

from cloudtower_async import (
    BadRequest,
    EmptyFilter,
    Forbidden,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    ReadBackFailed,
    ResourceLocked,
    SettleTimeout,
    TaskFailed,
    TaskTimeout,
)
from cloudtower_async.recipes import (
    PowerOutcome,
    Progress,
    restart_vms,
    shut_down_vms,
    start_vms,
)
from cloudtower_async.testing import Clock
from tests.recipes.towers import NOTHING_MATCHES, after_each, simulated, steps
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cloudtower_async.inputs import VmWhereInput
    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio

Recipe: TypeAlias = "Callable[..., Awaitable[list[PowerOutcome]]]"

BLOGS: VmWhereInput = {"name_starts_with": "blog-"}


def add_vms(sim: Simulator, *statuses: str) -> list[dict[str, Any]]:
    """Add VMs named blog-0, blog-1, …"""
    return [
        sim.add_vm(name=f"blog-{number}", status=status, memory=1 << 20)
        for number, status in enumerate(statuses)
    ]


def results_and_states(outcomes: list[PowerOutcome]) -> list[tuple[str, str]]:
    return [(outcome.result, str(outcome.vm.status)) for outcome in outcomes]


def errors(outcomes: list[PowerOutcome]) -> list[type | None]:
    return [type(outcome.error) if outcome.error else None for outcome in outcomes]


async def test_vms_start_in_one_call_and_those_that_run_are_left_alone() -> None:
    async with simulated() as (sim, tower):
        vms = add_vms(sim, "STOPPED", "RUNNING", "SUSPENDED", "STOPPED")
        outcomes = await start_vms(tower, BLOGS)
        assert [outcome.vm.id for outcome in outcomes] == [vm["id"] for vm in vms]
        assert results_and_states(outcomes) == [
            ("done", "RUNNING"),
            ("already", "RUNNING"),
            ("failed", "SUSPENDED"),
            ("done", "RUNNING"),
        ]
        assert str(outcomes[2].error) == "VM blog-2 is SUSPENDED; the operation needs STOPPED"
        assert errors([outcomes[0], outcomes[1], outcomes[3]]) == [None] * 3
        assert sim.sent("start-vm") == [{"where": {"id_in": [vms[0]["id"], vms[3]["id"]]}}]


async def test_vms_are_started_within_the_given_limit() -> None:
    async with simulated() as (sim, tower):
        vms = add_vms(sim, *["STOPPED"] * 5)
        running: list[int] = []

        def count(news: Progress) -> None:
            if news.step == "start":
                running.append(len(sim.store.select("Vm", {**BLOGS, "status": "RUNNING"})))

        outcomes = await start_vms(tower, BLOGS, limit=2, on_progress=count)
        assert {outcome.result for outcome in outcomes} == {"done"}
        sent = [body["where"]["id_in"] for body in sim.sent("start-vm")]
        assert sent == [[vm["id"] for vm in vms[at : at + 2]] for at in (0, 2, 4)]
        assert running[-1] == 5


async def test_a_vm_that_fails_does_not_stop_the_others() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, *["STOPPED"] * 3)
        sim.tasks.fail_next()
        heard: list[Progress] = []
        outcomes = await start_vms(tower, BLOGS, on_progress=heard.append)
        assert results_and_states(outcomes) == [
            ("failed", "STOPPED"),
            ("done", "RUNNING"),
            ("done", "RUNNING"),
        ]
        assert errors(outcomes) == [TaskFailed, None, None]
    ends = [(one.subject, one.step, one.done) for one in heard if one.step in {"done", "failed"}]
    assert ends == [("blog-0", "failed", 1), ("blog-1", "done", 2), ("blog-2", "done", 3)]
    assert {one.total for one in heard} == {3}
    assert steps([one for one in heard if one.subject == "blog-1"]) == ["start", "done"]


async def test_a_locked_vm_is_left_out_and_the_others_are_sent_again() -> None:
    async with simulated(lock_timeout=0) as (sim, tower):
        vms = add_vms(sim, *["STOPPED"] * 3)
        sim.store.change("Vm", vms[1]["id"], entityAsyncStatus="UPDATING")
        outcomes = await start_vms(tower, BLOGS)
        assert results_and_states(outcomes) == [
            ("done", "RUNNING"),
            ("failed", "STOPPED"),
            ("done", "RUNNING"),
        ]
        assert errors(outcomes) == [None, ResourceLocked, None]
        assert len(sim.sent("start-vm")) == 2


async def test_a_rejected_vm_is_isolated_and_the_others_are_switched() -> None:
    async with simulated() as (sim, tower):
        vms = add_vms(sim, *["STOPPED"] * 8)
        sim.store.change("Vm", vms[5]["id"], in_recycle_bin=True)
        outcomes = await start_vms(tower, BLOGS)
        results = [outcome.result for outcome in outcomes]
        assert results == ["done"] * 5 + ["failed"] + ["done"] * 2
        assert isinstance(outcomes[5].error, BadRequest)
        assert len(sim.sent("start-vm")) == 7  # 8, 4, 4, 2, 1, 1, 2


async def test_an_unknown_outcome_is_reported_for_all_and_nothing_is_retried() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, *["STOPPED"] * 3)
        sim.faults.reset("start-vm")
        outcomes = await start_vms(tower, BLOGS, limit=2)
        assert errors(outcomes) == [OutcomeUnknown, OutcomeUnknown, None]
        assert [len(body["where"]["id_in"]) for body in sim.sent("start-vm")] == [2, 1]


@pytest.mark.parametrize(
    ("recipe", "path", "begins", "ends"),
    [
        (start_vms, "start-vm", "STOPPED", "RUNNING"),
        (shut_down_vms, "shutdown-vm", "RUNNING", "STOPPED"),
        (restart_vms, "restart-vm", "RUNNING", None),
    ],
)
async def test_after_a_lost_answer_vms_are_read_before_the_next_batch(
    recipe: Recipe, path: str, begins: str, ends: str | None
) -> None:
    busy: list[str] = []

    def look(_: int) -> None:
        found = sim.store.select("Vm", {**BLOGS, "entityAsyncStatus_not": None})
        busy.extend(vm["name"] for vm in found)

    slowly = Clock(running=False, per_request=1.0)
    async with simulated(trace=after_each(path, look), clock=slowly, task_duration=3.0) as both:
        sim, tower = both
        add_vms(sim, *[begins] * 3)
        sim.faults.reset(path, executed=True)
        outcomes = await recipe(tower, BLOGS, limit=2)
        assert [len(body["where"]["id_in"]) for body in sim.sent(path)] == [2, 1]
        assert busy == ["blog-2"]
    if ends is None:
        assert errors(outcomes) == [OutcomeUnknown, OutcomeUnknown, None]
    else:
        assert results_and_states(outcomes) == [("done", ends)] * 3


async def test_after_a_lost_answer_to_a_power_off_the_vms_are_read() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "RUNNING")
        sim.tasks.fail_next()
        sim.faults.reset("poweroff-vm", executed=True)
        assert results_and_states(await shut_down_vms(tower, BLOGS, force_after=60)) == [
            ("forced", "STOPPED")
        ]


async def test_a_lost_answer_is_reported_for_vms_that_stay_busy_or_unreadable() -> None:
    def forbid(times: int) -> None:
        if times == 2:
            sim.faults.fail("get-vms", status=403)

    held = Clock(running=False)
    async with simulated(clock=held, task_duration=60, trace=after_each("get-vms", forbid)) as both:
        sim, tower = both
        add_vms(sim, "STOPPED", "STOPPED")
        sim.faults.reset("start-vm", executed=True, times=2)
        assert errors(await start_vms(tower, BLOGS, limit=1, timeout=0.1)) == [OutcomeUnknown] * 2
        assert len(sim.sent("start-vm")) == 2


async def test_a_vm_deleted_in_the_meantime_is_reported() -> None:
    async with simulated() as (sim, tower):
        vms = add_vms(sim, *["STOPPED"] * 2)

        def delete(news: Progress) -> None:
            if news.subject == "blog-0" and news.fraction == 1 and news.step == "start":
                sim.store.remove("Vm", vms[1]["id"])

        outcomes = await start_vms(tower, BLOGS, on_progress=delete)
        assert [outcome.result for outcome in outcomes] == ["done", "failed"]
        assert "VM blog-1 no longer exists" in str(outcomes[1].error)


@pytest.mark.parametrize(("status", "body"), NOTHING_MATCHES)
@pytest.mark.parametrize("recipe", [start_vms, restart_vms, shut_down_vms])
async def test_a_call_that_switches_nothing_is_no_success(
    recipe: Recipe, status: int, body: bytes | None
) -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "STOPPED" if recipe is start_vms else "RUNNING")
        for path in ("start-vm", "restart-vm", "shutdown-vm"):
            sim.faults.fail(path, status=status, body=body)
        [outcome] = await recipe(tower, BLOGS)
        assert outcome.result == "failed"
        assert isinstance(outcome.error, OutcomeUnknown if status == 304 else NotFound)


@pytest.mark.parametrize(("status", "body"), NOTHING_MATCHES)
async def test_vms_switched_by_someone_else_count_as_done(status: int, body: bytes | None) -> None:
    def start(_: int) -> None:
        for vm in sim.store.select("Vm", {**BLOGS}):
            sim.store.change("Vm", vm["id"], status="RUNNING")

    async with simulated(trace=after_each("start-vm", start)) as (sim, tower):
        add_vms(sim, "STOPPED")
        sim.faults.fail("start-vm", status=status, body=body)
        [outcome] = await start_vms(tower, BLOGS)
        assert (outcome.result, outcome.vm.status) == ("done", "RUNNING")


@pytest.mark.parametrize(("status", "body"), NOTHING_MATCHES[::2])
async def test_a_shut_down_that_switches_nothing_can_be_forced(
    status: int, body: bytes | None
) -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "RUNNING")
        sim.faults.fail("shutdown-vm", status=status, body=body)
        [outcome] = await shut_down_vms(tower, BLOGS, force_after=60)
        assert (outcome.result, outcome.vm.status) == ("forced", "STOPPED")


async def test_a_vm_that_takes_too_long_does_not_hide_the_others() -> None:
    async with simulated() as (sim, tower):
        vms = add_vms(sim, *["STOPPED"] * 2)

        sim.tasks.duration = 3600.0

        def hold_the_first(_: Progress) -> None:
            [task] = sim.store.select("Task", {"resource_id": vms[0]["id"]})
            sim.tasks.pause(task["id"])
            sim.clock.advance(3600)

        outcomes = await start_vms(tower, BLOGS, timeout=1, on_progress=hold_the_first)
        assert errors(outcomes) == [TaskTimeout, None]
        assert results_and_states(outcomes)[1] == ("done", "RUNNING")


async def test_a_vm_that_does_not_settle_does_not_hide_the_others() -> None:
    async with simulated() as (sim, tower):
        vms = add_vms(sim, *["STOPPED"] * 2)

        def keep_busy(news: Progress) -> None:
            if news.step == "start" and news.fraction == 1:
                sim.store.change("Vm", vms[0]["id"], entityAsyncStatus="UPDATING")

        outcomes = await start_vms(tower, BLOGS, timeout=0.6, on_progress=keep_busy)
        assert errors(outcomes) == [SettleTimeout, None]


async def test_vms_that_cannot_be_read_afterwards_are_reported() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "STOPPED")

        def fail(news: Progress) -> None:
            if news.step == "start":
                sim.faults.fail("get-vms", status=403)

        [outcome] = await start_vms(tower, BLOGS, on_progress=fail)
        assert outcome.result == "done"
        assert isinstance(outcome.error, ReadBackFailed)
        assert outcome.error.done
        assert outcome.error.resource_ids == (outcome.vm.id,)
        assert isinstance(outcome.error.__cause__, Forbidden)


async def test_vms_restart_and_those_that_are_off_fail() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "RUNNING", "STOPPED", "RUNNING")
        heard: list[Progress] = []
        outcomes = await restart_vms(tower, BLOGS, limit=1, on_progress=heard.append)
        assert results_and_states(outcomes) == [
            ("done", "RUNNING"),
            ("failed", "STOPPED"),
            ("done", "RUNNING"),
        ]
        assert len(sim.sent("restart-vm")) == 2
        order = [one.subject for one in heard if one.step == "restart"]
        assert order == sorted(order)


async def test_vms_shut_down_and_those_that_are_off_are_left_alone() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "RUNNING", "STOPPED", "SUSPENDED")
        outcomes = await shut_down_vms(tower, BLOGS, force_after=60)
        assert results_and_states(outcomes) == [
            ("done", "STOPPED"),
            ("already", "STOPPED"),
            ("failed", "SUSPENDED"),
        ]
        assert sim.sent("poweroff-vm") == []


async def test_a_guest_that_cannot_shut_down_is_powered_off_at_once_on_request() -> None:
    async with simulated() as (sim, tower):
        vms = add_vms(sim, *["RUNNING"] * 3)
        sim.tasks.fail_next()
        outcomes = await shut_down_vms(tower, {"name_in": ["blog-0", "blog-1"]})
        assert results_and_states(outcomes) == [("failed", "RUNNING"), ("done", "STOPPED")]
        assert sim.sent("poweroff-vm") == []
        sim.tasks.fail_next()
        heard: list[Progress] = []
        outcomes = await shut_down_vms(tower, BLOGS, force_after=60, on_progress=heard.append)
        assert results_and_states(outcomes) == [
            ("forced", "STOPPED"),
            ("already", "STOPPED"),
            ("done", "STOPPED"),
        ]
        assert errors(outcomes) == [None] * 3
        assert sim.sent("poweroff-vm") == [{"where": {"id_in": [vms[0]["id"]]}}]
    of_first = [one for one in heard if one.subject == "blog-0"]
    assert steps(of_first) == ["shut down", "power off", "done"]


async def test_a_guest_that_takes_its_time_is_waited_for() -> None:
    def go_off(times: int) -> None:
        if times == 4:  # the listing, settled or not, and two polls of the status
            for vm in vms:
                sim.store.change("Vm", vm["id"], status="STOPPED")

    async with simulated(trace=after_each("get-vms", go_off)) as (sim, tower):
        vms = add_vms(sim, "RUNNING", "RUNNING")

        def still_on(news: Progress) -> None:
            if news.step == "shut down" and news.fraction == 1:
                for vm in vms:  # the tasks have ended, but the guests have not shut down
                    sim.store.change("Vm", vm["id"], status="RUNNING")

        outcomes = await shut_down_vms(tower, BLOGS, on_progress=still_on)
        assert results_and_states(outcomes) == [("done", "STOPPED")] * 2
        assert len(sim.sent("get-vms")) == 5


async def test_guests_that_can_no_longer_be_read_are_reported() -> None:
    def forbid(times: int) -> None:
        if times == 3:
            sim.faults.fail("get-vms", status=403)

    async with simulated(trace=after_each("get-vms", forbid)) as (sim, tower):
        [vm] = add_vms(sim, "RUNNING")

        def still_on(news: Progress) -> None:
            if news.step == "shut down" and news.fraction == 1:
                sim.store.change("Vm", vm["id"], status="RUNNING")

        [outcome] = await shut_down_vms(tower, BLOGS, force_after=60, on_progress=still_on)
        assert outcome.result == "failed"
        assert isinstance(outcome.error, ReadBackFailed)
        assert not outcome.error.done
        assert isinstance(outcome.error.__cause__, Forbidden)
        assert sim.sent("poweroff-vm") == []


async def test_a_guest_that_never_shuts_down_is_reported_or_powered_off() -> None:
    async with simulated() as (sim, tower):
        [vm] = add_vms(sim, "RUNNING")

        def still_on(news: Progress) -> None:
            if news.step == "shut down":
                sim.store.change("Vm", vm["id"], status="RUNNING")

        [outcome] = await shut_down_vms(tower, BLOGS, timeout=1, on_progress=still_on)
        assert (outcome.result, outcome.vm.status) == ("failed", "RUNNING")
        assert "VM blog-0 is still RUNNING" in str(outcome.error)
        [outcome] = await shut_down_vms(tower, BLOGS, force_after=1, on_progress=still_on)
        assert (outcome.result, outcome.vm.status) == ("forced", "STOPPED")


async def test_a_hanging_shutdown_that_locks_the_vm_is_reported() -> None:
    async with simulated(task_duration=3600, lock_timeout=0) as (sim, tower):
        add_vms(sim, "RUNNING")
        outcomes = await shut_down_vms(tower, BLOGS, force_after=0.05)
        assert errors(outcomes) == [ResourceLocked]
        assert len(sim.sent("poweroff-vm")) == 1


async def test_nothing_is_powered_off_after_a_shutdown_of_unknown_outcome() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "RUNNING")
        sim.faults.reset("shutdown-vm")
        outcomes = await shut_down_vms(tower, BLOGS, force_after=1)
        assert errors(outcomes) == [OutcomeUnknown]
        assert sim.sent("poweroff-vm") == []


@pytest.mark.parametrize("recipe", [start_vms, restart_vms, shut_down_vms])
async def test_every_vm_is_switched_only_on_request(recipe: Recipe) -> None:
    async with simulated() as (sim, tower):
        before = len(sim.requests)
        with pytest.raises(EmptyFilter, match=f"{recipe.__name__}: where: "):
            await recipe(tower, {"cluster": {}})
        with pytest.raises(InvalidInput, match=f"{recipe.__name__}: limit: "):
            await recipe(tower, BLOGS, limit=0)
        assert len(sim.requests) == before
        with pytest.raises(NotFound, match=r"_vms: no VM matches the filter .*missing_ok=True"):
            await recipe(tower, BLOGS)
        assert await recipe(tower, BLOGS, missing_ok=True) == []
        assert sim.mutations() == []


async def test_a_cancelled_recipe_starts_no_more_vms() -> None:
    async with simulated(task_duration=3600, clock=Clock(running=False)) as (sim, tower):
        add_vms(sim, *["STOPPED"] * 4)
        before = tasks_of_clients()
        with anyio.CancelScope() as scope:
            await start_vms(tower, BLOGS, limit=2, on_progress=lambda _: scope.cancel())
        assert scope.cancelled_caught
        assert tasks_of_clients() == before
        assert len(sim.sent("start-vm")) == 1
        busy = sim.store.select("Vm", {"entityAsyncStatus": "UPDATING"})
        assert [vm["name"] for vm in busy] == ["blog-0", "blog-1"]


async def test_exceptions_of_the_listener_are_raised_unchanged() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, "STOPPED")

        def stop(_: Progress) -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await start_vms(tower, BLOGS, on_progress=stop)
        assert results_and_states(await start_vms(tower, BLOGS)) == [("already", "RUNNING")]
