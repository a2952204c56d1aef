"""Limits on concurrent requests and requests per second, with a queue by priority.

Each session has one queue for calls that cannot start yet. The queue is ordered by priority, and
then by arrival. A call must satisfy the limits of the session and those of `with_options`. The call
takes a slot and a token of all these limits at the same moment, when the request really starts.
Therefore no call holds a slot of one limit while it waits for another limit.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, TypeAlias, get_args

from ..types import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHARE = 8
"""Number of calls of higher priority that may overtake a waiting call."""

_INSTANT = 1e-6
"""A wait of at most this number of seconds counts as zero, because clocks have a limited
resolution."""

_PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # from the highest priority to the lowest
_LOWER = {priority: _PRIORITIES[number + 1 :] for number, priority in enumerate(_PRIORITIES)}

_Line: TypeAlias = "OrderedDict[asyncio.Future[None], int]"  # waiter: number in the queue


def reserved_slots(in_flight: int) -> int:
    """Return the number of concurrent requests that only calls of high priority may use.

    Args:
        in_flight: Maximum number of concurrent requests.
    """
    # With fewer than ten slots, a reserved slot would reduce the throughput of other calls too
    # much.
    return 0 if in_flight < 10 else max(1, in_flight // 20)


class Bucket:
    """Token bucket for a rate limit. A full bucket holds the tokens of one second.

    Args:
        rate: New tokens per second.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._most = max(rate, 1.0)
        self._full_at = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a token is available, or 0 if one is available now."""
        return max(0.0, self._full_at - now - (self._most - 1) * self._interval)

    def take(self, now: float) -> None:
        """Take a token."""
        self._full_at = max(self._full_at, now) + self._interval


class RateLimiter:
    """Limit on concurrent requests and on requests per second.

    A call takes a slot, which allows one concurrent request, and a token, which allows one request
    under the rate limit. The call returns the slot after the request.

    Args:
        in_flight: Maximum number of concurrent requests. None means no limit.
        rate: Maximum number of requests per second, on average. None means no limit.
        reserved: Number of slots that only calls of high priority may use.
        within: Limiter that applies in addition, such as the session's limiter. None means that no
            other limiter applies.

    Attributes:
        free: Number of free slots.
    """

    def __init__(
        self,
        in_flight: int | None,
        rate: float | None,
        *,
        reserved: int = 0,
        within: RateLimiter | None = None,
    ) -> None:
        self.free: float = math.inf if in_flight is None else in_flight
        self._in_flight = in_flight or 0
        self._reserved = reserved
        self._bucket = None if rate is None else Bucket(rate)
        self._within = within
        self._queue: _Queue = _Queue() if within is None else within._queue
        # If more slots than this number are free, a call can start without waiting.
        plain = self._bucket is None and within is None
        self._at_once_above: float = reserved if plain else math.inf

    @property
    def queued(self) -> int:
        """Number of waiting calls of the session, over all of its limiters."""
        return self._queue.length

    @property
    def active(self) -> int:
        """Number of requests of the session that are in progress."""
        session = self
        while session._within is not None:
            session = session._within
        return session._in_flight - int(session.free)

    def enter_at_once(self) -> bool:
        """If the call can start at once, take a slot and return True.

        This method is a fast path for the usual case. If it returns False, await `enter`.
        """
        if self.free > self._at_once_above:
            self.free -= 1
            return True
        return False

    async def enter(self, priority: Priority = "normal") -> None:
        """Wait until all limits allow a call to start, and take a slot and a token of each limit.

        If the caller is cancelled, it holds no slot afterwards.

        Args:
            priority: Priority of the call.
        """
        queue = self._queue
        waiter = queue.join(self, priority)
        if waiter.done():
            return
        try:
            await waiter
        except BaseException:
            if waiter.cancelled():
                queue.withdraw(self, priority, waiter)
            else:  # the call was admitted before it was cancelled
                self.leave()
            raise

    def leave(self) -> None:
        """Release the slot, and admit waiting calls that can start now."""
        limit: RateLimiter | None = self
        while limit is not None:
            limit.free += 1
            limit = limit._within
        if self._queue.length:
            self._queue.admit()

    def take(self, now: float) -> None:
        """Take a slot and a token of each limit. All limits must have both."""
        limit: RateLimiter | None = self
        while limit is not None:
            limit.free -= 1
            if limit._bucket is not None:
                limit._bucket.take(now)
            limit = limit._within

    def has_room(self, *, reserved: bool) -> bool:
        """Return whether all limits have a free slot.

        Args:
            reserved: Whether reserved slots count as free.
        """
        limit: RateLimiter | None = self
        while limit is not None:
            if limit.free <= (0 if reserved else limit._reserved):
                return False
            limit = limit._within
        return True

    def delay(self, now: float) -> float:
        """Return the seconds until all limits have a token, or 0 if all have one now."""
        delay = 0.0
        limit: RateLimiter | None = self
        while limit is not None:
            if limit._bucket is not None:
                delay = max(delay, limit._bucket.wait(now))
            limit = limit._within
        return delay


class _Queue:
    """Queue of a session's calls that cannot start yet because of a limit.

    Attributes:
        length: Number of waiting calls.
    """

    def __init__(self) -> None:
        self.length = 0
        # Each limiter has a separate line. When a limiter has room, the calls that wait for other
        # limiters need not be scanned.
        self._lines: dict[Priority, dict[RateLimiter, _Line]] = {each: {} for each in _PRIORITIES}
        self._numbers = count()
        # Two counters for each priority that has waiting calls. They count the calls that were
        # admitted since the last call of this priority: calls of any higher priority, and calls of
        # the highest priority.
        self._overtaken = dict.fromkeys(_PRIORITIES, 0)
        self._overtaken_by_high = dict.fromkeys(_PRIORITIES, 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def join(self, limiter: RateLimiter, priority: Priority) -> asyncio.Future[None]:
        """Add a call to the queue. The returned future is done when the call is admitted."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._stop_timer()
            self._loop = loop
        waiter: asyncio.Future[None] = loop.create_future()
        line = self._lines[priority].setdefault(limiter, OrderedDict())
        line[waiter] = next(self._numbers)
        self.length += 1
        self.admit()
        return waiter

    def withdraw(
        self, limiter: RateLimiter, priority: Priority, waiter: asyncio.Future[None]
    ) -> None:
        """Remove a call from the queue without admitting it."""
        if waiter in self._lines[priority].get(limiter, ()):
            self._remove(limiter, priority, waiter)
        if not self.length:
            self._stop_timer()

    def admit(self) -> None:
        """Admit all calls that can start now, and set a timer for calls that wait for a token."""
        assert self._loop is not None  # noqa: S101 - `join` sets the loop
        now = self._loop.time()
        while self.length and (found := self._next(now)) is not None:
            limiter, priority, waiter = found
            self._remove(limiter, priority, waiter)
            if waiter.cancelled():
                continue  # its task has not yet withdrawn the call
            limiter.take(now)
            self._count(priority)
            waiter.set_result(None)
        self._stop_timer()
        if self.length and (delay := self._delay(now)):
            self._timer = self._loop.call_at(now + delay, self.admit)

    def _next(self, now: float) -> tuple[RateLimiter, Priority, asyncio.Future[None]] | None:
        """Return the call to admit next, or None if no call can start now."""
        for priority, reserved in self._order():
            first: tuple[int, RateLimiter, asyncio.Future[None]] | None = None
            for limiter, line in self._lines[priority].items():
                waiter, number = next(iter(line.items()))
                if (
                    (first is None or number < first[0])
                    and limiter.has_room(reserved=reserved)
                    and limiter.delay(now) <= _INSTANT
                ):
                    first = (number, limiter, waiter)
            if first is not None:
                return first[1], priority, first[2]
        return None

    def _order(self) -> Iterator[tuple[Priority, bool]]:
        """Yield each priority in the order of admission, with True if it may use reserved slots."""
        for priority in reversed(_PRIORITIES):
            if self._overtaken[priority] >= _SHARE:
                yield priority, self._overtaken_by_high[priority] >= _SHARE
        for priority in _PRIORITIES:
            yield priority, priority == "high"

    def _count(self, priority: Priority) -> None:
        self._overtaken[priority] = self._overtaken_by_high[priority] = 0
        for lower in _LOWER[priority]:
            if self._lines[lower]:
                self._overtaken[lower] += 1
                self._overtaken_by_high[lower] += priority == "high"

    def _delay(self, now: float) -> float:
        """Return the seconds until a token is available for a waiting call that has a free slot.

        Return 0 if no waiting call has a free slot.
        """
        delays = [
            delay
            for priority, lines in self._lines.items()
            for limiter in lines
            if (delay := limiter.delay(now)) and limiter.has_room(reserved=priority == "high")
        ]
        return min(delays, default=0.0)

    def _remove(
        self, limiter: RateLimiter, priority: Priority, waiter: asyncio.Future[None]
    ) -> None:
        lines = self._lines[priority]
        del lines[limiter][waiter]
        if not lines[limiter]:
            del lines[limiter]
        if not lines:
            self._overtaken[priority] = self._overtaken_by_high[priority] = 0
        self.length -= 1

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
