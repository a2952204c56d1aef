"""Journals: entries are visible to all processes until they expire."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import InvalidInput
from cloudtower_async.jobs import JournalEntry, SqliteJournal
from cloudtower_async.jobs.redis_journal import RedisJournal, redis_client
from tests.jobs.redis_server import needs_redis, redis_server
from tests.jobs.sqlite_file import change

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from cloudtower_async.jobs import Journal

    Open = Callable[..., AbstractAsyncContextManager[Journal]]

pytestmark = pytest.mark.anyio

LONG = 3600.0
SOON = 0.05


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
async def journals(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens journals that share their entries."""
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":

            @asynccontextmanager
            async def open_file(**options: Any) -> AsyncGenerator[Journal]:  # noqa: ANN401
                async with SqliteJournal(tmp_path / "journal", **options) as journal:
                    yield journal

            yield open_file
            return
        address = await stack.enter_async_context(redis_server(tmp_path))

        @asynccontextmanager
        async def connect(**options: Any) -> AsyncGenerator[Journal]:  # noqa: ANN401
            async with redis_client(address) as redis:
                yield RedisJournal(redis, **options)

        yield connect


async def test_one_owner_begins_until_the_entry_is_forgotten_or_the_grace_is_over(
    journals: Open,
) -> None:
    async with journals(grace=LONG) as journal, journals(grace=LONG) as other:
        assert await journal.begin("a", "first") is None
        begun = JournalEntry(owner="first", state="begun")
        assert await other.begin("a", "second") == begun
        assert await journal.begin("a", "first") == begun
        assert await other.begin("b", "second") is None
        await other.forget("a", "second")  # belongs to another owner
        assert await other.begin("a", "second") == begun
        await journal.forget("a", "first")
        assert await other.begin("a", "second") is None
        await journal.forget("a")
        assert await journal.begin("a", "first") is None
    async with journals(grace=SOON) as hasty:
        while await hasty.begin("a", "third") is not None:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        # An owner that was too slow changes nothing.
        await hasty.record("a", JournalEntry(owner="first", state="done"))
    async with journals(grace=LONG) as journal:
        assert await journal.begin("a", "fourth") == JournalEntry(owner="third", state="begun")


async def test_an_answer_outlasts_the_grace_until_it_expires(journals: Open) -> None:
    async with journals(grace=SOON) as journal:
        assert await journal.begin("a", "first") is None
        answered = JournalEntry(owner="first", state="answered", pending='{"a": 1}')
        await journal.record("a", answered)
        done = JournalEntry(owner="first", state="done")
        assert await journal.begin("b", "first") is None
        await journal.record("b", answered)
        await journal.record("b", done)
        await anyio.sleep(2 * SOON)
        assert await journal.begin("a", "second") == answered
        assert await journal.begin("b", "second") == done
    async with journals(grace=SOON, keep=SOON) as brief:
        await brief.record("a", answered)
        while await brief.begin("a", "second") is not None:  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_a_lease_has_one_owner_until_it_is_released_or_expires(journals: Open) -> None:
    async with journals() as journal, journals() as other:
        first, second = journal.lease("job", LONG), other.lease("job", 2 * SOON)
        assert not await first.renew()
        assert await first.acquire()
        assert await first.renew()
        assert not await second.acquire()
        await second.release()  # not its lock
        assert await first.renew()
        assert await other.lease("another job", LONG).acquire()
        await first.release()
        await first.release()
        assert await second.acquire()
        while not await first.acquire():  # noqa: ASYNC110
            await anyio.sleep(0.01)
        assert not await second.renew()


async def test_a_journal_keeps_entries_for_the_grace_at_least(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="SqliteJournal: keep: must not be less than grace, 9 s"):
        SqliteJournal(tmp_path / "journal", grace=9, keep=8)
    with pytest.raises(InvalidInput, match="RedisJournal: grace: "):
        RedisJournal(redis_client("redis://127.0.0.1"), grace=0)


async def test_a_clock_that_is_set_back_neither_ends_nor_extends_the_grace_for_long(
    tmp_path: Path,
) -> None:
    async with SqliteJournal(tmp_path / "journal", grace=1) as journal:
        assert await journal.begin("a", "first") is None
        await change(tmp_path / "journal", "UPDATE journal_entries SET since = since + 3600")
        assert await journal.begin("a", "second") is not None
    async with SqliteJournal(tmp_path / "journal", grace=SOON) as journal:
        while await journal.begin("a", "second") is not None:  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_a_journal_that_is_not_open_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the journal is not open: use it in `async with`"):
        await SqliteJournal(tmp_path / "journal").begin("a", "first")


RACE = """
import anyio, sys
from cloudtower_async.jobs import SqliteJournal

async def main():
    async with SqliteJournal(sys.argv[1]) as journal:
        sys.stdin.readline()
        for number in range(40):
            if await journal.begin(str(number), "owner") is None:
                print(number)

anyio.run(main)
"""


@pytest.mark.subprocess
async def test_only_one_of_several_processes_begins(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        command = [sys.executable, "-c", RACE, str(tmp_path / "journal")]
        processes = [
            await stack.enter_async_context(await anyio.open_process(command)) for _ in range(3)
        ]
        for process in processes:
            assert process.stdin is not None
            await process.stdin.send(b"\n")
        begun: list[str] = []
        for process in processes:
            assert process.stdout is not None
            begun += b"".join([part async for part in process.stdout]).decode().split()
    assert sorted(begun, key=int) == [str(number) for number in range(40)]
