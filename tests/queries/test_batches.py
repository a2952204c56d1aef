"""Waits, `settle` and views with servers that return fewer rows than requested."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import Cloudtower, PagingFailed, RetryPolicy, TaskNotFound, TaskTimeout
from cloudtower_async.queries.batches import IDS_AT_ONCE, batches
from cloudtower_async.simulator.tasks import Work
from cloudtower_async.testing import Clock, Simulator
from cloudtower_async.types import WithTask
from tests.odd_servers import as_it_is, capped, deaf_to, proxy, unchanged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from tests.odd_servers import Ask, Tell

QUICK = 0.001  # seconds between polls
MANY = 130


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    clock = Clock(running=False, per_request=0.1)
    async with Simulator(clusters=1, vms=MANY, seed=3, clock=clock) as simulator:
        yield simulator


@asynccontextmanager
async def odd(
    sim: Simulator, ask: Ask = as_it_is, tell: Tell = unchanged, *, feed: bool = False
) -> AsyncGenerator[Cloudtower]:
    async with (
        proxy(sim.url, ask, tell) as url,
        Cloudtower(
            url,
            username=sim.username,
            password=sim.password,
            change_feed=(sim.changes.username, sim.changes.password) if feed else None,
            retry=RetryPolicy(attempts=1),
        ) as tower,
    ):
        yield tower


def begin(sim: Simulator, number: int) -> list[str]:
    [cluster] = sim.store.table("Cluster")
    sim.tasks.duration = 5.0
    return [
        sim.tasks.start({"cluster": cluster, "description": f"no. {index}"}, Work())
        for index in range(number)
    ]


@pytest.mark.parametrize("size", [1, 3, 499, 500, 501, 10_000])
def test_batches_hold_all_ids_in_their_order(size: int) -> None:
    ids = [str(number) for number in range(1_201)]
    parts = list(batches(ids, size))
    assert [one for part in parts for one in part] == ids
    assert max(map(len, parts)) == min(size, IDS_AT_ONCE)
    assert list(batches([], size)) == []


@pytest.mark.anyio
@pytest.mark.parametrize("cap", [1, 7, 100])
async def test_wait_finds_every_task(sim: Simulator, cap: int) -> None:
    ids = begin(sim, MANY)
    async with odd(sim, capped(cap)) as tower:
        tasks = await tower.wait(ids, interval=QUICK, grace=0)
        assert [task.id for task in tasks] == ids
        with pytest.raises(TaskNotFound, match="task none"):
            await tower.wait(["none"], interval=QUICK, grace=0)


@pytest.mark.anyio
@pytest.mark.parametrize("cap", [1, 7, 100])
async def test_settle_reads_every_resource(sim: Simulator, cap: int) -> None:
    async with odd(sim) as tower:
        vms = await tower.vm.get_vms()
    gone = vms[::10]
    for vm in gone:
        sim.store.remove("Vm", vm.id)
    async with odd(sim, capped(cap)) as tower:
        settled = await tower.settle([WithTask(data=vm) for vm in vms], interval=QUICK, grace=0)
    assert settled == [vm for vm in vms if vm not in gone]


@pytest.mark.anyio
@pytest.mark.parametrize("cap", [1, 7, 100])
@pytest.mark.parametrize("feed", [True, False], ids=["feed", "polls"])
async def test_a_view_has_every_resource(sim: Simulator, cap: int, feed: bool) -> None:
    async with (
        odd(sim, capped(cap), feed=feed) as tower,
        tower.watch(tower.vm.get_vms, QUICK) as view,
    ):
        assert sorted(view.snapshot) == sorted(sim.store.table("Vm"))
        for vm in sim.store.table("Vm").values():
            vm["name"] = f"new {vm['name']}"
        events = [await anext(view) for _ in range(MANY)]
        assert {event.what for event in events} == {"changed"}
        assert {event.id for event in events} == set(view.snapshot)
        for vm_id in list(sim.store.table("Vm"))[:3]:
            sim.store.remove("Vm", vm_id)
        assert [(await anext(view)).what for _ in range(3)] == ["removed"] * 3


@pytest.mark.anyio
async def test_a_task_is_not_reported_as_gone_if_the_server_ignores_the_filter(
    sim: Simulator,
) -> None:
    async with odd(sim, deaf_to("id_in")) as tower:
        with pytest.raises(TaskTimeout, match="none of them among these") as info:
            await tower.wait(["none"], interval=QUICK, grace=0, timeout=0.05)
    assert isinstance(info.value.poll_error, PagingFailed)


@pytest.mark.anyio
async def test_a_task_without_an_id_is_not_gone(sim: Simulator) -> None:
    ids = begin(sim, 3)

    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        return [{**one, "id": None} for one in answer] if path == "get-tasks" else answer

    async with odd(sim, tell=tell) as tower:
        with pytest.raises(TaskTimeout, match="none of them among these"):
            await tower.wait(ids, interval=QUICK, grace=0, timeout=0.05)
