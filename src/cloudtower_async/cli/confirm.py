"""Confirmation of a change by the user on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from ..control_characters import one_line
from .errors import UsageError
from .language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_NAMES = 20
"""Maximum number of names in a question."""

_MOST_WITH_YES = 10
"""Maximum number of resources for which a destructive command accepts the answer yes."""

NOT_CONFIRMED = mark("not confirmed; nothing was sent")


def check_can_ask(command: str) -> None:
    """Raise an error if there is no terminal on which to ask for confirmation.

    Raises:
        UsageError: Standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            tr(
                "{command} changes something: pass --yes, because there is no terminal to ask on",
                command=command,
            )
        )


def listed(names: Sequence[str]) -> str:
    """Return up to 20 names on one line, and the number of further names: ``and 3 more``."""
    more = len(names) - _MOST_NAMES
    shown = ", ".join(map(one_line, names[:_MOST_NAMES]))
    return tr("{names} and {number} more", names=shown, number=more) if more > 0 else shown


async def confirm(question: str, count: int, *, destructive: bool) -> None:
    """Ask the user on the terminal to confirm a change.

    Args:
        question: Question that lists the planned changes.
        count: Number of resources that would be changed.
        destructive: If True and there are more than 10 resources, the user must type the number of
            resources instead of yes.

    Raises:
        UsageError: The user did not confirm the change.
    """
    many = destructive and count > _MOST_WITH_YES
    asked = (
        tr("Type the number of resources, {count}, to confirm: ", count=count) if many else "[y/N] "
    )
    print(question, end="\n" if many else " ", file=sys.stderr)
    print(asked, end="", file=sys.stderr, flush=True)
    answer = (await _read_line()).strip().lower()
    if answer != str(count) if many else answer not in ("y", "yes"):
        raise UsageError(tr(NOT_CONFIRMED))


async def _read_line() -> str:
    """Read a line from standard input, and return an empty text if it is not valid UTF-8.

    The function does not block the event loop, so that idle connections can be closed meanwhile.
    """
    try:
        if sys.platform == "win32":
            return await anyio.to_thread.run_sync(sys.stdin.readline)
        try:
            # A terminal becomes readable when the user has typed a complete line.
            await anyio.wait_readable(sys.stdin)
        except OSError:  # a device that cannot be polled
            return await anyio.to_thread.run_sync(sys.stdin.readline)
        return sys.stdin.readline()
    except UnicodeDecodeError:
        return ""
