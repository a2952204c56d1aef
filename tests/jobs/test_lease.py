"""Job locks: only one run at a time, and a run that loses its lock stops."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from cloudtower_async import InvalidInput, JobLocked, LeaseLost
from cloudtower_async.jobs import SqliteJournal, job_lock
from tests.jobs.sqlite_file import change
from tests.support import cancelled_at, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

BRIEF = 0.3


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(tmp_path / "journal") as journal:
        yield journal


async def is_free(journal: SqliteJournal) -> bool:
    lease = journal.lease("job", 3600.0)
    free = await lease.acquire()
    await lease.release()
    return free


async def test_a_second_run_is_refused_until_the_first_has_ended(journal: SqliteJournal) -> None:
    async with job_lock(journal, "job"):
        with pytest.raises(JobLocked, match="job 'job' is locked by another run") as caught:
            async with job_lock(journal, "job"):
                raise AssertionError
        assert caught.value.name == "job"
        async with job_lock(journal, "another"):
            pass
    async with job_lock(journal, "job"):
        pass


async def test_a_lock_is_renewed_while_the_job_runs(journal: SqliteJournal) -> None:
    async with job_lock(journal, "job", ttl=BRIEF):
        await anyio.sleep(3 * BRIEF)
        assert not await is_free(journal)
    assert await is_free(journal)


async def test_a_run_takes_over_from_one_that_crashed(journal: SqliteJournal) -> None:
    assert await journal.lease("job", BRIEF).acquire()
    async with job_lock(journal, "job", wait=60):
        assert not await is_free(journal)


async def test_an_error_of_the_job_is_raised_as_it_is(journal: SqliteJournal) -> None:
    error = ValueError("of the job")
    with pytest.raises(ValueError, match="of the job") as caught:
        async with job_lock(journal, "job"):
            raise error
    assert caught.value is error
    assert await is_free(journal)


async def test_a_run_stops_when_another_owner_has_its_lock(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    cleaned = anyio.Event()

    async def job() -> None:
        async with job_lock(journal, "job", ttl=BRIEF):
            await change(tmp_path / "journal", "UPDATE journal_leases SET owner = 'another'")
            try:
                await anyio.sleep_forever()
            finally:
                cleaned.set()

    with pytest.raises(LeaseLost, match="the lock 'job' was lost"):
        await job()
    assert cleaned.is_set()
    assert not await is_free(journal)  # the lock of the other owner stays


async def test_a_run_stops_when_its_lock_cannot_be_renewed_in_time(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    async def job() -> None:
        async with job_lock(journal, "job", ttl=BRIEF):
            await change(tmp_path / "journal", "ALTER TABLE journal_leases RENAME TO elsewhere")
            await anyio.sleep_forever()

    with pytest.raises(LeaseLost) as caught:
        await job()
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


async def test_a_failure_to_renew_is_outlasted(journal: SqliteJournal, tmp_path: Path) -> None:
    async with job_lock(journal, "job", ttl=6 * BRIEF):
        await change(tmp_path / "journal", "ALTER TABLE journal_leases RENAME TO elsewhere")
        await anyio.sleep(2.5 * BRIEF)  # at least one renewal fails
        await change(tmp_path / "journal", "ALTER TABLE elsewhere RENAME TO journal_leases")
        await anyio.sleep(5 * BRIEF)
    assert await is_free(journal)


async def test_a_lock_is_released_wherever_its_job_is_cancelled(journal: SqliteJournal) -> None:
    async def job() -> None:
        async with job_lock(journal, "job", ttl=60):
            await anyio.lowlevel.checkpoint()

    before = tasks_of_clients()
    number = 0
    while await cancelled_at(number, job()):
        assert await is_free(journal), number
        assert tasks_of_clients() == before
        number += 1
    assert number > 3


@pytest.mark.parametrize(("option", "value"), [("ttl", 0), ("ttl", None), ("wait", -1)])
async def test_times_are_checked(journal: SqliteJournal, option: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"job_lock: {option}: "):
        async with job_lock(journal, "job", **{option: value}):  # type: ignore[arg-type]
            raise AssertionError
