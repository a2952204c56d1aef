"""OpenTelemetry spans. Each call and each wait has a span.

Spans are made only if the program has imported OpenTelemetry. In other programs, a call only checks
whether OpenTelemetry is imported.

Callers that wait for tasks poll together: one caller, the leader, sends the requests for all. The
spans of the requests are children of the leader's span. The spans of the other callers link to the
leader's span.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeVar

from .._version import __version__
from ..addresses import host_and_port
from ..control_characters import printable
from ..errors import CallError
from ..lazy_module import LazyModule

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Span, Tracer, TracerProvider

    from . import metrics
    from .failover import Endpoints
else:
    metrics = LazyModule(".metrics", __package__)

R = TypeVar("R")


class Attempts(Protocol):
    """Progress of a call. The span of the call shows these values as attributes.

    Attributes:
        attempts: Number of attempts to send the call.
        status: HTTP status of the latest response.
        request_id: Header ``x-tower-request-id`` of the latest response.
    """

    attempts: int
    status: int | None
    request_id: str | None


def observed(
    operation: str,
    calling: Coroutine[Any, Any, R],
    calls: Sequence[Attempts],
    endpoints: Endpoints,
) -> Coroutine[Any, Any, R]:
    """Return a coroutine that carries out a call in a span and records its duration.

    If the program does not use OpenTelemetry, `calling` itself is returned.

    Args:
        operation: Name of the operation, which is also the name of the span.
        calling: Coroutine that carries out the call.
        calls: List that `calling` fills: one entry, or more if middleware repeats the call.
        endpoints: Addresses of the session.
    """
    histogram, found = metrics.durations(), tracer()
    if found is not None:
        calling = _in_span(found, operation, calling, calls, endpoints)
    if histogram is not None:
        calling = _timed(histogram, operation, calling, endpoints)
    return calling


def tracer() -> Tracer | None:
    """Return the tracer of the program, or None if the program has not set up tracing."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # the program has not set a provider
        return None
    return _tracer_of(provider)


@lru_cache(maxsize=1)  # providers create a new tracer at each function call
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("cloudtower_async", __version__)


def spanned(name: str, waiting: Coroutine[Any, Any, R]) -> Coroutine[Any, Any, R]:
    """Return a coroutine that runs `waiting` in a span, or `waiting` itself if tracing is off.

    Args:
        name: Name of the span.
        waiting: Coroutine to run, such as a wait for a task. The spans of its requests become
            children of the new span.
    """
    found = tracer()
    return waiting if found is None else _in_wait_span(found, name, waiting)


async def _in_wait_span(tracer: Tracer, name: str, waiting: Coroutine[Any, Any, R]) -> R:
    with tracer.start_as_current_span(name) as span:
        try:
            return await waiting
        except BaseException as exc:
            span.set_attribute("error.type", type(exc).__name__)
            raise


def current_span() -> Span | None:
    """Return the current span, or None if the program has not set up tracing."""
    if tracer() is None:
        return None
    span: Span = sys.modules["opentelemetry.trace"].get_current_span()
    return span


def link_to(other: Span) -> None:
    """Add a link from the current span to another span."""
    if (span := current_span()) is not None:
        span.add_link(other.get_span_context())


async def _timed(
    histogram: Histogram, operation: str, calling: Coroutine[Any, Any, R], endpoints: Endpoints
) -> R:
    started, error = perf_counter(), None
    try:
        return await calling
    except BaseException as exc:
        error = exc
        raise
    finally:
        metrics.record_duration(
            histogram, perf_counter() - started, operation, endpoints.latest, error
        )
        del error  # avoid a reference cycle with this frame


async def _in_span(
    tracer: Tracer,
    operation: str,
    calling: Coroutine[Any, Any, R],
    calls: Sequence[Attempts],
    endpoints: Endpoints,
) -> R:
    """Carry out a call in a span. The spans of its requests become children of this span."""
    from opentelemetry.trace import SpanKind, use_span  # already imported by the program

    span = tracer.start_span(
        operation, kind=SpanKind.CLIENT, attributes={"cloudtower.operation": operation}
    )
    with use_span(span, end_on_exit=True):
        try:
            result = await calling
        except BaseException as exc:
            _describe(span, calls, endpoints, exc)
            raise
        _describe(span, calls, endpoints, None)
        return result


def _describe(
    span: Span, calls: Sequence[Attempts], endpoints: Endpoints, error: BaseException | None
) -> None:
    if not span.is_recording():  # the span is not sampled
        return
    attributes: dict[str, str | int] = {"cloudtower.attempts": 0}
    status = request_id = None
    if calls:
        last = calls[-1]
        attributes["cloudtower.attempts"] = sum(call.attempts for call in calls)
        attributes["server.address"], port = host_and_port(endpoints.latest)
        if port is not None:
            attributes["server.port"] = port
        status, request_id = last.status, last.request_id
    if error is not None:
        attributes["error.type"] = type(error).__name__
        if isinstance(error, CallError):
            status, request_id = error.status, error.request_id
    if status is not None:
        attributes["http.response.status_code"] = status
    if request_id is not None:
        attributes["cloudtower.request_id"] = printable(request_id)
    span.set_attributes(attributes)
