"""Remove stack frames that hold credentials from the tracebacks of errors."""

from __future__ import annotations

import copy
import sys
from typing import TYPE_CHECKING, TypeVar

from ..errors import CloudtowerError

if TYPE_CHECKING:
    from types import TracebackType

E = TypeVar("E", bound=CloudtowerError)

_WITH_CREDENTIALS = ("aiohttp", "aiosignal", __name__.partition(".")[0])
"""Packages whose stack frames may hold requests with credentials."""


class HookError(Exception):
    """A client middleware or a trace hook of aiohttp raised an exception.

    ``__cause__`` is the exception. Before you raise it, set its traceback to the result of
    `frames_of_hook`, because other frames hold credentials.
    """


def without_frames(error: E) -> E:
    """Remove the tracebacks of an error and of its causes, and return the error.

    Error reports show the local variables of stack frames, which hold requests with credentials.
    The exception that is being handled (`sys.exception`) is skipped, as the user's code may have
    raised it. So if `error` was caught, call this function after the ``except`` block.
    """
    foreign = sys.exception()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is None or one is foreign:
            continue
        one.__traceback__ = None
        chain += [one.__cause__, one.__context__]
    return error


def frames_of_hook(error: BaseException) -> TracebackType | None:
    """Return the traceback of a hook's exception without the frames that called the hook."""
    frames = error.__traceback__
    while frames is not None:
        module: str = frames.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in _WITH_CREDENTIALS:
            break
        frames = frames.tb_next
    return frames


def another(error: E) -> E:
    """Return a copy of an error, so that each caller can raise it with a separate traceback."""
    twin = copy.copy(error)
    twin.__cause__, twin.__suppress_context__ = error.__cause__, error.__suppress_context__
    return twin
