"""Many subscribers of one view, with the simulator."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from cloudtower_async import (
    Cloudtower,
    CloudtowerError,
    Forbidden,
    RetryPolicy,
    SessionClosed,
)
from cloudtower_async.testing import Clock, Simulator
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from cloudtower_async import Subscription, Watch
    from cloudtower_async.models import Vm

    States = Subscription[Mapping[str, Vm]]

pytestmark = pytest.mark.anyio

QUICK = 0.001  # seconds between polls


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3, clock=Clock(running=False)) as simulator:
        yield simulator


@pytest.fixture(params=[True, False], ids=["feed", "polls"])
async def tower(sim: Simulator, request: pytest.FixtureRequest) -> AsyncIterator[Cloudtower]:
    async with Cloudtower(
        sim.url,
        username=sim.username,
        password=sim.password,
        change_feed=(sim.changes.username, sim.changes.password) if request.param else None,
        retry=RetryPolicy(attempts=1),
    ) as tower:
        yield tower


def first(sim: Simulator) -> str:
    return str(min(sim.store.table("Vm")))


def describe(sim: Simulator, text: str) -> None:
    """Change a VM on the server."""
    sim.store.change("Vm", first(sim), description=text)


@asynccontextmanager
async def entered(view: Watch[Vm], number: int) -> AsyncGenerator[list[States]]:
    """Subscribe this many times; each subscriber has read the first state."""
    subscriptions = [view.subscribe() for _ in range(number)]
    for one in subscriptions:
        await one.__aenter__()
        await anext(one)
    yield subscriptions
    for one in subscriptions:
        await one.__aexit__(None, None, None)


async def test_the_present_state_comes_at_once_and_then_each_change(
    sim: Simulator, tower: Cloudtower
) -> None:
    async with tower.watch(tower.vm.get_vms, QUICK) as view, view.subscribe() as states:
        before = await anext(states)
        assert before == view.snapshot
        describe(sim, "changed")
        after = await anext(states)
    assert before.keys() == after.keys()
    assert before[first(sim)].description != "changed"
    assert after[first(sim)].description == "changed"


@pytest.mark.parametrize("number", [1, 1000])
async def test_any_number_of_subscribers_share_one_poll(
    sim: Simulator, tower: Cloudtower, number: int
) -> None:
    async with tower.watch(tower.vm.get_vms, QUICK) as view:
        listing = len(sim.sent("get-vms"))
        async with entered(view, number) as subscriptions:
            states: list[Mapping[str, Vm]] = []

            async def follow(one: States) -> None:
                states.append(await anext(one))

            describe(sim, "changed")
            async with anyio.create_task_group() as group:
                for one in subscriptions:
                    group.start_soon(follow, one)
            polls = len(sim.sent("get-vms")) - listing
    assert len(states) == number
    assert {id(state) for state in states} == {id(states[0])}  # shared, not copied
    assert states[0][first(sim)].description == "changed"
    assert polls == (listing if view.polls else 1)


async def test_a_slow_subscriber_gets_the_latest_state_instead_of_a_backlog(
    sim: Simulator, tower: Cloudtower
) -> None:
    async with tower.watch(tower.vm.get_vms, QUICK) as view, entered(view, 2) as [slow, quick]:
        for text in ("one", "two", "three"):
            describe(sim, text)
            assert (await anext(quick))[first(sim)].description == text
        requests = len(sim.requests)
        assert (await anext(slow))[first(sim)].description == "three"
        assert len(sim.requests) == requests


async def test_another_subscriber_leads_when_the_leader_is_cancelled(
    sim: Simulator, tower: Cloudtower
) -> None:
    found: list[Mapping[str, Vm]] = []
    async with (
        tower.watch(tower.vm.get_vms, QUICK) as view,
        entered(view, 2) as [leader, other],
        anyio.create_task_group() as group,
    ):
        scope = anyio.CancelScope()

        async def lead() -> None:
            with scope:
                await anext(leader)

        async def follow() -> None:
            found.append(await anext(other))

        group.start_soon(lead)
        group.start_soon(follow)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        describe(sim, "changed")
    assert found[0][first(sim)].description == "changed"


async def test_no_request_is_sent_without_a_waiting_subscriber(
    sim: Simulator, tower: Cloudtower
) -> None:
    async with tower.watch(tower.vm.get_vms, QUICK) as view, entered(view, 3):
        tasks, requests = tasks_of_clients(), len(sim.requests)
        await anyio.sleep(20 * QUICK)
        assert len(sim.requests) == requests
        assert tasks_of_clients() == tasks


async def test_leaving_the_view_ends_every_iteration(sim: Simulator, tower: Cloudtower) -> None:
    ended: list[int] = []

    async def follow(number: int, one: States) -> None:
        async for _ in one:
            pass
        ended.append(number)

    with anyio.fail_after(30):
        async with (
            anyio.create_task_group() as group,
            tower.watch(tower.vm.get_vms, 3600.0) as view,
            entered(view, 3) as all_of_them,
        ):
            for number, one in enumerate(all_of_them):
                group.start_soon(follow, number, one)
            await wait_all_tasks_blocked()
    assert sorted(ended) == [0, 1, 2]


async def test_each_subscriber_gets_a_separate_error_from_one_request(
    sim: Simulator, tower: Cloudtower
) -> None:
    errors: list[CloudtowerError] = []

    async def follow(one: States) -> None:
        try:
            await anext(one)
        except Forbidden as error:
            errors.append(error)

    async with tower.watch(tower.vm.get_vms, QUICK) as view, entered(view, 20) as all_of_them:
        path = "get-vms" if view.polls else "resource-changes"
        requests = len(sim.sent(path))
        sim.faults.fail(path, status=403, times=100)
        async with anyio.create_task_group() as group:
            for one in all_of_them:
                group.start_soon(follow, one)
    assert len({id(error) for error in errors}) == 20
    assert len(sim.sent(path)) == requests + 1


async def test_closing_the_session_ends_every_subscriber(sim: Simulator, tower: Cloudtower) -> None:
    errors: list[CloudtowerError] = []

    async def follow(one: States) -> None:
        try:
            await anext(one)
        except SessionClosed as error:
            errors.append(error)

    async with (
        tower.watch(tower.vm.get_vms, 3600.0) as view,
        entered(view, 3) as all_of_them,
        anyio.create_task_group() as group,
    ):
        for one in all_of_them:
            group.start_soon(follow, one)
        await wait_all_tasks_blocked()
        await tower.close()
    assert len(errors) == 3


async def test_the_state_is_read_only(sim: Simulator, tower: Cloudtower) -> None:
    async with tower.watch(tower.vm.get_vms, QUICK) as view, view.subscribe() as states:
        state: Any = await anext(states)
        with pytest.raises(TypeError):
            del state[first(sim)]


async def test_a_subscription_that_was_not_entered_raises_an_error(tower: Cloudtower) -> None:
    view = tower.watch(tower.vm.get_vms, QUICK)
    async with view.subscribe() as states:
        with pytest.raises(CloudtowerError, match="nothing has been read"):
            await anext(states)
    async with view:
        with pytest.raises(CloudtowerError, match="subscription is not entered"):
            await anext(view.subscribe())
