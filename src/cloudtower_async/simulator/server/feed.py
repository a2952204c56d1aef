"""The change feed: what has changed in the store, by revision, for as long as it is kept."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..http_errors import QueryError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..clock import Clock
    from ..store.ledger import RowChange
    from ..store.store import Store
    from .handlers import Answer, Asked

_FIRST = 2**53 + 1  # no float holds it, so that a client notices when it makes one of a revision
_MOST = 1000
_USUAL = 100


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One change, and when it happened."""

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
    """Keeps the changes of a store.

    Args:
        store: Is followed from now on.
        clock: Dates the changes.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.username = "changes"
        """The feed has a credential of its own, for HTTP Basic."""
        self.password = "simulated-changes"  # noqa: S105 - of no server but this one
        self.available = True
        """Whether there is a feed; older servers have none and answer 404."""
        self.inclusive = False
        """Whether an answer starts with the change that has the ``start_revision`` itself."""
        self.keep = 10_000
        """How many changes are kept; older ones are compacted."""
        self._store = store
        self._clock = clock
        self._current = self._compacted = _FIRST
        self._events: deque[FeedEvent] = deque()
        store.watch(self._note)

    @property
    def current_revision(self) -> str:
        """Of the latest change."""
        with self._store.lock:
            self._store.report()
            return str(self._current)

    @property
    def compact_revision(self) -> str:
        """Changes up to this one are no longer kept."""
        return str(self._compacted)

    def events(self) -> list[FeedEvent]:
        """The changes that are kept, the oldest first."""
        with self._store.lock:
            self._store.report()
            return list(self._events)

    def compact(self, *, keep: int = 0) -> None:
        """Forget all but the latest changes."""
        with self._store.lock:
            self._store.report()
            while len(self._events) > keep:
                self._compacted = self._events.popleft().revision

    def start_over(self) -> None:
        """Forget everything and count from the beginning, as a server that was set up anew."""
        with self._store.lock:
            self._store.report()
            self._events.clear()
            self._current = self._compacted = _FIRST

    def after(self, revision: int) -> Iterable[FeedEvent]:
        """The changes from a revision on."""
        least = revision if self.inclusive else revision + 1
        return (event for event in self.events() if event.revision >= least)

    def _note(self, row: RowChange) -> None:
        # As on a server that also counts what it does not show, revisions are not consecutive.
        revision = self._current + 1 + len(self._events) % 3
        self._events.append(FeedEvent(revision, self._current, row, self._clock.timestamp()))
        self._current = revision
        if len(self._events) > self.keep:
            self._compacted = self._events.popleft().revision


def _answer(asked: Asked) -> object:
    feed = asked.services.changes
    if not feed.available:
        raise RefusedError(404, "this server has no change feed")
    _authenticate(feed, asked.request.headers.get("authorization", ""))
    query = asked.query
    if unknown := query.keys() - _TESTED.keys() - {"start_revision", "limit"}:
        raise QueryError(f"{', '.join(sorted(unknown))}: there is no such argument")
    limit = _number(query, "limit", _USUAL)
    if not 1 <= limit <= _MOST:
        raise QueryError(f"limit: from 1 to {_MOST}")
    start = _number(query, "start_revision", 0)
    wanted = {name: set(query[name].split(",")) for name in _TESTED if query.get(name)}
    found: list[dict[str, Any]] = []
    for event in feed.after(start):
        if all(_TESTED[name](event) in values for name, values in wanted.items()):
            found.append(_shown(event))
            if len(found) == limit:
                break
    return {
        "currentRevision": feed.current_revision,
        "compactRevision": feed.compact_revision,
        "data": found,
        "ec": "EOK",
    }


_TESTED: dict[str, Callable[[FeedEvent], str | None]] = {
    "resource_type": lambda event: event.row.table,
    "resource_id": lambda event: event.row.id,
    "action": lambda event: event.action,
}


def _authenticate(feed: ChangeFeed, header: str) -> None:
    scheme, _, credential = header.partition(" ")
    expected = f"{feed.username}:{feed.password}".encode()
    try:
        given = base64.b64decode(credential, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if scheme.lower() != "basic" or given != expected:
        raise RefusedError(401, "the change feed needs its own credential, by HTTP Basic")


def _number(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name, "")
    if not text:
        return usual
    if not (text.isascii() and text.isdigit()):
        raise QueryError(f"{name}: a whole number")
    return int(text)


def _shown(event: FeedEvent) -> dict[str, Any]:
    row = event.row
    shown: dict[str, Any] = {
        "revision": str(event.revision),
        "prev_revision": str(event.previous),
        "action": event.action,
        "resource_type": row.table,
        "created_at": event.at,
    }
    if row.id is not None:
        shown["resource_id"] = row.id
    if row.before is not None:
        shown["old_value"] = row.before.decode()
    if row.after is not None:
        shown["new_value"] = row.after.decode()
    return shown


ANSWERS: dict[str, Answer] = {"resource-changes": _answer}
