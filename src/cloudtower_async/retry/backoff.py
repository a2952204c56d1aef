"""Backoff delays, the retry budget of a session, and the ``Retry-After`` header of a server."""

from __future__ import annotations

import email.utils
import random
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_MOST_DOUBLINGS = 32  # avoids overflow; delays reach the cap much earlier
_FIRST_POLL = 0.25  # seconds between the first two polls
_EARNED = 0.5  # tokens returned by each successful call


def backoff_delay(
    number: int,
    first: float,
    cap: float,
    *,
    jitter: float = 0.0,
    chance: float | None = None,
) -> float:
    """Return the seconds to wait before a retry or a poll, with exponential backoff.

    Args:
        number: Number of the delay in its series. The first delay has the number 1.
        first: First delay in seconds. Each further delay is twice as long as the delay before.
        cap: Maximum delay in seconds.
        jitter: Random share of the delay, from 0 to 1. With 0.2, the delay is a random time between
            80 and 100 percent of its full length.
        chance: Number from 0 to 1 to use as the random number. None means a new random number.
    """
    delay = min(cap, first * 2.0 ** min(number - 1, _MOST_DOUBLINGS))
    if jitter:
        if chance is None:
            chance = random.random()  # noqa: S311 - no secret
        delay *= 1 - jitter + jitter * chance
    return delay


def poll_delay(number: int, interval: float) -> float:
    """Return the seconds to wait after poll `number`: 0.25, 0.5, 1.0 …, up to `interval`."""
    return backoff_delay(number, min(_FIRST_POLL, interval), interval)


def poll_delays(interval: float) -> Iterator[float]:
    """Yield ``poll_delay(1, interval)``, ``poll_delay(2, interval)`` and so on, endlessly."""
    for number in count(1):
        yield poll_delay(number, interval)


class Budget:
    """Retry budget of a session, implemented as a token bucket; see `RetryPolicy`.

    Args:
        most: Number of tokens in a full bucket.
        within: Budget that applies in addition. None means that no other budget applies.
    """

    __slots__ = ("_most", "_spent", "_within")

    def __init__(self, most: int, within: Budget | None = None) -> None:
        self._most = most
        self._within = within
        self._spent = 0.0

    @property
    def spent(self) -> float:
        """Number of tokens that are missing from the bucket.

        If none is missing, the value is ``within.spent``.
        """
        return self._spent if self._within is None else self._spent or self._within.spent

    @property
    def left(self) -> float:
        """Number of tokens that are left in the bucket."""
        return self._most - self._spent

    def earn(self) -> None:
        """Put half a token back after a successful call, unless the bucket is full."""
        self._spent = max(0.0, self._spent - _EARNED)
        if self._within is not None:
            self._within.earn()

    def take(self) -> bool:
        """Take one token from this budget and one from `within`, and return True.

        If one of them has less than one token, take none and return False.
        """
        if self._spent + 1 > self._most or not (self._within is None or self._within.take()):
            return False
        self._spent += 1
        return True


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds in a ``Retry-After`` header, or None if there is no valid header."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
