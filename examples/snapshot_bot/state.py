"""Progress of the bot, stored in the SQLite file of its journal."""

from __future__ import annotations

import sqlite3
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
    name TEXT,         -- name of the snapshots; each night has its own
    vm_id TEXT,
    vm_name TEXT,
    snapshot_id TEXT,
    error TEXT,
    PRIMARY KEY (name, vm_id)
)
"""


class Row(NamedTuple):
    """Progress of one VM. If `snapshot_id` and `error` are both None, the VM is pending."""

    vm_id: str
    vm_name: str
    snapshot_id: str | None
    error: str | None


class State:
    """Progress of one night. When a method returns, its change is stored on disk."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._one = anyio.CapacityLimiter(1)  # only one thread may use the connection at a time

    async def plan(self, vms: Iterable[Vm]) -> None:
        """Store the VMs of the night in one transaction."""
        await self._write(
            "INSERT INTO snapshots (name, vm_id, vm_name) VALUES (?, ?, ?)",
            [(self._name, vm.id, vm.name) for vm in vms],
        )

    async def rows(self) -> list[Row]:
        """Return all VMs of the night, sorted by name.

        The list is empty if the VMs of the night have not been chosen yet.
        """

        def read() -> list[Row]:
            found = self._connection.execute(
                "SELECT vm_id, vm_name, snapshot_id, error FROM snapshots "
                "WHERE name = ? ORDER BY vm_name, vm_id",
                (self._name,),
            )
            return [Row(*row) for row in found]

        return await self._in_thread(read)

    async def done(self, vm_id: str, snapshot_id: str) -> None:
        """Store that the snapshot of a VM is complete."""
        await self._set(vm_id, snapshot_id, None)

    async def failed(self, vm_id: str, error: str) -> None:
        """Store the error of the failed snapshot of a VM."""
        await self._set(vm_id, None, error)

    async def _set(self, vm_id: str, snapshot_id: str | None, error: str | None) -> None:
        await self._write(
            "UPDATE snapshots SET snapshot_id = ?, error = ? WHERE name = ? AND vm_id = ?",
            [(snapshot_id, error, self._name, vm_id)],
        )

    async def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        def write() -> None:
            with self._connection:  # one transaction
                self._connection.executemany(statement, rows)

        await self._in_thread(write)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._one)


@asynccontextmanager
async def open_state(path: Path, name: str) -> AsyncGenerator[State]:
    """Open the file during a ``with`` block, and yield the progress of a night.

    Args:
        path: File of the journal of one Tower.
        name: Name of the snapshots of this night.

    Raises:
        sqlite3.Error: The file is not usable.
    """
    connect = partial(sqlite3.connect, path, timeout=10.0, check_same_thread=False)
    connection = await anyio.to_thread.run_sync(connect)
    try:
        await anyio.to_thread.run_sync(connection.execute, _TABLE)
        yield State(connection, name)
    finally:
        connection.close()
