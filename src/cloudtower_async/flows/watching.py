"""What one of those who wait for tasks has seen of them, and when to ask for them next.

Tasks are asked for more and more seldom. The times at which that is due are multiples of the same
few steps for everybody, so that tasks which began at any time are soon asked for together.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..errors import CloudtowerError
    from ..models import Task, TaskStatus

FIRST_DELAY = 0.25
"""Seconds between the first two polls; each delay after it is twice as long, up to the interval."""

JITTER = 0.1
"""Part of a delay that is left to chance, so that programs do not all ask in the same moment."""

_JOINING = 0.05
"""Seconds that those who begin to wait one after the other are gathered for."""


def has_ended(task: Task) -> bool:
    """Whether nothing more will come of a task."""
    return task.status in ("SUCCESSED", "FAILED")


class Watch:
    """What one caller waits for, and what has been seen of it.

    Args:
        ids: The tasks to ask for.
        interval: Seconds between polls, when the quick first ones are over.
        grace: Seconds until a task that the server does not show is given up.
        enough: Says when the caller has what it came for.
        every_change: Changes are news, too, not only ends.
    """

    __slots__ = (
        "_delay",
        "_enough",
        "_every_change",
        "_grace",
        "_interval",
        "_missing",
        "_open",
        "_trouble",
        "_turn",
        "due",
        "error",
        "failed",
        "lost",
        "news",
        "not_found",
        "pending",
        "step",
    )

    def __init__(
        self,
        ids: Iterable[str],
        interval: float,
        grace: float,
        enough: Callable[[Watch], bool],
        *,
        every_change: bool = False,
    ) -> None:
        self.pending: dict[str, tuple[TaskStatus, float] | None] = dict.fromkeys(ids)
        """Tasks that go on, and how they were when they were last seen."""
        self.news: list[Task] = []
        """What the caller has not taken yet."""
        self.not_found: list[str] = []
        self.failed: bool = False
        """Whether a task failed or was not found."""
        self.error: CloudtowerError | None = None
        """Of the last poll; a later one may do better."""
        self.lost: CloudtowerError | None = None
        """An error that later polls would meet, too."""
        self.due: float = -math.inf
        """When to ask for the tasks; infinite as long as they are being asked for."""
        self.step: float = 0.0
        """Seconds from one poll to the next."""
        # What the caller sleeps on. Not an event: with thousands who wait these weigh.
        self._turn: asyncio.Future[None] | None = None
        self._delay = min(FIRST_DELAY, interval)
        self._interval = interval
        self._grace = grace
        self._missing: dict[str, float] | None = None  # since when
        self._open = 0  # requests under way
        self._trouble: CloudtowerError | None = None  # of one of these
        self._enough = enough
        self._every_change = every_change

    @property
    def over(self) -> bool:
        """Whether the caller has what it came for, or will never have it."""
        return not self.pending or self.lost is not None or self._enough(self)

    @property
    def unknown(self) -> list[str]:
        """Tasks that go on for all that is known, which the server did not show."""
        return [task_id for task_id in self._missing or () if task_id in self.pending]

    def wake(self) -> None:
        """Let the caller look again."""
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    async def sleep(self) -> None:
        """Sleep until woken."""
        self._turn = asyncio.get_running_loop().create_future()
        try:
            await self._turn
        finally:
            self._turn = None

    def see(self, task: Task) -> None:
        """Learn how one of the tasks is."""
        if task.id not in self.pending:
            return
        if self._missing:
            self._missing.pop(task.id, None)
        # It is None only where the server breaks its schema.
        state = (task.status, task.progress or 0.0)
        if has_ended(task):
            del self.pending[task.id]
            self.failed |= task.status == "FAILED"
            self.news.append(task)
        elif state != self.pending[task.id]:
            self.pending[task.id] = state
            if self._every_change:
                self.news.append(task)

    def miss(self, task_id: str, now: float) -> None:
        """Learn that the server does not show one of the tasks."""
        if task_id not in self.pending:
            return
        if self._missing is None:
            self._missing = {}
        if now - self._missing.setdefault(task_id, now) >= self._grace:
            del self.pending[task_id]
            self.not_found.append(task_id)
            self.failed = True

    def first_due(self, now: float, asked: float) -> None:
        """Be asked for at once, unless there was a poll just now that others missed, too."""
        if self.due < now:
            self.due = max(now, asked + min(_JOINING, self._delay))

    def begin(self) -> None:
        """Take part in a request."""
        self._open += 1
        self.due = math.inf

    def abandon(self) -> None:
        """Learn that a request was given up: who leads next makes it again."""
        self._open = 0
        self.due = -math.inf

    def end(self, started: float, now: float, error: CloudtowerError | None) -> None:
        """Say when the next poll is due, after a request that began and ended at these times."""
        self._open -= 1
        self._trouble = self._trouble or error
        if self._open:
            return
        if self._trouble is not None and self.error is None:
            self._delay = min(FIRST_DELAY, self._interval)
        self.error, self._trouble = self._trouble, None
        # The jitter comes on top: both together are no longer than the delay.
        self.step = self._delay / (1 + JITTER)
        self._delay = min(self._delay * 2, self._interval)
        self.due = _next(started, self.step)
        if self.due <= now:
            self.due = _next(now, self.step)


def _next(time: float, step: float) -> float:
    """The first multiple of the step after this time."""
    multiple = (math.floor(time / step) + 1) * step
    return multiple if multiple > time else multiple + step
