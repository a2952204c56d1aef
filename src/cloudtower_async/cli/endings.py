"""How the command ends."""

from __future__ import annotations

OK = 0
FAILED = 1  # a call failed, or writing the output
USAGE = 2  # arguments or settings
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

EXPLAINED = (
    "Exit status: 0 done, --watch or simulate ended with Ctrl-C included; 1 a call failed, or the "
    "output; 2 wrong arguments or settings; 130 interrupted."
)


class UsageError(Exception):
    """What was typed cannot be done. Prints as one line."""


def one_line(error: Exception) -> str:
    """The text of an error without line breaks and what would steer a terminal."""
    return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    """The text without characters that would steer a terminal; servers send what they like."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
