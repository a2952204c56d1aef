"""Loaders: many reads by id in few requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from cloudtower_async import (
    Cloudtower,
    InvalidInput,
    NotFound,
    RetryPolicy,
    ServerError,
    SessionClosed,
)
from cloudtower_async.testing import Clock, Simulator
from tests.odd_servers import capped, proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

VMS = 1_200


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=2, vms=VMS, seed=5, clock=Clock(running=False)) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    retry = RetryPolicy(attempts=1)
    async with Cloudtower(
        sim.url, username=sim.username, password=sim.password, retry=retry
    ) as session:
        yield session


def ids_of(sim: Simulator) -> list[str]:
    return list(sim.store.table("Vm"))


def asked(sim: Simulator) -> list[list[str]]:
    """Return the ids in each request for VMs."""
    return [body["where"]["id_in"] for body in sim.sent("get-vms")]


async def requested(sim: Simulator) -> None:
    """Wait until the server has received a request for VMs."""
    while not sim.sent("get-vms"):  # noqa: ASYNC110 - the simulator has no event for it
        await asyncio.sleep(0)


async def test_a_thousand_readers_share_two_requests(sim: Simulator, tower: Cloudtower) -> None:
    ids = ids_of(sim)[:1_000]
    loader = tower.loader(tower.vm.get_vms)
    vms = await asyncio.gather(*(loader.get(one) for one in ids))
    assert [vm.id for vm in vms] == ids
    assert [len(one) for one in asked(sim)] == [500, 500]


async def test_later_reads_have_separate_requests(sim: Simulator, tower: Cloudtower) -> None:
    [one, *_] = ids_of(sim)
    loader = tower.loader(tower.vm.get_vms)
    first = asyncio.create_task(loader.get(one))
    await requested(sim)
    await loader.get(one)  # not answered by the request in progress
    await first
    assert asked(sim) == [[one], [one]]


async def test_readers_of_the_same_id_share_it(sim: Simulator, tower: Cloudtower) -> None:
    [one, *_] = ids_of(sim)
    loader = tower.loader(tower.vm.get_vms)
    vms = await asyncio.gather(*(loader.get(one) for _ in range(20)))
    assert {vm.id for vm in vms} == {one}
    assert asked(sim) == [[one]]


async def test_only_readers_of_a_missing_id_get_an_error(sim: Simulator, tower: Cloudtower) -> None:
    [one, *_] = ids_of(sim)
    loader = tower.loader(tower.vm.get_vms)
    vm, missing = await asyncio.gather(loader.get(one), loader.get("none"), return_exceptions=True)
    assert not isinstance(vm, BaseException)
    assert vm.id == one
    assert isinstance(missing, NotFound)
    assert "'none'" in str(missing)


async def test_each_reader_gets_a_separate_error(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("get-vms", status=503)
    loader = tower.loader(tower.vm.get_vms)
    one, other = await asyncio.gather(
        *(loader.get(each) for each in ids_of(sim)[:2]), return_exceptions=True
    )
    assert isinstance(one, ServerError)
    assert isinstance(other, ServerError)
    assert one is not other
    assert len(sim.sent("get-vms")) == 1


@pytest.mark.parametrize("cancelled", range(3))
@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_reader_disturbs_no_other(
    sim: Simulator, tower: Cloudtower, cancelled: int, turns: int
) -> None:
    ids = ids_of(sim)[:3]
    loader = tower.loader(tower.vm.get_vms)
    readers = [asyncio.create_task(loader.get(one)) for one in ids]
    for _ in range(turns):
        await asyncio.sleep(0)
    ended = readers[cancelled].done()
    readers[cancelled].cancel()
    results = await asyncio.gather(*readers, return_exceptions=True)
    for place, (one, result) in enumerate(zip(ids, results, strict=True)):
        if place == cancelled and not ended:
            assert isinstance(result, asyncio.CancelledError)
        else:
            assert not isinstance(result, BaseException)
            assert result.id == one
    assert not [task for task in asyncio.all_tasks() if "Loader" in repr(task)]


async def test_ids_of_cancelled_readers_are_not_requested(
    sim: Simulator, tower: Cloudtower
) -> None:
    gone, one = ids_of(sim)[:2]
    loader = tower.loader(tower.vm.get_vms)
    readers = [asyncio.create_task(loader.get(each)) for each in (gone, one)]
    await asyncio.sleep(0)  # both have joined
    readers[0].cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    assert asked(sim) == [[one]]


async def test_when_all_are_cancelled_the_next_reader_begins_afresh(
    sim: Simulator, tower: Cloudtower
) -> None:
    gone, one = ids_of(sim)[:2]
    loader = tower.loader(tower.vm.get_vms)
    reader = asyncio.create_task(loader.get(gone))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert (await loader.get(one)).id == one
    assert asked(sim) == [[one]]


async def test_many_are_returned_by_id_in_the_order_given(
    sim: Simulator, tower: Cloudtower
) -> None:
    ids = [*reversed(ids_of(sim)), "none", *ids_of(sim)[:3]]
    vms = await tower.loader(tower.vm.get_vms).get_many(iter(ids))
    assert list(vms) == ids[:VMS]
    assert all(vm.id == one for one, vm in vms.items())
    assert sorted(len(one) for one in asked(sim)) == [
        1,
        201,
        500,
        500,
    ]  # the unknown id is requested again
    assert await tower.loader(tower.vm.get_vms).get_many([]) == {}


async def test_an_error_in_one_of_several_requests_is_raised(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("get-vms", status=503)
    with pytest.raises(ServerError):
        await tower.loader(tower.vm.get_vms).get_many(ids_of(sim))
    assert not [task for task in asyncio.all_tasks() if "Loader" in repr(task)]


async def test_a_cache_serves_until_its_age_is_over(sim: Simulator, tower: Cloudtower) -> None:
    one, other = ids_of(sim)[:2]
    loader = tower.loader(tower.vm.get_vms, max_age=3600.0, max_entries=1)
    first = await loader.get(one)
    assert await loader.get(one) is first
    await loader.get(other)  # occupies the only slot
    assert await loader.get(one) is not first
    loader.clear([one])
    await loader.get(one)
    loader.clear()
    await loader.get(one)
    assert asked(sim) == [[one], [other], [one], [one], [one]]
    brief = tower.loader(tower.vm.get_vms, max_age=1e-9)
    await brief.get(one)
    await brief.get(one)
    assert len(asked(sim)) == 7


async def test_ids_missing_from_a_truncated_answer_are_requested_again(sim: Simulator) -> None:
    ids = ids_of(sim)[:20]
    async with (
        proxy(sim.url, capped(7)) as url,
        Cloudtower(url, username=sim.username, password=sim.password) as tower,
    ):
        loader = tower.loader(tower.vm.get_vms)
        vms = await asyncio.gather(*(loader.get(one) for one in ids))
    assert [vm.id for vm in vms] == ids


@pytest.mark.parametrize("wrong", ["", cast("str", None), cast("str", 5), cast("str", b"x")])
async def test_invalid_ids_are_rejected_before_any_request(
    sim: Simulator, tower: Cloudtower, wrong: str
) -> None:
    loader = tower.loader(tower.vm.get_vms)
    with pytest.raises(InvalidInput, match=r"loader of vm.get_vms: expected an id, got"):
        await loader.get(wrong)
    with pytest.raises(InvalidInput, match=r"expected a list of ids, got 'abc'"):
        await loader.get_many("abc")
    assert not sim.sent("get-vms")


async def test_arguments_of_a_loader_are_checked(tower: Cloudtower) -> None:
    with pytest.raises(InvalidInput, match="loader: expected a method of the session"):
        tower.loader(print)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"task\.get_tasks_connection is not a query"):
        tower.loader(tower.task.get_tasks_connection)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="loader: max_age"):
        tower.loader(tower.vm.get_vms, max_age=-1.0)
    with pytest.raises(InvalidInput, match="loader: max_entries"):
        tower.loader(tower.vm.get_vms, max_entries=0)


async def test_closing_the_session_ends_every_read(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.hang("get-vms")
    loader = tower.loader(tower.vm.get_vms)
    readers = [asyncio.create_task(loader.get(one)) for one in ids_of(sim)[:3]]
    await requested(sim)
    await tower.close()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert [type(result) for result in results] == [SessionClosed] * 3
    with pytest.raises(SessionClosed):
        await loader.get("any")
