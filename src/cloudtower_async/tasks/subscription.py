"""What one of those who wait for tasks has seen of them, and when to ask for them next.

Tasks are asked for more and more seldom. The times at which that is due are multiples of the same
few steps for everybody, so that tasks which began at any time are soon asked for together.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from ..errors import TaskNotFound, UnknownTaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..errors import CloudtowerError, TaskError
    from ..models import Task, TaskStatus

FIRST_DELAY = 0.25
"""Seconds between the first two polls; each delay after it is twice as long, up to the interval."""

JITTER = 0.1
"""Part of a delay that is left to chance, so that programs do not all ask in the same moment."""

LATE = 0.5
"""Seconds after which a timer that fires too late means that the clock has jumped.

Clocks jump when a machine resumes from sleep, a process is continued, or the loop was blocked.
What is known is stale then, so that waits poll once more before they give up.
"""

LAST_POLL = 5.0
"""Maximum number of seconds for that poll."""

_KNOWN = frozenset(("PENDING", "EXECUTING", "PAUSED", "SUCCESSED", "FAILED"))

_JOINING = 0.05
"""Seconds that those who begin to wait one after the other are gathered for."""


def has_ended(task: Task) -> bool:
    """Whether nothing more will come of a task."""
    return task.status in ("SUCCESSED", "FAILED")


class ObservedTime:
    """Time during which something was observed.

    Outages and clock jumps count little: nothing was seen in them.

    Attributes:
        seconds: How long it was observed.
    """

    __slots__ = ("_latest", "seconds")

    def __init__(self) -> None:
        self.seconds: float = 0.0
        self._latest: float | None = None

    def tick(self, now: float, longest: float) -> None:
        """Count the time since the last observation.

        Args:
            now: When this observation ended.
            longest: Maximum number of seconds that count.
        """
        if self._latest is not None:
            self.seconds += min(now - self._latest, longest)
        self._latest = now


class TaskSubscription:
    """What one caller waits for, and what has been seen of it.

    Args:
        ids: The tasks to ask for.
        interval: Seconds between polls, when the quick first ones are over.
        grace: Seconds after which a task is given up that the server does not show, or whose status
            is unknown and does not change.
        enough: Says when the caller has what it came for.
        every_change: Changes are news, too, not only ends.
    """

    __slots__ = (
        "_delay",
        "_enough",
        "_every_change",
        "_expired",
        "_expires",
        "_grace",
        "_interval",
        "_missing",
        "_observed",
        "_open",
        "_trouble",
        "_turn",
        "_unclear",
        "answered",
        "due",
        "error",
        "failed",
        "given_up",
        "lost",
        "news",
        "pending",
        "step",
    )

    def __init__(
        self,
        ids: Iterable[str],
        interval: float,
        grace: float,
        enough: Callable[[TaskSubscription], bool],
        *,
        every_change: bool = False,
    ) -> None:
        self.pending: dict[str, tuple[TaskStatus, float] | None] = dict.fromkeys(ids)
        """Tasks that go on, and how they were when they were last seen."""
        self.news: list[Task] = []
        """What the caller has not taken yet."""
        self.given_up: list[TaskError] = []
        """Why tasks were given up that did not end."""
        self.failed: bool = False
        """Whether a task failed or was given up."""
        self.answered: bool = False
        """Whether the server has answered a poll."""
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
        self._observed = ObservedTime()
        self._missing: dict[str, float] | None = None  # since when, in observed time
        self._unclear: dict[str, float] | None = None  # since when, in observed time
        self._expires = math.inf  # a poll that starts after this is the last one
        self._expired = False
        self._open = 0  # requests under way
        self._trouble: CloudtowerError | None = None  # of one of these
        self._enough = enough
        self._every_change = every_change

    @property
    def over(self) -> bool:
        """Whether polling ends: the caller has what it came for, or will never have it."""
        return self._expired or self.satisfied

    @property
    def satisfied(self) -> bool:
        """Whether there is something to tell the caller other than that its time is up."""
        return not self.pending or self.lost is not None or self._enough(self)

    def expire(self, now: float) -> None:
        """Poll once more, and then no longer."""
        self._expires = now
        self._delay = min(FIRST_DELAY, self._interval)

    def answer(self, started: float, now: float) -> None:
        """Learn that the server answered a request that began and ended at these times."""
        self.answered = True
        self._observed.tick(now, 2 * self.step + now - started)

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
            return
        if state != self.pending[task.id]:
            self.pending[task.id] = state
            if self._unclear:
                self._unclear.pop(task.id, None)
            if self._every_change:
                self.news.append(task)
        if task.status not in _KNOWN:
            if self._unclear is None:
                self._unclear = {}
            if self._lasts(self._unclear, task.id):
                self._give_up(task.id, UnknownTaskStatus(task.id, *state, grace=self._grace))

    def miss(self, task_id: str) -> None:
        """Learn that the server does not show one of the tasks."""
        if task_id not in self.pending:
            return
        if self._missing is None:
            self._missing = {}
        if self._lasts(self._missing, task_id):
            self._give_up(task_id, TaskNotFound(task_id, last_seen=self.pending[task_id]))

    def _lasts(self, since: dict[str, float], task_id: str) -> bool:
        """Return whether something has been so for as long as is tolerated."""
        now = self._observed.seconds
        return now - since.setdefault(task_id, now) >= self._grace

    def _give_up(self, task_id: str, why: TaskError) -> None:
        del self.pending[task_id]
        self.given_up.append(why)
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
        self._expired = started >= self._expires
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
