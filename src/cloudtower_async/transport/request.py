"""HTTP requests: record whether a request may have been sent, and refuse unsafe connections.

The body of a request records when it is written. A mutation is not resent if any byte of it may
have been sent.

HTTP/1.1 matches responses to requests only by their order. If a server or a proxy sent a second
response on an idle connection, the next request on this connection would receive the wrong
response. Therefore a connection is discarded if bytes have arrived on it since its last response.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from ..errors import InvalidInput
from ..types import CODEC_ERRORS
from .multipart import Memory, form, text

if TYPE_CHECKING:
    from asyncio import BaseTransport
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection


_LARGE = 2**20  # bytes; aiohttp sends larger bodies in pieces
_JSON = CIMultiDict({"content-type": "application/json"})
_ANY = CIMultiDict({"content-type": "application/octet-stream"})
_WITHOUT_BODY = ("GET", "HEAD")

REPEATED_METHODS = ("PUT", "DELETE")
"""HTTP methods of mutations for which aiohttp resends a request if the connection breaks.
"""


class SendState(Protocol):
    """State of one request while it is sent.

    Attributes:
        sent: Whether the server may have received the request.
        status: HTTP status of the response.
        request_id: Header ``x-tower-request-id`` of the response.
    """

    sent: bool
    status: int | None
    request_id: str | None


class Unwatched:
    """A `SendState` for requests whose caller does not need the state."""

    sent: bool = False
    status: int | None = None
    request_id: str | None = None


class BytesBody(aiohttp.Payload):
    """Small body, which is written in one piece.

    aiohttp sends the headers together with such a body, not before the body.

    Args:
        content: The bytes.
        headers: Headers that describe the content. Many bodies can have the same dict of headers.
        state: Object whose `sent` is set when the body is written.
    """

    # Plain attributes are faster than the properties of the base class.
    size: int = 0
    headers: CIMultiDict[str] = _JSON

    def __init__(self, content: bytes, headers: CIMultiDict[str], state: SendState) -> None:
        # Set shared headers, because the base class would create headers for each body.
        self.size = len(content)  # pyright: ignore[reportIncompatibleMethodOverride]
        self.headers = headers  # pyright: ignore[reportIncompatibleMethodOverride]
        self._content = content
        self._state = state

    @property
    def content_type(self) -> str:
        """Content type of the body."""
        return self.headers["content-type"]

    @property
    def filename(self) -> None:
        """Always None, because the body is not a file."""

    @property
    def encoding(self) -> None:
        """Always None, because the content type has no charset."""

    @property
    def autoclose(self) -> bool:
        """Always True, because the body has no resource to close."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._content.decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the body as bytes."""
        return self._content

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the whole body. The argument `content_length` is ignored."""
        _record(self._state, writer)
        await writer.write(self._content)


class TrackedBody(aiohttp.Payload):
    """Wrapper that records when the wrapped body is written.

    The wrapped body is not closed after the request. If no byte of the wrapped body was written,
    another request can use the wrapped body.

    Args:
        body: The body.
        state: Object whose `sent` is set when the body is written.
        headers: Headers that describe the body. None uses the headers of the wrapped body.
    """

    def __init__(
        self, body: aiohttp.Payload, state: SendState, headers: CIMultiDict[str] | None = None
    ) -> None:
        super().__init__(body, headers=headers or body.headers)
        self._body = body
        self._state = state
        self._size = body.size

    @property
    def autoclose(self) -> bool:
        """Always True, because the wrapper has nothing to close. The caller closes the files."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        _record(self._state, writer)
        await self._body.write(writer)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body."""
        _record(self._state, writer)
        await self._body.write_with_length(writer, content_length)


def _record(state: SendState, writer: AbstractStreamWriter) -> None:
    if isinstance(writer, StreamWriter):
        transport = writer.transport
        if transport is None or transport.is_closing():
            return  # writing raises an error later
    state.sent = True


def watch_body(state: SendState) -> aiohttp.ClientMiddlewareType:
    """Return a client middleware that detects whether other middlewares have replaced the body.

    The returned middleware has to come after all others. If another middleware has replaced the
    body, nothing records when the new body is written. Such a request always counts as sent.
    """

    async def watch(
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        if not isinstance(request.body, BytesBody | TrackedBody):
            state.sent = True
        return await handler(request)

    return watch


def send_once(state: SendState) -> aiohttp.ClientMiddlewareType:
    """Return a client middleware that prevents aiohttp from resending a PUT or DELETE request.

    The returned middleware has to come before all others. aiohttp resends requests with these
    methods, because HTTP defines the methods as idempotent. Resending is not safe with real
    servers: a second DELETE can delete another resource.
    """

    async def send(
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as exc:
            if state.sent and not isinstance(exc, aiohttp.ClientConnectorError):
                raise aiohttp.ClientConnectionError(str(exc)) from exc
            raise

    return send


def request_content(
    operation: str,
    method: str,
    body: bytes | None,
    query: Mapping[str, object] | None,
    fields: Mapping[str, object] | None,
    state: SendState,
) -> dict[str, Any]:
    """Return the content of a request as options of aiohttp's request method.

    Raises:
        InvalidInput: A value in the content cannot be encoded.
    """
    options: dict[str, Any] = {}
    try:
        if body is not None:
            if len(body) <= _LARGE:
                options["data"] = BytesBody(body, _JSON, state)
            else:
                options["data"] = TrackedBody(Memory(body), state, _JSON)
        elif fields is not None:
            options["data"] = TrackedBody(form(fields)(), state)
        elif method in _WITHOUT_BODY:
            state.sent = True  # aiohttp does not report when a GET is sent
        else:
            options["data"] = BytesBody(b"", _ANY, state)
        if query:
            # Leave out None, because a query string cannot hold null.
            given = {text(name): text(value) for name, value in query.items() if value is not None}
            options["params"] = given
    except (TypeError, *CODEC_ERRORS) as exc:
        raise InvalidInput(f"{operation}: the arguments cannot be sent: {exc}") from exc
    return options


class StaleConnection(aiohttp.ClientConnectionError):
    """Bytes arrived on a connection before the request was written. No byte was sent.

    Attributes:
        reused: Whether the connection has served an earlier request. If so, the request is sent
            over another connection. If not, the request fails.
    """

    def __init__(self, *, reused: bool) -> None:
        super().__init__("the server sent data before the request")
        self.reused = reused


class _ConnectionState:
    """State of a connection since its last request.

    Attributes:
        poll: Function that returns whether unread bytes have arrived on the socket. The argument is
            the time to wait for bytes. Pass 0 to get the result at once.
        parser: aiohttp's parser of the connection. It has parsed the last response, and any bytes
            after this response.
    """

    __slots__ = ("parser", "poll")

    def __init__(self, poll: Callable[[int], object]) -> None:
        self.poll = poll
        self.parser: Any = None


class CheckedRequest(aiohttp.ClientRequest):
    """Request that refuses a connection if bytes have arrived on it since its last response."""

    # This method is not `async`, because returning aiohttp's coroutine saves one coroutine per
    # request.
    def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, conn: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        """Write the request, or raise `StaleConnection` before any byte is written."""
        protocol: Any = conn.protocol
        try:
            state = protocol.cloudtower_state
        except AttributeError:
            state = _check_new(protocol)
        else:
            stale = state.poll(0) or protocol.should_close
            if not stale and state.parser is not None:
                try:  # True if the parser has begun another response
                    stale = state.parser.feed_eof() is not None
                except Exception:  # aiohttp reports closed connections in several ways
                    stale = True
            if stale:
                raise StaleConnection(reused=True)
        # aiohttp has no public API for the parser. If the parser is not found, only the other
        # checks apply.
        state.parser = getattr(protocol, "_parser", None)
        return _send(self, conn)


_send = aiohttp.ClientRequest.send


def _check_new(protocol: Any) -> _ConnectionState:  # noqa: ANN401 - gets an attribute
    """Create the state of a new connection, store it in the protocol, and return it.

    Raises:
        StaleConnection: Bytes have arrived on the connection, or aiohttp has to close it.
    """
    state = _ConnectionState(_poll_of(protocol.transport))
    # A new TLS connection may hold session tickets, which are not a response.
    waits = not _is_encrypted(protocol.transport) and state.poll(0)
    if waits or protocol.should_close:
        raise StaleConnection(reused=False)
    with suppress(AttributeError):
        protocol.cloudtower_state = state
    return state


def _is_encrypted(transport: BaseTransport | None) -> bool:
    return transport is not None and transport.get_extra_info("sslcontext") is not None


def _poll_of(transport: BaseTransport | None) -> Callable[[int], object]:
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None:
        return _never
    if not hasattr(select, "poll"):  # Windows, where `select` accepts any socket
        return lambda seconds: select.select([socket], [], [], seconds)[0]
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return poll.poll


def _never(_: int) -> bool:
    return False
