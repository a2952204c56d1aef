"""What can be seen of the exchanges with a server: log records, and lists for who asks for them.

When nobody looks, an exchange costs no more than finding that out.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..control_characters import printable
from ..errors import CallError, InvalidInput
from .tracebacks import HookError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Mapping
    from typing import Any

    from .redaction import Mask
    from .responses import Answer

_log = logging.getLogger("cloudtower_async")


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came of it.

    Attributes:
        operation: Which: ``"vm.get_vms"``, or the path for calls outside the schema.
        endpoint: Root address of the server.
        attempt: Which sending of its call it is; 1 is the first.
        duration: Seconds from before the request to the end of the answer.
        status: HTTP status; None when there was no answer.
        request_id: ``x-tower-request-id`` of the answer.
        error: Name of the error's class; None: the exchange was a success.
    """

    operation: str
    endpoint: str
    attempt: int
    duration: float
    status: int | None = None
    request_id: str | None = None
    error: str | None = None


recordings: ContextVar[tuple[list[Exchange], ...]] = ContextVar("cloudtower_exchanges", default=())
"""Lists of `record_exchanges` in the current task."""


@contextmanager
def record_exchanges() -> Generator[list[Exchange]]:
    """Collect every exchange with a server in the block, of all sessions.

    Exchanges of tasks that are started in the block are among them. Blocks can be nested: each has
    its own list.

    Yields:
        The list, which grows as exchanges end.

    Example:
        ::

            with record_exchanges() as log:
                await tower.vm.get_vms(first=1)
            print(log[-1].request_id, log[-1].duration)
    """
    mine: list[Exchange] = []
    before = recordings.set((*recordings.get(), mine))
    try:
        yield mine
    finally:
        recordings.reset(before)


class Sent(NamedTuple):
    """What an exchange begins with.

    Attributes:
        operation: Which.
        endpoint: Root address of the server.
        attempt: Which sending of its call.
        content: JSON, or the fields of a query string or a form; None: there is none.
        confidential: Nothing of what is sent and answered may be shown.
        mask: Blots out the secrets of what may.
    """

    operation: str
    endpoint: str
    attempt: int
    content: bytes | Mapping[str, object] | None
    confidential: bool
    mask: Mask


async def watch(sending: Coroutine[Any, Any, Answer], sent: Sent) -> Answer:
    """Carry out an exchange and tell those who look of it.

    Args:
        sending: The exchange.
        sent: What it is about.
    """
    started = perf_counter()
    try:
        answer = await sending
    except InvalidInput:  # nothing was sent
        raise
    except BaseException as exc:
        raised = exc.__cause__ if isinstance(exc, HookError) else exc
        _tell_failure(sent, perf_counter() - started, raised)
        del raised  # it and this frame would keep each other
        raise
    _tell_success(sent, perf_counter() - started, answer)
    return answer


def _tell_success(sent: Sent, duration: float, answer: Answer) -> None:
    exchange = Exchange(
        operation=sent.operation,
        endpoint=sent.endpoint,
        attempt=sent.attempt,
        duration=duration,
        status=answer.status,
        request_id=_printable(answer.request_id),
    )
    for one in recordings.get():
        one.append(exchange)
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug(
            "%s: HTTP %s in %.3f s; sent %s; answered %s",
            exchange.operation,
            exchange.status,
            duration,
            _shown(sent, sent.content),
            _shown(sent, answer.body),
            extra=msgspec.structs.asdict(exchange),
        )


def _tell_failure(sent: Sent, duration: float, exc: BaseException | None) -> None:
    about = exc if isinstance(exc, CallError) else None
    exchange = Exchange(
        operation=sent.operation,
        endpoint=sent.endpoint,
        attempt=sent.attempt,
        duration=duration,
        status=None if about is None else about.status,
        request_id=None if about is None else _printable(about.request_id),
        error=type(exc).__name__,
    )
    for one in recordings.get():
        one.append(exchange)
    if _log.isEnabledFor(logging.INFO):
        debugging = _log.isEnabledFor(logging.DEBUG)
        _log.info(
            "%s: %s after %.3f s%s%s",
            exchange.operation,
            exchange.error,
            duration,
            f": {about}" if about else "",
            f"; sent {_shown(sent, sent.content)}" if debugging else "",
            extra=msgspec.structs.asdict(exchange),
        )


def _printable(request_id: str | None) -> str | None:
    return None if request_id is None else printable(request_id)


def _shown(sent: Sent, content: bytes | Mapping[str, object] | None) -> str:
    if content is None:
        return "nothing"
    if sent.confidential:
        return "***"
    if isinstance(content, bytes):
        return sent.mask.body(content)
    # Of fields the files are left out.
    texts = {name: value for name, value in content.items() if not _is_file(value)}
    return sent.mask.body(msgspec.json.encode(texts))


def _is_file(value: object) -> bool:
    return isinstance(value, bytes | bytearray | memoryview) or hasattr(value, "read")
