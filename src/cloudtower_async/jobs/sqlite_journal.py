"""Journal in a SQLite file, which processes on one machine can share."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread

from ..errors import InvalidInput
from ..validators import check_seconds
from .journal import GRACE, KEEP, JournalEntry

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS journal_entries (
    key TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    pending TEXT,
    since REAL NOT NULL     -- time of the last change, in seconds since 1970
);
CREATE INDEX IF NOT EXISTS journal_entries_since ON journal_entries (since);
CREATE TABLE IF NOT EXISTS journal_leases (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expires REAL NOT NULL
);
"""

_BUSY = 10.0
"""Maximum number of seconds to wait while another process writes."""


class SqliteJournal:
    """A `Journal` in a SQLite file; use it as an async context manager.

    Several processes on one machine can share the file. Do not put the file on a network drive.
    When a method returns, its changes are on disk. SQLite stores part of the data in a second file,
    whose name ends with ``-wal``. Move or delete both files together. Files are read and written in
    threads.

    Args:
        path: Path of the file. The file is created if it does not exist. Use one file for each
            Tower, or start each key of `once` with the name of the Tower.
        grace: Seconds after which `once` may repeat a request whose outcome is unknown. Until then,
            the request may still reach the server.
        keep: Seconds that `once` remembers a mutation after the last change of its entry.

    Raises:
        InvalidInput: An argument is invalid.

    Example:
        ::

            async with SqliteJournal("nightly.sqlite3") as journal:
                ...
    """

    def __init__(
        self, path: str | os.PathLike[str], *, grace: float = GRACE, keep: float = KEEP
    ) -> None:
        check_seconds("SqliteJournal", "grace", grace)
        check_seconds("SqliteJournal", "keep", keep)
        if keep < grace:
            raise InvalidInput(f"SqliteJournal: keep: must not be less than grace, {grace:g} s")
        self.grace = grace
        self._keep = keep
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._one = anyio.CapacityLimiter(1)  # only one thread at a time may use a connection

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            sqlite3.Error: The file cannot be opened, or is not a SQLite database.
        """
        self._connection = await anyio.to_thread.run_sync(self._connect, limiter=self._one)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(connection.close, limiter=self._one)

    async def begin(self, key: str, owner: str) -> JournalEntry | None:
        """See `Journal.begin`."""
        return await self._in_thread(lambda connection: self._begin(connection, key, owner))

    async def record(self, key: str, entry: JournalEntry) -> None:
        """See `Journal.record`."""
        await self._change(
            "UPDATE journal_entries SET state = ?, pending = ?, since = ? "
            "WHERE key = ? AND owner = ?",
            entry.state,
            entry.pending,
            time.time(),
            key,
            entry.owner,
        )

    async def forget(self, key: str, owner: str | None = None) -> None:
        """See `Journal.forget`."""
        await self._change(
            "DELETE FROM journal_entries WHERE key = ?1 AND (?2 IS NULL OR owner = ?2)", key, owner
        )

    def lease(self, name: str, ttl: float) -> SqliteLease:
        """See `Journal.lease`."""
        return SqliteLease(self._change, name, ttl)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY, check_same_thread=False, isolation_level=None
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # one disk write for each change
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_TABLES)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: sqlite3.Connection, key: str, owner: str) -> JournalEntry | None:
        with _transaction(connection):
            now = time.time()
            connection.execute("DELETE FROM journal_entries WHERE since < ?", (now - self._keep,))
            row = connection.execute(
                "SELECT owner, state, pending, since FROM journal_entries WHERE key = ?", (key,)
            ).fetchone()
            if row is not None:
                *fields, since = row
                if since > now:  # the clock was set back, so the entry gets the current time
                    connection.execute(
                        "UPDATE journal_entries SET since = ? WHERE key = ?", (now, key)
                    )
                entry = JournalEntry(owner=fields[0], state=fields[1], pending=fields[2])
                if entry.state != "begun" or now - since < self.grace:
                    return entry
            connection.execute(
                "INSERT OR REPLACE INTO journal_entries (key, owner, state, since) "
                "VALUES (?, ?, 'begun', ?)",
                (key, owner, now),
            )
        return None

    async def _change(self, statement: str, *values: str | float | None) -> bool:
        """Run a statement in a transaction, and return whether it changed a row."""

        def change(connection: sqlite3.Connection) -> bool:
            with _transaction(connection):
                return connection.execute(statement, values).rowcount > 0

        return await self._in_thread(change)

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection
        if connection is None:
            raise RuntimeError("the journal is not open: use it in `async with`")
        return await anyio.to_thread.run_sync(work, connection, limiter=self._one)


class SqliteLease:
    """A `Lease` in the file of a `SqliteJournal`, made by `SqliteJournal.lease`."""

    def __init__(self, change: Callable[..., Awaitable[bool]], name: str, ttl: float) -> None:
        self.name = name
        self.ttl = ttl
        self._change = change
        self._owner = uuid.uuid4().hex

    async def acquire(self) -> bool:
        """See `Lease.acquire`."""
        now = time.time()
        return await self._change(
            "INSERT INTO journal_leases (name, owner, expires) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (name) DO UPDATE SET owner = ?2, expires = ?3 "
            "WHERE expires <= ?4",
            self.name,
            self._owner,
            now + self.ttl,
            now,
        )

    async def renew(self) -> bool:
        """See `Lease.renew`."""
        return await self._change(
            "UPDATE journal_leases SET expires = ? WHERE name = ? AND owner = ?",
            time.time() + self.ttl,
            self.name,
            self._owner,
        )

    async def release(self) -> None:
        """See `Lease.release`."""
        await self._change(
            "DELETE FROM journal_leases WHERE name = ? AND owner = ?", self.name, self._owner
        )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    # Wait for other writers now. Without IMMEDIATE, a later write could fail.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
