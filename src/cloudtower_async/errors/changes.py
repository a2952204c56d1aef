"""About the change feed."""

# ruff: noqa: N818 - the names say what happened: `except Resync`
from __future__ import annotations

from .base import CloudtowerError


class NoChangeFeed(CloudtowerError):
    """The change feed cannot be read: the server has none, or the session no credential for it."""


class Resync(CloudtowerError):
    """The change feed no longer has all changes since a revision, so some were missed.

    Compacting drops old changes, and a server that was set up anew counts from the beginning again.
    List again what the changes were about; then go on with the same iterator, or with
    ``tower.changes(since=error.revision)``: no change after the error is missed.

    Attributes:
        since: The revision from which on changes were wanted.
        compact_revision: Changes up to this one are no longer kept.
        revision: The latest one when this was found.
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
