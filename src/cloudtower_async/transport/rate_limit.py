"""Limits of a session: concurrent requests, requests per second, and a queue by priority.

Calls that cannot start wait in one queue for the whole session: by priority, then in order of
arrival. A call enters all its limits at the same moment, or none of them: the limits of the
session, and the limits of `with_options`. So no call holds a slot while it waits for another limit,
and a token of a rate limit is taken when a request really starts.
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
"""Number of calls that may overtake a waiting call of a lower priority."""

_INSTANT = 1e-6
"""Longest wait in seconds that counts as zero, because of the resolution of clocks."""

_PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # ordered from the highest priority
_LOWER = {priority: _PRIORITIES[number + 1 :] for number, priority in enumerate(_PRIORITIES)}

_Line: TypeAlias = "OrderedDict[asyncio.Future[None], int]"  # and their numbers in the queue


def reserved_slots(in_flight: int) -> int:
    """Return the number of slots that only calls of high priority may use.

    Args:
        in_flight: Maximum number of concurrent requests.
    """
    # With fewer than ten slots, a reserved slot would cost other calls too much throughput.
    return 0 if in_flight < 10 else max(1, in_flight // 20)


class Bucket:
    """Token bucket that holds the tokens of one second.

    Args:
        rate: New tokens per second.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._most = max(rate, 1.0)
        self._full_at = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a token is available."""
        return max(0.0, self._full_at - now - (self._most - 1) * self._interval)

    def take(self, now: float) -> None:
        """Take a token."""
        self._full_at = max(self._full_at, now) + self._interval


class RateLimiter:
    """Limit of concurrent requests and of requests per second.

    Args:
        in_flight: Maximum number of concurrent requests; None: no limit.
        rate: Maximum number of requests per second, on average; None: no limit.
        reserved: Slots that only calls of high priority may use.
        within: Limiter that applies in addition, such as the session's limiter; None: no other
            limiter.

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
        # With more free slots than this number, no call has to wait.
        plain = self._bucket is None and within is None
        self._at_once_above: float = reserved if plain else math.inf

    @property
    def queued(self) -> int:
        """Number of calls that wait in all limiters of the session."""
        return self._queue.length

    @property
    def active(self) -> int:
        """Number of calls of the session that have entered and have not left."""
        session = self
        while session._within is not None:
            session = session._within
        return session._in_flight - int(session.free)

    def enter_at_once(self) -> bool:
        """Enter without waiting, and return whether that was possible.

        Entering at once is possible if no call is waiting. This usual case has to be fast.
        """
        if self.free > self._at_once_above:
            self.free -= 1
            return True
        return False

    async def enter(self, priority: Priority = "normal") -> None:
        """Wait for the caller's turn, and enter. A cancelled call takes no slot and no token.

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
        """Release the slot, so that the next call may enter."""
        limit: RateLimiter | None = self
        while limit is not None:
            limit.free += 1
            limit = limit._within
        if self._queue.length:
            self._queue.admit()

    def take(self, now: float) -> None:
        """Take a slot and a token of each limit; the queue calls this after `has_room`."""
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
        """Return the seconds until all limits have a token."""
        delay = 0.0
        limit: RateLimiter | None = self
        while limit is not None:
            if limit._bucket is not None:
                delay = max(delay, limit._bucket.wait(now))
            limit = limit._within
        return delay


class _Queue:
    """Calls of one session that wait for a slot or a token.

    Attributes:
        length: Number of calls that wait.
    """

    def __init__(self) -> None:
        self.length = 0
        # One line per limiter, so that calls that wait for one limiter are not scanned when another
        # has room.
        self._lines: dict[Priority, dict[RateLimiter, _Line]] = {each: {} for each in _PRIORITIES}
        self._numbers = count()
        # For each priority with waiting calls: the numbers of calls with any higher priority, and
        # with the highest priority, that were admitted since the last call of this priority.
        self._overtaken = dict.fromkeys(_PRIORITIES, 0)
        self._overtaken_by_high = dict.fromkeys(_PRIORITIES, 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def join(self, limiter: RateLimiter, priority: Priority) -> asyncio.Future[None]:
        """Join the queue; the returned future is done when the call has entered."""
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
        """Leave the queue without entering."""
        if waiter in self._lines[priority].get(limiter, ()):
            self._remove(limiter, priority, waiter)
        if not self.length:
            self._stop_timer()

    def admit(self) -> None:
        """Admit all calls that may enter now; a timer admits calls that wait for a token."""
        assert self._loop is not None  # noqa: S101 - set when a call joins
        now = self._loop.time()
        while self.length and (found := self._next(now)) is not None:
            limiter, priority, waiter = found
            self._remove(limiter, priority, waiter)
            if waiter.cancelled():
                continue  # the task of this call has not resumed yet
            limiter.take(now)
            self._count(priority)
            waiter.set_result(None)
        self._stop_timer()
        if self.length and (delay := self._delay(now)):
            self._timer = self._loop.call_at(now + delay, self.admit)

    def _next(self, now: float) -> tuple[RateLimiter, Priority, asyncio.Future[None]] | None:
        """Return the call that enters next, or None if no call may enter."""
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
        """Yield each priority in the order to try, and whether reserved slots count for it."""
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
        """Return the seconds until a call that waits for a token may enter, or 0 if none waits."""
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
