"""Errors of the change feed."""

# ruff: noqa: N818 - names without "Error" read well: `except Resync`
from __future__ import annotations

from .base import CloudtowerError


class NoChangeFeed(CloudtowerError):
    """The server has no change feed, or the session lacks the option ``change_feed``."""


class Resync(CloudtowerError):
    """The change feed cannot return all changes since a revision, so changes were missed.

    Possible causes: the server deleted old changes, the server was reinstalled or restored from a
    backup, or more than 1,000 changes have the same revision. Read the resources again. After that,
    continue with the same iterator, or with ``tower.changes(since=error.revision)``. Both yield all
    changes after ``revision``.

    Attributes:
        since: Revision after which changes were requested.
        compact_revision: The server no longer has the changes up to this revision.
        revision: Latest revision at the time of the error.
    """

    def __init__(self, since: str, compact_revision: str, revision: str) -> None:
        super().__init__(since, compact_revision, revision)
        self.since = since
        self.compact_revision = compact_revision
        self.revision = revision

    def _describe(self) -> str:
        return (
            f"changes after revision {self.since} are lost: the feed keeps those after "
            f"{self.compact_revision}, and the latest is {self.revision}. "
            "List again, then go on from there."
        )
