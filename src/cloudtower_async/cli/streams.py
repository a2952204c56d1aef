"""Checks of the standard streams, and functions that write to them.

Standard output is flushed after each write, so that write errors are noticed at once.
"""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

from .errors import OutputError
from .language import tr

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Generator

_WRITE_SIZE = 1 << 16  # bytes


@contextmanager
def checked_streams() -> Generator[None]:
    """Check standard output before a ``with`` block, and flush it after the block.

    Raises:
        OutputError: Standard output is closed, has no reader, or is not writable.
    """
    stdin, stdout = sys.stdin, sys.stdout
    if cast("Any", sys.stdin) is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
    if cast("Any", sys.stderr) is None:
        # Without this stream, Python would print errors to standard output.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    _check_output()
    sys.stdout = _buffered(sys.stdout)
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            drop_output()  # the exit code already reports the error
        sys.stdin, sys.stdout = stdin, stdout


async def write_chunks(chunks: AsyncIterable[bytes]) -> None:
    """Write chunks to standard output, in a thread so that a slow reader cannot block the loop."""
    import anyio.to_thread

    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        if len(buffer) >= _WRITE_SIZE:
            await anyio.to_thread.run_sync(write_output, bytes(buffer))
            buffer.clear()
    await anyio.to_thread.run_sync(write_output, bytes(buffer))


def write_output(data: bytes) -> None:
    """Write to standard output and flush it."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def replace_unencodable() -> None:
    """Let standard output replace characters that it cannot encode, instead of raising an error."""
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="replace")


def print_error(text: str) -> None:
    """Print a line to standard error. Ignore write errors."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        # Replace the stream, so that Python does not write the rest of the buffer at exit.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def drop_output() -> None:
    """Discard output that could not be written, so that Python does not write it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_output() -> None:
    if cast("Any", sys.stdout) is None:
        raise OutputError(tr("nothing was done: standard output is closed"))
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # a stream object of the calling program
        return
    if sys.platform == "win32":
        return
    import fcntl

    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OutputError(tr("nothing was done: standard output is open for reading only"))
    poll = select.poll()
    poll.register(number, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise OutputError(tr("nothing was done: standard output has no reader"))


def _buffered(output: TextIO) -> TextIO:
    """Return `output`, or a buffered stream for `output` if it is unbuffered (PYTHONUNBUFFERED).

    An unbuffered stream can lose the end of a text.
    """
    if not isinstance(getattr(output, "buffer", None), io.RawIOBase):
        return output
    return open(
        output.fileno(),
        "w",
        buffering=1,
        encoding=output.encoding,
        errors=output.errors,
        closefd=False,
    )
