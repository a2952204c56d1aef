"""Change feed: the changes of the store by revision, until they are compacted."""

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
    """One change of a row, with its revision and its time."""

    revision: int
    previous: int
    row: RowChange
    at: str

    @property
    def action(self) -> str:
        """``INSERT``, ``UPDATE`` or ``DELETE``."""
        if self.row.before is None:
            return "INSERT"
        return "UPDATE" if self.row.after is not None else "DELETE"


class ChangeFeed:
    """Change feed of a store.

    Args:
        store: Store to follow from now on.
        clock: Clock for the dates of changes.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.username = "changes"
        """User name for HTTP Basic; the feed has separate credentials."""
        self.password = "simulated-changes"  # noqa: S105 - of no server but this one
        self.available = True
        """Whether the server has a change feed; older servers answer 404."""
        self.inclusive = False
        """Whether an answer includes the change with the ``start_revision`` itself."""
        self.keep = 10_000
        """Number of changes to keep; older changes are compacted."""
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
        """Revision up to which changes are no longer kept."""
        return str(self._compacted)

    def events(self) -> list[FeedEvent]:
        """Return the kept changes, the oldest first."""
        with self._store.lock:
            self._store.report()
            return list(self._events)

    def compact(self, *, keep: int = 0) -> None:
        """Forget all changes except the latest `keep` changes."""
        with self._store.lock:
            self._store.report()
            while len(self._events) > keep:
                self._compacted = self._events.popleft().revision

    def start_over(self) -> None:
        """Forget all changes and restart the revisions, like a newly installed server."""
        with self._store.lock:
            self._store.report()
            self._events.clear()
            self._current = self._compacted = _FIRST

    def after(self, revision: int) -> Iterable[FeedEvent]:
        """Return the changes after a revision, or from it on if `inclusive` is set."""
        least = revision if self.inclusive else revision + 1
        return (event for event in self.events() if event.revision >= least)

    def _note(self, row: RowChange) -> None:
        # Revisions are not consecutive, as on a server that also counts hidden changes.
        revision = self._current + 1 + len(self._events) % 3
        self._events.append(FeedEvent(revision, self._current, row, self._clock.timestamp()))
        self._current = revision
        if len(self._events) > self.keep:
            self._compacted = self._events.popleft().revision
