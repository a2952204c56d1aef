"""Multipart forms, which carry files."""

from __future__ import annotations

import asyncio
import io
import os
import stat
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, cast

import aiohttp
import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter

_ANY = "application/octet-stream"
_PIECE = 2**18  # bytes that are sent at once


def form(fields: Mapping[str, object]) -> aiohttp.FormData:
    """Return a multipart form with these fields.

    Bytes and binary files become file parts. All other values become strings.
    """
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        if isinstance(value, bytes | bytearray | memoryview):
            content = cast("bytes | bytearray | memoryview[int]", value)
            _add_file(data, name, Memory(content), name)
        elif hasattr(value, "read"):
            source = cast(BinaryIO, value)
            _add_file(data, name, _borrow(source), _file_name(source, name))
        else:
            data.add_field(name, text(value))
    return data


class Marks:
    """Start positions of the files in a form, so that a retry can read the files again.

    Args:
        fields: Fields of the form.
    """

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._places: list[tuple[BinaryIO, int | None]] = []
        for value in fields.values():
            if hasattr(value, "read"):
                file = cast(BinaryIO, value)
                self._places.append((file, file.tell() if _can_rewind(file) else None))

    def rewind(self) -> bool:
        """Seek all files to their start positions. Return False if a file cannot be read again."""
        if any(place is None for _, place in self._places):
            return False
        for file, place in self._places:
            file.seek(place or 0)
        return True


def _can_rewind(file: BinaryIO) -> bool:
    seekable = getattr(file, "seekable", None)
    return seekable is not None and bool(seekable())


def text(value: object) -> str:
    """Format a value for a form field or a query string. Values other than strings become JSON.

    Raises:
        ValueError: The value holds a lone surrogate, which aiohttp would omit.
    """
    spelled = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    try:
        spelled.encode()
    except UnicodeEncodeError as exc:  # not chained, because it holds the text
        place = exc.start
    else:
        return spelled
    raise ValueError(f"character {place + 1} of a string is not UTF-8")


def _add_file(
    data: aiohttp.FormData, field: str, content: io.IOBase | Memory, filename: str
) -> None:
    data.add_field(field, content, filename=filename, content_type=_ANY)


def _file_name(source: BinaryIO, default: str) -> str:
    name = getattr(source, "name", None)
    return PurePath(name).name if isinstance(name, str) else default


def _borrow(source: BinaryIO) -> io.IOBase:
    if isinstance(source, io.BytesIO):
        return io.BytesIO(source.read())  # aiohttp knows the size of a copy in memory
    # A file object that decompresses also has a file descriptor, but this descriptor has the size
    # of the compressed file.
    raw = getattr(source, "raw", source)
    if isinstance(raw, io.FileIO) and stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return _BorrowedFile(source)
    return _Borrowed(source)


class Memory(aiohttp.Payload):
    """Payload that sends bytes in pieces. Unlike aiohttp's own payload, it does not copy them."""

    def __init__(self, content: bytes | bytearray | memoryview[int]) -> None:
        super().__init__(content, content_type=_ANY)
        self._view = memoryview(content).cast("B")
        self._size = self._view.nbytes

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the content as text."""
        return bytes(self._view).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the content in pieces, so that other tasks can run."""
        for start in range(0, self._view.nbytes, _PIECE):
            await writer.write(self._view[start : start + _PIECE])
            await asyncio.sleep(0)


class _Borrowed(io.BufferedIOBase):
    """Payload that reads a file object of the caller, and does not close the file object.

    aiohttp cannot find out the size, so the size is not sent.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int | None = -1, /) -> bytes:
        return self._source.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()


class _BorrowedFile(_Borrowed):
    """The same for a file on disk. aiohttp reads the size from the file descriptor."""

    def fileno(self) -> int:
        return self._source.fileno()
