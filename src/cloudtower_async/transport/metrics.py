"""OpenTelemetry metrics: the duration of each call, and the state of the sessions.

As for traces, a program that uses OpenTelemetry has imported it: it is looked up, never imported.
All attributes are bounded: operations and outcomes of the API, and addresses of servers.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit
from weakref import WeakSet

from .._version import __version__
from ..errors import (
    CallError,
    CallTimeout,
    CloudtowerError,
    OutcomeUnknown,
    SessionClosed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation

OTHER = "_OTHER"
"""Stands for values that are not bounded, as in OpenTelemetry's conventions."""

_PREFIX = "cloudtower.client."
_BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Boundaries of the histogram in seconds: from a small query to a call that waits for a lock."""

_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (OutcomeUnknown, "unknown"),
    (CallTimeout, "timeout"),
    (CallError, "failed"),
    (SessionClosed, "closed"),
    (CloudtowerError, "rejected"),
    (Exception, "failed"),
)
"""Outcomes of calls that raise; anything else cancels the call."""


@dataclass(slots=True)
class Counts:
    """Counters of a session that nothing else keeps.

    Attributes:
        polls: Polls of waits, watches and `settle` so far.
        lenient_decodes: Answers so far that broke the API schema and were repaired.
        lock_waits: Callers that wait for a locked resource now.
    """

    polls: int = 0
    lenient_decodes: int = 0
    lock_waits: int = 0


class Readings(NamedTuple):
    """Values of one session at one time.

    Attributes:
        active: Requests that are being sent or answered.
        queued: Requests that wait for `max_in_flight` or `rate_limit`.
        used: Connections with a request.
        idle: Open connections without one.
        connections: Maximum number of connections; 0: unlimited.
        retries: Tokens in the retry budget.
        lock_waits: See `Counts`.
        polls: See `Counts`.
        logins: Logins so far.
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


class _Instrument(NamedTuple):
    """An observable instrument, and the readings that it shows with their attributes."""

    name: str
    kind: Literal["counter", "up_down_counter", "gauge"]
    unit: str
    description: str
    shows: Mapping[str, Mapping[str, str]]


_STATE = _PREFIX + "connection.state"
_INSTRUMENTS = (
    _Instrument(
        "active_requests",
        "up_down_counter",
        "{request}",
        "Requests that are being sent or answered.",
        {"active": {}},
    ),
    _Instrument(
        "queued_requests",
        "up_down_counter",
        "{request}",
        "Requests that wait for max_in_flight or rate_limit.",
        {"queued": {}},
    ),
    _Instrument(
        "connection.count",
        "up_down_counter",
        "{connection}",
        "Open connections.",
        {"used": {_STATE: "used"}, "idle": {_STATE: "idle"}},
    ),
    _Instrument(
        "connection.max",
        "up_down_counter",
        "{connection}",
        "Maximum number of connections.",
        {"connections": {}},
    ),
    _Instrument(
        "retry_budget",
        "gauge",
        "{retry}",
        "Retries that the sessions have left.",
        {"retries": {}},
    ),
    _Instrument(
        "lock_waits",
        "up_down_counter",
        "{caller}",
        "Callers that wait for a locked resource.",
        {"lock_waits": {}},
    ),
    _Instrument(
        "polls",
        "counter",
        "{poll}",
        "Polls of waits, watches and settle.",
        {"polls": {}},
    ),
    _Instrument("logins", "counter", "{login}", "Logins.", {"logins": {}}),
    _Instrument(
        "lenient_decodes",
        "counter",
        "{answer}",
        "Answers that broke the API schema and were repaired.",
        {"lenient_decodes": {}},
    ),
)
_COUNTERS = frozenset(name for one in _INSTRUMENTS if one.kind == "counter" for name in one.shows)


class Observed(Protocol):
    """A session whose values are observed until it is closed or garbage-collected."""

    @property
    def address(self) -> str:
        """Host of its server; of a pair, of the first one."""
        ...

    def readings(self) -> Readings:
        """Return the present values. Called in the thread of a metric reader."""
        ...


class _Sessions:
    """Open sessions. Readers observe them in threads of their own."""

    def __init__(self) -> None:
        self._open: WeakSet[Observed] = WeakSet()
        self._closed: dict[str, Counter[str]] = {}  # by address: what counters must not lose
        self._lock = Lock()

    def add(self, session: Observed) -> None:
        """Observe a session from now on."""
        with self._lock:
            self._open.add(session)

    def remove(self, session: Observed) -> None:
        """Observe a session no longer.

        Counters do not go down while another session has the same server; with the last one, its
        values end.
        """
        with self._lock:
            if session not in self._open:
                return
            self._open.remove(session)
            left = {one.address for one in self._open}
            readings = session.readings()._asdict()
            counts = self._closed.setdefault(session.address, Counter())
            counts.update({name: readings[name] for name in _COUNTERS})
            self._closed = {at: kept for at, kept in self._closed.items() if at in left}

    def totals(self, names: Iterable[str]) -> dict[tuple[str, str], float]:
        """Return the sums of readings of all sessions, by address and reading."""
        found: dict[tuple[str, str], float] = {}
        with self._lock:
            for session in self._open:
                closed = self._closed.get(session.address, Counter[str]())
                readings = session.readings()._asdict()
                for name in names:
                    key = session.address, name
                    found[key] = found.get(key, closed[name]) + readings[name]
        return found


sessions: _Sessions = _Sessions()


@lru_cache(maxsize=1024)
def address_of(endpoint: str) -> tuple[str, int | None]:
    """Return the host and the port of a root address."""
    parts = urlsplit(endpoint)
    return parts.hostname or "", parts.port


def durations() -> Histogram | None:
    """Return the histogram of the program's meter provider; None if the program has set none."""
    metrics: Any = sys.modules.get("opentelemetry.metrics")
    if metrics is None:
        return None
    provider = metrics.get_meter_provider()
    if type(provider).__name__ in ("_ProxyMeterProvider", "NoOpMeterProvider"):
        return None
    return _instruments_of(provider)


@lru_cache(maxsize=1)  # providers warn of instruments that are made twice
def _instruments_of(provider: MeterProvider) -> Histogram:
    from opentelemetry.metrics import Observation  # is loaded: there is a provider

    meter = provider.get_meter("cloudtower_async", __version__)
    for one in _INSTRUMENTS:
        create = getattr(meter, f"create_observable_{one.kind}")
        observe = partial(_observe, Observation, one.shows)
        create(_PREFIX + one.name, [observe], unit=one.unit, description=one.description)
    return meter.create_histogram(
        _PREFIX + "operation.duration",
        unit="s",
        description="Duration of calls, retries included.",
        explicit_bucket_boundaries_advisory=_BOUNDARIES,
    )


def _observe(
    observation: type[Observation],
    shows: Mapping[str, Mapping[str, str]],
    _options: CallbackOptions,
) -> list[Observation]:
    return [
        observation(value, {"server.address": address, **shows[name]})
        for (address, name), value in sessions.totals(shows).items()
    ]


def record_duration(
    histogram: Histogram,
    seconds: float,
    operation: str,
    endpoint: str,
    error: BaseException | None,
) -> None:
    """Record how long a call took.

    Args:
        histogram: Takes the duration.
        seconds: Duration of the call.
        operation: Name of the call.
        endpoint: Root address of the server.
        error: Error that the call raised; None: it succeeded.
    """
    if operation.startswith("/"):  # outside the schema: a path may hold ids
        operation = OTHER
    attributes = {
        "cloudtower.operation": operation,
        "cloudtower.outcome": "success",
        "server.address": address_of(endpoint)[0],
    }
    if error is not None:
        attributes["cloudtower.outcome"] = outcome_of(error)
        attributes["error.type"] = error_type(error)
    histogram.record(seconds, attributes)


def outcome_of(error: BaseException) -> str:
    """Return the class of outcomes that a call has which raises this error."""
    return next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "cancelled")


def error_type(error: BaseException) -> str:
    """Return the name of an error's class, if it is one of this package."""
    if isinstance(error, CloudtowerError):
        return type(error).__name__
    return OTHER if isinstance(error, Exception) else "CancelledError"
