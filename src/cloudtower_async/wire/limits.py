"""How many requests at a time, and how many a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from types import TracebackType


class Bucket:
    """A token bucket that holds what comes in within a second.

    Args:
        rate: Tokens that come in each second.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._most = max(rate, 1.0)
        self._full_at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        return max(0.0, self._full_at - now - (self._most - 1) * self._interval)

    def take(self, now: float) -> None:
        """Take one."""
        self._full_at = max(self._full_at, now) + self._interval


class Limits:
    """Lets requests through, in the order in which they come; used as ``async with limits``.

    Who is cancelled while it waits has taken nothing.

    Args:
        in_flight: Most requests at a time.
        rate: Most requests a second, on average; None: any number.
    """

    def __init__(self, in_flight: int, rate: float | None) -> None:
        self.slots = anyio.Semaphore(in_flight, fast_acquire=True)
        self._bucket = None if rate is None else Bucket(rate)
        self._turn = anyio.Lock(fast_acquire=True)

    async def __aenter__(self) -> None:
        await self.slots.acquire()
        if self._bucket is None:
            return
        try:
            async with self._turn:
                await anyio.sleep(self._bucket.wait(anyio.current_time()))
                self._bucket.take(anyio.current_time())
        except BaseException:
            self.slots.release()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.slots.release()
