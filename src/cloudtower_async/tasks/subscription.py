"""State of one wait for tasks: the tasks, their last known states, and the time of the next poll.

The delay between polls doubles from poll to poll, up to the interval. Polls are aligned to the
clock: with a delay of 4 seconds, the time of each poll is a multiple of 4 seconds. So waits that
began at different times soon poll at the same times, and share requests.
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
"""Random part of a delay, as a fraction, so that programs do not all poll at the same moment."""

LATE = 0.5
"""Seconds by which a timer must be late to count as a clock jump.

A timer is late when the machine was asleep, the process was stopped, or the event loop was blocked.
The known states of tasks are then outdated, so a wait polls once more before it times out.
"""

LAST_POLL = 5.0
"""Time-out in seconds for the extra poll after a clock jump."""

ENDED = frozenset(("SUCCESSED", "FAILED"))
"""Statuses of tasks that have ended."""

_KNOWN = ENDED | {"PENDING", "EXECUTING", "PAUSED"}

_JOINING = 0.05
"""Minimum number of seconds between the last poll of other waits and the first poll of a new
wait."""


class ObservedTime:
    """Number of seconds during which tasks or resources were observed.

    Grace periods are measured in observed time. Outages of the server and jumps of the clock hardly
    increase the observed time.

    Attributes:
        seconds: The observed time in seconds.
    """

    __slots__ = ("_latest", "seconds")

    def __init__(self) -> None:
        self.seconds: float = 0.0
        self._latest: float | None = None

    def tick(self, now: float, longest: float) -> None:
        """Increase `seconds` by the time since the last call, but at most by `longest`.

        Args:
            now: Time of this call, by the clock of the event loop.
            longest: Maximum number of seconds to add.
        """
        if self._latest is not None:
            self.seconds += min(now - self._latest, longest)
        self._latest = now


class TaskSubscription:
    """State of one wait for tasks.

    Args:
        ids: Ids of the tasks to poll.
        interval: Maximum number of seconds between polls.
        grace: Grace period in seconds of observed time. The wait gives up a task after this time if
            the server does not list the task, or if the task keeps the same unknown status.
        resources: Known ids of the resources that the tasks create or change, by id of the task.
            The wait adds the ids that it learns.
        until: When polling ends. ``"end"``: all tasks have ended. ``"failure"``: the first task has
            failed. ``"news"``: the list `news` has a task to report.
        every_change: Whether each change of a task is added to `news`. If False, only the end of a
            task is added.
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
        "resources",
        "step",
    )

    def __init__(
        self,
        ids: Iterable[str],
        interval: float,
        grace: float,
        resources: dict[str, list[str]],
        until: Literal["end", "failure", "news"] = "end",
        *,
        every_change: bool = False,
    ) -> None:
        self.pending: dict[str, tuple[TaskStatus, float] | None] = dict.fromkeys(ids)
        """Tasks that have not ended: id, and last known status and progress (None: unknown)."""
        self.resources: dict[str, list[str]] = resources
        """Ids of the resources that the tasks create or change, by id of the task."""
        self.news: list[Task] = []
        """Tasks that have ended or changed, until the caller removes them."""
        self.given_up: list[TaskError] = []
        """Errors of the tasks that the wait gave up."""
        self.failed: bool = False
        """Whether a task failed or the wait gave up a task."""
        self.answered: bool = False
        """Whether the server has answered a poll."""
        self.error: CloudtowerError | None = None
        """Error of the last poll; None if the poll succeeded. A later poll may succeed."""
        self.lost: CloudtowerError | None = None
        """Permanent error of a poll, which ends the wait; None if no such error has occurred."""
        self.due: float = -math.inf
        """Time of the next poll; infinite while a poll is running."""
        self.step: float = 0.0
        """Seconds between the last poll and the next poll."""
        # The caller awaits this future. An event would need too much memory for thousands of
        # waiters.
        self._turn: asyncio.Future[None] | None = None
        self._polls = 0  # number of polls since the wait or the latest outage began
        self._interval = interval
        self._grace = grace
        self._observed = ObservedTime()
        self._missing: dict[str, float] | None = None  # observed time when first missing, by id
        self._unclear: dict[str, float] | None = None  # observed time of an unknown status, by id
        self._expires = math.inf  # a poll that starts after this time is the last poll
        self._expired = False
        self._open = 0  # number of running requests
        self._trouble: CloudtowerError | None = None  # error of one of the running requests
        self._until = until
        self._every_change = every_change

    @property
    def over(self) -> bool:
        """Whether polling has to end: see `until`, `lost` and `expire`."""
        return (
            not self.pending
            or self.lost is not None
            or self._expired
            or (self._until == "news" and bool(self.news))
            or (self._until == "failure" and self.failed)
        )

    def expire(self, now: float) -> None:
        """Schedule one last poll, because the wait has timed out."""
        self._expires = now
        self._polls = 0

    @property
    def unknown(self) -> list[str]:
        """Ids of the pending tasks that the server did not list in the last poll."""
        return [task_id for task_id in self._missing or () if task_id in self.pending]

    def wake(self) -> None:
        """Wake the caller if it sleeps."""
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    async def sleep(self) -> None:
        """Sleep until `wake` is called."""
        self._turn = asyncio.get_running_loop().create_future()
        try:
            await self._turn
        finally:
            self._turn = None

    def see(self, task: Task) -> None:
        """Record the state of a task that the server listed."""
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
        if task.resource_id and task.id not in self.resources:
            self.resources[task.id] = [task.resource_id]
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
        """Record that the server did not list a task."""
        if task_id not in self.pending:
            return
        if self._missing is None:
            self._missing = {}
        if self._lasts(self._missing, task_id):
            self._give_up(task_id, TaskNotFound(task_id, last_seen=self.pending[task_id]))

    def _lasts(self, since: dict[str, float], task_id: str) -> bool:
        """Return whether a problem of a task has lasted for at least the grace period.

        `since` contains the start of the problem by task id. If `since` lacks the task, add it.
        """
        now = self._observed.seconds
        return now - since.setdefault(task_id, now) >= self._grace

    def _give_up(self, task_id: str, why: TaskError) -> None:
        del self.pending[task_id]
        self.given_up.append(why)
        self.failed = True

    def first_due(self, now: float, asked: float) -> None:
        """Set the time of the first poll: `now`, or `_JOINING` seconds after `asked` if later.

        `asked` is the time of the poller's last request.
        """
        if self.due < now:
            self.due = max(now, asked + min(_JOINING, self._interval))

    def begin(self) -> None:
        """Record the start of a request for tasks."""
        self._open += 1
        self.due = math.inf

    def abandon(self) -> None:
        """Forget the cancelled requests, and make the next poll due at once."""
        self._open = 0
        self.due = -math.inf

    def end(self, started: float, now: float, error: CloudtowerError | None) -> None:
        """Record the end of a request, and set the time of the next poll.

        Args:
            started: Start time of the request.
            now: End time of the request.
            error: Error of the request; None if the request succeeded.
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
        # The step is reduced, so that the step plus the jitter is not longer than the delay.
        self._polls += 1
        self.step = poll_delay(self._polls, self._interval) / (1 + JITTER)
        self.due = (math.floor(now / self.step) + 1) * self.step
        if self.due <= now:  # possible because of rounding
            self.due += self.step
