"""Source of an upload: a file or a stream, which is read in order, one chunk at a time.

Files are read and hashed in threads. The size of a source has to be known when the upload begins.
The actual size is checked before the last chunk is sent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias, cast

import anyio
import anyio.to_thread

from ..errors import InvalidInput, SourceChanged
from ..options import StrPath

Uploadable: TypeAlias = StrPath | BinaryIO | AsyncIterable[bytes | bytearray | memoryview]
"""Source of an upload: a path, a file opened in binary mode, or an async iterator of bytes."""

_CLOSE_SECONDS = 5.0
_SKIPPED_AT_ONCE = 8 * 1024 * 1024  # bytes


class Chunk(NamedTuple):
    """Part of a source.

    Attributes:
        content: The bytes.
        sha256: SHA-256 of the source up to the end of this chunk, in hexadecimal.
    """

    content: bytes
    sha256: str


class _File:
    """File to upload. An open file is read from its current position.

    Args:
        source: Path, or a file that the caller opened.
    """

    def __init__(self, source: StrPath | BinaryIO) -> None:
        self._ours = isinstance(source, str | os.PathLike)
        self._source = source
        self._file: BinaryIO | None = None
        self._closed = False
        self.modified_ns: int | None = None

    async def open(self) -> int | None:
        """Open the file. Return the number of bytes to read, or None if it is unknown."""
        return await anyio.to_thread.run_sync(self._open)

    async def read(self, number: int) -> bytes:
        """Return the next `number` bytes, or fewer bytes at the end."""
        return await anyio.to_thread.run_sync(self._read, number)

    async def close(self) -> None:
        """Close the file if `open` has opened it. The file is closed even during a cancellation."""
        self._closed = True
        if self._ours and self._file is not None:
            self._file.close()

    def _open(self) -> int | None:
        if isinstance(self._source, str | os.PathLike):
            try:
                file: BinaryIO = Path(self._source).open("rb")  # noqa: SIM115 - `close` closes it
            except OSError as exc:
                raise InvalidInput(f"upload: {self._source}: {exc.strerror}") from exc
            self._file = file
            if self._closed:  # the caller was cancelled and did not wait for this thread
                file.close()
                return None
        else:
            self._file = file = self._source
        if not file.seekable():
            return None
        # A file in memory has no modification time.
        with contextlib.suppress(OSError, AttributeError):
            self.modified_ns = os.fstat(file.fileno()).st_mtime_ns
        start = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
        return end - start

    def _read(self, number: int) -> bytes:
        content = self._read_some(number)
        if len(content) in (0, number):
            return content
        parts = [content]  # raw files and pipes may return fewer bytes than requested
        while content and (left := number - sum(map(len, parts))):
            content = self._read_some(left)
            parts.append(content)
        return b"".join(parts)

    def _read_some(self, number: int) -> bytes:
        content = cast("object", cast("BinaryIO", self._file).read(number))
        if not isinstance(content, bytes):
            raise InvalidInput(
                f"upload: the file returned {type(content).__name__}; open it in binary mode"
            )
        return content


class _Stream:
    """Stream to upload.

    The stream is only iterated in the caller's asyncio task, because generators may depend on the
    task that runs them.

    Args:
        source: Async iterator of the content, in pieces of any size.
    """

    def __init__(self, source: AsyncIterable[bytes | bytearray | memoryview]) -> None:
        self._pieces = aiter(source)
        self._rest = memoryview(b"")
        self.modified_ns: int | None = None

    async def open(self) -> None:
        """Do nothing, because a stream is already open. Return None as the unknown size."""

    async def read(self, number: int) -> bytes:
        """Return the next `number` bytes, or fewer bytes at the end."""
        content = bytearray()
        while (left := number - len(content)) and await self._more():
            content += self._rest[:left]
            self._rest = self._rest[left:]
        return bytes(content)

    async def _more(self) -> bool:
        """Fetch the next piece if no bytes are buffered. Return False at the end of the stream."""
        while not self._rest:
            piece = cast("object", await anext(self._pieces, None))
            if piece is None:
                return False
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise InvalidInput(f"upload: the stream yields {type(piece).__name__}, not bytes")
            self._rest = memoryview(cast("bytes", piece)).cast("B")
        return True

    async def close(self) -> None:
        """Close the iterator if it is a generator, so that its clean-up code runs."""
        if hasattr(self._pieces, "aclose"):
            await cast("AsyncGenerator[object]", self._pieces).aclose()


class Source:
    """Source of an upload, with its size.

    Args:
        source: The source that the caller has passed.
        size: Size in bytes that the caller has passed. None means the size of the file.

    Attributes:
        size: Size in bytes; 0 until the size is known.
        position: Number of bytes read so far.
        name: Name of the file; None if the file has no name.

    Raises:
        InvalidInput: The source or the size is invalid.
    """

    def __init__(self, source: Uploadable, size: int | None) -> None:
        if size is not None and (type(size) is not int or size < 1):
            raise InvalidInput(f"upload: size: expected a number of bytes above 0, got {size!r}")
        self.size: int = size or 0
        self.position: int = 0
        self.name: str | None = _name(source)
        self._inner = _inner(source)
        self._digest = hashlib.sha256()

    @property
    def modified_ns(self) -> int | None:
        """Modification time in nanoseconds since 1970; None for a stream, or before opening."""
        return self._inner.modified_ns

    async def open(self) -> None:
        """Open the source.

        Raises:
            InvalidInput: The file does not exist or is empty, or the size is unknown.
        """
        found = await self._inner.open()
        if found is None:
            if not self.size:
                raise InvalidInput(
                    "upload: size: the size of the source is unknown; pass size=, in bytes"
                )
            return
        if found == 0:
            raise InvalidInput(f"upload: {self.name or 'the file'} is empty")
        if self.size not in (0, found):
            raise InvalidInput(f"upload: size: {self.size:,} is given, but there are {found:,}")
        self.size = found

    async def chunk(self, number: int) -> Chunk:
        """Return the next chunk, which has `number` bytes, or fewer bytes at the end of the source.

        Raises:
            SourceChanged: The source has fewer or more bytes than `size`.
        """
        wanted = min(number, self.size - self.position)
        is_last = wanted == self.size - self.position
        content = await self._inner.read(wanted + is_last)
        if len(content) < wanted:
            raise self._changed(f"ended after {self.position + len(content):,} of its")
        if len(content) > wanted:
            raise self._changed("has become longer than its")
        await anyio.to_thread.run_sync(self._digest.update, content)
        self.position += wanted
        return Chunk(content, self._digest.hexdigest())

    async def skip(self, number: int) -> str:
        """Read `number` bytes, and return the SHA-256 of all bytes read so far, in hexadecimal.

        Raises:
            SourceChanged: The source has fewer than `number` bytes, or more than `size` bytes.
        """
        left = number
        while left:
            left -= len((await self.chunk(min(left, _SKIPPED_AT_ONCE))).content)
        return self._digest.hexdigest()

    async def close(self) -> None:
        """Close the source. A file that the caller opened stays open. The call can be repeated."""
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._inner.close()

    def _changed(self, how: str) -> SourceChanged:
        return SourceChanged(f"{self.name or 'the source'} {how} {self.size:,} bytes")


def _inner(source: Uploadable) -> _File | _Stream:
    if isinstance(source, str | os.PathLike):
        return _File(source)
    if isinstance(source, AsyncIterable):
        return _Stream(source)
    if hasattr(source, "read"):
        return _File(source)
    raise InvalidInput(
        "upload: expected a path, a file opened in binary mode, or an async iterator of bytes; "
        f"got {type(source).__name__}"
    )


def _name(source: Uploadable) -> str | None:
    """Return the name of a file, or None if the file has no name."""
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    return Path(cast("str", path)).name if isinstance(path, str | os.PathLike) else None
