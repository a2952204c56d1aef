"""Parser for requests with a JSON body or a multipart form."""

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
    """Type of the hash objects of ``hashlib``, which has no public name for this type."""

    def update(self, data: bytes, /) -> None: ...

    def copy(self) -> Self: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class FilePart:
    """File in a multipart form, without the content of the file.

    Args:
        name: File name that the client sent.
        size: Size of the file in bytes.
        digest: SHA-256 hash object of the content.
    """

    name: str
    size: int
    digest: Digest = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 digest of the content, in hexadecimal."""
        return self.digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """Request that the simulator received. Tests find the requests in `Simulator.requests`.

    Args:
        method: HTTP method, for example ``"POST"``.
        path: Path of the operation, for example ``"get-vms"``. For a URL path outside the API, the
            whole path with the leading slash, for example ``"/api/healthz"``.
        headers: Headers that the API uses, with names in lower case: ``authorization``,
            ``content-language``, ``content-type`` and ``external-cloudtower-id``. Other headers
            are not recorded.
        body: Body of the request. JSON is decoded. A multipart form is a dict of its fields, with
            the file as a `FilePart`. Any other body is a ``bytes`` object. Without a body, the
            value is None.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


async def parse_request(request: web.BaseRequest, most: int) -> tuple[Request, bytes]:
    """Read and parse a request.

    Args:
        request: Request object of aiohttp.
        most: Maximum size of a file in bytes. Contents of larger files are discarded.

    Returns:
        The parsed request, and the content of the file in a multipart form. Without a file, the
        content is empty.
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
                return b"", b""  # not a form that the API accepts
            if part.filename is None and part.name != "file":
                fields[part.name] = (await part.read(decode=True)).decode()
            else:
                fields[part.name], content = await _file(part, most)
    except ValueError:  # the form is incomplete, or a field is not text
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
