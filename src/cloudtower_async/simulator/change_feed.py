"""Change feed: the changes of the store, numbered by revision. Old changes are removed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .clock import Clock
    from .store.change_tracker import RowChange
    from .store.store import Store

_FIRST = 2**53 + 1  # larger than any exact float, so that clients notice a lossy conversion


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One change of a row in the change feed.

    Args:
        revision: Revision of this change.
        previous: Revision of the change before this change.
        row: The row before and after the change.
        at: Date of the change, in the format of the server.
    """

    revision: int
    previous: int
    row: RowChange
    at: str

    @property
    def action(self) -> str:
        """Kind of the change: ``INSERT``, ``UPDATE`` or ``DELETE``."""
        if self.row.before is None:
            return "INSERT"
        return "UPDATE" if self.row.after is not None else "DELETE"


class ChangeFeed:
    """Change feed of a store.

    Args:
        store: Store whose changes the feed records from now on.
        clock: Clock that supplies the dates of changes.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.username = "changes"
        """User name for HTTP Basic authentication. The feed has its own credentials."""
        self.password = "simulated-changes"  # noqa: S105 - only valid for the simulator
        self.available = True
        """Whether the server has a change feed. Servers without a feed respond with status 404."""
        self.inclusive = False
        """Whether a response includes the change whose revision equals ``start_revision``."""
        self.keep = 10_000
        """Maximum number of changes in the feed. When the feed is full, old changes are removed."""
        self._store = store
        self._clock = clock
        self._current = self._compacted = _FIRST
        self._events: deque[FeedEvent] = deque()
        store.watch(self._note)

    @property
    def current_revision(self) -> str:
        """Revision of the latest change."""
        with self._store.lock:
            self._store.report()
            return str(self._current)

    @property
    def compact_revision(self) -> str:
        """Revision of the latest change that was removed from the feed."""
        return str(self._compacted)

    def events(self) -> list[FeedEvent]:
        """Return the changes in the feed, oldest first."""
        with self._store.lock:
            self._store.report()
            return list(self._events)

    def compact(self, *, keep: int = 0) -> None:
        """Remove all changes from the feed except the latest `keep` changes."""
        with self._store.lock:
            self._store.report()
            while len(self._events) > keep:
                self._compacted = self._events.popleft().revision

    def start_over(self) -> None:
        """Remove all changes, and let the revisions start again, as after a reinstallation."""
        with self._store.lock:
            self._store.report()
            self._events.clear()
            self._current = self._compacted = _FIRST

    def after(self, revision: int) -> Iterable[FeedEvent]:
        """Return the changes after a revision.

        If `inclusive` is True, the change with this revision is also returned.
        """
        least = revision if self.inclusive else revision + 1
        return (event for event in self.events() if event.revision >= least)

    def _note(self, row: RowChange) -> None:
        # Revisions have gaps, as on a real server, which also counts changes that it does not show.
        revision = self._current + 1 + len(self._events) % 3
        self._events.append(FeedEvent(revision, self._current, row, self._clock.timestamp()))
        self._current = revision
        if len(self._events) > self.keep:
            self._compacted = self._events.popleft().revision
