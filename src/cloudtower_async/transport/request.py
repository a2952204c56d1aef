"""Requests for aiohttp that record whether their bytes may have been sent, on clean connections.

Bodies record when they are written, because a mutation whose bytes may have been sent is not
resent.

HTTP/1.1 matches responses to requests by their order alone. If a server or a proxy sends a second
response on an idle connection, the next request on that connection would receive that response as
its answer. So a connection is discarded if bytes have arrived on it since its last response.
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
"""HTTP methods of mutations. aiohttp resends requests with these methods if the connection breaks.
"""


class SendState(Protocol):
    """State of sending one request.

    Attributes:
        sent: Whether the server may have received the request.
        status: HTTP status of the answer.
        request_id: ``x-tower-request-id`` of the answer.
    """

    sent: bool
    status: int | None
    request_id: str | None


class Unwatched:
    """Send state that is never read."""

    sent: bool = False
    status: int | None = None
    request_id: str | None = None


class BytesBody(aiohttp.Payload):
    """Small body that is written at once.

    aiohttp writes headers and body together, so nothing is sent before this body is written.

    Args:
        content: The bytes.
        headers: Headers that describe the content; shared by all bodies of a kind.
        state: Object to record in that the body is being written.
    """

    # Plain attributes are faster than the properties of the base class.
    size: int = 0
    headers: CIMultiDict[str] = _JSON

    def __init__(self, content: bytes, headers: CIMultiDict[str], state: SendState) -> None:
        # Shared headers, because the base class would create headers for each body.
        self.size = len(content)  # pyright: ignore[reportIncompatibleMethodOverride]
        self.headers = headers  # pyright: ignore[reportIncompatibleMethodOverride]
        self._content = content
        self._state = state

    @property
    def content_type(self) -> str:
        """Content type."""
        return self.headers["content-type"]

    @property
    def filename(self) -> None:
        """Always None: the body is no file."""

    @property
    def encoding(self) -> None:
        """Always None: the content type has no encoding."""

    @property
    def autoclose(self) -> bool:
        """Always True: nothing has to be closed."""
        return True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return self._content.decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return the body."""
        return self._content

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the whole body; it is never longer than `content_length`."""
        _record(self._state, writer)
        await writer.write(self._content)


class TrackedBody(aiohttp.Payload):
    """Wrapper of any other body, which records when the body is written.

    The body is not closed after the request, so another request can use it if nothing was written.

    Args:
        body: The body.
        state: Object to record in that the body is being written.
        headers: Headers that describe the body; None: the headers of the wrapped body.
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
        """Always True: the caller closes the files of a form."""
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
            return  # writing then fails
    state.sent = True


def watch_body(state: SendState) -> aiohttp.ClientMiddlewareType:
    """Return the innermost client middleware, for a session whose middlewares change requests.

    If a middleware has replaced the body, the moment of writing is unknown, so the request counts
    as sent from the start.
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
    """Return the outermost client middleware for `REPEATED_METHODS`.

    aiohttp resends requests with these methods because HTTP defines them as idempotent. A resend is
    not safe with real servers: a second DELETE can hit another resource.
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
    """Return the content of a request in aiohttp's form.

    Raises:
        InvalidInput: The content cannot be sent.
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
            state.sent = True  # aiohttp does not report when the headers of a GET are sent
        else:
            options["data"] = BytesBody(b"", _ANY, state)
        if query:
            # A query string cannot hold null.
            given = {text(name): text(value) for name, value in query.items() if value is not None}
            options["params"] = given
    except (TypeError, *CODEC_ERRORS) as exc:
        raise InvalidInput(f"{operation}: the arguments cannot be sent: {exc}") from exc
    return options


class StaleConnection(aiohttp.ClientConnectionError):
    """Bytes arrived on a connection before the request was written. Nothing was sent.

    Attributes:
        reused: Whether the connection had served a request before, so that another connection may
            be clean.
    """

    def __init__(self, *, reused: bool) -> None:
        super().__init__("the server sent data before the request")
        self.reused = reused


class _ConnectionState:
    """State of a connection since its last request.

    Attributes:
        poll: Function that returns whether the operating system holds unread bytes; called with 0,
            so that it does not wait.
        parser: Parser of the last response and of the bytes after it.
    """

    __slots__ = ("parser", "poll")

    def __init__(self, poll: Callable[[int], object]) -> None:
        self.poll = poll
        self.parser: Any = None


class CheckedRequest(aiohttp.ClientRequest):
    """Request that refuses a connection on which bytes have arrived."""

    # Not `async`, because returning aiohttp's coroutine saves one coroutine per request.
    def send(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, conn: Connection
    ) -> Coroutine[Any, Any, aiohttp.ClientResponse]:
        """Write the request, or raise `StaleConnection` before anything is written."""
        protocol: Any = conn.protocol
        try:
            state = protocol.cloudtower_state
        except AttributeError:
            state = _check_new(protocol)
        else:
            stale = state.poll(0) or protocol.should_close
            if not stale and state.parser is not None:
                try:  # the parser has begun to read another response
                    stale = state.parser.feed_eof() is not None
                except Exception:  # aiohttp reports closed connections in several ways
                    stale = True
            if stale:
                raise StaleConnection(reused=True)
        # aiohttp has no public name for the parser. If the parser is not found, the other checks
        # remain.
        state.parser = getattr(protocol, "_parser", None)
        return _send(self, conn)


_send = aiohttp.ClientRequest.send


def _check_new(protocol: Any) -> _ConnectionState:  # noqa: ANN401 - a state is added to it
    """Check a new connection, and start to track its state."""
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
    if not hasattr(select, "poll"):  # Windows, where `select` takes any socket
        return lambda seconds: select.select([socket], [], [], seconds)[0]
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return poll.poll


def _never(_: int) -> bool:
    return False
