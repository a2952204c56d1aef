"""Mutations that are executed once, even if the process crashes or answers are lost."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import (
    Cloudtower,
    CloudtowerError,
    EffectMissing,
    Forbidden,
    InvalidInput,
    MutationRefused,
    OutcomeUnknown,
    SettleTimeout,
    TaskFailed,
    TaskNotFound,
    TaskTimeout,
    WithTask,
)
from cloudtower_async.jobs import JournalEntry, SqliteJournal, once
from cloudtower_async.models import VmSnapshot
from cloudtower_async.testing import Clock, Simulator, make
from tests.jobs.sqlite_file import GRACE, grace_passing, let_the_grace_pass
from tests.support import THOROUGH, cancelled_at

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from cloudtower_async.models import Vm

pytestmark = pytest.mark.anyio

KEY = "night/vm"
NAME = "night"
OFTEN = 0.02


class Night:
    """Takes one snapshot of the only VM of a simulator."""

    def __init__(self, sim: Simulator, tower: Cloudtower, folder: Path) -> None:
        self.sim = sim
        self.tower = tower
        self.file = folder / "journal"
        [self.vm_id] = sim.store.table("Vm")
        self.hidden = False

    def journal(self, grace: float = GRACE) -> SqliteJournal:
        return SqliteJournal(self.file, grace=grace)

    async def create(self, tower: Cloudtower) -> list[WithTask[VmSnapshot]]:
        return await tower.vm_snapshot.create_vm_snapshot(
            data=[{"vm_id": self.vm_id, "name": NAME}]
        )

    async def find(self, tower: Cloudtower) -> VmSnapshot | None:
        found = await tower.vm_snapshot.get_vm_snapshots(where={"name": NAME})
        return found[0] if found and not self.hidden else None

    async def run(
        self, grace: float = GRACE, key: str = KEY, timeout: float | None = 60.0
    ) -> VmSnapshot:
        """Take the snapshot with a newly opened journal, as a new process does."""
        async with self.journal(grace) as journal:
            return await once(
                self.tower,
                journal,
                key,
                self.create,
                find=self.find,
                timeout=timeout,
                interval=OFTEN,
            )

    @property
    def sent(self) -> int:
        return len(self.sim.sent("create-vm-snapshot"))

    @property
    def taken(self) -> list[Any]:
        return self.sim.store.select("VmSnapshot", {"name": NAME})


@asynccontextmanager
async def night_of(
    folder: Path, *, clock: Clock | None = None, task_duration: float = 0.01
) -> AsyncGenerator[Night]:
    async with (
        Simulator(vms=1, clock=clock, task_duration=task_duration) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        yield Night(sim, tower, folder)


@pytest.fixture
async def night(tmp_path: Path) -> AsyncIterator[Night]:
    async with night_of(tmp_path) as night:
        yield night


async def test_it_is_sent_once_and_the_resource_is_returned(night: Night) -> None:
    first = await night.run()
    assert first.name == NAME
    assert first.entity_async_status is None
    assert await night.run() == first
    assert night.sent == 1


async def test_an_existing_effect_is_returned_without_a_mutation(night: Night) -> None:
    made = await night.run()
    assert await night.run(key="another") == made
    assert night.sent == 1


async def test_concurrent_runs_send_the_mutation_once(night: Night) -> None:
    found: list[VmSnapshot] = []

    async def run() -> None:
        found.append(await night.run())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(run)
    assert len({one.id for one in found}) == 1
    assert night.sent == 1


async def test_after_any_cancellation_the_next_run_leaves_one_effect(tmp_path: Path) -> None:
    number = 0
    cancelled = True
    while cancelled:
        async with night_of(tmp_path) as night:
            (tmp_path / "journal").unlink(missing_ok=True)
            await night.tower.get_token()
            cancelled = await cancelled_at(number, night.run())
            if night.file.exists():
                await let_the_grace_pass(night.file)
            await night.run()
            assert len(night.taken) == 1, number
        number += 1 if THOROUGH else 5
    assert number > 10


async def test_a_task_that_still_runs_is_waited_for_by_the_next_run(tmp_path: Path) -> None:
    """The effect is not visible yet, so a second request would execute the mutation twice."""
    clock = Clock(running=False)
    async with night_of(tmp_path, clock=clock, task_duration=1) as night:
        sim = night.sim

        async def find(tower: Cloudtower) -> Vm | None:
            [vm] = await tower.vm.get_vms()
            return vm if vm.status == "STOPPED" else None

        async def run() -> Vm:
            async with night.journal() as journal:
                return await once(
                    night.tower,
                    journal,
                    KEY,
                    lambda tower: tower.vm.poweroff_vm(where={"id": night.vm_id}),
                    find=find,
                    interval=OFTEN,
                )

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            while not sim.sent("get-tasks"):  # noqa: ASYNC110
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        await let_the_grace_pass(night.file)
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            polls = len(sim.sent("get-tasks"))
            while len(sim.sent("get-tasks")) == polls:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            clock.advance(2)
        assert sim.store.table("Vm")[night.vm_id]["status"] == "STOPPED"
        assert len(sim.sent("poweroff-vm")) == 1


async def test_a_request_that_may_be_under_way_is_waited_for(night: Night) -> None:
    async with night.journal() as journal:
        assert await journal.begin(KEY, "a crashed run") is None
    looked = len(night.sim.sent("get-vm-snapshots"))
    async with anyio.create_task_group() as group:
        group.start_soon(night.run)
        while len(night.sim.sent("get-vm-snapshots")) < looked + 3:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        assert night.sent == 0
        await night.create(night.tower)
    assert night.sent == 1


class AskedTwice(SqliteJournal):
    """Repeats queries, like a database client that lost the connection."""

    async def begin(self, key: str, owner: str) -> JournalEntry | None:
        await super().begin(key, owner)
        return await super().begin(key, owner)


async def test_an_answer_of_the_journal_that_was_lost_costs_no_time(night: Night) -> None:
    async with AskedTwice(night.file, grace=GRACE) as journal:
        made = await once(night.tower, journal, KEY, night.create, find=night.find)
    assert (made.name, night.sent) == (NAME, 1)


async def test_a_request_that_never_arrived_is_sent_after_the_grace(night: Night) -> None:
    async with night.journal() as journal:
        assert await journal.begin(KEY, "a crashed run") is None
    async with grace_passing(night.file):
        await night.run()
    assert night.sent == 1


@pytest.mark.parametrize("executed", [True, False])
async def test_a_lost_answer_neither_doubles_nor_loses_it(night: Night, executed: bool) -> None:
    night.sim.faults.reset("create-vm-snapshot", executed=executed)
    async with night.journal(), grace_passing(night.file):
        await night.run()
    assert night.sent == (1 if executed else 2)
    assert len(night.taken) == 1


async def test_answers_that_are_always_lost_end_in_an_error(night: Night) -> None:
    night.sim.faults.fail("create-vm-snapshot", status=500, times=100)
    async with night.journal(), grace_passing(night.file):
        with pytest.raises(OutcomeUnknown):
            await night.run()
    assert night.sent == 3


async def test_a_refused_mutation_is_not_in_doubt(night: Night) -> None:
    night.sim.faults.fail("create-vm-snapshot", status=403)
    with pytest.raises(Forbidden):
        await night.run()
    assert (await night.run()).name == NAME  # at once, although the grace is long


async def test_a_find_that_fails_leaves_nothing_in_doubt(night: Night) -> None:
    night.sim.faults.fail("get-vm-snapshots", status=403)
    with pytest.raises(Forbidden):
        await night.run()
    assert night.sent == 0
    assert (await night.run()).name == NAME


async def test_a_find_that_is_too_slow_is_an_error_before_anything_is_sent(night: Night) -> None:
    async def find(tower: Cloudtower) -> VmSnapshot | None:
        await anyio.sleep(0.1)
        return await night.find(tower)

    async with night.journal(grace=0.2) as journal:
        with pytest.raises(CloudtowerError, match=r"find took longer than 0\.05 s"):
            await once(night.tower, journal, KEY, night.create, find=find)
    assert night.sent == 0


async def test_a_failed_task_is_raised_and_the_next_run_sends_again(night: Night) -> None:
    night.sim.tasks.fail_next()
    with pytest.raises(TaskFailed):
        await night.run()
    assert (await night.run()).name == NAME
    assert night.sent == 2


async def test_an_effect_that_was_undone_is_not_made_again(night: Night) -> None:
    made = await night.run()
    await night.tower.wait(night.tower.vm_snapshot.delete_vm_snapshot(where={"id": made.id}))
    with pytest.raises(EffectMissing, match="night/vm: the server has carried out") as caught:
        await night.run()
    assert (caught.value.key, night.sent) == (KEY, 1)
    async with night.journal() as journal:
        await journal.forget(KEY)
    await night.run()
    assert night.sent == 2


async def test_an_effect_that_never_shows_is_an_error_after_the_grace(night: Night) -> None:
    night.hidden = True
    with pytest.raises(EffectMissing):
        await night.run(grace=2)
    night.hidden = False
    assert (await night.run()).name == NAME
    assert night.sent == 1


async def test_a_task_that_the_server_has_forgotten_is_judged_by_the_effect(night: Night) -> None:
    answer = WithTask(data=make(VmSnapshot, id="a snapshot"), task_id="forgotten")
    async with night.journal() as journal:
        assert await journal.begin(KEY, "a crashed run") is None
        pending = night.tower.pending(answer).to_json()
        entry = JournalEntry(owner="a crashed run", state="answered", pending=pending)
        await journal.record(KEY, entry)
    with pytest.raises(TaskNotFound):
        await night.run(grace=0.1)
    assert night.sent == 0
    await night.create(night.tower)
    assert (await night.run(grace=0.1)).name == NAME
    assert night.sent == 1


async def test_a_resource_that_is_not_complete_in_time_is_an_error(tmp_path: Path) -> None:
    async with night_of(tmp_path, clock=Clock(running=False), task_duration=1) as night:
        with pytest.raises(TaskTimeout):
            await night.run(timeout=0.1)
        with pytest.raises(SettleTimeout):  # another key does not know the task
            await night.run(key="another", timeout=0.1)
        assert night.sent == 1


async def test_a_filter_that_matches_nothing_is_an_error_and_nothing_is_in_doubt(
    night: Night,
) -> None:
    async def find(_: Cloudtower) -> Vm | None:
        return None

    async with night.journal() as journal:
        with pytest.raises(CloudtowerError, match="the mutation changed 0 resources instead of"):
            await once(
                night.tower,
                journal,
                KEY,
                lambda tower: tower.vm.update_vm(where={"id": "none"}, data={"name": "new"}),
                find=find,
            )
        assert await journal.begin(KEY, "another") is None


async def test_a_rehearsal_leaves_the_journal_as_it_is(night: Night) -> None:
    rehearsal = night.tower.with_options(mutations="plan")
    refusing = night.tower.with_options(mutations="refuse")
    async with night.journal() as journal:
        planned = await once(rehearsal, journal, KEY, night.create, find=night.find)
        assert planned.name == NAME
        with pytest.raises(MutationRefused):
            await once(refusing, journal, KEY, night.create, find=night.find)
    assert [one.operation for one in rehearsal.plan] == ["vm_snapshot.create_vm_snapshot"]
    assert night.sent == 0
    made = await night.run()
    assert (night.sent, len(rehearsal.plan)) == (1, 1)
    async with night.journal() as journal:
        assert await once(rehearsal, journal, KEY, night.create, find=night.find) == made
    assert len(rehearsal.plan) == 1


@pytest.mark.parametrize(
    ("argument", "value"),
    [("key", ""), ("mutation", None), ("find", None), ("timeout", -1), ("interval", 0)],
)
async def test_arguments_are_checked(night: Night, argument: str, value: object) -> None:
    arguments: dict[str, Any] = {
        "key": KEY,
        "mutation": night.create,
        "find": night.find,
        argument: value,
    }
    async with night.journal() as journal:
        with pytest.raises(InvalidInput, match=f"once: {argument}: "):
            await once(night.tower, journal, **arguments)
    assert night.sent == 0
