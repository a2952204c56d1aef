"""Recipes with odd answers for some VMs.

An odd answer never counts as success, and the outcomes of other VMs are still reported.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest

from cloudtower_async import (
    Cloudtower,
    CloudtowerError,
    Forbidden,
    OutcomeUnknown,
    ReadBackFailed,
    RetryPolicy,
    TaskTimeout,
)
from cloudtower_async.recipes import (
    Progress,
    backup_vm,
    backup_vms,
    create_blank_vm,
    shut_down_vms,
    start_vms,
)
from tests.odd_servers import Tell, proxy
from tests.recipes.towers import after_each, simulated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from cloudtower_async.inputs import VmWhereInput
    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio

Change: TypeAlias = "Callable[[Any], Any]"

BLOGS: VmWhereInput = {"name_starts_with": "blog-"}
GUARD = 60.0  # seconds until a test that hangs fails


@asynccontextmanager
async def odd(
    tell: Tell,
    *,
    statuses: tuple[str, ...] = (),
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[tuple[Simulator, Cloudtower]]:
    """Connect to a server whose answers are changed; it has VMs blog-0, blog-1, …"""
    async with simulated(**options) as (sim, direct):
        for number, status in enumerate(statuses):
            sim.add_vm(
                name=f"blog-{number}", status=status, memory=1 << 20, vm_tools_status="RUNNING"
            )
        async with (
            proxy(sim.url, tell=tell) as url,
            Cloudtower(url, token=await direct.get_token(), retry=RetryPolicy(attempts=1)) as tower,
        ):
            yield sim, tower


def of(path: str, change: Change, *, times: int | None = None) -> Tell:
    """Change the first `times` answers to one operation."""
    seen = 0

    def tell(called: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        nonlocal seen
        if called != path:
            return answer
        seen += 1
        return answer if times is not None and seen > times else change(answer)

    return tell


def first_with(**fields: Any) -> Change:  # noqa: ANN401
    """Change members of the first row."""
    return lambda rows: [{**rows[0], **fields}, *rows[1:]]


SWITCHES: dict[str, Change] = {
    "no rows": lambda _: [],
    "one row": lambda rows: rows[:1],
    "no data": first_with(data=None),
    "data without id": lambda rows: [{**row, "data": {**row["data"], "id": None}} for row in rows],
    "no task": first_with(task_id=None),
    "another VM": lambda rows: [
        {"task_id": "t", "data": {**rows[0]["data"], "id": "somebody else"}},
        *rows,
    ],
    "each twice": lambda rows: rows * 2,
    "name null": lambda rows: [{**row, "data": {**row["data"], "name": None}} for row in rows],
}


@pytest.mark.parametrize("case", SWITCHES)
async def test_vms_start_whichever_vms_the_answer_contains(case: str) -> None:
    tell = of("start-vm", SWITCHES[case])
    heard: list[Progress] = []
    async with odd(tell, statuses=("STOPPED",) * 3) as (sim, tower):
        outcomes = await start_vms(tower, BLOGS, on_progress=heard.append)
        assert [one.vm.name for one in outcomes] == ["blog-0", "blog-1", "blog-2"]
        assert [one.result for one in outcomes] == ["done"] * 3
        assert len(sim.sent("start-vm")) == 1
    assert [one.done for one in heard if one.step == "done"] == [1, 2, 3]


LISTINGS: dict[str, Change] = {
    "name null": first_with(name=None),
    "status null": first_with(status=None),
    "id null": first_with(id=None),
    "a row twice": lambda rows: [*rows, rows[0]],
}


@pytest.mark.parametrize("case", LISTINGS)
async def test_a_malformed_row_does_not_affect_the_other_vms(case: str) -> None:
    tell = of("get-vms", LISTINGS[case], times=1)
    heard: list[Progress] = []
    async with odd(tell, statuses=("STOPPED",) * 3) as (_, tower):
        outcomes = await start_vms(tower, BLOGS, on_progress=heard.append)
    assert len(outcomes) == 3
    done = [one for one in outcomes if one.result == "done"]
    assert len(done) == (2 if case in ("status null", "id null") else 3)
    failed = [one for one in outcomes if one.result == "failed"]
    assert all(isinstance(one.error, CloudtowerError) for one in failed)
    ends = [one for one in heard if one.step in ("done", "failed")]
    assert [one.done for one in ends] == [1, 2, 3]


@pytest.mark.parametrize("count", [None, "3", {}, -1, 10**20])
async def test_a_malformed_count_does_not_affect_any_vm(count: object) -> None:
    tell = of("get-vms-connection", lambda _: {"aggregate": {"count": count}})
    async with odd(tell, statuses=("STOPPED",) * 3) as (_, tower):
        outcomes = await start_vms(tower, BLOGS)
        assert [one.result for one in outcomes] == ["done"] * 3


async def test_one_unreadable_page_does_not_make_switched_vms_failed_ones() -> None:
    async with simulated(vms=0) as (sim, tower):
        for number in range(520):
            sim.add_vm(name=f"blog-{number:03}", status="STOPPED", memory=1 << 10)

        def fail(news: Progress) -> None:
            if news.step == "start" and news.fraction == 1 and not failed:
                failed.append(news)
                sim.faults.fail("get-vms", status=403)

        failed: list[Progress] = []
        outcomes = await start_vms(tower, BLOGS, limit=520, on_progress=fail)
        assert {one.result for one in outcomes} == {"done"}
        unread = [one for one in outcomes if one.error is not None]
        assert 0 < len(unread) <= 500
        for one in unread:
            assert isinstance(one.error, ReadBackFailed)
            assert (one.error.done, one.error.resource_ids) == (True, (one.vm.id,))


async def test_a_vm_that_is_deleted_while_it_shuts_down_ends_its_wait() -> None:
    def delete(times: int) -> None:
        if times == 3:
            sim.store.remove("Vm", vm["id"])

    async with simulated(trace=after_each("get-vms", delete)) as (sim, tower):
        vm = sim.add_vm(name="blog-0", status="RUNNING", memory=1 << 20)

        def still_on(news: Progress) -> None:
            if news.step == "shut down" and news.fraction == 1:
                sim.store.change("Vm", vm["id"], status="RUNNING")

        with anyio.fail_after(GUARD):
            [outcome] = await shut_down_vms(tower, BLOGS, timeout=None, on_progress=still_on)
    assert outcome.result == "failed"
    assert str(outcome.error) == "VM blog-0 no longer exists"


async def test_vms_are_powered_off_in_time_while_another_one_is_locked() -> None:
    def release(_: int) -> None:
        sim.store.change("Vm", locked["id"], entityAsyncStatus=None)

    trace = after_each("poweroff-vm", release)
    async with simulated(trace=trace, lock_timeout=GUARD) as (sim, tower):
        locked, obstinate = (
            sim.add_vm(name=f"blog-{number}", status="RUNNING", memory=1 << 20)
            for number in range(2)
        )
        sim.store.change("Vm", locked["id"], entityAsyncStatus="UPDATING")

        def still_on(news: Progress) -> None:
            if news.step == "shut down" and news.subject == "blog-1" and news.fraction == 1:
                sim.store.change("Vm", obstinate["id"], status="RUNNING", cpu_usage=1.0)

        with anyio.fail_after(GUARD / 2):  # less than the time-out for locks
            outcomes = await shut_down_vms(
                tower, BLOGS, force_after=0.3, timeout=GUARD, on_progress=still_on
            )
    assert [one.result for one in outcomes] == ["forced", "forced"]
    first = sim.sent("poweroff-vm")[0]
    assert obstinate["id"] in first["where"]["id_in"]


async def test_vms_are_powered_off_in_time_while_another_one_stays_busy() -> None:
    def release(_: int) -> None:
        sim.store.change("Vm", busy["id"], entityAsyncStatus=None)

    async with simulated(trace=after_each("poweroff-vm", release)) as (sim, tower):
        busy, obstinate = (
            sim.add_vm(name=f"blog-{number}", status="RUNNING", memory=1 << 20)
            for number in range(2)
        )

        def keep(news: Progress) -> None:
            if news.step == "shut down" and news.fraction == 1:
                sim.store.change("Vm", busy["id"], entityAsyncStatus="UPDATING")
                sim.store.change("Vm", obstinate["id"], status="RUNNING", cpu_usage=1.0)

        with anyio.fail_after(GUARD / 2):
            outcomes = await shut_down_vms(
                tower, BLOGS, force_after=0.2, timeout=GUARD, on_progress=keep
            )
    assert [one.result for one in outcomes] == ["done", "forced"]
    assert [one.vm.status for one in outcomes] == ["STOPPED", "STOPPED"]


CREATED: dict[str, Change] = {
    "no rows": lambda _: [],
    "two rows": lambda rows: rows * 2,
    "no data": first_with(data=None),
    "data without id": lambda rows: [{**rows[0], "data": {**rows[0]["data"], "id": None}}],
}


@pytest.mark.parametrize("case", CREATED)
async def test_a_backup_with_a_malformed_answer_does_not_affect_the_others(case: str) -> None:
    tell = of("create-vm-snapshot", CREATED[case], times=1)
    heard: list[Progress] = []
    async with odd(tell, statuses=("STOPPED",) * 3) as (sim, tower):
        first, *others = await backup_vms(tower, BLOGS, limit=1, on_progress=heard.append)
        assert isinstance(first.error, OutcomeUnknown)
        assert first.snapshot is None
        assert [(one.error, one.snapshot is None) for one in others] == [(None, False)] * 2
        assert len(sim.sent("create-vm-snapshot")) == 3
    ends = [(one.step, one.done) for one in heard if one.step in ("done", "failed")]
    assert ends == [("failed", 1), ("done", 2), ("done", 3)]


async def test_a_snapshot_of_another_vm_is_no_backup() -> None:
    theirs: list[str] = []

    def name_it(rows: Any) -> Any:  # noqa: ANN401
        return [
            {**row, "data": {**row["data"], "id": [*theirs, row["data"]["id"]][0]}} for row in rows
        ]

    async with odd(of("create-vm-snapshot", name_it), statuses=("STOPPED",) * 2) as (sim, tower):
        other = await backup_vm(tower, "blog-1")
        assert other.snapshot is not None
        theirs.append(other.snapshot.id)
        [backup] = await backup_vms(tower, {"name": "blog-0"}, keep=1)
        assert isinstance(backup.error, OutcomeUnknown)
        assert str(backup.error).startswith(
            "vm_snapshot.create_vm_snapshot: the answer names a snapshot of another VM: "
        )
        assert sim.sent("delete-vm-snapshot") == []


SNAPSHOTS: dict[str, Change] = {
    "name null": lambda rows: [{**row, "name": None} for row in rows],
    "disks null": lambda rows: [{**row, "vm_disks": None} for row in rows],
    "id null": lambda rows: [*rows, *({**row, "id": None} for row in rows[:1])],
}


@pytest.mark.parametrize("case", SNAPSHOTS)
async def test_malformed_snapshots_raise_no_python_error(case: str) -> None:
    async with odd(of("get-vm-snapshots", SNAPSHOTS[case]), statuses=("STOPPED",)) as both:
        _, tower = both
        [backup] = await backup_vms(tower, BLOGS, keep=1)
        assert backup.error is None
        assert backup.snapshot is not None


async def test_only_snapshots_of_the_vm_itself_are_deleted() -> None:
    """A server that ignores the filter lists the snapshots of other VMs as well."""
    odd_ones: list[dict[str, Any]] = []

    def foreign(rows: Any) -> Any:  # noqa: ANN401
        return [*rows, *odd_ones]

    async with odd(of("get-vm-snapshots", foreign), statuses=("STOPPED",) * 2) as (sim, tower):
        theirs = (await backup_vm(tower, "blog-1", prefix="b")).snapshot
        assert theirs is not None
        row = {"id": theirs.id, "name": "b-20200101T000000Z", "entityAsyncStatus": None}
        [owner] = sim.store.select("Vm", {"name": "blog-1"})
        odd_ones += [{**row, "vm": {"id": owner["id"], "name": "blog-1"}}, {**row, "vm": None}]
        backup = await backup_vm(tower, "blog-0", prefix="b", keep=1)
        assert (backup.removed, sim.sent("delete-vm-snapshot")) == ([], [])


DELETED: dict[str, Change] = {
    "two rows": lambda rows: rows * 2,
    "another one": lambda rows: [{**rows[0], "data": {"id": "somebody else"}}],
    "no data": first_with(data=None),
}


@pytest.mark.parametrize("case", DELETED)
async def test_a_malformed_answer_to_a_deletion_is_verified(case: str) -> None:
    async with odd(of("delete-vm-snapshot", DELETED[case]), statuses=("STOPPED",)) as both:
        sim, tower = both
        [vm] = sim.store.select("Vm", {"name": "blog-0"})
        old = "backup-20250101T000000Z"
        await tower.settle(
            tower.vm_snapshot.create_vm_snapshot(data=[{"vm_id": vm["id"], "name": old}])
        )
        backup = await backup_vm(tower, "blog-0", keep=1)
        assert backup.error is None
        assert [one.name for one in backup.removed] == [old]


async def test_disks_without_a_lun_snapshot_are_reported() -> None:
    def fewer(rows: Any) -> Any:  # noqa: ANN401
        return [*rows[1:], {**rows[0], "name": "of another disk"}]

    async with odd(of("get-iscsi-lun-snapshots", fewer), statuses=("STOPPED",)) as both:
        _, tower = both
        backup = await backup_vm(tower, "blog-0")
        assert backup.snapshot is not None
        disks = [disk for disk in backup.snapshot.vm_disks or () if disk.type == "DISK"]
        found = {lun.name for lun in backup.lun_snapshots}
        missing = [disk for disk in disks if disk.snapshot_local_id not in found]
        assert len(missing) == 1
        assert backup.disks_without_lun_snapshot == missing
        assert "of another disk" not in found


async def test_a_snapshot_that_takes_too_long_is_reported_with_its_id() -> None:
    async with simulated(task_duration=3600) as (sim, tower):
        sim.add_vm(name="blog-0")
        [backup] = await backup_vms(tower, BLOGS, timeout=0.1)
        [snapshot] = sim.store.select("VmSnapshot", {"vm": {"name": "blog-0"}})
        assert isinstance(backup.error, TaskTimeout)
        assert backup.snapshot is None
        assert backup.snapshot_id == snapshot["id"]
        assert backup.error.resource_ids == (snapshot["id"],)
        assert snapshot["id"] in str(backup.error)


async def test_a_snapshot_that_is_made_but_cannot_be_read_is_reported_with_its_id() -> None:
    async with simulated() as (sim, tower):
        sim.add_vm(name="blog-0")
        sim.faults.fail("get-vm-snapshots", status=403)
        [backup] = await backup_vms(tower, BLOGS, keep=1)
        [snapshot] = sim.store.select("VmSnapshot", {"vm": {"name": "blog-0"}})
        assert isinstance(backup.error, ReadBackFailed)
        assert backup.error.done
        assert backup.snapshot_id == snapshot["id"]
        assert isinstance(backup.error.__cause__, Forbidden)
        assert str(backup.error).startswith(
            f"the work is done, but its result could not be read: {snapshot['id']}. "
        )
        sim.faults.fail("get-tasks", status=403)
        [backup] = await backup_vms(tower, BLOGS)
        assert isinstance(backup.error, ReadBackFailed)
        assert not backup.error.done
        assert backup.snapshot_id is not None


@pytest.mark.parametrize("case", CREATED)
async def test_an_answer_without_the_created_vm_is_an_unknown_outcome(case: str) -> None:
    async with odd(of("create-vm", CREATED[case])) as (sim, tower):
        cluster = sim.add_cluster()
        with pytest.raises(OutcomeUnknown) as caught:
            await create_blank_vm(tower, "new", cluster=cluster["id"], vcpu=1, memory=1 << 30)
        [task] = sim.store.select("Task", {"resource_mutation": "createVm"})
        assert (task["id"] in str(caught.value)) == (case != "no rows")
        assert len(sim.sent("create-vm")) == 1


async def test_a_vm_that_is_made_but_cannot_be_read_is_reported_with_its_id() -> None:
    async with simulated() as (sim, tower):
        cluster = sim.add_cluster()
        sim.faults.fail("get-vms", status=403)
        with pytest.raises(ReadBackFailed) as caught:
            await create_blank_vm(tower, "new", cluster=cluster["id"], vcpu=1, memory=1 << 30)
        [vm] = sim.store.select("Vm", {"name": "new"})
        assert caught.value.done
        assert caught.value.resource_ids == (vm["id"],)


async def test_a_task_without_progress_is_followed() -> None:
    tell = of("get-tasks", lambda rows: [{**row, "progress": None} for row in rows])
    heard: list[Progress] = []
    async with odd(tell, statuses=("STOPPED",)) as (_, tower):
        [backup] = await backup_vms(tower, BLOGS, on_progress=heard.append)
        assert backup.error is None
    assert {one.fraction for one in heard if one.step == "snapshot"} == {0.0}
