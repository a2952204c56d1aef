"""``cloudtower-async task wait``, in a separate process."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import anyio.from_thread
import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.testing import Clock, Failure, Simulator
from tests.cli.command import Terminal, plain, run, run_with
from tests.support import login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from subprocess import CompletedProcess

pytestmark = [pytest.mark.subprocess, pytest.mark.anyio]

ESCAPE = "\x1b"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    # A task ends after four requests.
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(clusters=1, vms=12, seed=3, clock=clock, task_duration=4.0) as simulator:
        yield simulator


async def start(sim: Simulator, number: int) -> list[str]:
    """Start VMs named vm-0, vm-1, …; return the tasks."""
    ids = [sim.add_vm(name=f"vm-{n}", status="STOPPED")["id"] for n in range(number)]
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        started = {vm: await tower.vm.start_vm(where={"id": vm}) for vm in ids}
    return [str(started[vm][0].task_id) for vm in ids]


async def wait_for(sim: Simulator, *arguments: str) -> CompletedProcess[str]:
    """Run the command in a pipe."""
    return await run_with(sim, "task", "wait", *arguments)


async def test_in_a_pipe_each_change_is_a_line(sim: Simulator) -> None:
    first, second = await start(sim, 2)
    ended = await wait_for(sim, first, second)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ESCAPE not in ended.stdout
    lines = ended.stdout.splitlines()
    for task, name in ((first, "vm-0"), (second, "vm-1")):
        own = [line for line in lines if line.startswith(f"{task} ")]
        assert own[-1] == f"{task} SUCCESSED 100% Start VM {name}"
        assert len(own) > 1
        assert all(re.fullmatch(rf"\w+ [A-Z]+ \d+% Start VM {name}", line) for line in own)


async def test_a_failed_task_says_why_and_is_status_1(sim: Simulator) -> None:
    sim.tasks.fail_next(Failure("no \x1b[31mspace\nleft"))
    failed, fine = await start(sim, 2)
    ended = await wait_for(sim, failed, fine)
    assert ended.returncode == 1
    assert f"{failed} FAILED" in ended.stdout
    assert f"{fine} SUCCESSED" in ended.stdout  # the wait also covers the other task
    assert ESCAPE not in ended.stdout + ended.stderr
    [line] = [line for line in ended.stdout.splitlines() if line.startswith(f"{failed} FAILED")]
    assert line.endswith(": no  [31mspace left")
    assert ended.stderr.startswith("cloudtower-async: 1 of 2 tasks failed; the first: task ")
    assert ended.stderr.count("\n") == 1


async def test_tasks_that_still_run_are_named_when_the_time_is_over(sim: Simulator) -> None:
    [task] = await start(sim, 1)
    sim.tasks.pause(task)
    ended = await wait_for(sim, task, "--timeout", "1.5")
    assert ended.returncode == 1
    assert ended.stdout == f"{task} PAUSED 0% Start VM vm-0\n"
    assert re.fullmatch(rf"cloudtower-async: 1 task .* after 1\.5 s: {task}.*\n", ended.stderr)


async def test_no_timeout_is_no_limit(sim: Simulator) -> None:
    [task] = await start(sim, 1)
    ended = await wait_for(sim, "--timeout", "0", task)
    assert ended.returncode == 0


async def test_in_a_terminal_each_task_has_a_bar(sim: Simulator) -> None:
    sim.tasks.fail_next(Failure("no space"))
    tasks = await start(sim, 2)
    sim.tasks.pause(tasks[0])

    def watch() -> tuple[int, str]:
        with Terminal("tasks", "wait", *tasks, variables=login_variables(sim)) as terminal:
            terminal.read_until("PAUSED")
            assert "━━━━━" in terminal.shown
            terminal.read_until(f"{tasks[1]} SUCCESSED")
            anyio.from_thread.run_sync(sim.tasks.resume, tasks[0])
            return terminal.wait(), terminal.shown

    status, shown = await anyio.to_thread.run_sync(watch)
    assert status == 1
    assert f"{ESCAPE}[1;31m{tasks[0]} FAILED" in shown
    assert f"{ESCAPE}[32m{tasks[1]} SUCCESSED" in shown
    assert ": no space" in plain(shown)
    assert f"{ESCAPE}[?25h" in shown  # the cursor is visible again
    # The final screen has the lines of the tasks and no bar.
    assert "━" not in plain(shown).rpartition("FAILED")[2]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
async def test_a_signal_ends_it_and_gives_the_terminal_back(
    sim: Simulator, number: signal.Signals, status: int
) -> None:
    [task] = await start(sim, 1)
    sim.tasks.pause(task)

    def interrupt() -> tuple[int, str]:
        with Terminal("tasks", "wait", task, variables=login_variables(sim)) as terminal:
            terminal.read_until("PAUSED")
            terminal.process.send_signal(number)
            return terminal.wait(), terminal.shown

    ended, shown = await anyio.to_thread.run_sync(interrupt)
    assert ended == status
    assert f"{ESCAPE}[?25h" in shown
    assert "Traceback" not in shown


def test_wrong_arguments_are_one_line() -> None:
    for arguments, told in (
        ([], "pass the ids of the tasks"),
        (
            ["cl01"],
            "no endpoint: pass --endpoint, set CLOUDTOWER_ENDPOINT, or log in once with ",
        ),
        (["cl01", "--timeout", "-1"], "--timeout"),
    ):
        ended = run("tasks", "wait", *arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert told in ended.stderr
        assert ended.stderr.count("\n") == 1
