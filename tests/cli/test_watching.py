"""``--watch``: tables that are refreshed."""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from cloudtower_async.testing import Simulator
from tests.cli.command import Terminal, plain, start_with
from tests.support import login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]

WATCH = ("get", "vms", "--where", "name_starts_with=seen", "--watch", "--interval", "0.05")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=2) as simulator:
        yield simulator


async def test_on_a_terminal_changed_rows_are_marked_until_the_user_quits(sim: Simulator) -> None:
    vm = sim.add_vm(name="seen-1", status="STOPPED")

    def look() -> str:
        with Terminal(*WATCH, variables=login_variables(sim)) as terminal:
            terminal.read_until("q: quit")
            vm["vcpu"] = 7777
            assert "*  seen-1" in plain(terminal.read_until("7777"))
            anyio.from_thread.run_sync(lambda: sim.add_vm(name="seen-2"))
            assert "+  seen-2" in plain(terminal.read_until("seen-2"))
            terminal.enter("q")
            assert terminal.wait() == 0
            return plain(terminal.shown.rpartition("\x1b[?1049l")[2])

    left = await anyio.to_thread.run_sync(look)
    assert "seen-1" in left  # the last table stays
    assert "q: quit" not in left


async def test_in_a_pipe_only_the_rows_that_change_follow(sim: Simulator) -> None:
    vm = sim.add_vm(name="seen-1", vcpu=1)
    async with start_with(sim, *WATCH) as process:
        assert process.stdout is not None
        first = (await process.stdout.receive()).decode()
        assert [line.split()[0] for line in first.splitlines()] == ["NAME", "seen-1"]
        vm["vcpu"] = 7777
        changed = (await process.stdout.receive()).decode()
        assert changed.startswith("*  seen-1")
        assert "7777" in changed
        sim.store.remove("Vm", vm["id"])
        gone = (await process.stdout.receive()).decode()
        assert gone.startswith("-  seen-1")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_a_call_that_fails_does_not_end_it(sim: Simulator) -> None:
    sim.add_vm(name="seen-1", status="STOPPED")

    def look() -> None:
        with Terminal(*WATCH, variables=login_variables(sim)) as terminal:
            terminal.read_until("q: quit")
            anyio.from_thread.run_sync(partial(sim.answer, "get-vms", {"message": "x"}, status=400))
            terminal.read_until("Refresh failed")
            terminal.enter("q")
            assert terminal.wait() == 0

    await anyio.to_thread.run_sync(look)
