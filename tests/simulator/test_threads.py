"""The simulator in one thread, with tests that read and change it from another."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import connected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.anyio

ADDED = 200


@pytest.fixture(autouse=True)
def no_blocking() -> Iterator[None]:
    """Let threads switch often.

    This fixture replaces the check for blocking calls, because threads may wait for locks here.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


async def while_it_answers(sim: Simulator, work: Callable[[], None]) -> None:
    """Run a function in a thread while requests read and change the same resources."""
    done = False

    async def work_once() -> None:
        nonlocal done
        try:
            await anyio.to_thread.run_sync(work)
        finally:
            done = True

    async with connected(sim) as client, anyio.create_task_group() as group:
        group.start_soon(work_once)
        while not done:
            await client.ask("get-vms-connection", {"where": {"AND": [{"name_contains": ""}] * 30}})
            await client.ask("get-vms", {"where": {"name_contains": "e"}, "first": 50})
            await client.ask("create-label", [{"key": "k", "value": str(len(sim.requests))}])
            await client.ask("get-tasks-connection", {})


async def test_nothing_is_lost_that_is_added_while_it_answers() -> None:
    sim = Simulator(vms=300)
    added: set[str] = set()

    def add() -> None:
        for number in range(ADDED):
            vm = sim.add_vm(name=f"added-{number}")
            sim.add_alert(vm["id"])
            added.add(vm["id"])
            sim.changes.events()

    await while_it_answers(sim, add)
    assert len(added) == ADDED
    vms = sim.store.select("Vm")
    assert len(vms) == 300 + ADDED
    for host in sim.store.select("Host"):  # both ends of the relation agree
        assert {vm["id"] for vm in vms if vm["host"] == host["id"]} == set(host["vms"])
    inserted = [event.row for event in sim.changes.events() if event.action == "INSERT"]
    rows = [row.id for row in inserted if row.table == "Vm"]
    assert len(rows) == ADDED
    assert set(rows) == added
    assert len([row for row in inserted if row.table == "Alert"]) == ADDED


async def test_no_change_in_place_is_lost_to_the_feed() -> None:
    sim = Simulator(vms=5)
    names = [str(number) for number in range(10 * ADDED)]

    def rename() -> None:
        vm = sim.store.select("Vm", first_only())[0]
        for name in names:
            vm["name"] = name
            assert int(sim.changes.current_revision) > before
            # The reported state equals the final state of the document.
            last = [one.row for one in sim.changes.events() if one.row.id == vm["id"]][-1]
            assert last.after is not None
            assert f'"name":"{name}"'.encode() in last.after

    def first_only() -> dict[str, object]:
        return {"id": next(iter(sim.store.table("Vm")))}

    before = 0
    await while_it_answers(sim, rename)


async def test_tasks_end_once_when_one_is_resumed_while_it_answers() -> None:
    sim = Simulator(vms=300, clock=Clock(running=False), task_duration=1.0)
    async with connected(sim) as client:
        (held,) = await client.ask("create-label", [{"key": "k", "value": "held"}])
        started = await client.ask("start-vm", {"where": {"status": "STOPPED"}})
        sim.tasks.pause(held["task_id"])
        turn = threading.Barrier(2)

        def resume() -> None:
            turn.wait()
            sim.tasks.resume(held["task_id"])

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, resume)
            await anyio.to_thread.run_sync(turn.wait)
            sim.clock.advance(2.0)
            assert await client.ask("get-vms-connection", {"where": {"status": "STOPPED"}}) == {
                "aggregate": {"count": 0}
            }
        where = {"id_in": [one["task_id"] for one in started], "status": "SUCCESSED"}
        assert len(await client.ask("get-tasks", {"where": where})) == len(started) > 0
