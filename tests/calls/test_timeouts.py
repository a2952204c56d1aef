"""Time-outs of a call and of the scopes around it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from cloudtower_async import CallTimeout, Cloudtower, RetryPolicy
from cloudtower_async.testing import Simulator
from tests.support import serve_bytes, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.anyio

LOCKED = b'{"message": "locked", "code": "ResourceLocked", "status": 400}'
LONG_PAUSE = RetryPolicy(backoff=50, cap=50)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=4, seed=3) as simulator:
        yield simulator


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401
    chosen: dict[str, Any] = {"username": sim.username, "password": sim.password, **options}
    return Cloudtower(sim.url, **chosen)


async def in_flight(sim: Simulator, tower: Cloudtower) -> object:
    sim.faults.hang("get-clusters")
    return await tower.cluster.get_clusters()


async def in_a_pause(sim: Simulator, tower: Cloudtower) -> object:
    sim.faults.fail("get-clusters", status=503, headers={"retry-after": "50"})
    return await tower.cluster.get_clusters()


async def waiting_for_a_lock(sim: Simulator, tower: Cloudtower) -> object:
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED, times=1000)
    return await tower.vm.poweroff_vm(where={"id": "any"})


async def logging_in(sim: Simulator, tower: Cloudtower) -> object:
    sim.accounts.revoke_tokens()
    sim.faults.hang("login")
    return await tower.cluster.get_clusters()


EVERYWHERE = [in_flight, in_a_pause, waiting_for_a_lock, logging_in]


@pytest.mark.parametrize("somewhere", EVERYWHERE)
async def test_a_scope_around_a_call_ends_it_where_it_is(
    sim: Simulator, somewhere: Callable[[Simulator, Cloudtower], Awaitable[object]]
) -> None:
    async with session(sim, retry=LONG_PAUSE, max_in_flight=1) as tower:
        before = tasks_of_clients()
        with anyio.move_on_after(0.05) as scope:
            await somewhere(sim, tower)
        assert scope.cancelled_caught
        assert tasks_of_clients() == before
        sim.faults.clear()
        assert len(await tower.vm.get_vms()) == 4


@pytest.mark.parametrize("limit", [anyio.fail_after, asyncio.timeout])
async def test_the_time_out_of_a_scope_is_its_own_error(
    sim: Simulator,
    limit: Any,  # noqa: ANN401
) -> None:
    async with session(sim) as tower:
        with pytest.raises(TimeoutError) as info:
            await within(limit(0.05), in_flight(sim, tower))
        assert type(info.value) is TimeoutError


async def within(limit: Any, call: Awaitable[object]) -> None:  # noqa: ANN401
    if hasattr(limit, "__aenter__"):
        async with limit:
            await call
    else:
        with limit:
            await call


async def test_the_shorter_of_two_time_outs_counts(sim: Simulator) -> None:
    async with session(sim, timeout=0.05) as tower:
        with anyio.move_on_after(30) as scope, pytest.raises(CallTimeout):
            await in_flight(sim, tower)
        assert not scope.cancelled_caught


async def test_a_shield_keeps_a_call_from_the_scope_around_it(sim: Simulator) -> None:
    async with session(sim) as tower:
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                assert len(await tower.vm.get_vms()) == 4


async def test_waiting_for_the_first_byte_has_a_time_out_of_its_own() -> None:
    async with serve_bytes(hang=True) as url:
        tower = Cloudtower(url, token="t", read_timeout=0.05, retry=RetryPolicy(attempts=1))
        with pytest.raises(CallTimeout, match=r"no byte of the answer within 0\.05 s") as info:
            await tower.vm.get_vms()
        await tower.close()
    assert "read_timeout=" in info.value.hint


async def test_an_answer_that_stops_in_the_middle_reaches_the_read_timeout() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[1"
    async with serve_bytes(head, hang=True) as url:
        tower = Cloudtower(url, token="t", read_timeout=0.05, retry=RetryPolicy(attempts=1))
        with pytest.raises(CallTimeout, match=r"no byte of the answer within 0\.05 s"):
            await tower.vm.get_vms()
        await tower.close()


async def test_the_time_out_of_a_call_includes_its_login(sim: Simulator) -> None:
    for part in ("login", "get-clusters"):
        sim.faults.delay(0.2, part)
    tower = session(sim)
    with pytest.raises(CallTimeout, match=r"no answer within 0\.3 s"):
        await tower.cluster.get_clusters(timeout=0.3)
    await tower.close()


@pytest.mark.parametrize("first", ["close", "cancel"])
async def test_a_cancellation_is_not_lost_when_the_session_ends_at_the_same_moment(
    sim: Simulator, first: str
) -> None:
    sim.faults.hang("get-clusters")
    tower = session(sim)
    running = asyncio.create_task(tower.cluster.get_clusters())
    while not sim.sent("get-clusters"):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
    # Both end in the next iteration of the event loop, one right after the other.
    async with anyio.create_task_group() as group:
        if first == "close":
            group.start_soon(tower.close)
        asyncio.get_running_loop().call_soon(running.cancel)
        if first == "cancel":
            group.start_soon(tower.close)
    await asyncio.wait([running])
    assert running.cancelled()
