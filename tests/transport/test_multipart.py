"""Uploads as multipart forms, read back by a server."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from aiohttp import BodyPartReader, web

from cloudtower_async.transport.http import Transport
from cloudtower_async.transport.multipart import text
from tests.support import serve, settings

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio

Parts = dict[str, tuple[str | None, bytes]]


async def content(part: BodyPartReader) -> bytes:
    pieces: list[bytes] = []
    while piece := await part.read_chunk():
        pieces.append(piece)
    return b"".join(pieces)


async def sent(fields: Mapping[str, object]) -> Parts:
    """Send the fields; return file name and content of each part as received."""
    parts: Parts = {}

    async def handler(request: web.Request) -> web.Response:
        assert request.content_type == "multipart/form-data"
        reader = await request.multipart()
        async for part in reader:
            assert isinstance(part, BodyPartReader)
            assert part.name
            parts[part.name] = (part.filename, await content(part))
        return web.Response(body=b"{}")

    async with serve(handler) as url:
        transport = Transport(settings(url))
        try:
            await transport.exchange("x.upload", "POST", url, {}, fields=fields)
        finally:
            await transport.close()
    return parts


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_bytes_become_a_file(kind: type) -> None:
    assert await sent({"file": kind(b"data")}) == {"file": ("file", b"data")}


async def test_texts_stay_texts_and_the_rest_is_json() -> None:
    fields = {"file": b"", "name": "ü.iso", "size": 7, "clusters": {"id_in": ["a"]}}
    assert await sent(fields) == {
        "file": ("file", b""),
        "name": (None, "ü.iso".encode()),
        "size": (None, b"7"),
        "clusters": (None, b'{"id_in":["a"]}'),
    }


async def test_a_form_without_a_file_is_multipart_too() -> None:
    assert await sent({"upload_task_id": "t"}) == {"upload_task_id": (None, b"t")}


async def test_a_large_file_is_sent_completely() -> None:
    data = bytes(range(256)) * 12_000
    assert (await sent({"file": data}))["file"] == ("file", data)


async def test_a_file_is_sent_from_where_it_stands_and_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "disk.iso"
    path.write_bytes(b"skipped" + b"sent" * 100_000)
    with path.open("rb") as file:
        file.seek(7)
        assert await sent({"file": file}) == {"file": ("disk.iso", b"sent" * 100_000)}
        assert not file.closed


async def test_a_file_in_memory_stays_open() -> None:
    file = io.BytesIO(b"data")
    assert await sent({"file": file}) == {"file": ("file", b"data")}
    assert not file.closed


async def test_a_file_that_is_decompressed_while_it_is_read_is_sent_completely(
    tmp_path: Path,
) -> None:
    data = bytes(range(256)) * 4_000
    for opened in (gzip.open, bz2.open, lzma.open):
        with opened(tmp_path / "packed", "wb") as file:
            file.write(data)
        with opened(tmp_path / "packed", "rb") as file:
            assert (await sent({"file": file}))["file"][1] == data
            assert not file.closed


async def test_a_temporary_file_and_an_unbuffered_one_are_files(tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"skipped" + b"sent")
        file.seek(7)
        assert (await sent({"file": file}))["file"][1] == b"sent"
        with Path(file.name).open("rb", buffering=0) as raw:  # noqa: ASYNC230
            assert (await sent({"file": raw}))["file"][1] == b"skippedsent"


async def test_unseekable_files_are_sent_without_their_size() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source:
        with os.fdopen(writer, "wb") as sink:
            sink.write(b"data" * 1000)
        assert (await sent({"file": source}))["file"][1] == b"data" * 1000

    class Pieces:
        left: ClassVar[list[bytes]] = [b"", b"two", b"one"]

        def read(self, size: int) -> bytes:
            assert size > 0
            return self.left.pop()

    assert await sent({"file": Pieces()}) == {"file": ("file", b"onetwo")}


def test_query_values_are_spelt_as_json_spells_them() -> None:
    assert [text(value) for value in ("a", 5, True, ["x"])] == ["a", "5", "true", '["x"]']
