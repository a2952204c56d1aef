"""Clock of the simulated server."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from .store.schema import timestamp


class Clock:
    """Clock of the server. The clock counts seconds, and tests can advance the clock.

    Args:
        started_at: Date at the start of the clock. The default is 2026-01-01 in UTC.
        running: Whether the clock runs at the speed of real time. If False, only ``advance`` and
            ``per_request`` move the clock.
        per_request: Seconds by which each request advances the clock. With a value above 0, each
            poll of a task advances the clock, so the task completes without real waiting.
    """

    def __init__(
        self,
        started_at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        *,
        running: bool = True,
        per_request: float = 0.0,
    ) -> None:
        self.started_at = started_at
        self.per_request = per_request
        self._passed = 0.0
        self._since = time.monotonic() if running else None

    def now(self) -> float:
        """Return the number of seconds since the start of the clock."""
        return self._passed + (0.0 if self._since is None else time.monotonic() - self._since)

    def advance(self, seconds: float) -> None:
        """Advance the clock by a number of seconds."""
        self._passed += seconds

    def timestamp(self, at: float | None = None) -> str:
        """Return a date in the format of the server, for example ``2026-01-01T00:00:00.000Z``.

        Args:
            at: Seconds since the start of the clock. The default is the current time.
        """
        return timestamp(self.started_at + timedelta(seconds=self.now() if at is None else at))
