"""Display of long tables in a pager, as git displays long output."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from .streams import write_chunks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from types import FrameType

_DEFAULTS = {"LESS": "FRX", "LV": "-c"}
"""Environment variables for the pager, as in git.

The pager shows colors and leaves the text on the screen. If the text fits on one screen, the pager
ends at once.
"""


async def write_paged(data: bytes, *, pager: bool = True) -> None:
    """Write text to standard output.

    On a terminal, a text that is longer than the screen is shown in a pager.

    The environment variable ``PAGER`` sets the pager. The default is ``less``. If the pager is not
    installed, or ``PAGER`` is empty or ``cat``, the text is written directly.
    """
    command = _pager() if pager and _is_long(data) else None
    if command is None:
        await write_chunks(_once(data))
        return
    environment = {**_DEFAULTS, **os.environ}
    try:
        process = await anyio.open_process(
            command, stdin=subprocess.PIPE, stdout=None, stderr=None, env=environment
        )
    except OSError:  # the pager is not executable
        await write_chunks(_once(data))
        return
    async with process:
        # Ctrl-C is meant for the pager. If this process ended first, the terminal would stay in the
        # pager's mode.
        with _interrupts_ignored():
            try:
                if process.stdin is not None:
                    await process.stdin.send(data)
                    await process.stdin.aclose()
            except (anyio.BrokenResourceError, ConnectionError):
                pass  # the user quit the pager before the pager had read all data
            await process.wait()


def _is_long(data: bytes) -> bool:
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        return False
    return data.count(b"\n") >= shutil.get_terminal_size().lines


def _pager() -> list[str] | None:
    try:
        command = shlex.split(os.environ.get("PAGER", "less"))
    except ValueError:
        return None
    if not command or command == ["cat"] or shutil.which(command[0]) is None:
        return None
    return command


async def _once(data: bytes) -> AsyncGenerator[bytes]:
    yield data


def _ignore(_number: int, _frame: FrameType | None) -> None:
    pass


@contextmanager
def _interrupts_ignored() -> Generator[None]:
    before = signal.signal(signal.SIGINT, _ignore)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
