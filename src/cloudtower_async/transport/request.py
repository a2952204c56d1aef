"""The request as aiohttp sends it: whether its bytes may have left, and on which connection.

Bodies record the moment of writing, because a mutation whose bytes may have left is not resent.

HTTP/1.1 matches responses to requests by their order alone. When a server, or a proxy, sends a
second response on an idle connection, the next request on that connection would receive it as its
own answer. So a connection is discarded when anything has arrived on it since its last response.
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


_LARGE = 2**20  # bytes; above, aiohttp wants a body that it can send in pieces
_JSON = CIMultiDict({"content-type": "application/json"})
_ANY = CIMultiDict({"content-type": "application/octet-stream"})
_WITHOUT_BODY = ("GET", "HEAD")

REPEATED_METHODS = ("PUT", "DELETE")
"""Methods of mutations that aiohttp sends a second time when the connection breaks."""


class SendState(Protocol):
    """What is known of one request.

    Attributes:
        sent: The server may have received it.
        status: HTTP status of the answer.
        request_id: Its ``x-tower-request-id``.
    """

    sent: bool
    status: int | None
    request_id: str | None


class Unwatched:
    """Send state that is not read."""

    sent: bool = False
    status: int | None = None
    request_id: str | None = None


class BytesBody(aiohttp.Payload):
    """A small body, written at once.

    aiohttp writes headers and body together, so before this body is written nothing has left.

    Args:
        content: The bytes.
        headers: Headers that describe them; shared by all bodies of a kind.
        state: Where to record that it is being written.
    """

    # Plain attributes, as the properties of the base class would cost a call for each use.
    size: int = 0
    headers: CIMultiDict[str] = _JSON

    def __init__(self, content: bytes, headers: CIMultiDict[str], state: SendState) -> None:
        # The base class would make headers for each body, at a hundredth of the cost of a call.
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
        """Nothing has to be closed."""
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
        """Write the body, whose length is always `content_length`."""
        _record(self._state, writer)
        await writer.write(self._content)


class TrackedBody(aiohttp.Payload):
    """Any other body.

    It is not closed after the request, so it can be given to another one if nothing was written.

    Args:
        body: The body.
        state: Where to record that it is being written.
        headers: Headers that describe it; None: those of the body.
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
        """Whether nothing has to be closed: the files of a form are the caller's."""
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

    If one of them has replaced the body, the moment of writing is not recorded: the request then
    counts as sent from the start.
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

    aiohttp repeats these requests because HTTP calls them idempotent. To a server that is not so:
    the second DELETE can find another resource. aiohttp repeats nothing after other errors.
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
    """Return what aiohttp takes for the content of a request.

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
            state.sent = True  # nothing tells when the headers of a GET leave
        else:
            options["data"] = BytesBody(b"", _ANY, state)
        if query:
            # A query string knows no null.
            given = {text(name): text(value) for name, value in query.items() if value is not None}
            options["params"] = given
    except (TypeError, *CODEC_ERRORS) as exc:
        raise InvalidInput(f"{operation}: the arguments cannot be sent: {exc}") from exc
    return options


class StaleConnection(aiohttp.ClientConnectionError):
    """Bytes arrived on a connection before the request was written. Nothing was sent.

    Attributes:
        reused: The connection had served a request before; another one may be clean.
    """

    def __init__(self, *, reused: bool) -> None:
        super().__init__("the server sent data before the request")
        self.reused = reused


class _ConnectionState:
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
            state = _check_new(protocol)
        else:
            stale = state.poll(0) or protocol.should_close
            if not stale and state.parser is not None:
                try:  # it has begun to read another response
                    stale = state.parser.feed_eof() is not None
                except Exception:  # it says so in many ways
                    stale = True
            if stale:
                raise StaleConnection(reused=True)
        # aiohttp has no public name for the parser. Without it, the other checks remain.
        state.parser = getattr(protocol, "_parser", None)
        return _send(self, conn)


_send = aiohttp.ClientRequest.send


def _check_new(protocol: Any) -> _ConnectionState:  # noqa: ANN401 - a state is added to it
    """Check a new connection, and begin to keep its state."""
    state = _ConnectionState(_poll_of(protocol.transport))
    # A new TLS connection may hold session tickets, which are no answer.
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
