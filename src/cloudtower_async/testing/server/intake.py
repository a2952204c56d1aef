"""A request as it comes in: JSON, or a form of which the file is counted and not kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec
from aiohttp import BodyPartReader
from aiohttp.hdrs import CONTENT_TYPE

from .answers import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

API_ROOT = "/v2/api/"
_SHOWN_HEADERS = ("authorization", "content-language", "content-type", "external-cloudtower-id")
_PIECE = 256 * 1024
_LARGEST_TEXT = 1024 * 1024
_KEPT = frozenset({"parse-ovf"})
"""Operations whose file is a text that is read."""


class Digest(Protocol):
    """What hashlib makes; it has no public name there."""

    def update(self, data: bytes, /) -> None: ...

    def copy(self) -> Self: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class FilePart:
    """The file of a form. What was in it is gone.

    Args:
        name: As the client calls it.
        size: In bytes.
        content: Of the few operations that read it; cut where it is longer than any of these.
        digest: SHA-256 of these bytes.
        digests: That of each upload under way, without and with these bytes, by the upload's id.
    """

    name: str
    size: int
    content: bytes = field(repr=False)
    digest: Digest = field(repr=False)
    digests: Mapping[str, tuple[Digest, Digest]] = field(repr=False)

    @property
    def sha256(self) -> str:
        """Of these bytes, in hexadecimal."""
        return self.digest.hexdigest()


async def take_in(request: web.BaseRequest, digests: Mapping[str, Digest]) -> Request:
    """Read a request to its end.

    Args:
        request: What comes in.
        digests: Of the uploads under way. A form may tell which of them it goes on with only after
            the file: so each of them is followed.
    """
    path = request.path.removeprefix(API_ROOT)
    headers = {name: request.headers[name] for name in _SHOWN_HEADERS if name in request.headers}
    if request.headers.get(CONTENT_TYPE, "").startswith("multipart/form-data"):
        body: Any = await _form(request, digests, keep=path in _KEPT)
        return Request(request.method, path, headers, body)
    content = await request.read()
    body = None
    if content:
        try:
            body = msgspec.json.decode(content)
        except msgspec.DecodeError:
            body = content
    return Request(request.method, path, headers, body)


async def _form(request: web.BaseRequest, digests: Mapping[str, Digest], *, keep: bool) -> object:
    fields: dict[str, object] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                return b""  # neither a field nor a file: no form of this API
            if part.filename is None and part.name != "file":
                fields[part.name] = (await part.read(decode=True)).decode()
            else:
                wanted = fields.get("upload_task_id")
                followed = {one: known for one, known in digests.items() if wanted in {None, one}}
                fields[part.name] = await _file(part, followed, keep=keep)
    except ValueError:  # cut off, or not text
        return b""
    return fields


async def _file(part: BodyPartReader, digests: Mapping[str, Digest], *, keep: bool) -> FilePart:
    own: Digest = hashlib.sha256()
    followed = {identifier: (digest, digest.copy()) for identifier, digest in digests.items()}
    size = 0
    kept = bytearray()
    while piece := await part.read_chunk(_PIECE):
        size += len(piece)
        for digest in (own, *(with_it for _, with_it in followed.values())):
            digest.update(piece)
        if keep and len(kept) < _LARGEST_TEXT:
            kept += piece
    return FilePart(part.filename or "file", size, bytes(kept), own, followed)
