"""Standard streams that fail before anything is changed, or at once."""

from __future__ import annotations

import io
import os
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Generator


class OutputError(Exception):
    """The standard output cannot be used. Nothing was done."""


@contextmanager
def checked_streams() -> Generator[None]:
    """Make sure that what the command prints arrives, or raises.

    Raises:
        OutputError: The standard output is closed, nobody reads it, or it cannot be written to.
    """
    stdin, stdout = sys.stdin, sys.stdout
    if cast("Any", sys.stdin) is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - until the end
    if cast("Any", sys.stderr) is None:
        # Else errors would be printed to the standard output.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    _check_output()
    sys.stdout = _buffered(sys.stdout)
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            drop_output()  # the status tells already that something went wrong
        sys.stdin, sys.stdout = stdin, stdout


def tell(text: str) -> None:
    """Print a line on the standard error. That this fails ends nothing."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        # What is left in its buffer must not fail again at the end of the process.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def drop_output() -> None:
    """Drop what could not be written, so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_output() -> None:
    if cast("Any", sys.stdout) is None:
        raise OutputError("nothing was done: the standard output is closed")
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # a program's own stream
        return
    if sys.platform == "win32":
        return
    import fcntl

    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OutputError("nothing was done: the standard output is open for reading only")
    poll = select.poll()
    poll.register(number, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise OutputError("nothing was done: nobody reads the standard output")


def _buffered(output: TextIO) -> TextIO:
    """Wrap an unbuffered stream, as of PYTHONUNBUFFERED: it drops what one write does not take."""
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
