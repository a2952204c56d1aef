"""How the command ends."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

OK = 0
FAILED = 1  # a call or a task failed, or writing the output
USAGE = 2  # arguments or settings
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

EXPLAINED = (
    "Exit status: 0 done, --watch or simulate ended with Ctrl-C included; 1 a call or a task "
    "failed, a task still ran when the time was over, or the output failed; 2 wrong arguments or "
    "settings; 130 interrupted."
)


class UsageError(Exception):
    """What was typed cannot be done. Prints as one line."""


def one_line(error: Exception) -> str:
    """The text of an error without line breaks and what would steer a terminal."""
    return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    """The text without characters that would steer a terminal; servers send what they like."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


@contextmanager
def ending_in_order(number: signal.Signals) -> Generator[None]:
    """Let a signal end the process by an exception, so that the terminal is left as it was."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)  # as shells have it

    before = signal.signal(number, end)
    try:
        yield
    finally:
        signal.signal(number, before)
