"""Backoff delays, the retry budget of a session, and the server's ``Retry-After``. No I/O."""

from __future__ import annotations

import email.utils
import random
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_MOST_DOUBLINGS = 32  # the cap is reached long before; larger powers overflow
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
        number: Number of the delay in its series; 1 is the first.
        first: First delay in seconds; each later delay is twice as long.
        cap: Maximum delay in seconds.
        jitter: Random share of the delay. 0: always the full delay; 1: between 0 and the full delay
            ("full jitter").
        chance: Random number from 0 to 1; None: draw one.
    """
    delay = min(cap, first * 2.0 ** min(number - 1, _MOST_DOUBLINGS))
    if jitter:
        if chance is None:
            chance = random.random()  # noqa: S311 - no secret
        delay *= 1 - jitter + jitter * chance
    return delay


def poll_delay(number: int, interval: float) -> float:
    """Return the seconds to wait after a poll: first short delays, later `interval`."""
    return backoff_delay(number, min(_FIRST_POLL, interval), interval)


def poll_delays(interval: float) -> Iterator[float]:
    """Yield the delays of `poll_delay`, from the first delay on, without end."""
    for number in count(1):
        yield poll_delay(number, interval)


class Budget:
    """Retry budget of a session, as a token bucket; see `RetryPolicy`.

    Args:
        most: Tokens in a full bucket.
        within: Budget that applies in addition; None: no other budget.
    """

    __slots__ = ("_most", "_spent", "_within")

    def __init__(self, most: int, within: Budget | None = None) -> None:
        self._most = most
        self._within = within
        self._spent = 0.0

    @property
    def spent(self) -> float:
        """Number of missing tokens; if none is missing here, those of the additional budget."""
        return self._spent if self._within is None else self._spent or self._within.spent

    @property
    def left(self) -> float:
        """Number of tokens left."""
        return self._most - self._spent

    def earn(self) -> None:
        """Put back part of a token after a successful call, up to a full bucket."""
        self._spent = max(0.0, self._spent - _EARNED)
        if self._within is not None:
            self._within.earn()

    def take(self) -> bool:
        """Take one token from each budget that applies, or return False if a budget is empty."""
        if self._spent + 1 > self._most or not (self._within is None or self._within.take()):
            return False
        self._spent += 1
        return True


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, or None if it cannot be parsed."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
