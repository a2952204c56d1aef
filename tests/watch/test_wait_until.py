"""Waiting until resources meet a condition, with the simulator."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from cloudtower_async import (
    Cloudtower,
    ConditionFailed,
    ConditionTimeout,
    Forbidden,
    InvalidInput,
    RetryPolicy,
    SessionClosed,
)
from cloudtower_async.recipes import wait_for_addresses, wait_for_tools
from cloudtower_async.testing import Clock, Simulator
from tests.support import cancelled_at, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine

    from anyio.abc import TaskGroup

    from cloudtower_async.inputs import VmWhereInput
    from cloudtower_async.models import Vm

pytestmark = pytest.mark.anyio

QUICK = 0.002  # seconds between polls


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


def some(sim: Simulator, number: int) -> list[str]:
    return sorted(sim.store.table("Vm"))[:number]


def described(vm: Vm) -> bool:
    return vm.description == "ready"


async def test_a_true_condition_returns_at_once(sim: Simulator, tower: Cloudtower) -> None:
    vms = await tower.wait_until(tower.vm.get_vms, lambda vm: vm.name, interval=3600.0)
    assert {vm.id for vm in vms} == set(sim.store.table("Vm"))


async def test_it_waits_for_several_resources(sim: Simulator, tower: Cloudtower) -> None:
    ids = some(sim, 3)
    found: list[Vm] = []

    async def wait() -> None:
        found.extend(
            await tower.wait_until(
                tower.vm.get_vms, described, interval=QUICK, where={"id_in": ids}
            )
        )

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        for vm_id in ids:
            await wait_all_tasks_blocked()
            assert not found
            sim.store.change("Vm", vm_id, description="ready")
    assert sorted(vm.id for vm in found) == ids
    assert {vm.description for vm in found} == {"ready"}


@pytest.mark.parametrize("key", ["id", "name"])
async def test_resources_that_are_not_listed_yet_are_waited_for(
    sim: Simulator, tower: Cloudtower, key: str
) -> None:
    where: Any = {key: "late"}
    found: list[Vm] = []

    async def wait() -> None:
        found.extend(await tower.wait_until(tower.vm.get_vms, bool, interval=QUICK, where=where))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await wait_all_tasks_blocked()
        assert not found
        vm = dict(sim.store.get("Vm", some(sim, 1)[0]))
        sim.store.add("Vm", {**vm, "id": "late", "name": "late", "vm_disks": [], "vm_nics": []})
    assert [vm.id for vm in found] == ["late"]


async def test_a_missing_resource_named_by_id_is_waited_for(
    sim: Simulator, tower: Cloudtower
) -> None:
    [there] = some(sim, 1)
    with pytest.raises(ConditionTimeout, match=r"^1 resource .* after 0.2 s: never \(not seen\)"):
        await tower.wait_until(
            tower.vm.get_vms,
            lambda vm: vm.name,
            timeout=0.2,
            interval=QUICK,
            where={"id_in": [there, "never"]},
        )


async def test_a_filter_that_matches_nothing_times_out(tower: Cloudtower) -> None:
    with pytest.raises(ConditionTimeout, match="no resource matched the filter") as caught:
        await tower.wait_until(
            tower.vm.get_vms, bool, timeout=0.1, interval=QUICK, where={"name": "none"}
        )
    assert caught.value.ids == ()


async def test_a_time_out_shows_the_last_state(sim: Simulator, tower: Cloudtower) -> None:
    [vm_id] = some(sim, 1)
    sim.store.change("Vm", vm_id, name="till\x1b[2J", status="SUSPENDED")
    with pytest.raises(ConditionTimeout) as caught:
        await tower.wait_until(
            tower.vm.get_vms, described, timeout=0.1, interval=QUICK, where={"id": vm_id}
        )
    assert isinstance(caught.value, TimeoutError)
    assert "status SUSPENDED" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    last: Any = caught.value.last_seen[vm_id]
    assert (caught.value.ids, last.status) == ((vm_id,), "SUSPENDED")


async def test_a_resource_deleted_during_the_wait_fails_it_at_once(
    sim: Simulator, tower: Cloudtower
) -> None:
    ids = some(sim, 2)
    seen = anyio.Event()

    def never(_: Vm) -> bool:
        seen.set()
        return False

    async def remove() -> None:
        await seen.wait()
        sim.store.remove("Vm", ids[0])

    async with anyio.create_task_group() as group:
        group.start_soon(remove)
        with pytest.raises(ConditionFailed, match="1 resource gone during the wait") as caught:
            await tower.wait_until(
                tower.vm.get_vms, never, timeout=None, interval=QUICK, where={"id_in": ids}
            )
        assert (caught.value.ids, caught.value.gone) == ((ids[0],), True)
        assert caught.value.last_seen.keys() == set(ids)


async def test_fail_if_is_checked_before_the_condition(sim: Simulator, tower: Cloudtower) -> None:
    [vm_id] = some(sim, 1)
    sim.store.change("Vm", vm_id, description="ready")
    with pytest.raises(ConditionFailed, match="fail_if is true for 1 resource") as caught:
        await tower.wait_until(tower.vm.get_vms, described, fail_if=described, where={"id": vm_id})
    assert (caught.value.ids, caught.value.gone) == ((vm_id,), False)


async def test_an_outage_at_the_beginning_does_not_end_it(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("get-vms", status=503, times=2)
    assert await tower.wait_until(tower.vm.get_vms, lambda vm: vm.name, interval=QUICK)


async def test_a_time_out_reports_the_error_of_the_last_poll(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("get-vms", status=503, times=10_000)
    with pytest.raises(ConditionTimeout, match=r"The last poll failed: .*503"):
        await tower.wait_until(tower.vm.get_vms, described, timeout=0.2, interval=QUICK)


async def test_permanent_errors_are_raised(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("get-vms", status=403)
    with pytest.raises(Forbidden):
        await tower.wait_until(tower.vm.get_vms, described, interval=QUICK)


async def test_an_error_of_the_condition_is_raised_as_it_is(tower: Cloudtower) -> None:
    with pytest.raises(ZeroDivisionError):
        await tower.wait_until(tower.vm.get_vms, lambda _: 1 // 0, interval=QUICK)


async def test_closing_the_session_ends_it(sim: Simulator, tower: Cloudtower) -> None:
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(SessionClosed):
                await tower.wait_until(tower.vm.get_vms, described, interval=3600.0)

        group.start_soon(wait)
        await wait_all_tasks_blocked()
        await tower.close()


async def test_cancelled_anywhere_it_leaves_nothing_behind(tower: Cloudtower) -> None:
    tasks = tasks_of_clients()
    for number in range(30):
        call = tower.wait_until(tower.vm.get_vms, described, interval=QUICK)
        assert await cancelled_at(number, call)
        assert tasks_of_clients() == tasks


async def test_arguments_are_checked_before_anything_is_sent(
    sim: Simulator, tower: Cloudtower
) -> None:
    async def no_condition(_: Vm) -> bool:
        return True

    wrong: Any = "ips"
    get_vms = tower.vm.get_vms
    with pytest.raises(InvalidInput, match="wait_until: condition: expected a function"):
        await tower.wait_until(get_vms, wrong)
    with pytest.raises(InvalidInput, match="wait_until: fail_if: expected a function"):
        await tower.wait_until(get_vms, described, fail_if=wrong)
    with pytest.raises(InvalidInput, match="wait_until: timeout"):
        await tower.wait_until(get_vms, described, timeout=0)
    with pytest.raises(InvalidInput, match="wait_until: interval"):
        await tower.wait_until(get_vms, described, interval=-1)
    with pytest.raises(InvalidInput, match="wait_until: first"):
        await tower.wait_until(get_vms, described, first=1)
    with pytest.raises(InvalidInput, match="wait_for_tools: vm: expected a VM or its id"):
        await wait_for_tools(tower, 7)  # type: ignore[arg-type]
    assert sim.sent("get-vms") == []
    with pytest.raises(InvalidInput, match="expected a plain function, got an async one"):
        await tower.wait_until(get_vms, no_condition, interval=QUICK)


async def test_recipes_wait_for_tools_and_for_addresses(sim: Simulator, tower: Cloudtower) -> None:
    [vm_id] = some(sim, 1)
    sim.store.change("Vm", vm_id, ips="", vm_tools_status="NOT_RUNNING")
    [vm] = await tower.vm.get_vms(where={"id": vm_id})
    with pytest.raises(ConditionTimeout, match="vm_tools_status NOT_RUNNING"):
        await wait_for_tools(tower, vm, timeout=0.1, interval=QUICK)
    sim.store.change("Vm", vm_id, vm_tools_status="RUNNING")
    assert (await wait_for_tools(tower, vm, interval=QUICK)).vm_tools_status == "RUNNING"
    with pytest.raises(ConditionTimeout):
        await wait_for_addresses(tower, vm_id, timeout=0.1, interval=QUICK)
    sim.store.change("Vm", vm_id, ips="10.0.0.7")
    assert (await wait_for_addresses(tower, vm_id, interval=QUICK)).ips == "10.0.0.7"


@pytest.fixture
async def polling(sim: Simulator) -> AsyncIterator[Cloudtower]:
    """A session without the change feed."""
    async with Cloudtower(
        sim.url, username=sim.username, password=sim.password, retry=RetryPolicy(attempts=1)
    ) as tower:
        yield tower


def polled(sim: Simulator) -> list[int]:
    """Return the number of ids in each request for VMs."""
    return [len(body["where"]["id_in"]) for body in sim.sent("get-vms")]


@asynccontextmanager
async def hundred(sim: Simulator, tower: Cloudtower, ids: list[str]) -> AsyncGenerator[TaskGroup]:
    """Run 100 waits, each for one of these VMs."""
    async with anyio.create_task_group() as group:
        for number in range(100):
            where: VmWhereInput = {"id": ids[number % len(ids)]}
            group.start_soon(
                partial(tower.wait_until, tower.vm.get_vms, described, interval=0.5, where=where)
            )
        yield group


async def poll_times(sim: Simulator, times: int) -> None:
    """Wait until the server has received this many more requests."""
    goal = len(polled(sim)) + times
    while len(polled(sim)) < goal:  # noqa: ASYNC110 - the server has no event for it
        await anyio.sleep(QUICK)


async def test_a_hundred_waits_share_one_request_per_interval(
    sim: Simulator, polling: Cloudtower
) -> None:
    ids = some(sim, 8)
    async with hundred(sim, polling, ids):
        await poll_times(sim, 3)
        assert set(polled(sim)) == {8}  # each request serves all waits
        for vm_id in ids:
            sim.store.change("Vm", vm_id, description="ready")


@pytest.mark.parametrize(
    ("recipe", "before", "after"),
    [
        (wait_for_addresses, {"ips": ""}, {"ips": "10.0.0.7"}),
        (wait_for_tools, {"vm_tools_status": "NOT_RUNNING"}, {"vm_tools_status": "RUNNING"}),
    ],
)
async def test_recipes_that_wait_for_twenty_vms_share_one_request_per_interval(
    recipe: Callable[..., Coroutine[Any, Any, Vm]], before: dict[str, str], after: dict[str, str]
) -> None:
    async with (
        Simulator(clusters=1, vms=20, seed=3, clock=Clock(running=False)) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        ids = some(sim, 20)
        for vm_id in ids:
            sim.store.change("Vm", vm_id, **before)
        async with anyio.create_task_group() as group:
            for vm_id in ids:
                group.start_soon(partial(recipe, tower, vm_id, interval=0.5))
            await poll_times(sim, 3)
            for vm_id in ids:
                sim.store.change("Vm", vm_id, **after)
        assert set(polled(sim)) == {20}  # each request serves all of them


async def test_waits_that_begin_at_different_times_soon_share_their_requests(
    sim: Simulator, polling: Cloudtower
) -> None:
    ids = some(sim, 8)
    async with anyio.create_task_group() as group:
        for vm_id in ids:
            where: VmWhereInput = {"id_in": [vm_id]}
            wait = partial(polling.wait_until, polling.vm.get_vms, described, where=where)
            group.start_soon(partial(wait, interval=0.05))
            await anyio.sleep(0.01)
        while polled(sim)[-4:] != [8] * 4:  # a slow machine can miss the first common polls
            await poll_times(sim, 1)
        group.cancel_scope.cancel()


async def test_another_wait_leads_when_the_leader_is_cancelled(
    sim: Simulator, polling: Cloudtower
) -> None:
    first, second = some(sim, 2)
    found: list[Vm] = []

    async def wait(vm_id: str) -> None:
        found.extend(
            await polling.wait_until(
                polling.vm.get_vms, described, interval=QUICK, where={"id": vm_id}
            )
        )

    async with anyio.create_task_group() as others, anyio.create_task_group() as leading:
        leading.start_soon(wait, first)
        await poll_times(sim, 1)
        others.start_soon(wait, second)
        await poll_times(sim, 3)
        leading.cancel_scope.cancel()
        sim.store.change("Vm", second, description="ready")
    assert [vm.id for vm in found] == [second]


async def test_an_error_reaches_each_wait_that_shares_the_request(
    sim: Simulator, polling: Cloudtower
) -> None:
    errors: list[Forbidden] = []
    sim.faults.fail("get-vms", status=403)

    async def wait(vm_id: str) -> None:
        with pytest.raises(Forbidden) as caught:
            await polling.wait_until(polling.vm.get_vms, described, where={"id": vm_id})
        errors.append(caught.value)

    async with anyio.create_task_group() as group:
        for vm_id in some(sim, 5):
            group.start_soon(wait, vm_id)
    assert len({id(error) for error in errors}) == 5
    assert polled(sim) == [5]


async def test_an_outage_is_outlasted_once_for_all_waits(
    sim: Simulator, polling: Cloudtower
) -> None:
    ids = some(sim, 8)
    sim.faults.fail("get-vms", status=503, times=3)
    for vm_id in ids:
        sim.store.change("Vm", vm_id, description="ready")
    async with hundred(sim, polling, ids):
        pass
    assert polled(sim) == [8] * 4


async def test_other_filters_and_options_do_not_share_requests(
    sim: Simulator, polling: Cloudtower
) -> None:
    [vm_id] = some(sim, 1)
    sim.store.change("Vm", vm_id, description="ready")
    wait = partial(polling.wait_until, polling.vm.get_vms, described)
    async with anyio.create_task_group() as group:
        group.start_soon(partial(wait, where={"id": vm_id}))
        group.start_soon(partial(wait, where={"id": vm_id}, content_language="zh-CN"))
        group.start_soon(partial(wait, where={"id": vm_id, "local_id_not": ""}))
    languages = Counter(request.headers["content-language"] for request in sim.requests)
    assert languages["zh-CN"] == 1
    assert {"id": vm_id} not in [body["where"] for body in sim.sent("get-vms")]
