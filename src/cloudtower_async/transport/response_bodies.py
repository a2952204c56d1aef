"""Read response bodies up to a maximum size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .responses import looks_like_html

if TYPE_CHECKING:
    import aiohttp

SMALL_BODY = 2**20
"""Maximum size in bytes of error bodies, logins and HTML pages."""


async def read_body(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """Read a body in pieces, and stop a decompression bomb when it exceeds the limit.

    Args:
        response: The response. Its connection is closed if the body is not read completely.
        limit: Maximum size in bytes after decompression.

    Returns:
        The body, and whether the body was truncated. A body that exceeds the limit is truncated to
        `SMALL_BODY` bytes. An HTML page larger than `SMALL_BODY` is truncated to the same size.
    """
    response.content = _BoundedStream(response.content, limit)  # type: ignore[assignment]
    try:
        return await response.read(), False
    except _TooLarge as exc:
        return exc.start, True


class _TooLarge(Exception):  # noqa: N818 - never leaves this module
    """A body exceeded its limit. ``start`` holds the first bytes of the body."""

    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start


class _BoundedStream:
    """Wrapper of a response's stream that limits the size of the body.

    aiohttp itself decompresses a body without a limit. Therefore `aiohttp.ClientResponse.read` is
    made to read through this wrapper.
    """

    def __init__(self, stream: aiohttp.StreamReader, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def read(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await self._stream.readany():
            pieces.append(piece)
            size += len(piece)
            if size > self._limit or (size > SMALL_BODY and looks_like_html(pieces[0])):
                raise _TooLarge(_start_of(pieces))
        return b"".join(pieces)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


def _start_of(pieces: list[bytes]) -> bytes:
    start = b""
    for piece in pieces:
        if len(start) >= SMALL_BODY:
            break
        start += piece
    return start[:SMALL_BODY]
