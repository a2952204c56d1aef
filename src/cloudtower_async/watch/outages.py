"""Waiting out what may pass by itself: a server that restarts, a network that is down."""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from ..errors import CloudtowerError
    from ..transport.http import Transport

_log = logging.getLogger("cloudtower_async")

_FIRST_PAUSE = 0.5
"""Most seconds until a request is made again; each pause after it is twice as long."""

_LONGEST_PAUSE = 30.0

_WARN_EVERY = 60.0
"""Seconds between warnings."""


class Outage:
    """Paces the requests of one who goes on for as long as it takes.

    Args:
        what: For warnings: what fails.
        transport: Of the session; when it is closed, waiting ends.
        interval: Seconds between requests in good times: the first pause is no longer.
    """

    def __init__(self, what: str, transport: Transport, interval: float) -> None:
        self._what = what
        self._transport = transport
        self._first = self._pause = min(_FIRST_PAUSE, interval)
        self._warned = -math.inf

    async def wait(self, error: CloudtowerError) -> None:
        """Pause, and say from time to time why.

        Raises:
            SessionClosed: Meanwhile.
        """
        now = anyio.current_time()
        if now - self._warned >= _WARN_EVERY:
            self._warned = now
            _log.warning("%s failed and is tried again: %s", self._what, error)
        seconds = self._pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        await pause(self._transport, seconds)

    def over(self) -> None:
        """Begin with short pauses the next time."""
        self._pause = self._first


async def pause(transport: Transport, seconds: float) -> None:
    """Sleep, unless the session is closed.

    Raises:
        SessionClosed: Before or meanwhile.
    """
    await transport.sleep(seconds)
