"""Detection of pooled connections that carry bytes nobody asked for.

HTTP/1.1 matches responses to requests by their order alone. When a server, or a proxy, sends a
second response on an idle connection, the next request on that connection would receive it as its
own answer. So a connection is discarded when anything has arrived on it since its last response.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Callable, Coroutine

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

_LAST_USE = "_cloudtower_last_use"


class StaleConnection(aiohttp.ClientConnectionError):
    """Bytes arrived on a connection before the request was written. Nothing was sent.

    Attributes:
        reused: The connection had served a request before; another one may be clean.
    """

    def __init__(self, *, reused: bool) -> None:
        super().__init__("the server sent data before the request")
        self.reused = reused


class CheckedRequest(aiohttp.ClientRequest):
    """A request that refuses a connection on which bytes have arrived already."""

    # Not `async`: handing on aiohttp's own coroutine spares one for each request.
    def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, conn: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        """Write the request, or raise `StaleConnection` before anything is written."""
        protocol = conn.protocol
        if protocol is not None:
            _check(protocol)
        return aiohttp.ClientRequest.send(self, conn)


def _check(protocol: ResponseHandler) -> None:
    # aiohttp has no public name for the parser. Without it, the other checks remain.
    parser: Any = getattr(protocol, "_parser", None)
    last: tuple[Any, Callable[[], object]] | None = getattr(protocol, _LAST_USE, None)
    if last is None:
        is_readable = _readiness_of(protocol.transport)
        # A new TLS connection may hold session tickets, which are no answer.
        waits = not _is_encrypted(protocol.transport) and is_readable()
    else:
        former_parser, is_readable = last
        waits = is_readable() or _is_inside_message(former_parser)
    if waits or protocol.should_close:
        raise StaleConnection(reused=last is not None)
    setattr(protocol, _LAST_USE, (parser, is_readable))


def _is_inside_message(parser: Any) -> bool:  # noqa: ANN401 - a class of aiohttp's C extension
    """Whether a parser that is no longer used has begun to read another response."""
    if parser is None:
        return False
    try:
        return parser.feed_eof() is not None
    except Exception:  # it says so in many ways
        return True


def _is_encrypted(transport: BaseTransport | None) -> bool:
    return transport is not None and transport.get_extra_info("sslcontext") is not None


def _readiness_of(transport: BaseTransport | None) -> Callable[[], object]:
    """Return a function that tells whether the operating system holds unread bytes."""
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None:
        return _never
    if not hasattr(select, "poll"):  # Windows, where `select` takes any socket
        return lambda: select.select([socket], [], [], 0)[0]
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return lambda: poll.poll(0)


def _never() -> bool:
    return False
