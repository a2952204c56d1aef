"""How many requests at a time, and how many a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable


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


class RateLimiter:
    """Lets requests through, in the order in which they come; each leaves in the end.

    Args:
        in_flight: Most requests at a time.
        rate: Most requests a second, on average; None: any number.
    """

    def __init__(self, in_flight: int, rate: float | None) -> None:
        self._in_flight = in_flight
        self.slots: anyio.Semaphore = anyio.Semaphore(in_flight, fast_acquire=True)
        self.leave: Callable[[], None] = self.slots.release
        self._bucket = None if rate is None else Bucket(rate)
        self._turn = anyio.Lock(fast_acquire=True)

    @property
    def active(self) -> int:
        """Number of requests that were let through and have not left."""
        return self._in_flight - self.slots.value

    @property
    def queued(self) -> int:
        """Number of requests that wait to be let through."""
        return self.slots.statistics().tasks_waiting + self._turn.statistics().tasks_waiting

    def enter_at_once(self) -> bool:
        """Enter if nobody has to wait: the usual case, which should cost nothing."""
        if self._bucket is not None or self.slots.value == 0:
            return False
        self.slots.acquire_nowait()
        return True

    async def enter(self) -> None:
        """Enter when it is our turn. Who is cancelled meanwhile has taken nothing."""
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
