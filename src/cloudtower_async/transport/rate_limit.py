"""Limits of a session: how many requests at a time and per second, and who is next.

Calls that cannot start wait in one queue for the whole session: by priority, then in the order in
which they came. A call enters all limits that apply to it at the same moment, those of the session
and those of its part of the program, or none of them. So no call keeps a slot from others while it
waits for another one, and a token of a rate limit is taken when a request really starts.
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
"""Number of calls that may overtake a waiting call of a lower priority before it is its turn."""

_INSTANT = 1e-6
"""Seconds that count as no time, because of the resolution of clocks."""

_PRIORITIES: tuple[Priority, ...] = get_args(Priority)  # the highest first
_LOWER = {priority: _PRIORITIES[number + 1 :] for number, priority in enumerate(_PRIORITIES)}

_Line: TypeAlias = "OrderedDict[asyncio.Future[None], int]"  # and their numbers in the queue


def reserved_slots(in_flight: int) -> int:
    """Return how many of the slots of a session are kept free for calls of high priority.

    Args:
        in_flight: Maximum number of concurrent requests.
    """
    # A slot of less than ten would cost other calls more than a tenth of their throughput.
    return 0 if in_flight < 10 else max(1, in_flight // 20)


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
        """Return the seconds until there is a token."""
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
        within: Limiter that applies in addition, such as that of the session; None: no other.

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
        # Above this number of free slots, no call has to wait, and no other limit applies.
        plain = self._bucket is None and within is None
        self._at_once_above: float = reserved if plain else math.inf

    @property
    def queued(self) -> int:
        """Number of calls that wait, here and in all limiters of the same session."""
        return self._queue.length

    @property
    def active(self) -> int:
        """Number of calls of the same session that have entered and not left."""
        session = self
        while session._within is not None:
            session = session._within
        return session._in_flight - int(session.free)

    def enter_at_once(self) -> bool:
        """Enter if no call is waiting: the usual case, which should cost nothing."""
        if self.free > self._at_once_above:
            self.free -= 1
            return True
        return False

    async def enter(self, priority: Priority = "normal") -> None:
        """Wait until it is the caller's turn, and enter. If cancelled, nothing is taken.

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
            else:  # it was let in before it was cancelled
                self.leave()
            raise

    def leave(self) -> None:
        """Give the slot back; the next call may enter."""
        limit: RateLimiter | None = self
        while limit is not None:
            limit.free += 1
            limit = limit._within
        if self._queue.length:
            self._queue.admit()

    def take(self, now: float) -> None:
        """Take a slot and a token of each limit; for the queue, after `has_room`."""
        limit: RateLimiter | None = self
        while limit is not None:
            limit.free -= 1
            if limit._bucket is not None:
                limit._bucket.take(now)
            limit = limit._within

    def has_room(self, *, reserved: bool) -> bool:
        """Return whether all limits have a free slot.

        Args:
            reserved: Reserved slots count.
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
        # A line for each limiter: calls that wait for the limits of one part of the program must
        # not be scanned each time that another part may continue.
        self._lines: dict[Priority, dict[RateLimiter, _Line]] = {each: {} for each in _PRIORITIES}
        self._numbers = count()
        # Calls let in since the last one of a priority, while others of it waited: of any higher
        # priority, and of the highest one.
        self._overtaken = dict.fromkeys(_PRIORITIES, 0)
        self._overtaken_by_high = dict.fromkeys(_PRIORITIES, 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def join(self, limiter: RateLimiter, priority: Priority) -> asyncio.Future[None]:
        """Wait in the queue; what is returned is done when the call has entered."""
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
        """Leave the queue without having entered."""
        if waiter in self._lines[priority].get(limiter, ()):
            self._remove(limiter, priority, waiter)
        if not self.length:
            self._stop_timer()

    def admit(self) -> None:
        """Let in all calls that may enter now; a timer lets in those that wait for a token."""
        assert self._loop is not None  # noqa: S101 - set when a call joins
        now = self._loop.time()
        while self.length and (found := self._next(now)) is not None:
            limiter, priority, waiter = found
            self._remove(limiter, priority, waiter)
            if waiter.cancelled():
                continue  # its task does not know yet
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
        """Yield the priorities in the order of their turns, and whether reserved slots count."""
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
        """Return the seconds until the first call that waits for a token may enter; 0: none."""
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
