"""State of one wait: its tasks, their last known states, and the time of the next poll.

The delay between polls doubles up to the interval. All waiters poll at multiples of the same few
delays, so that waits which began at different times soon share requests.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Literal

from ..errors import TaskNotFound, UnknownTaskStatus
from ..retry.backoff import poll_delay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..errors import CloudtowerError, TaskError
    from ..models import Task, TaskStatus

JITTER = 0.1
"""Share of a delay that is random, so that programs do not all poll at the same moment."""

LATE = 0.5
"""Seconds by which a timer must be late to count as a clock jump.

The clock seems to jump when a machine resumes from sleep, when a stopped process continues, or when
the event loop was blocked. Known states are then stale, so waits poll once more before they give
up.
"""

LAST_POLL = 5.0
"""Maximum number of seconds for the poll after a clock jump."""

ENDED = frozenset(("SUCCESSED", "FAILED"))
"""Final statuses of a task."""

_KNOWN = ENDED | {"PENDING", "EXECUTING", "PAUSED"}

_JOINING = 0.05
"""Minimum number of seconds between the first polls of two waits."""


class ObservedTime:
    """Time during which something was observed.

    Outages and clock jumps count for little, because the server was not observed during that time.

    Attributes:
        seconds: Number of seconds of observation.
    """

    __slots__ = ("_latest", "seconds")

    def __init__(self) -> None:
        self.seconds: float = 0.0
        self._latest: float | None = None

    def tick(self, now: float, longest: float) -> None:
        """Count the time since the last observation.

        Args:
            now: End of this observation.
            longest: Maximum number of seconds to count for this observation.
        """
        if self._latest is not None:
            self.seconds += min(now - self._latest, longest)
        self._latest = now


class TaskSubscription:
    """State of one wait for tasks.

    Args:
        ids: Tasks to poll.
        interval: Maximum number of seconds between polls.
        grace: Seconds after which a task is given up if the server does not list the task, or if
            its status is unknown and does not change.
        until: Event that ends polling before all tasks have ended: the first failure, or any news.
        every_change: Whether every change of a task is news, not only its end.
    """

    __slots__ = (
        "_every_change",
        "_expired",
        "_expires",
        "_grace",
        "_interval",
        "_missing",
        "_observed",
        "_open",
        "_polls",
        "_trouble",
        "_turn",
        "_unclear",
        "_until",
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
        until: Literal["end", "failure", "news"] = "end",
        *,
        every_change: bool = False,
    ) -> None:
        self.pending: dict[str, tuple[TaskStatus, float] | None] = dict.fromkeys(ids)
        """Tasks that have not ended, and their state when last seen."""
        self.news: list[Task] = []
        """Ended or changed tasks that the caller has not taken yet."""
        self.given_up: list[TaskError] = []
        """Errors of the tasks that were given up."""
        self.failed: bool = False
        """Whether a task failed or was given up."""
        self.answered: bool = False
        """Whether the server has answered a poll."""
        self.error: CloudtowerError | None = None
        """Error of the last poll; a later poll may succeed."""
        self.lost: CloudtowerError | None = None
        """Error of a poll that is not transient and therefore ends the wait."""
        self.due: float = -math.inf
        """Time of the next poll; infinite while a poll is running."""
        self.step: float = 0.0
        """Seconds from one poll to the next."""
        # The caller awaits this future; an event would be too heavy for thousands of waiters.
        self._turn: asyncio.Future[None] | None = None
        self._polls = 0  # since the wait or the latest outage began
        self._interval = interval
        self._grace = grace
        self._observed = ObservedTime()
        self._missing: dict[str, float] | None = None  # since when, in observed time
        self._unclear: dict[str, float] | None = None  # since when, in observed time
        self._expires = math.inf  # a poll that starts after this time is the last poll
        self._expired = False
        self._open = 0  # running requests
        self._trouble: CloudtowerError | None = None  # error of one of the running requests
        self._until = until
        self._every_change = every_change

    @property
    def over(self) -> bool:
        """Whether polling has to end."""
        return (
            not self.pending
            or self.lost is not None
            or self._expired
            or (self._until == "news" and bool(self.news))
            or (self._until == "failure" and self.failed)
        )

    def expire(self, now: float) -> None:
        """Schedule one last poll, because the time is up."""
        self._expires = now
        self._polls = 0

    @property
    def unknown(self) -> list[str]:
        """Pending tasks that the server did not list."""
        return [task_id for task_id in self._missing or () if task_id in self.pending]

    def wake(self) -> None:
        """Wake the caller if it sleeps."""
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
        """Record the state of one of the tasks."""
        if task.id not in self.pending:
            return
        if self._missing:
            self._missing.pop(task.id, None)
        # The schema does not allow None, but servers may send it.
        state = (task.status, task.progress or 0.0)
        if task.status in ENDED:
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
        """Record that the server does not list one of the tasks."""
        if task_id not in self.pending:
            return
        if self._missing is None:
            self._missing = {}
        if self._lasts(self._missing, task_id):
            self._give_up(task_id, TaskNotFound(task_id, last_seen=self.pending[task_id]))

    def _lasts(self, since: dict[str, float], task_id: str) -> bool:
        """Return whether a task has been missing or unclear for longer than the grace period."""
        now = self._observed.seconds
        return now - since.setdefault(task_id, now) >= self._grace

    def _give_up(self, task_id: str, why: TaskError) -> None:
        del self.pending[task_id]
        self.given_up.append(why)
        self.failed = True

    def first_due(self, now: float, asked: float) -> None:
        """Set the time of the first poll: now, or shortly after the last poll."""
        if self.due < now:
            self.due = max(now, asked + min(_JOINING, self._interval))

    def begin(self) -> None:
        """Record that a request for some of the tasks starts."""
        self._open += 1
        self.due = math.inf

    def abandon(self) -> None:
        """Forget the running requests, which were cancelled, so that the tasks are due again."""
        self._open = 0
        self.due = -math.inf

    def end(self, started: float, now: float, error: CloudtowerError | None) -> None:
        """Record the end of a request, and set when the next poll is due.

        Args:
            started: Start time of the request.
            now: End time of the request.
            error: Error of the request, if it failed.
        """
        if error is None:
            self.answered = True
            self._observed.tick(now, 2 * self.step + now - started)
        self._open -= 1
        self._trouble = self._trouble or error
        if self._open:
            return
        self._expired = started >= self._expires
        if self._trouble is not None and self.error is None:
            self._polls = 0
        self.error, self._trouble = self._trouble, None
        # Together with the jitter, the step is no longer than the delay.
        self._polls += 1
        self.step = poll_delay(self._polls, self._interval) / (1 + JITTER)
        self.due = (math.floor(now / self.step) + 1) * self.step
        if self.due <= now:  # due to rounding
            self.due += self.step
