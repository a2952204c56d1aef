"""How the command ends."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..control_characters import printable
from ..errors import CloudtowerError
from .messages import for_the_command
from .streams import tell

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

OK = 0
FAILED = 1  # a call or a task failed, or writing the output
USAGE = 2  # arguments or settings
INTERRUPTED = 130  # 128 + SIGINT, as shells have it
TERMINATED = 143  # 128 + SIGTERM

EXPLAINED = (
    "Exit status: 0 done, --watch or simulate ended with Ctrl-C included; 1 a call or a task "
    "failed, a task still ran when the time was over, or the output failed; 2 wrong arguments or "
    "settings; 130 interrupted; 143 terminated."
)


class UsageError(Exception):
    """What was typed cannot be done. Prints as one line."""


def one_line(error: Exception) -> str:
    """The text of an error without line breaks and what would steer a terminal."""
    text = str(error)
    if isinstance(error, CloudtowerError):  # not what was written for the command
        text = for_the_command(text)
    return _on_one_line(text)


def _on_one_line(text: str) -> str:
    return printable(" ".join(line.strip() for line in text.splitlines()))


def warn(text: str) -> None:
    """Say on the standard error what does not end the command."""
    line = _on_one_line(for_the_command(text))
    tell(f"cloudtower-async: warning: {line}")


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


@contextmanager
def warnings_told() -> Generator[None]:
    """Let the warnings of the package's log look like those of the command."""
    log = logging.getLogger("cloudtower_async")
    handler = _Warnings(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


@contextmanager
def terminable() -> Generator[list[int]]:
    """Let SIGTERM end a command in order, as Ctrl-C does; yields which signals have come.

    asyncio makes of Ctrl-C the cancellation of what it runs. An exception out of a handler of our
    own could come anywhere, also where a task group wraps it or nothing passes it on.
    """
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGINT)

    # Signals are the main thread's matter. Where Ctrl-C means nothing, as in the background of a
    # script, it can end nothing: there SIGTERM stays what it is.
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield came
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
