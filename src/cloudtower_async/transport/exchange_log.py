"""Observe exchanges with a server, for the log and for the lists of `record_exchanges`."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from ..control_characters import printable
from ..errors import CallError, InvalidInput
from ..types import Exchange
from ..validators import check_argument, count_fault
from .tracebacks import HookError

if TYPE_CHECKING:
    from .redaction import Mask
    from .responses import Answer

_log = logging.getLogger("cloudtower_async")

_LOGGED = ("operation", "endpoint", "attempt", "duration", "status", "request_id", "error")


class Recording:
    """The exchanges during one ``with`` block of `record_exchanges`.

    Args:
        max_body_bytes: Maximum number of bytes of each body to store. None stores neither bodies
            nor headers.

    Attributes:
        exchanges: Exchanges that have ended during the block.
        running: Whether the block is still running.
    """

    __slots__ = ("_max_body_bytes", "exchanges", "running")

    def __init__(self, max_body_bytes: int | None) -> None:
        self.exchanges: list[Exchange] = []
        self.running: bool = True
        self._max_body_bytes = max_body_bytes

    def add(self, exchange: Exchange, sent: Sent) -> None:
        """Append an exchange to `exchanges`, unless the ``with`` block has ended."""
        if not self.running:
            return
        answer, limit = sent.answer, self._max_body_bytes
        if answer is not None and limit is not None and not sent.is_login:
            exchange = msgspec.structs.replace(
                exchange,
                headers=sent.mask.headers(answer.headers),
                body=answer.body[:limit],
                body_size=len(answer.body),
            )
        self.exchanges.append(exchange)


recordings: ContextVar[tuple[Recording, ...]] = ContextVar("cloudtower_exchanges", default=())
"""Recordings of the `record_exchanges` blocks in which the current task runs."""


@contextmanager
def record_exchanges(*, max_body_bytes: int | None = None) -> Generator[list[Exchange]]:
    """Collect the exchanges of all sessions during a ``with`` block.

    An exchange is one request and its response. There is one exchange for each attempt of a call,
    each login, and each check whether a node is active. Exchanges of another asyncio task are
    included only if the block started the task. An exchange that ends after the block is not
    included. Blocks can be nested. Each block has a separate list.

    Args:
        max_body_bytes: Maximum number of bytes of each response body to store. With a number, the
            headers are stored, too. None stores neither headers nor bodies. Bodies are not
            redacted, so they may hold secrets. Headers and bodies of logins are never stored.

    Yields:
        A list of the exchanges. Each exchange is appended when it ends.

    Raises:
        InvalidInput: ``max_body_bytes`` is neither None nor a whole number of at least 0.

    Example:
        ::

            with record_exchanges(max_body_bytes=65_536) as exchanges:
                vms = await tower.vm.get_vms(first=1)
            [exchange] = exchanges
            print(exchange.status, exchange.headers["content-type"], exchange.duration)
            print(exchange.body)
    """
    if max_body_bytes is not None:
        fault = count_fault(max_body_bytes, least=0)
        check_argument("record_exchanges", "max_body_bytes", fault)
    recording = Recording(max_body_bytes)
    before = recordings.set((*recordings.get(), recording))
    try:
        yield recording.exchanges
    finally:
        recording.running = False
        recordings.reset(before)


class Sent(msgspec.Struct):
    """A request that is observed for the log and for recordings.

    Attributes:
        operation: Name of the operation.
        endpoint: Root address of the server.
        attempt: Number of the attempt within its call.
        content: Body in JSON, or the fields of a query string or a form. None means that the
            request has no content.
        confidential: Whether the log must not show any part of the request or the response.
        is_login: Whether the request is a login. The response of a login holds a token.
        mask: Object that redacts secrets in the parts that are logged.
        answer: The response, possibly with an error status. None until the response has arrived.
    """

    operation: str
    endpoint: str
    attempt: int
    content: bytes | Mapping[str, object] | None
    confidential: bool
    is_login: bool
    mask: Mask
    answer: Answer | None = None


async def watch(sending: Coroutine[Any, Any, Answer], sent: Sent) -> Answer:
    """Carry out an exchange, log and record the exchange, and return the response.

    Args:
        sending: Coroutine that carries out the exchange.
        sent: Description of the request. `sending` sets ``sent.answer`` when the response arrives.
    """
    started = perf_counter()
    try:
        answer = await sending
    except InvalidInput:  # no request was sent
        raise
    except BaseException as exc:
        raised = exc.__cause__ if isinstance(exc, HookError) else exc
        _tell_failure(sent, perf_counter() - started, raised)
        del raised  # avoid a reference cycle with this frame
        raise
    _tell_success(sent, perf_counter() - started, answer)
    return answer


def _tell_success(sent: Sent, duration: float, answer: Answer) -> None:
    exchange = _record(sent, duration, None)
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug(
            "%s: HTTP %s in %.3f s; sent %s; answered %s",
            exchange.operation,
            exchange.status,
            duration,
            _shown(sent, sent.content),
            _shown(sent, answer.body),
            extra=_logged(exchange),
        )


def _tell_failure(sent: Sent, duration: float, exc: BaseException | None) -> None:
    exchange = _record(sent, duration, exc)
    if _log.isEnabledFor(logging.INFO):
        debugging = _log.isEnabledFor(logging.DEBUG)
        _log.info(
            "%s: %s after %.3f s%s%s",
            exchange.operation,
            exchange.error,
            duration,
            f": {exc}" if isinstance(exc, CallError) else "",
            f"; sent {_shown(sent, sent.content)}" if debugging else "",
            extra=_logged(exchange),
        )


def _record(sent: Sent, duration: float, exc: BaseException | None) -> Exchange:
    """Make an `Exchange`, add it to all running blocks of `record_exchanges`, and return it."""
    ended = exc if isinstance(exc, CallError) else sent.answer
    exchange = Exchange(
        operation=sent.operation,
        endpoint=sent.endpoint,
        attempt=sent.attempt,
        duration=duration,
        status=None if ended is None else ended.status,
        request_id=None if ended is None else _printable(ended.request_id),
        error=None if exc is None else type(exc).__name__,
    )
    for recording in recordings.get():
        recording.add(exchange, sent)
    return exchange


def _logged(exchange: Exchange) -> dict[str, object]:
    """Return the fields of an exchange for its log record."""
    return {name: getattr(exchange, name) for name in _LOGGED}


def _printable(request_id: str | None) -> str | None:
    return None if request_id is None else printable(request_id)


def _shown(sent: Sent, content: bytes | Mapping[str, object] | None) -> str:
    if content is None:
        return "nothing"
    if sent.confidential:
        return "***"
    if isinstance(content, bytes):
        return sent.mask.body(content)
    # Files are left out.
    texts = {name: value for name, value in content.items() if not _is_file(value)}
    return sent.mask.body(msgspec.json.encode(texts))


def _is_file(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read")
