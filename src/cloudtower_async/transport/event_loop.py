"""The event loop that code runs in."""

from __future__ import annotations

import asyncio

from ..errors import CloudtowerError

_ASYNCIO_ONLY = (
    "cloudtower-async runs on asyncio only, and no asyncio event loop is running here: "
    "start the program with asyncio.run() (or anyio.run() with its asyncio backend, not trio)"
)


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop of asyncio.

    Raises:
        CloudtowerError: There is none.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise CloudtowerError(_ASYNCIO_ONLY) from None
