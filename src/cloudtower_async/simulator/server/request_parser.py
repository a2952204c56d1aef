"""Parse requests: JSON, or a form with a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from aiohttp import BodyPartReader
from aiohttp.hdrs import CONTENT_TYPE

from ...types import CODEC_ERRORS
from .javascript import decode

if TYPE_CHECKING:
    from aiohttp import web

API_ROOT = "/v2/api/"
_SHOWN_HEADERS = ("authorization", "content-language", "content-type", "external-cloudtower-id")
_PIECE = 256 * 1024
MAX_CHUNK = 8 * 1024 * 1024


class Digest(Protocol):
    """Hash object of hashlib, which has no public name for its type."""

    def update(self, data: bytes, /) -> None: ...

    def copy(self) -> Self: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class FilePart:
    """File of a form, without its content.

    Args:
        name: File name from the client.
        size: Size in bytes.
        digest: SHA-256 of the content.
    """

    name: str
    size: int
    digest: Digest = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return self.digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """Received request, for inspection by tests.

    Args:
        method: HTTP method, such as ``"POST"``.
        path: Path of the operation (``"get-vms"``), or the whole path outside the API.
        headers: Headers that the API uses, in lower case.
        body: Decoded JSON; the fields of a form, with a `FilePart` for the file; bytes for any
            other body; None without a body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


async def parse_request(request: web.BaseRequest, most: int) -> tuple[Request, bytes]:
    """Read a whole request.

    Args:
        request: The request of aiohttp.
        most: Maximum size of a file to keep, in bytes.

    Returns:
        The parsed request, and the content of the file of a form.
    """
    path = request.path.removeprefix(API_ROOT)
    headers = {name: request.headers[name] for name in _SHOWN_HEADERS if name in request.headers}
    if request.headers.get(CONTENT_TYPE, "").startswith("multipart/form-data"):
        fields, file = await _form(request, most)
        return Request(request.method, path, headers, fields), file
    content = await request.read()
    body: Any = None
    if content:
        try:
            body = decode(content)
        except CODEC_ERRORS:
            body = content
    return Request(request.method, path, headers, body), b""


async def _form(request: web.BaseRequest, most: int) -> tuple[object, bytes]:
    fields: dict[str, object] = {}
    content = b""
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                return b"", b""  # neither a field nor a file, so not a form of this API
            if part.filename is None and part.name != "file":
                fields[part.name] = (await part.read(decode=True)).decode()
            else:
                fields[part.name], content = await _file(part, most)
    except ValueError:  # cut off, or not text
        return b"", b""
    return fields, content


async def _file(part: BodyPartReader, most: int) -> tuple[FilePart, bytes]:
    digest: Digest = hashlib.sha256()
    size = 0
    kept = bytearray()
    while piece := await part.read_chunk(_PIECE):
        size += len(piece)
        digest.update(piece)
        if size <= most:
            kept += piece
        else:
            kept.clear()
    return FilePart(part.filename or "file", size, digest), bytes(kept)
