"""The fleet on one dashboard: a slow or unreachable Tower does not delay the others."""

from __future__ import annotations

import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from cloudtower_async.testing import Simulator
from examples.fleet.table import table
from examples.fleet.watch import FleetWatch
from tests.examples.serving import session
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

OFTEN = 0.01
LONG = 3600.0


@asynccontextmanager
async def watched(
    *sims: Simulator, interval: float = OFTEN, timeout: float = LONG
) -> AsyncGenerator[FleetWatch]:
    async with AsyncExitStack() as stack:
        towers = {f"tower-{number}": session(sim) for number, sim in enumerate(sims)}
        for tower in towers.values():
            stack.push_async_callback(tower.close)
        watch = FleetWatch(towers, interval=interval, timeout=timeout)
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            yield watch
            group.cancel_scope.cancel()


async def test_slow_and_dead_towers_of_fifty_do_not_delay_the_others() -> None:
    async with AsyncExitStack() as stack:
        sims = [
            await stack.enter_async_context(
                Simulator(clusters=1, hosts_per_cluster=1, vms=2, seed=number)
            )
            for number in range(50)
        ]
        for slow in sims[:5]:
            slow.faults.hang(times=1000)
        for dead in sims[5:10]:
            await dead.nodes[0].refuse()
        async with watched(*sims) as watch:
            sights = watch.sights
            while any(sights[f"tower-{number}"].rounds < 3 for number in range(10, 50)):
                await watch.next()
            for number in range(5):  # the time-out is an hour, so the request still runs
                assert sights[f"tower-{number}"].rounds == 0
            for number in range(5, 10):
                assert sims[number].url in str(sights[f"tower-{number}"].error)
            for number in range(10, 50):
                board = sights[f"tower-{number}"].board
                assert board is not None
                assert [cluster.vms for cluster in board.clusters] == [2]
            lines = table(sights).splitlines()
    assert len(lines) == 1 + 50 + 2
    assert lines[-1].startswith(
        "40 of 50 Towers answer. Totals from the last known state of 40 Towers: "
        "40 clusters, 80 VMs, "
    )


async def test_the_last_figures_stay_until_there_are_new_ones() -> None:
    async with Simulator(vms=4) as sim, watched(sim, timeout=0.5) as watch:
        while (first := watch.sights["tower-0"].board) is None:
            await watch.next()
        sim.faults.hang("get-hosts", times=1000)
        while (sight := watch.sights["tower-0"]).error is None:
            await watch.next()
        assert sight.error == "no answer within 0.5 s"
        assert sight.board is not None
        assert sight.board.built_at >= first.built_at
        assert "no answer within 0.5 s" in table(watch.sights)
        sim.faults.clear()
        while (new := watch.sights["tower-0"]).error is not None:
            await watch.next()
        assert new.board is not None
        assert new.board.built_at > sight.board.built_at


async def test_a_refused_password_is_not_tried_again_soon() -> None:
    async with Simulator(vms=1) as sim, Simulator(vms=1) as other:
        sim.accounts.set_password(sim.username, "another")
        async with watched(sim, other) as watch:
            while watch.sights["tower-1"].rounds < 5:
                await watch.next()
            await watch.all_asked()
            assert watch.sights["tower-0"].error is not None
            assert len(sim.sent("login")) == 1


async def test_the_end_leaves_nothing_behind() -> None:
    async with Simulator(vms=1) as sim:
        before = tasks_of_clients()
        sim.faults.hang(times=10)
        async with watched(sim, sim):
            while len(sim.requests) < 2:
                await anyio.lowlevel.checkpoint()
        assert tasks_of_clients() == before


@pytest.mark.subprocess
async def test_the_fleet_is_shown_by_one_command() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDTOWER_")}
    command = [sys.executable, "-m", "examples.fleet", "--once", "--timeout=2"]
    done = await anyio.run_process(command, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[11].endswith("no answer within 2 s")
    assert "site-12  -" in lines[12]
    assert " of 12 Towers answer. Totals from the last known state of " in lines[-1]
    unknown = await anyio.run_process([*command, "nowhere"], env=env, check=False)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith(b"there is no profile 'nowhere' in ")
