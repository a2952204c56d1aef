"""Call a function as soon as a web server receives a stop signal.

A server such as uvicorn waits for open responses and WebSockets before it ends the lifespan. An
endless stream would prevent the server and its workers from stopping. Streams must therefore end
when the signal arrives. The end of the lifespan would be too late.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType


@contextmanager
def on_stop_signal(callback: Callable[[], object]) -> Generator[None]:
    """Call `callback` in the event loop at SIGTERM or SIGINT. The server also gets the signal.

    Enter this context manager in the lifespan. The server sets its own signal handlers before the
    lifespan starts, and would replace earlier handlers. Outside the main thread, as in tests, there
    are no signals, so the context manager does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    replaced = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))  # the default for SIGTERM is not callable
    }

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        replaced[signal.Signals(number)](number, frame)

    for number in replaced:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
