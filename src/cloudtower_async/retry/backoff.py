"""Retry budget of a session, and the server's ``Retry-After``."""

from __future__ import annotations

import email.utils
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_EARNED = 0.5  # tokens returned by each successful call


class Budget:
    """Retry budget of a session, as a token bucket; see `RetryPolicy`."""

    __slots__ = ("_left", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._left: float = most

    def earn(self) -> None:
        """Return part of a token after a successful call."""
        if self._left < self._most:
            self._left = min(self._left + _EARNED, self._most)

    def take(self) -> bool:
        """Consume one token; return False if none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for; None if it cannot be parsed."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
