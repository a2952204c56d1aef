"""Request bodies that record when their bytes may have left, and requests that leave only once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from ..errors import InvalidInput
from ..types import CODEC_ERRORS
from .multipart import Memory, form, text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.abc import AbstractStreamWriter


_LARGE = 2**20  # bytes; above, aiohttp wants a body that it can send in pieces
_JSON = CIMultiDict({"content-type": "application/json"})
_ANY = CIMultiDict({"content-type": "application/octet-stream"})
_WITHOUT_BODY = ("GET", "HEAD")

REPEATED_METHODS = ("PUT", "DELETE")
"""Methods of mutations that aiohttp sends a second time when the connection breaks."""


class Progress(Protocol):
    """What is known of one request.

    Attributes:
        sent: The server may have received it.
    """

    sent: bool


class Unwatched:
    """Progress that no caller reads."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent: bool = False


class BytesBody(aiohttp.Payload):
    """A small body, written at once.

    aiohttp writes headers and body together, so before this body is written nothing has left.

    Args:
        content: The bytes.
        headers: Headers that describe them; shared by all bodies of a kind.
        progress: Where to record that it is being written.
    """

    def __init__(self, content: bytes, headers: CIMultiDict[str], progress: Progress) -> None:
        # The base class would make headers for each body, at a hundredth of the cost of a call.
        self._content = content
        self._shared_headers = headers
        self._progress = progress

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self._content)

    @property
    def headers(self) -> CIMultiDict[str]:
        """Headers that describe the body."""
        return self._shared_headers

    @property
    def content_type(self) -> str:
        """Content type."""
        return self._shared_headers["content-type"]

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
        _record(self._progress, writer)
        await writer.write(self._content)


class TrackedBody(aiohttp.Payload):
    """Any other body.

    It is not closed after the request, so it can be given to another one if nothing was written.

    Args:
        body: The body.
        progress: Where to record that it is being written.
        headers: Headers that describe it; None: those of the body.
    """

    def __init__(
        self, body: aiohttp.Payload, progress: Progress, headers: CIMultiDict[str] | None = None
    ) -> None:
        super().__init__(body, headers=headers or body.headers)
        self._body = body
        self._progress = progress
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
        _record(self._progress, writer)
        await self._body.write(writer)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body."""
        _record(self._progress, writer)
        await self._body.write_with_length(writer, content_length)


def _record(progress: Progress, writer: AbstractStreamWriter) -> None:
    if isinstance(writer, StreamWriter):
        transport = writer.transport
        if transport is None or transport.is_closing():
            return  # writing then fails
    progress.sent = True


def watch_body(progress: Progress) -> aiohttp.ClientMiddlewareType:
    """Return the innermost client middleware, for a session whose middlewares change requests.

    If one of them has replaced the body, the moment of writing is not recorded: the request then
    counts as sent from the start.
    """

    async def watch(
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        if not isinstance(request.body, BytesBody | TrackedBody):
            progress.sent = True
        return await handler(request)

    return watch


def send_once(progress: Progress) -> aiohttp.ClientMiddlewareType:
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
            if progress.sent and not isinstance(exc, aiohttp.ClientConnectorError):
                raise aiohttp.ClientConnectionError(str(exc)) from exc
            raise

    return send


def request_content(
    operation: str,
    method: str,
    body: bytes | None,
    query: Mapping[str, object] | None,
    fields: Mapping[str, object] | None,
    progress: Progress,
) -> dict[str, Any]:
    """Return what aiohttp takes for the content of a request.

    Raises:
        InvalidInput: The content cannot be sent.
    """
    options: dict[str, Any] = {}
    try:
        if body is not None:
            if len(body) <= _LARGE:
                options["data"] = BytesBody(body, _JSON, progress)
            else:
                options["data"] = TrackedBody(Memory(body), progress, _JSON)
        elif fields is not None:
            options["data"] = TrackedBody(form(fields)(), progress)
        elif method in _WITHOUT_BODY:
            progress.sent = True  # nothing tells when the headers of a GET leave
        else:
            options["data"] = BytesBody(b"", _ANY, progress)
        if query:
            # A query string knows no null.
            given = {text(name): text(value) for name, value in query.items() if value is not None}
            options["params"] = given
    except (TypeError, *CODEC_ERRORS) as exc:
        raise InvalidInput(f"{operation}: the arguments cannot be sent: {exc}") from exc
    return options
