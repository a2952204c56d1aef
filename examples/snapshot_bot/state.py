"""What the bot knows of a night, in a file: SQLite, in threads."""

from __future__ import annotations

import sqlite3
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
    from pathlib import Path

    from cloudtower_async.models import Vm

T = TypeVar("T")

_TABLE = """
CREATE TABLE IF NOT EXISTS snapshots (
    name TEXT,         -- of the snapshot: the night
    vm_id TEXT,
    vm_name TEXT,
    state TEXT,        -- planned, done, failed
    begun_at REAL,     -- since when a snapshot may be on its way; NULL: nothing is in doubt
    task_id TEXT,
    snapshot_id TEXT,
    error TEXT,
    PRIMARY KEY (name, vm_id)
)
"""


class Row(NamedTuple):
    """What is known of one VM."""

    vm_id: str
    vm_name: str
    state: str
    task_id: str | None
    snapshot_id: str | None
    error: str | None


class State:
    """One night in the file; it is the `Journal` of `snapshot_once`.

    Each write is on the disk when the call returns.
    """

    def __init__(self, connection: sqlite3.Connection, name: str, grace: float) -> None:
        self._connection = connection
        self._name = name
        self._one = anyio.CapacityLimiter(1)  # a connection serves one thread at a time
        self.grace = grace

    async def plan(self, vms: Iterable[Vm]) -> None:
        """Write down which VMs the night is about: all of them, or none."""
        rows = [(self._name, vm.id, vm.name) for vm in vms]
        await self._in_thread(
            partial(
                self._write_many,
                "INSERT INTO snapshots (name, vm_id, vm_name, state) VALUES (?, ?, ?, 'planned')",
                rows,
            )
        )

    async def rows(self) -> list[Row]:
        """All VMs of the night, by name; none: it has not been planned yet."""

        def read() -> list[Row]:
            found = self._connection.execute(
                "SELECT vm_id, vm_name, state, task_id, snapshot_id, error FROM snapshots "
                "WHERE name = ? ORDER BY vm_name, vm_id",
                (self._name,),
            )
            return [Row(*row) for row in found]

        return await self._in_thread(read)

    async def begin(self, vm_id: str) -> bool:
        now = time.time()
        return await self._write(
            # Not "begun_at < ?": a clock that was set back must not hold it up for ever.
            "UPDATE snapshots SET begun_at = ? WHERE name = ? AND vm_id = ? "
            "AND (begun_at IS NULL OR begun_at NOT BETWEEN ? AND ?)",
            (now, self._name, vm_id, now - self.grace, now),
        )

    async def answered(self, vm_id: str, task_id: str | None) -> None:
        await self._set(vm_id, begun_at=None, task_id=task_id)

    async def done(self, vm_id: str, snapshot_id: str) -> None:
        """Write down that the snapshot is there."""
        await self._set(vm_id, state="done", begun_at=None, snapshot_id=snapshot_id, error=None)

    async def failed(self, vm_id: str, error: str) -> None:
        """Write down why there is none. What is in doubt stays so."""
        await self._set(vm_id, state="failed", error=error)

    async def _set(self, vm_id: str, **values: str | float | None) -> None:
        columns = ", ".join(f"{column} = ?" for column in values)
        await self._write(
            f"UPDATE snapshots SET {columns} WHERE name = ? AND vm_id = ?",  # noqa: S608 - ours
            (*values.values(), self._name, vm_id),
        )

    async def _write(self, statement: str, values: tuple[object, ...]) -> bool:
        return await self._in_thread(partial(self._write_many, statement, [values])) > 0

    def _write_many(self, statement: str, rows: Sequence[tuple[object, ...]]) -> int:
        with self._connection:  # one transaction
            return self._connection.executemany(statement, rows).rowcount

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._one)


@asynccontextmanager
async def open_state(path: Path, name: str, grace: float) -> AsyncGenerator[State]:
    """Open the file of one Tower, for one bot at a time.

    Args:
        path: Where it is; made when it is not there.
        name: Of the snapshots of this night.
        grace: Seconds after which a request of a crashed bot does not arrive any more.

    Raises:
        sqlite3.OperationalError: Another bot works with it, or it can't be used.
    """

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=0, check_same_thread=False)
        try:
            # The system lets go of the lock when the process ends, however it ends.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")  # a write waits for the disk once
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute(_TABLE)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    connection = await anyio.to_thread.run_sync(connect)
    try:
        yield State(connection, name, grace)
    finally:
        connection.close()
