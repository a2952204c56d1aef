"""One OpenTelemetry span for each call, where the program uses OpenTelemetry.

A program that does has imported it. So it is never imported from here, and where it is not used
all it costs is to look that up.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from .._version import __version__
from .exchange_log import record_exchanges

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from opentelemetry.trace import Span, Tracer, TracerProvider

    from ..types import Exchange

R = TypeVar("R")


def traced(operation: str, calling: Coroutine[Any, Any, R]) -> Coroutine[Any, Any, R]:
    """Carry out a call in a span, if the program has set up tracing.

    Args:
        operation: Name of the call, and of its span.
        calling: The call.
    """
    found = tracer()
    return calling if found is None else _in_span(found, operation, calling)


def tracer() -> Tracer | None:
    """Return the tracer of the program; None if it has none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):  # nobody has set one
        return None
    return _tracer_of(provider)


@lru_cache(maxsize=1)  # providers make a new one each time
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("cloudtower_async", __version__)


async def _in_span(tracer: Tracer, operation: str, calling: Coroutine[Any, Any, R]) -> R:
    """Carry out a call in a span of its name; the spans of its requests are below that.

    Args:
        tracer: Makes the span.
        operation: What is called.
        calling: The call.
    """
    from opentelemetry.trace import SpanKind  # is loaded: there is a tracer

    with (
        tracer.start_as_current_span(
            operation, kind=SpanKind.CLIENT, attributes={"cloudtower.operation": operation}
        ) as span,
        record_exchanges() as exchanges,
    ):
        try:
            return await calling
        except BaseException as exc:
            span.set_attribute("error.type", type(exc).__name__)
            raise
        finally:
            # Without those that the call itself needed first, as a login.
            _describe(span, [one for one in exchanges if one.operation == operation])


def _describe(span: Span, exchanges: list[Exchange]) -> None:
    span.set_attribute("cloudtower.attempts", len(exchanges))
    if not exchanges:
        return
    last = exchanges[-1]
    address = urlsplit(last.endpoint)
    span.set_attribute("server.address", address.hostname or "")
    if address.port is not None:
        span.set_attribute("server.port", address.port)
    if last.status is not None:
        span.set_attribute("http.response.status_code", last.status)
    if last.request_id is not None:
        span.set_attribute("cloudtower.request_id", last.request_id)
