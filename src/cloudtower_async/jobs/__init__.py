"""Jobs that can be repeated after a crash: a journal of mutations, and locks between processes."""

from __future__ import annotations

from .fleet_job import FleetItem, FleetJob
from .journal import Journal, JournalEntry, Lease
from .lease import job_lock
from .once import once
from .sqlite_journal import SqliteJournal

__all__ = [
    "FleetItem",
    "FleetJob",
    "Journal",
    "JournalEntry",
    "Lease",
    "SqliteJournal",
    "job_lock",
    "once",
]
