"""Keys that the user presses while a command shows a full-screen view."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

Key: TypeAlias = Literal["up", "down", "page up", "page down", "home", "end", "quit"]

_KEYS: dict[bytes, Key] = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"k": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"j": "down",
    b"\r": "down",
    b"\n": "down",
    b"\x1b[5~": "page up",
    b"b": "page up",
    b"\x1b[6~": "page down",
    b" ": "page down",
    b"f": "page down",
    b"\x1b[H": "home",
    b"\x1bOH": "home",
    b"\x1b[1~": "home",
    b"g": "home",
    b"\x1b[F": "end",
    b"\x1bOF": "end",
    b"\x1b[4~": "end",
    b"G": "end",
    b"q": "quit",
    b"Q": "quit",
}
"""Meanings of the keys, as in ``less``. For some keys, a terminal sends several bytes."""

_LONGEST = max(map(len, _KEYS))


@contextmanager
def keys_at_once() -> Generator[bool]:
    """Make single keys readable without Enter during a ``with`` block.

    Yield whether keys can be read.

    Keys cannot be read on Windows, or if standard input is not a terminal.
    """
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield False
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(number)
        tty.setcbreak(number)  # Ctrl-C still sends a signal
    except termios.error:
        yield False
        return
    try:
        yield True
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


async def pressed_keys() -> AsyncGenerator[Key]:
    """Yield the keys that the user presses, within a `keys_at_once` block.

    Keys without a meaning in `_KEYS` are ignored.
    """
    number = sys.stdin.fileno()
    while True:
        await anyio.wait_readable(number)
        try:
            data = os.read(number, 1024)
        except OSError:  # the terminal was closed
            return
        if not data:
            return
        for key in _decode(data):
            yield key


def _decode(data: bytes) -> list[Key]:
    keys: list[Key] = []
    place = 0
    while place < len(data):
        for length in range(_LONGEST, 0, -1):
            if (key := _KEYS.get(data[place : place + length])) is not None:
                keys.append(key)
                place += length
                break
        else:
            place += 1
    return keys
