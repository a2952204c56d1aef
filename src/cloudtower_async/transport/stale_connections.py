"""Detection of pooled connections that carry unsolicited bytes.

HTTP/1.1 matches responses to requests by their order alone. When a server, or a proxy, sends a
second response on an idle connection, the next request on that connection would receive it as its
own answer. So a connection is discarded when anything has arrived on it since its last response.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Callable, Coroutine

    from aiohttp.connector import Connection


class StaleConnection(aiohttp.ClientConnectionError):
    """Bytes arrived on a connection before the request was written. Nothing was sent.

    Attributes:
        reused: The connection had served a request before; another one may be clean.
    """

    def __init__(self, *, reused: bool) -> None:
        super().__init__("the server sent data before the request")
        self.reused = reused


class _State:
    """What is known of a connection since its last request.

    Attributes:
        poll: Tells, called with 0, whether the operating system holds unread bytes.
        parser: Has read the last response, and what followed it.
    """

    __slots__ = ("parser", "poll")

    def __init__(self, poll: Callable[[int], object]) -> None:
        self.poll = poll
        self.parser: Any = None


class CheckedRequest(aiohttp.ClientRequest):
    """A request that refuses a connection on which bytes have arrived already."""

    # Not `async`: handing on aiohttp's own coroutine spares one for each request.
    def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, conn: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        """Write the request, or raise `StaleConnection` before anything is written."""
        protocol: Any = conn.protocol
        try:
            state = protocol.cloudtower_state
        except AttributeError:
            state = _begin(protocol)
        else:
            if state.poll(0) or protocol.should_close or _is_inside_message(state.parser):
                raise StaleConnection(reused=True)
        # aiohttp has no public name for the parser. Without it, the other checks remain.
        state.parser = getattr(protocol, "_parser", None)
        return _send(self, conn)


_send = aiohttp.ClientRequest.send


def _begin(protocol: Any) -> _State:  # noqa: ANN401 - a state is added to it
    """Check a new connection, and begin to keep its state."""
    state = _State(_poll_of(protocol.transport))
    # A new TLS connection may hold session tickets, which are no answer.
    waits = not _is_encrypted(protocol.transport) and state.poll(0)
    if waits or protocol.should_close:
        raise StaleConnection(reused=False)
    with suppress(AttributeError):
        protocol.cloudtower_state = state
    return state


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


def _poll_of(transport: BaseTransport | None) -> Callable[[int], object]:
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None:
        return _never
    if not hasattr(select, "poll"):  # Windows, where `select` takes any socket
        return lambda seconds: select.select([socket], [], [], seconds)[0]
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return poll.poll


def _never(_: int) -> bool:
    return False
