"""Run the command in this process, with a terminal or pipes as its standard streams."""

from __future__ import annotations

import io
import os
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import anyio.to_thread

from cloudtower_async.cli import main

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

ROWS, COLUMNS = 24, 80


class Ended(NamedTuple):
    """Result of a command.

    Attributes:
        code: Its exit code.
        out: Standard output; on a terminal, also standard error.
        err: Standard error; empty on a terminal.
    """

    code: int
    out: str
    err: str = ""


async def in_terminal(arguments: Sequence[str], typed: str = "") -> Ended:
    """Run the command on a terminal of 80 by 24 characters.

    Args:
        arguments: Arguments of the command.
        typed: Text that is typed ahead.
    """
    return await anyio.to_thread.run_sync(_in_terminal, arguments, typed)


async def in_pipe(arguments: Sequence[str], stdin: str = "") -> Ended:
    """Run the command with pipes as its standard streams."""
    return await anyio.to_thread.run_sync(_in_pipe, arguments, stdin)


def _in_terminal(arguments: Sequence[str], typed: str) -> Ended:
    import fcntl  # not available on Windows
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    os.write(ours, typed.encode())
    with _reading(ours) as shown, _streams(theirs, theirs, theirs):
        code = main(list(arguments))
    return Ended(code, shown.getvalue().decode().replace("\r\n", "\n"))


def _in_pipe(arguments: Sequence[str], stdin: str) -> Ended:
    read_in, write_in = os.pipe()
    os.write(write_in, stdin.encode())
    os.close(write_in)
    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    with (
        _reading(read_out) as out,
        _reading(read_err) as err,
        _streams(read_in, write_out, write_err),
    ):
        code = main(list(arguments))
    return Ended(code, out.getvalue().decode(), err.getvalue().decode())


@contextmanager
def _streams(stdin: int, stdout: int, stderr: int) -> Generator[None]:
    """Replace the standard streams, and close the replacements at the end."""
    before = sys.stdin, sys.stdout, sys.stderr
    with (
        os.fdopen(os.dup(stdin), encoding="utf-8") as sys.stdin,
        os.fdopen(os.dup(stdout), "w", encoding="utf-8") as sys.stdout,
        os.fdopen(os.dup(stderr), "w", buffering=1, encoding="utf-8") as sys.stderr,
    ):
        for number in {stdin, stdout, stderr}:
            os.close(number)
        try:
            yield
        finally:
            streams = sys.stdin, sys.stdout, sys.stderr
            sys.stdin, sys.stdout, sys.stderr = before
            for stream in streams:
                stream.close()


@contextmanager
def _reading(number: int) -> Generator[io.BytesIO]:
    """Collect the output of the other end until it is closed."""
    read = io.BytesIO()

    def collect() -> None:
        try:
            while data := os.read(number, 65536):
                read.write(data)
        except OSError:  # Linux raises this when the other end of a terminal is closed
            pass
        os.close(number)

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        yield read
    finally:
        thread.join()
