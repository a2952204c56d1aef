"""``cloudtower-async backup``, in a separate process and in the process of the test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.cli import main
from cloudtower_async.testing import Clock, Failure, Simulator
from tests.cli.command import Terminal, run_with
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cloudtower_async.inputs import VmSnapshotCreationParamsData

pytestmark = pytest.mark.anyio

STAMP = r"\d{8}T\d{6}Z"


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    # A task ends after two requests.
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(clusters=1, vms=4, seed=3, clock=clock, task_duration=2.0) as simulator:
        set_login_variables(monkeypatch, simulator)
        yield simulator


def snapshots(sim: Simulator, vm_id: str) -> list[str]:
    found = sim.store.table("VmSnapshot").values()
    return sorted(one["name"] for one in found if one["vm"] == vm_id)


@pytest.mark.subprocess
async def test_in_a_pipe_each_vm_is_a_line(sim: Simulator) -> None:
    one = sim.add_vm(name="web-1", vm_tools_status="RUNNING")
    other = sim.add_vm(name="web-2", vm_tools_status="NOT_RUNNING")
    ended = await run_with(sim, "backup", "web-2", one["id"], "--prefix", "nightly")
    assert ended.returncode == 0
    first, second = ended.stdout.splitlines()
    assert sorted(ended.stderr.splitlines()) == [first, second]  # printed as each ended
    assert re.fullmatch(rf"web-1  nightly-{STAMP}  FILE_SYSTEM_CONSISTENT", first)
    assert re.fullmatch(rf"web-2  nightly-{STAMP}  CRASH_CONSISTENT", second)
    assert len(snapshots(sim, one["id"])) == len(snapshots(sim, other["id"])) == 1


@pytest.mark.subprocess
async def test_in_a_terminal_a_vm_that_is_worked_on_has_a_bar(sim: Simulator) -> None:
    vm = sim.add_vm(name="web-1")

    def watch() -> tuple[int, str]:
        arguments = ("backup", "--where", "name=web-1")
        with Terminal(*arguments, variables=login_variables(sim)) as terminal:
            terminal.read_until("snapshot (0 of 1 VMs done)")
            return terminal.wait(), terminal.shown

    status, shown = await anyio.to_thread.run_sync(watch)
    assert status == 0
    assert "━━━━" in shown or "----" in shown
    assert re.search(rf"web-1  backup-{STAMP}  ", shown)
    assert len(snapshots(sim, vm["id"])) == 1


async def test_the_newest_backups_are_kept(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    vm = sim.add_vm(name="web-1")
    async with Cloudtower.from_env() as tower:
        for name in ("backup-20250101T000000Z", "backup-20250102T000000Z", "by-hand"):
            data: VmSnapshotCreationParamsData = {"vm_id": vm["id"], "name": name}
            await tower.settle(tower.vm_snapshot.create_vm_snapshot(data=[data]))
    assert await anyio.to_thread.run_sync(main, ["backup", "web-1", "--keep", "2"]) == 0
    assert capsys.readouterr().out.endswith("removed backup-20250101T000000Z\n")
    left = snapshots(sim, vm["id"])
    assert left[0] == "backup-20250102T000000Z"
    assert left[2] == "by-hand"
    assert len(left) == 3


async def test_a_failed_backup_is_status_1_and_does_not_stop_the_others(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("shop-1", "shop-2"):
        sim.add_vm(name=name)
    sim.tasks.fail_next(Failure("no \x1b[31mspace"))
    options = ["--where", "name_starts_with=shop-", "--at-a-time", "1"]
    assert await anyio.to_thread.run_sync(main, ["backup", *options]) == 1
    captured = capsys.readouterr()
    first, second = captured.out.splitlines()
    assert first.startswith("shop-1  FAILED: ")
    assert "no  [31mspace" in first
    assert second.startswith("shop-2  backup-")
    assert captured.err.splitlines() == [
        first,
        second,
        "cloudtower-async: 1 of 2 VMs could not be backed up; the first: shop-1",
    ]


async def test_wrong_arguments_are_one_line_and_change_nothing(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    twins = [sim.add_vm(name="twin")["id"] for _ in range(2)]
    for arguments, status, told in (
        ([], 2, "pass the VMs by name or id, or with --where"),
        (["a", "--where", "name=a"], 2, "one of the two"),
        (["nobody"], 2, "there is no VM 'nobody'"),
        (["twin"], 2, f"several VMs are called 'twin': pass an id, of {', '.join(twins)}"),
        (["--where", "{}"], 2, "--where: this may match every VM"),
        (["--where", "name=nobody"], 1, "no VM matches the filter"),
        (["nobody", "--missing-ok"], 2, "--missing-ok needs --where"),
        (["--where", "name=nobody"], 1, "pass --missing-ok if no match is acceptable"),
        (["a", "--keep", "0"], 2, "--keep"),
        (["a", "--at-a-time", "0"], 2, "--at-a-time"),
        ([twins[0], "--prefix", ""], 2, "prefix: must not be empty"),
    ):
        assert await anyio.to_thread.run_sync(main, ["backup", *arguments]) == status, arguments
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert told in captured.err
    assert sim.sent("create-vm-snapshot") == []
