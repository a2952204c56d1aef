"""Take the snapshots of this night, or resume an interrupted run."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sqlite3
import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import msgspec

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.jobs import SqliteJournal, job_lock
from cloudtower_async.testing import Simulator

from .bot import Night, run_night
from .state import open_state

if TYPE_CHECKING:
    from cloudtower_async.inputs import VmWhereInput

_LOCKED = 10.0  # seconds until the lock of a crashed bot expires

_EVERY_VM: VmWhereInput = {"in_recycle_bin": False, "internal": False}


async def run(options: argparse.Namespace) -> bool:
    """Run the backup of a night, and return whether the backup is complete."""
    night = Night(
        date=options.night,
        where=options.where,
        prefix=options.prefix,
        limit=options.limit,
        per_cluster=options.per_cluster,
        keep=options.keep,
    )
    path: Path = options.state
    async with AsyncExitStack() as stack:
        if os.environ.get("CLOUDTOWER_ENDPOINT"):
            session = Cloudtower.from_env()
        else:  # the simulator and its state file are temporary
            sim = await stack.enter_async_context(Simulator("4 clusters, 60 VMs"))
            session = Cloudtower(sim.url, username=sim.username, password=sim.password)
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / path.name
        journal = await stack.enter_async_context(SqliteJournal(path, grace=options.grace))
        lock = job_lock(journal, "snapshot bot", ttl=_LOCKED, wait=options.wait)
        await stack.enter_async_context(lock)
        state = await stack.enter_async_context(open_state(path, night.name))
        tower = await stack.enter_async_context(session)
        report = await run_night(tower, journal, state, night)
    print(report.text())
    if options.report is not None:
        await anyio.Path(options.report).write_bytes(msgspec.json.encode(report))
    return report.complete


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.snapshot_bot")
    add = parser.add_argument
    add("--state", type=Path, default="snapshot-bot.sqlite3", help="file with the progress")
    add("--report", type=Path, help="file for the report as JSON")
    add("--where", type=_where, default=_EVERY_VM, help="filter that selects the VMs, as JSON")
    add("--night", type=date.fromisoformat, default=datetime.now(UTC).date(), help="date")
    add("--prefix", default="nightly", help="prefix of the names of the snapshots")
    add("--keep", type=_number, help="number of snapshots to keep for each VM")
    add("--limit", type=_number, default=20, help="maximum number of concurrent VMs")
    add(
        "--per-cluster",
        type=_number,
        default=5,
        help="maximum number of concurrent VMs per cluster",
    )
    add(
        "--grace",
        type=float,
        default=120.0,
        help="seconds for which a lost request may still arrive",
    )
    add("--wait", type=float, default=1.5 * _LOCKED, help="seconds to wait for another bot")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        sys.exit(0 if asyncio.run(run(options)) else 1)
    except CloudtowerError as error:
        sys.exit(str(error))
    except sqlite3.Error as error:
        sys.exit(f"{options.state}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the same command resumes the run


def _where(text: str) -> VmWhereInput:
    try:
        where: VmWhereInput = json.loads(text)  # the session validates its keys
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"this is no JSON: {error}") from None
    return where


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
