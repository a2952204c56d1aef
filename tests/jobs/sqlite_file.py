"""External changes to the file of a SQLite journal."""

from __future__ import annotations

import sqlite3
import time
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

GRACE = 3600.0
"""Grace period in seconds of journals whose entries are made older by tests."""


async def change(path: Path, statement: str, *values: float) -> None:
    """Run a statement."""

    def run() -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement, values)

    await anyio.to_thread.run_sync(run)


async def let_the_grace_pass(path: Path) -> None:
    """Make all entries older, so that their grace periods have passed."""
    past = time.time() - GRACE - 1
    await change(path, "UPDATE journal_entries SET since = min(since, ?)", past)


@asynccontextmanager
async def grace_passing(path: Path) -> AsyncGenerator[None]:
    """While the block runs, let the grace periods of all entries pass repeatedly."""

    async def run() -> None:
        while True:
            await anyio.sleep(0.05)
            await let_the_grace_pass(path)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        yield
        group.cancel_scope.cancel()
