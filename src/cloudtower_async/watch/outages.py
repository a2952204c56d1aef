"""Retries of long-running reads while the server is unavailable."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, TypeVar

import anyio

from ..errors import CloudtowerError
from ..retry.backoff import backoff_delay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..transport.http import Transport

T = TypeVar("T")

_log = logging.getLogger("cloudtower_async")

_FIRST_PAUSE = 0.5
"""Maximum pause in seconds before the first retry."""

_LONGEST_PAUSE = 30.0
"""Maximum pause in seconds before any retry."""

_WARN_EVERY = 60.0
"""Minimum number of seconds between two warnings."""


class Outage:
    """Retry loop for a read. The loop continues as long as the server is unavailable.

    Args:
        what: Description of the read, for warnings.
        transport: Transport of the session. Closing the session ends the pauses between retries.
        interval: Seconds between reads in normal operation. The pause before the first retry is
            never longer than `interval`.

    Attributes:
        error: Error of the last read; None if the read succeeded.
    """

    def __init__(self, what: str, transport: Transport, interval: float) -> None:
        self._what = what
        self._transport = transport
        self._first = min(_FIRST_PAUSE, interval)
        self._failures = 0  # failed reads since the last success; a cancellation does not reset it
        self._warned = -math.inf
        self.error: CloudtowerError | None = None

    async def outlast(
        self, read: Callable[[], Awaitable[T]], is_transient: Callable[[CloudtowerError], bool]
    ) -> T:
        """Call `read` until it succeeds, and return its result.

        While `read` fails, a warning is logged from time to time.

        Args:
            read: Function that reads from the server.
            is_transient: Function that returns whether a retry after an error may succeed. If not,
                the error is raised.

        Raises:
            SessionClosed: The session was closed during the retries.
        """
        while True:
            try:
                result = await read()
            except CloudtowerError as exc:
                if not is_transient(exc):
                    raise
                failure = exc
            else:
                self._failures = 0
                self.error = None
                return result
            now = anyio.current_time()
            if now - self._warned >= _WARN_EVERY:
                self._warned = now
                _log.warning("%s failed, retrying: %s", self._what, failure)
            self._failures += 1
            self.error = failure
            await self._transport.sleep(
                backoff_delay(self._failures, self._first, _LONGEST_PAUSE, jitter=0.5)
            )
