"""Backups of VMs, over HTTP against the simulator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import (
    EVERYTHING,
    Ambiguous,
    Cloudtower,
    CloudtowerError,
    EmptyFilter,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    ServerError,
    TaskFailed,
    TaskTimeout,
)
from cloudtower_async.recipes import Backup, Progress, backup_vm, backup_vms
from tests.recipes.towers import NOTHING_MATCHES, simulated, steps
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from cloudtower_async.inputs import VmSnapshotCreationParamsData, VmWhereInput
    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio


async def snapshots(tower: Cloudtower, vm_id: str) -> list[str]:
    found = await tower.vm_snapshot.get_vm_snapshots(where={"vm": {"id": vm_id}})
    return sorted(snapshot.name for snapshot in found)


async def make(tower: Cloudtower, vm_id: str, *names: str) -> None:
    for name in names:
        data: VmSnapshotCreationParamsData = {"vm_id": vm_id, "name": name}
        await tower.settle(tower.vm_snapshot.create_vm_snapshot(data=[data]))


def new_vm(sim: Simulator, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return sim.add_vm(**{"name": "web-1", "vm_tools_status": "RUNNING", **fields})


@pytest.mark.parametrize(
    ("tools", "quiesce", "consistency"),
    [
        ("RUNNING", True, "FILE_SYSTEM_CONSISTENT"),
        ("NOT_RUNNING", True, "CRASH_CONSISTENT"),
        ("NOT_INSTALLED", True, "CRASH_CONSISTENT"),
        ("RUNNING", False, "CRASH_CONSISTENT"),
    ],
)
async def test_the_state_of_the_tools_decides_on_consistency(
    tools: str, quiesce: bool, consistency: str
) -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim, vm_tools_status=tools)
        backup = await backup_vm(tower, "web-1", quiesce=quiesce)
        assert backup.error is None
        assert backup.vm.id == vm["id"]
        assert backup.snapshot is not None
        assert backup.snapshot.consistent_type == consistency
        assert re.fullmatch(r"backup-\d{8}T\d{6}Z", backup.snapshot.name)
        assert await snapshots(tower, vm["id"]) == [backup.snapshot.name]


async def test_the_lun_snapshots_are_those_of_the_disks() -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        other = await backup_vm(tower, sim.add_vm()["id"])
        backup = await backup_vm(tower, vm["id"], name="before the upgrade")
        assert backup.snapshot is not None
        assert backup.snapshot.name == "before the upgrade"
        disks = [disk for disk in backup.snapshot.vm_disks or () if disk.type == "DISK"]
        assert disks
        assert {lun.name for lun in backup.lun_snapshots} == {
            disk.snapshot_local_id for disk in disks
        }
        assert not {lun.id for lun in backup.lun_snapshots} & {
            lun.id for lun in other.lun_snapshots
        }


async def test_a_vm_without_disks_has_no_lun_snapshots() -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        for disk in list(vm["vm_disks"]):
            sim.store.remove("VmDisk", disk)
        backup = await backup_vm(tower, "web-1")
        assert backup.snapshot is not None
        assert backup.lun_snapshots == []
        assert sim.sent("get-iscsi-lun-snapshots") == []


async def test_the_newest_are_kept_and_nothing_else_is_deleted() -> None:
    theirs = [
        "backup",
        "backup-before-the-upgrade",
        "backup-20240101T000000Z-copy",
        "my-backup-20240101T000000Z",
        "hourly-20240101T000000Z",
    ]
    ours = [f"backup-2025010{day}T000000Z" for day in range(1, 5)]
    async with simulated() as (sim, tower):
        vm, other = new_vm(sim), sim.add_vm(name="web-2")
        await make(tower, vm["id"], *theirs, *reversed(ours))
        await make(tower, other["id"], *ours)
        backup = await backup_vm(tower, "web-1", keep=3)
        assert backup.snapshot is not None
        assert [one.name for one in backup.removed] == ours[:2]
        left = sorted([*theirs, *ours[2:], backup.snapshot.name])
        assert await snapshots(tower, vm["id"]) == left
        assert await snapshots(tower, other["id"]) == ours
        hourly = await backup_vm(tower, "web-1", prefix="hourly", keep=1)
        assert [one.name for one in hourly.removed] == ["hourly-20240101T000000Z"]
        without = await backup_vm(tower, "web-1")
        assert without.removed == []


async def test_a_backup_is_kept_also_where_the_clock_has_been_set_back() -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        await make(tower, vm["id"], "backup-29990101T000000Z")
        backup = await backup_vm(tower, "web-1", keep=1)
        assert backup.snapshot is not None
        assert await snapshots(tower, vm["id"]) == [backup.snapshot.name]


async def test_a_snapshot_in_progress_is_not_deleted() -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        await make(tower, vm["id"], "backup-20250101T000000Z")
        [old] = sim.store.select("VmSnapshot", {"vm": {"id": vm["id"]}})
        sim.store.change("VmSnapshot", old["id"], entityAsyncStatus="CREATING")
        backup = await backup_vm(tower, "web-1", keep=1)
        assert (backup.removed, backup.error) == ([], None)


async def test_without_a_new_snapshot_the_old_ones_stay() -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        await make(tower, vm["id"], "backup-20250101T000000Z")
        sim.tasks.fail_next()
        with pytest.raises(TaskFailed):
            await backup_vm(tower, "web-1", keep=1)
        assert await snapshots(tower, vm["id"]) == ["backup-20250101T000000Z"]


async def test_failures_after_the_snapshot_are_reported_with_it() -> None:
    ours = ["backup-20250101T000000Z", "backup-20250102T000000Z"]
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        await make(tower, vm["id"], *ours)

        def fail_the_second(news: Progress) -> None:
            if news.step == "remove" and news.fraction == 1 and not failed:
                failed.append(news)
                sim.tasks.fail_next()

        failed: list[Progress] = []
        backup = await backup_vm(tower, "web-1", keep=1, on_progress=fail_the_second)
        assert backup.snapshot is not None
        assert backup.lun_snapshots
        assert [one.name for one in backup.removed] == ours[:1]
        assert isinstance(backup.error, TaskFailed)
        assert await snapshots(tower, vm["id"]) == [backup.snapshot.name, ours[1]][::-1]

        sim.faults.fail("get-iscsi-lun-snapshots", status=501)
        backup = await backup_vm(tower, "web-1", keep=1)
        assert backup.snapshot is not None
        assert isinstance(backup.error, ServerError)
        assert (backup.lun_snapshots, backup.removed) == ([], [])


@pytest.mark.parametrize(("status", "body"), NOTHING_MATCHES)
async def test_an_old_snapshot_deleted_by_someone_else_does_not_end_the_backup(
    status: int, body: bytes | None
) -> None:
    ours = ["backup-20250101T000000Z", "backup-20250102T000000Z"]
    async with simulated(vms=0) as (sim, tower):
        for number in range(2):
            await make(tower, new_vm(sim, name=f"web-{number}")["id"], *ours)

        def delete_the_first(news: Progress) -> None:
            if news.step == "remove" and not gone:
                [vm] = sim.store.select("Vm", {"name": news.subject})
                [old] = sim.store.select("VmSnapshot", {"vm": {"id": vm["id"]}, "name": ours[0]})
                sim.store.remove("VmSnapshot", old["id"])
                sim.faults.fail("delete-vm-snapshot", status=status, body=body)
                gone.append(old["id"])

        gone: list[str] = []
        backups = await backup_vms(tower, EVERYTHING, keep=1, limit=1, on_progress=delete_the_first)
        assert gone
        assert [backup.error for backup in backups] == [None, None]
        assert [one.name for one in backups[0].removed][-1:] == ours[1:]
        assert [one.name for one in backups[1].removed] == ours
        for backup in backups:
            assert backup.snapshot is not None
            assert await snapshots(tower, backup.vm.id) == [backup.snapshot.name]


@pytest.mark.parametrize(("status", "body"), NOTHING_MATCHES)
async def test_an_old_snapshot_that_stays_is_an_error(status: int, body: bytes | None) -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        await make(tower, vm["id"], "backup-20250101T000000Z")
        sim.faults.fail("delete-vm-snapshot", status=status, body=body)
        backup = await backup_vm(tower, "web-1", keep=1)
        assert backup.snapshot is not None
        assert backup.removed == []
        assert isinstance(backup.error, CloudtowerError)


@pytest.mark.parametrize(("status", "body"), NOTHING_MATCHES)
async def test_a_vm_that_is_deleted_meanwhile_does_not_end_the_others(
    status: int, body: bytes | None
) -> None:
    async with simulated(vms=0) as (sim, tower):
        for number in range(2):
            new_vm(sim, name=f"web-{number}")
        sim.faults.fail("create-vm-snapshot", status=status, body=body)
        first, second = await backup_vms(tower, EVERYTHING, limit=1)
        assert first.snapshot is None
        assert isinstance(first.error, NotFound | OutcomeUnknown)
        assert (second.error, second.snapshot is None) == (None, False)


async def test_a_snapshot_that_takes_too_long_is_a_time_out() -> None:
    async with simulated(task_duration=3600) as (sim, tower):
        new_vm(sim)
        with pytest.raises(TaskTimeout) as caught:
            await backup_vm(tower, "web-1", timeout=0.1)
        assert caught.value.pending


async def test_a_missing_or_ambiguous_vm_is_reported() -> None:
    async with simulated() as (sim, tower):
        with pytest.raises(NotFound):
            await backup_vm(tower, "web-1")
        for _ in range(2):
            new_vm(sim)
        with pytest.raises(Ambiguous):
            await backup_vm(tower, "web-1")
        assert sim.mutations() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": 0}, "keep: "),
        ({"keep": 1.5}, "keep: "),
        ({"prefix": ""}, "prefix: "),
        ({"name": "n", "keep": 3}, "keep: .* leave out name"),
    ],
)
async def test_bad_arguments_are_refused_before_anything_is_sent(
    options: dict[str, Any], said: str
) -> None:
    async with simulated() as (sim, tower):
        before = len(sim.requests)
        with pytest.raises(InvalidInput, match=f"^backup_vm: {said}"):
            await backup_vm(tower, "web-1", **options)
        assert len(sim.requests) == before


async def test_its_progress_is_reported() -> None:
    async with simulated() as (sim, tower):
        vm = new_vm(sim)
        await make(tower, vm["id"], "backup-20250101T000000Z")
        heard: list[Progress] = []
        await backup_vm(tower, "web-1", keep=1, on_progress=heard.append)
    assert steps(heard) == ["snapshot", "lun snapshots", "remove", "done"]
    assert {one.subject for one in heard} == {"web-1"}
    assert [one.fraction for one in heard if one.step == "snapshot"] == [0, 1]
    assert [(one.done, one.total) for one in heard] == [(0, 1)] * (len(heard) - 1) + [(1, 1)]


async def test_many_vms_are_backed_up_within_a_concurrency_limit() -> None:
    busy: set[str] = set()
    most = 0

    def count(news: Progress) -> None:
        nonlocal most
        busy.add(news.subject)
        most = max(most, len(busy))
        if news.step == "done":
            busy.remove(news.subject)

    async with simulated(vms=0) as (sim, tower):
        for number in range(5):
            sim.add_vm(name=f"web-{number}")
        backups = await backup_vms(tower, {"name_starts_with": "web-"}, limit=2, on_progress=count)
        assert [backup.vm.name for backup in backups] == [f"web-{number}" for number in range(5)]
        assert all(backup.snapshot and backup.error is None for backup in backups)
        assert len(sim.sent("create-vm-snapshot")) == 5
    assert most == 2
    assert not busy


async def test_a_vm_that_fails_does_not_stop_the_others() -> None:
    async with simulated(vms=0) as (sim, tower):
        for number in range(3):
            sim.add_vm(name=f"web-{number}")
        sim.tasks.fail_next()
        heard: list[Progress] = []
        backups = await backup_vms(tower, EVERYTHING, limit=1, keep=1, on_progress=heard.append)
        assert isinstance(backups[0].error, TaskFailed)
        assert backups[0].snapshot is None
        assert [backup.error for backup in backups[1:]] == [None, None]
        assert all(backup.snapshot for backup in backups[1:])
    ends = [(one.step, one.done) for one in heard if one.step in {"done", "failed"}]
    assert ends == [("failed", 1), ("done", 2), ("done", 3)]


async def test_each_backup_is_reported_as_it_ends_even_if_the_rest_is_cancelled() -> None:
    async with simulated() as (sim, tower):
        for number in (1, 2, 3):
            new_vm(sim, name=f"till-{number}")
        sim.tasks.fail_next()
        told: list[Backup] = []

        def hear(backup: Backup) -> None:
            told.append(backup)
            if len(told) == 2:
                scope.cancel()

        with anyio.CancelScope() as scope:
            await backup_vms(tower, {"name_starts_with": "till-"}, limit=1, on_backup=hear)
        assert scope.cancelled_caught
        assert [(one.vm.name, one.error is None) for one in told] == [
            ("till-1", False),
            ("till-2", True),
        ]


async def test_all_vms_are_backed_up_only_on_request() -> None:
    async with simulated() as (sim, tower):
        before = len(sim.requests)
        wide: list[VmWhereInput] = [{}, {"name": None}, {"id_not_in": []}]
        for where in wide:
            with pytest.raises(EmptyFilter, match="backup_vms: where: "):
                await backup_vms(tower, where)
        with pytest.raises(InvalidInput, match="backup_vms: limit: "):
            await backup_vms(tower, {"name": "web-1"}, limit=0)
        assert len(sim.requests) == before
        with pytest.raises(NotFound, match=r"backup_vms: no VM matches .*missing_ok=True"):
            await backup_vms(tower, {"name": "nobody"})
        assert await backup_vms(tower, {"name": "nobody"}, missing_ok=True) == []
        assert sim.mutations() == []


async def test_two_backups_of_a_vm_come_one_after_the_other() -> None:
    order: list[str] = []
    async with simulated(lock_timeout=0) as (sim, tower):
        new_vm(sim)

        async def back_up(number: int) -> None:
            await backup_vm(
                tower, "web-1", name=f"n{number}", on_progress=lambda _: order.append(f"n{number}")
            )

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(back_up, number)
    assert order == sorted(order)


async def test_a_cancelled_backup_keeps_the_started_and_the_old_snapshots() -> None:
    async with simulated(task_duration=3600) as (sim, tower):
        vm = new_vm(sim)
        before = tasks_of_clients()
        with anyio.CancelScope() as scope:

            def cancel(_: Progress) -> None:
                if sim.sent("create-vm-snapshot"):
                    scope.cancel()

            await backup_vms(tower, {"name": "web-1"}, keep=1, on_progress=cancel)
        assert scope.cancelled_caught
        assert tasks_of_clients() == before
        async with tower.lock(vm["id"], timeout=0.01):
            pass
        [snapshot] = sim.store.select("VmSnapshot", {"vm": {"id": vm["id"]}})
        assert snapshot["entityAsyncStatus"] == "CREATING"
        assert sim.sent("delete-vm-snapshot") == []


async def test_exceptions_of_the_listener_are_raised_unchanged() -> None:
    def stop(_: Progress) -> None:
        raise KeyError("mine")

    async with simulated() as (sim, tower):
        new_vm(sim)
        with pytest.raises(KeyError, match="mine"):
            await backup_vms(tower, {"name": "web-1"}, on_progress=stop)
        assert sim.mutations() == []
