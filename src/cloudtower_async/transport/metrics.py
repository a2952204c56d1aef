"""OpenTelemetry metrics: the duration of each call, and the state of the sessions.

Metrics are recorded only if the program has imported OpenTelemetry. In other programs, a call only
checks whether OpenTelemetry is imported. Every attribute of a metric has a limited number of
values: for example, names of operations, outcomes, and addresses of servers.
"""

from __future__ import annotations

import sys
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from .._version import __version__
from ..addresses import host_and_port
from ..errors import (
    CallError,
    CallTimeout,
    CloudtowerError,
    OutcomeUnknown,
    SessionClosed,
)
from .sessions import sessions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation

OTHER = "_OTHER"
"""Attribute value for paths outside the API schema, and for errors of other packages.

OpenTelemetry's conventions define this value.
"""

_PREFIX = "cloudtower.client."
_BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Boundaries of the histogram in seconds. The smallest boundaries suit a small query, and the
largest suit a call that waits for a lock."""

_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (OutcomeUnknown, "unknown"),
    (CallTimeout, "timeout"),
    (CallError, "failed"),
    (SessionClosed, "closed"),
    (CloudtowerError, "rejected"),
    (Exception, "failed"),
)
"""Outcomes of calls by the class of the raised error. The first matching class counts. If no class
matches, the call was cancelled."""


class _Instrument(NamedTuple):
    """An OpenTelemetry instrument that shows fields of `Readings`.

    `shows` is a dict from field names to attributes: ``{"idle": {"…connection.state": "idle"}}``.
    """

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
        "Tokens left in the retry budgets of the sessions.",
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


def durations() -> Histogram | None:
    """Return the histogram of call durations, or None if the program has no meter provider."""
    metrics: Any = sys.modules.get("opentelemetry.metrics")
    if metrics is None:
        return None
    provider = metrics.get_meter_provider()
    if type(provider).__name__ in ("_ProxyMeterProvider", "NoOpMeterProvider"):
        return None
    return _instruments_of(provider)


@lru_cache(maxsize=1)  # creating instruments twice causes warnings
def _instruments_of(provider: MeterProvider) -> Histogram:
    from opentelemetry.metrics import Observation  # already imported by the program

    meter = provider.get_meter("cloudtower_async", __version__)
    for one in _INSTRUMENTS:
        create = getattr(meter, f"create_observable_{one.kind}")
        observe = partial(_observe, Observation, one)
        create(_PREFIX + one.name, [observe], unit=one.unit, description=one.description)
    return meter.create_histogram(
        _PREFIX + "operation.duration",
        unit="s",
        description="Duration of calls, retries included.",
        explicit_bucket_boundaries_advisory=_BOUNDARIES,
    )


def _observe(
    observation: type[Observation],
    instrument: _Instrument,
    _options: CallbackOptions,
) -> list[Observation]:
    shows = instrument.shows
    totals = sessions.totals(shows, closed=instrument.kind == "counter")
    return [
        observation(value, {"server.address": address, **shows[name]})
        for (address, name), value in totals.items()
    ]


def record_duration(
    histogram: Histogram,
    seconds: float,
    operation: str,
    endpoint: str,
    error: BaseException | None,
) -> None:
    """Record the duration of a call. `error` is None if the call succeeded."""
    if operation.startswith("/"):  # a path outside the schema may hold ids
        operation = OTHER
    attributes = {
        "cloudtower.operation": operation,
        "cloudtower.outcome": "success",
        "server.address": host_and_port(endpoint)[0],
    }
    if error is not None:
        attributes["cloudtower.outcome"] = outcome_of(error)
        attributes["error.type"] = error_type(error)
    histogram.record(seconds, attributes)


def outcome_of(error: BaseException) -> str:
    """Return the outcome of a call that raised this error, such as ``"timeout"``."""
    return next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "cancelled")


def error_type(error: BaseException) -> str:
    """Return the class name of an error of this package.

    Return ``"CancelledError"`` for a cancellation, and `OTHER` for errors of other packages.
    """
    if isinstance(error, CloudtowerError):
        return type(error).__name__
    return OTHER if isinstance(error, Exception) else "CancelledError"
