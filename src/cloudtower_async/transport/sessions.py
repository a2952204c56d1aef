"""All sessions that are open, and the values of their OpenTelemetry metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import Protocol
from weakref import WeakSet

import msgspec


class Counts:
    """Numbers that a session counts for its metrics.

    Attributes:
        polls: Number of polls of waits, watches and `settle` so far.
        lenient_decodes: Number of responses so far that violated the API schema and were repaired.
        lock_waits: Number of calls that wait for a locked resource now.
    """

    __slots__ = ("lenient_decodes", "lock_waits", "polls")

    def __init__(self) -> None:
        self.polls: int = 0
        self.lenient_decodes: int = 0
        self.lock_waits: int = 0


class Readings(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Values of one session at one point in time.

    Attributes:
        active: Number of requests in progress.
        queued: Number of requests that wait for `max_in_flight` or `rate_limit`.
        used: Number of connections that serve a request.
        idle: Number of open connections that serve no request.
        connections: Maximum number of connections. 0 means no limit.
        retries: Number of tokens in the retry budget.
        lock_waits: See `Counts`.
        polls: See `Counts`.
        logins: Number of logins so far.
        lenient_decodes: See `Counts`.
    """

    active: int
    queued: int
    used: int
    idle: int
    connections: int
    retries: float
    lock_waits: int
    polls: int
    logins: int
    lenient_decodes: int


class Observed(Protocol):
    """A session whose values are exported as metrics."""

    @property
    def address(self) -> str:
        """Host name or IP address of the server, or of the first node of an active/passive pair."""
        ...

    def readings(self) -> Readings:
        """Return the current values. The thread of a metric reader calls this method."""
        ...


class _Sessions:
    """Collection of open sessions. Metric readers call its methods from other threads."""

    def __init__(self) -> None:
        self._open: WeakSet[Observed] = WeakSet()
        self._closed: dict[str, Counter[str]] = {}  # sums of closed sessions, by address
        self._lock = Lock()

    def add(self, session: Observed) -> None:
        """Start observing a session."""
        with self._lock:
            self._open.add(session)

    def remove(self, session: Observed) -> None:
        """Stop observing a session.

        While another session uses the same server, `totals` can still include the values of the
        closed session. When the last session with a server is closed, these values are dropped.
        """
        with self._lock:
            if session not in self._open:
                return
            self._open.remove(session)
            left = {one.address for one in self._open}
            last = self._closed.setdefault(session.address, Counter())
            last.update(msgspec.structs.asdict(session.readings()))
            self._closed = {at: kept for at, kept in self._closed.items() if at in left}

    def totals(self, names: Iterable[str], *, closed: bool) -> dict[tuple[str, str], float]:
        """Return a dict from (server address, name of a reading) to the sum over all sessions.

        Args:
            names: Names of the readings to sum up.
            closed: Whether to include closed sessions. For counters, pass True, because a counter
                must not decrease when a session is closed.
        """
        found: dict[tuple[str, str], float] = {}
        none: Counter[str] = Counter()
        with self._lock:
            for session in self._open:
                last = self._closed.get(session.address, none) if closed else none
                readings = msgspec.structs.asdict(session.readings())
                for name in names:
                    key = session.address, name
                    found[key] = found.get(key, last[name]) + readings[name]
        return found


sessions: _Sessions = _Sessions()
