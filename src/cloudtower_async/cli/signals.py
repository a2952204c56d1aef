"""Commands that SIGTERM ends: as Ctrl-C does, or as the normal end of a server."""

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
    """Handle SIGTERM within the block; yields a function that waits for it.

    This also works if Ctrl-C is ignored, as for a script's background process. Windows has no
    SIGTERM, so the function waits without end there.
    """
    import anyio  # --help needs no event loop

    if sys.platform == "win32":
        yield anyio.sleep_forever
        return
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        yield signals.__anext__


@contextmanager
def sigterm_as_interrupt() -> Generator[list[int]]:
    """Turn SIGTERM into SIGINT within the block; yields the list of signals received so far.

    asyncio turns SIGINT into the cancellation of the main task. A handler that raised an exception
    could do so anywhere, also where a task group wraps the exception or nothing propagates it.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.raise_signal(signal.SIGINT)

    # Only the main thread can set a handler. If SIGINT is ignored, as for a script's background
    # process, it would not end the process, so SIGTERM keeps its default action.
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield received
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)
