"""Handling of SIGTERM, which interrupts a command as Ctrl-C does.

Commands that run a server, such as ``simulate``, stop with status 0.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import FrameType


@contextmanager
def sigterm_receiver() -> Generator[Callable[[], Awaitable[object]]]:
    """Handle SIGTERM during a ``with`` block, and yield a function that waits for the signal.

    This also works if Ctrl-C is ignored, as in a background process of a script. On Windows, which
    has no SIGTERM, the yielded function waits forever.
    """
    import anyio  # --help needs no event loop

    if sys.platform == "win32":
        yield anyio.sleep_forever
        return
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        yield signals.__anext__


@contextmanager
def sigterm_as_interrupt() -> Generator[list[int]]:
    """Turn SIGTERM into SIGINT during a ``with`` block, and yield a list.

    For each received SIGTERM, the number 15 is appended to the list.

    On SIGINT, asyncio cancels the main task. If the handler of SIGTERM raised an exception instead,
    the exception could occur in code where Python ignores exceptions.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.raise_signal(signal.SIGINT)

    # Only the main thread can set a handler. If SIGINT is ignored, as in a background process of a
    # script, SIGINT would not end the process. SIGTERM then keeps its default action.
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield received
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)
