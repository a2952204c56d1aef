"""The snapshot bot takes one snapshot of each VM per night, even if it is interrupted."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from contextlib import asynccontextmanager
from datetime import date
from random import Random
from subprocess import DEVNULL
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.jobs import SqliteJournal, job_lock
from cloudtower_async.simulator.faults import Fault
from cloudtower_async.testing import Clock, Simulator
from examples.snapshot_bot.bot import Night, run_night
from examples.snapshot_bot.state import State, open_state
from tests.jobs.sqlite_file import GRACE, change, grace_passing
from tests.support import login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path
    from subprocess import CompletedProcess

    from cloudtower_async.inputs import VmSnapshotCreationParamsData
    from examples.snapshot_bot.report import Report

pytestmark = pytest.mark.anyio

NIGHT = Night(date=date(2026, 1, 31), where={})
KILLS = 7


def session(sim: Simulator) -> Cloudtower:
    return Cloudtower(sim.url, username=sim.username, password=sim.password)


def command(state: Path, *options: str) -> list[str]:
    bot = [sys.executable, "-m", "examples.snapshot_bot", f"--state={state}"]
    return [*bot, f"--night={NIGHT.date}", *options]


def environment(sim: Simulator) -> dict[str, str]:
    return {**os.environ, **login_variables(sim)}


async def run(sim: Simulator, state: Path, *options: str) -> CompletedProcess[bytes]:
    return await anyio.run_process(command(state, *options), env=environment(sim), check=False)


@asynccontextmanager
async def night_of(
    sim: Simulator, folder: Path, night: Night = NIGHT, *, grace: float = GRACE
) -> AsyncGenerator[tuple[Cloudtower, SqliteJournal, State]]:
    path = folder / "state"
    async with (
        SqliteJournal(path, grace=grace) as journal,
        open_state(path, night.name) as state,
        session(sim) as tower,
    ):
        yield tower, journal, state


async def one_night(sim: Simulator, folder: Path, night: Night = NIGHT) -> Report:
    async with night_of(sim, folder, night) as (tower, journal, state):
        return await run_night(tower, journal, state, night)


def taken(sim: Simulator, name: str = NIGHT.name) -> Counter[str]:
    """Return the number of snapshots of a night for each VM."""
    found = sim.store.select("VmSnapshot", {"name": name})
    return Counter(snapshot["vm"] for snapshot in found)


def each_once(sim: Simulator) -> bool:
    return taken(sim) == Counter(list(sim.store.table("Vm")))


async def make(tower: Cloudtower, vm_id: str, *names: str) -> None:
    data: list[VmSnapshotCreationParamsData] = [{"vm_id": vm_id, "name": name} for name in names]
    for one in data:
        await tower.settle(tower.vm_snapshot.create_vm_snapshot(data=[one]))


@pytest.mark.subprocess
async def test_killed_at_any_moment_no_snapshot_is_missing_or_duplicated(tmp_path: Path) -> None:
    chance = Random(20260131)  # noqa: S311 - the same moments each time
    options = ("--limit=4", "--grace=4", f"--report={tmp_path / 'report'}")
    async with Simulator(clusters=2, vms=80, task_duration=0.05) as sim:
        for _ in range(KILLS):
            bot = await anyio.open_process(
                command(tmp_path / "state", *options),
                env=environment(sim),
                stderr=DEVNULL,
            )
            async with bot:
                moment = len(sim.requests) + chance.randint(4, 28)
                while len(sim.requests) < moment and bot.returncode is None:  # noqa: ASYNC110
                    await anyio.sleep(0.001)
                await anyio.sleep(chance.uniform(0, 0.01))  # somewhere between two requests
                assert bot.returncode is None
                bot.kill()
            # Time passes until the lock of the killed bot expires.
            await change(tmp_path / "state", "UPDATE journal_leases SET expires = 0")
        assert 0 < len(taken(sim)) < 80
        done = await run(sim, tmp_path / "state", *options)
        assert done.returncode == 0, done.stderr
        assert each_once(sim)
        report = json.loads((tmp_path / "report").read_bytes())
        assert report["done"] == len(report["vms"]) == 80
        ids = {one["id"] for one in sim.store.select("VmSnapshot", {"name": NIGHT.name})}
        assert {vm["snapshot_id"] for vm in report["vms"]} == ids
        assert done.stdout.decode() == (
            f"{NIGHT.name}: 80 of 80 VMs backed up, 0 old snapshots deleted, 0 errors\n"
        )


async def test_after_lost_answers_no_snapshot_is_missing_or_duplicated(tmp_path: Path) -> None:
    async with Simulator(vms=40, task_duration=0.05) as sim:
        sim.faults.at_random(
            0.15,
            [
                Fault(kind="reset"),
                Fault(kind="reset", executed=True),
                Fault(kind="truncate", executed=True),
                Fault(kind="answer", status=502),
                Fault(kind="answer", status=504, executed=True),
            ],
            seed=7,
        )
        async with night_of(sim, tmp_path, grace=2.0) as (tower, journal, state):
            report = await run_night(tower, journal, state, NIGHT)
        assert report.complete, report.text()
        assert each_once(sim)


@asynccontextmanager
async def crashed(tmp_path: Path) -> AsyncGenerator[tuple[Simulator, str]]:
    """Yield a simulator with one VM, after a crash of the bot, and the id of the VM.

    The bot crashed after the journal entry for the snapshot, and before the request.
    """
    async with Simulator(vms=1, task_duration=0.01) as sim:
        [vm_id] = sim.store.table("Vm")
        async with night_of(sim, tmp_path) as (tower, journal, state):
            await state.plan(await tower.vm.get_vms())
            assert await journal.begin(f"{NIGHT.name}/{vm_id}", "a crashed run") is None
        yield sim, vm_id


async def test_a_request_that_arrives_late_is_waited_for(tmp_path: Path) -> None:
    async with crashed(tmp_path) as (sim, vm_id), anyio.create_task_group() as group:
        group.start_soon(one_night, sim, tmp_path)
        while not sim.sent("get-vm-snapshots"):  # the bot has found no snapshot
            await anyio.lowlevel.checkpoint()
        async with session(sim) as tower:
            await make(tower, vm_id, NIGHT.name)
    assert len(sim.sent("create-vm-snapshot")) == 1
    assert taken(sim) == {vm_id: 1}


async def test_a_request_that_never_arrives_is_sent_again(tmp_path: Path) -> None:
    async with crashed(tmp_path) as (sim, vm_id):
        async with (
            night_of(sim, tmp_path) as (tower, journal, state),
            grace_passing(tmp_path / "state"),
        ):
            report = await run_night(tower, journal, state, NIGHT)
        assert report.complete
        assert taken(sim) == {vm_id: 1}


async def test_a_rejected_snapshot_is_not_in_doubt(tmp_path: Path) -> None:
    async with Simulator(vms=1, task_duration=0.01) as sim:
        sim.faults.fail("create-vm-snapshot", status=403)
        # The second round would wait for an hour.
        assert (await one_night(sim, tmp_path)).complete
        assert len(sim.sent("create-vm-snapshot")) == 2


async def test_answers_that_are_always_lost_end_in_an_error(tmp_path: Path) -> None:
    async with Simulator(vms=1, task_duration=0.01) as sim:
        sim.faults.fail("create-vm-snapshot", status=500, times=100)
        async with (
            night_of(sim, tmp_path) as (tower, journal, state),
            grace_passing(tmp_path / "state"),
        ):
            report = await run_night(tower, journal, state, NIGHT)
        assert "500" in str(report.vms[0].error)
        assert not taken(sim)


async def test_after_a_lost_file_no_snapshot_is_duplicated(tmp_path: Path) -> None:
    async with Simulator(vms=8, task_duration=0.01) as sim:
        await one_night(sim, tmp_path)
        (tmp_path / "state").unlink()
        assert (await one_night(sim, tmp_path)).done == 8
        assert each_once(sim)


async def test_a_finished_night_sends_no_requests(tmp_path: Path) -> None:
    async with Simulator(vms=4, task_duration=0.01) as sim:
        first = await one_night(sim, tmp_path)
        asked = len(sim.requests)
        assert await one_night(sim, tmp_path) == first
        assert [request.path for request in sim.requests[asked:]] == ["login"]


async def test_each_night_has_its_own_and_the_newest_are_kept(tmp_path: Path) -> None:
    async with Simulator(vms=2, task_duration=0.01) as sim:
        vm_id, other = sim.store.table("Vm")
        others = [
            "nightly-2026-01-01-before-the-upgrade",
            "nightly-2026-02-01",
            "weekly-2026-01-01",
        ]
        ours = ["nightly-2026-01-28", "nightly-2026-01-29", "nightly-2026-01-30"]
        async with session(sim) as tower:
            await make(tower, vm_id, *others, *ours)
        night = Night(date=NIGHT.date, where={}, keep=2)
        report = await one_night(sim, tmp_path, night)
        assert report.removed == 2
        made = [*others, *ours, NIGHT.name]  # the fleet also contains snapshots
        kept = sim.store.select("VmSnapshot", {"vm": {"id": vm_id}, "name_in": made})
        assert sorted(one["name"] for one in kept) == sorted([*others, ours[-1], NIGHT.name])
        assert taken(sim) == {vm_id: 1, other: 1}
        assert (await one_night(sim, tmp_path, night)).removed == 0


async def test_a_vm_without_a_new_snapshot_keeps_its_old_ones(tmp_path: Path) -> None:
    async with Simulator(vms=1, task_duration=0.01) as sim:
        [vm_id] = sim.store.table("Vm")
        async with session(sim) as tower:
            await make(tower, vm_id, "nightly-2026-01-29", "nightly-2026-01-30")
        sim.tasks.fail_next(times=2)
        report = await one_night(sim, tmp_path, Night(date=NIGHT.date, where={}, keep=1))
        assert (report.done, report.removed) == (0, 0)
        assert not report.complete
        assert report.text().splitlines()[1].startswith(f"{report.vms[0].vm_name}: task ")


async def test_old_ones_that_cannot_be_deleted_are_in_the_report(tmp_path: Path) -> None:
    async with Simulator(vms=1, task_duration=0.01) as sim:
        [vm_id] = sim.store.table("Vm")
        async with session(sim) as tower:
            await make(tower, vm_id, "nightly-2026-01-30")
        sim.faults.fail("delete-vm-snapshot", status=403)
        report = await one_night(sim, tmp_path, Night(date=NIGHT.date, where={}, keep=1))
        assert report.done == 1
        assert not report.complete
        assert f"VM {vm_id}: vm_snapshot.delete_vm_snapshot: " in report.text()


async def test_the_report_is_written_even_if_old_snapshots_cannot_be_read(tmp_path: Path) -> None:
    async with Simulator(vms=1, task_duration=0.01) as sim:
        await one_night(sim, tmp_path)
        sim.faults.fail("get-vm-snapshots", status=403)
        report = await one_night(sim, tmp_path, Night(date=NIGHT.date, where={}, keep=1))
        assert report.done == 1
        assert not report.complete
        assert "\nthe old snapshots: vm_snapshot.get_vm_snapshots: " in report.text()


async def test_failed_snapshots_are_retried_once(tmp_path: Path) -> None:
    async with Simulator(vms=3, task_duration=0.01) as sim:
        sim.tasks.fail_next()
        assert (await one_night(sim, tmp_path)).complete
        assert each_once(sim)


async def test_a_vm_deleted_since_is_reported(tmp_path: Path) -> None:
    async with Simulator(vms=2, task_duration=0.01) as sim:
        vm_id, _ = sim.store.table("Vm")
        async with night_of(sim, tmp_path) as (tower, journal, state):
            await state.plan(await tower.vm.get_vms())
            sim.store.remove("Vm", vm_id)
            report = await run_night(tower, journal, state, NIGHT)
        assert [vm.error for vm in report.vms if vm.vm_id == vm_id] == [
            "the VM is not there any more"
        ]
        assert (report.done, report.complete) == (1, False)


async def test_a_night_without_vms_is_not_complete(tmp_path: Path) -> None:
    async with Simulator(vms=1) as sim:
        nothing = Night(date=NIGHT.date, where={"name": "nothing"})
        assert not (await one_night(sim, tmp_path, nothing)).complete


@pytest.mark.parametrize(("limit", "per_cluster", "most"), [(3, 9, 3), (9, 2, 4)])
async def test_concurrent_snapshots_stay_within_the_limits(
    limit: int, per_cluster: int, most: int, tmp_path: Path
) -> None:
    night = Night(date=NIGHT.date, where={}, limit=limit, per_cluster=per_cluster)
    reports: list[Report] = []
    clock = Clock(running=False)
    async with Simulator(clusters=2, vms=12, task_duration=1, clock=clock) as sim:

        async def back_up() -> None:
            reports.append(await one_night(sim, tmp_path, night))

        async with session(sim) as tower, anyio.create_task_group() as group:
            group.start_soon(back_up)
            while not reports:
                await tower.cluster.get_clusters(first=1)
                under_way = sim.store.select("VmSnapshot", {"entityAsyncStatus": "CREATING"})
                assert len(under_way) <= most
                if len(under_way) == most or len(sim.sent("create-vm-snapshot")) == 12:
                    for _ in range(20):  # a surplus request would arrive in this time
                        await tower.cluster.get_clusters(first=1)
                    under_way = sim.store.select("VmSnapshot", {"entityAsyncStatus": "CREATING"})
                    assert len(under_way) <= most
                    clock.advance(1)
    assert reports[0].complete


@pytest.mark.subprocess
async def test_one_bot_at_a_time(tmp_path: Path) -> None:
    async with (
        Simulator(vms=1) as sim,
        night_of(sim, tmp_path) as (_, journal, _),
        job_lock(journal, "snapshot bot"),
    ):
        refused = await run(sim, tmp_path / "state", "--wait=0")
        assert refused.returncode == 1
        [line] = refused.stderr.decode().splitlines()
        assert line.startswith("job 'snapshot bot' is locked by another run. ")
        assert sim.mutations() == []


@pytest.mark.subprocess
async def test_the_bot_is_run_by_one_command(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "CLOUDTOWER_ENDPOINT"}
    done = await anyio.run_process(command(tmp_path / "state"), env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert b" VMs backed up, 0 old snapshots deleted, 0 errors\n" in done.stdout
    assert [
        path async for path in anyio.Path(tmp_path).iterdir()
    ] == []  # the state of a simulated night is deleted


@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--limit=0", "argument --limit: expected a whole number above 0, got '0'"),
        ("--where={name: 1}", "argument --where: this is no JSON: "),
    ],
)
async def test_an_option_that_cannot_be_used_is_named(
    tmp_path: Path, option: str, told: str
) -> None:
    done = await anyio.run_process(command(tmp_path / "state", option), check=False)
    assert done.returncode == 2
    assert told in done.stderr.decode()
