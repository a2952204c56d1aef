"""What follows when a sending has failed, over HTTP: counted at the server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import (
    Cloudtower,
    LoginFailed,
    OutcomeUnknown,
    ResourceLocked,
    RetryPolicy,
    SessionClosed,
    Unauthorized,
)
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

QUICK = RetryPolicy(backoff=0.002, cap=0.01)
LOCKED = b"""{"message": "locked", "code": "ResourceLocked", "status": 400,
 "props": {"locked_resources": [{"id": "v1", "type": "VM"}, {"id": "d1", "type": "VM_VOLUME"}]}}"""


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3) as simulator:
        yield simulator


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401
    options.setdefault("retry", QUICK)
    return Cloudtower(sim.url, username=sim.username, password=sim.password, **options)


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


def count(sim: Simulator, path: str) -> int:
    return len(sim.sent(path))


async def stop_one(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm(status="RUNNING")
    await tower.vm.poweroff_vm(where={"id": vm["id"]})


async def test_a_lock_is_waited_out(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED, times=6)
    await stop_one(sim, tower)
    assert count(sim, "poweroff-vm") == 7


async def test_without_time_for_locks_the_first_is_raised(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED)
    with pytest.raises(ResourceLocked, match=r"is busy \(VM v1, VM_VOLUME d1\): locked") as info:
        await stop_one(sim, tower.with_options(lock_timeout=0))
    assert info.value.waited == 0
    assert info.value.attempts == count(sim, "poweroff-vm") == 1


async def test_when_the_time_for_locks_is_over_the_error_tells_of_it(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED, times=10_000)
    with pytest.raises(ResourceLocked, match=r"\(VM v1, .*\) for 0\.\d+ s already") as info:
        await stop_one(sim, tower.with_options(lock_timeout=0.05))
    assert info.value.waited >= 0.05
    assert info.value.attempts == count(sim, "poweroff-vm") > 1


async def test_a_new_login_is_shared_by_all_who_need_it(sim: Simulator, tower: Cloudtower) -> None:
    # All are on their way with the old token before the first of them learns that it is no good.
    await tower.cluster.get_clusters()
    sim.accounts.revoke_tokens()
    busy = session(sim, max_connections=500)
    async with busy, anyio.create_task_group() as group:
        sim.accounts.revoke_tokens()
        for _ in range(500):
            group.start_soon(partial(busy.cluster.get_clusters, first=1))
    assert count(sim, "login") == 3
    assert count(sim, "get-clusters") == 1 + 2 * 500


async def test_the_password_is_tried_once_when_it_has_changed(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.accounts.set_password(sim.username, "another")
    sim.accounts.revoke_tokens()
    failures: list[LoginFailed] = []

    async def call() -> None:
        with pytest.raises(LoginFailed) as info:
            await tower.cluster.get_clusters()
        failures.append(info.value)

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(call)
    assert len(failures) == 50
    assert count(sim, "get-clusters") == 50


async def test_a_token_that_is_refused_although_it_is_new_ends_the_call(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("get-clusters", status=401, times=3)
    with pytest.raises(Unauthorized, match="refuses the new token, too"):
        await tower.cluster.get_clusters()
    assert (count(sim, "login"), count(sim, "get-clusters")) == (2, 2)


async def test_with_a_bare_token_nothing_is_tried(sim: Simulator) -> None:
    async with Cloudtower(sim.url, token="old") as tower:
        with pytest.raises(Unauthorized, match="pass a new token=; with username="):
            await tower.cluster.get_clusters()
    assert (count(sim, "login"), count(sim, "get-clusters")) == (0, 1)


async def test_closing_ends_the_wait_for_a_lock(sim: Simulator) -> None:
    patient = RetryPolicy(backoff=1000, cap=1000)
    tower = session(sim, retry=patient)
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED)

    async def wait() -> None:
        with pytest.raises(SessionClosed, match="closed during the call"):
            await stop_one(sim, tower.with_options(lock_timeout=1000))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        while not count(sim, "poweroff-vm"):
            await anyio.wait_all_tasks_blocked()
        await anyio.wait_all_tasks_blocked()
        await tower.close()


async def test_an_outcome_that_is_unknown_is_told_and_nothing_sent_again(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.reset("poweroff-vm", executed=True)
    with pytest.raises(OutcomeUnknown, match=r"tower\.vm\.get_vms shows how things are") as info:
        await stop_one(sim, tower)
    assert isinstance(info.value.__cause__, ConnectionError)
    assert count(sim, "poweroff-vm") == 1
