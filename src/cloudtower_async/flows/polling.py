"""The poll that tells everybody who waits for tasks how these are.

Nothing runs in the background. One of those who wait leads: it asks the server about the tasks of
all of them. When it has what it came for, runs out of time or is cancelled, another one leads. So
each request has an owner, and when the last one leaves nothing is left running.

Each task is asked for more and more seldom. The times at which that is due are multiples of the
same few steps for everybody, so that tasks which began at any time are soon asked for together.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from itertools import chain
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from ..api.task import TaskNamespace
from ..errors import (
    CallTimeout,
    CloudtowerError,
    ConnectionFailed,
    ResponseDecodeError,
    ServerError,
    SessionClosed,
    TooManyRequests,
    Unauthorized,
)
from ..wire.failures import another, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..calls.caller import Caller
    from ..models import Task, TaskStatus

_log = logging.getLogger("cloudtower_async")

MOST_IDS = 500
"""Ids in one request: enough for few requests, and far below any limit on a body's size."""

FIRST_DELAY = 0.25
"""Seconds between the first two polls; each delay after it is twice as long, up to the interval."""

_JITTER = 0.1
"""Part of a delay that is left to chance, so that programs do not all ask in the same moment."""

_JOINING = 0.05
"""Seconds that those who begin to wait one after the other are gathered for."""

_PATIENCE = 1.0
"""Seconds that a leader who has what it came for stays for answers that others wait for."""

_WARN_EVERY = 60.0
"""Seconds between warnings that polls fail."""

_PASSING = (CallTimeout, ConnectionFailed, ResponseDecodeError, ServerError, TooManyRequests)
"""What a later poll may not meet again."""


def passing(caller: Caller) -> tuple[type[CloudtowerError], ...]:
    """The errors that a later call of a query may not meet again."""
    if caller.transport.settings.token is None:
        return (*_PASSING, Unauthorized)  # the next call logs in again
    return _PASSING


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
        "due",
        "error",
        "failed",
        "lost",
        "news",
        "not_found",
        "pending",
        "step",
        "turn",
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
        self.failed = False
        """Whether a task failed or was not found."""
        self.error: CloudtowerError | None = None
        """Of the last poll; a later one may do better."""
        self.lost: CloudtowerError | None = None
        """An error that later polls would meet, too."""
        self.due = -math.inf
        """When to ask for the tasks; infinite as long as they are being asked for."""
        self.step = 0.0
        """Seconds from one poll to the next."""
        self.turn: asyncio.Future[None] | None = None
        """What the caller sleeps on. Not an event: with thousands who wait these weigh."""
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

    def wake(self) -> None:
        """Let the caller look again."""
        if self.turn is not None and not self.turn.done():
            self.turn.set_result(None)

    def see(self, task: Task) -> None:
        """Learn how one of the tasks is."""
        if task.id not in self.pending:
            return
        if self._missing:
            self._missing.pop(task.id, None)
        state = (task.status, task.progress)
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
        self.step = self._delay / (1 + _JITTER)
        self._delay = min(self._delay * 2, self._interval)
        self.due = _next(started, self.step)
        if self.due <= now:
            self.due = _next(now, self.step)


def _next(time: float, step: float) -> float:
    """The first multiple of the step after this time."""
    multiple = (math.floor(time / step) + 1) * step
    return multiple if multiple > time else multiple + step


class _Request:
    """One request: the tasks that it asks for, and who wants to know of each."""

    __slots__ = ("by_id", "started", "watches")

    def __init__(self, by_id: dict[str, list[Watch]], started: float) -> None:
        self.by_id = by_id
        self.started = started
        self.watches = set(chain.from_iterable(by_id.values()))
        for watch in self.watches:
            watch.begin()


def _requests(watches: Iterable[Watch], now: float) -> Iterator[_Request]:
    """As few requests as it takes for what these wait for, no task in two of them."""
    by_id: dict[str, list[Watch]] = {}
    for watch in watches:
        for task_id in watch.pending:
            by_id.setdefault(task_id, []).append(watch)
    ids = list(by_id)
    for start in range(0, len(ids), MOST_IDS):
        yield _Request({task_id: by_id[task_id] for task_id in ids[start : start + MOST_IDS]}, now)


def _due(watch: Watch) -> float:
    return watch.due


async def _sleep(watch: Watch) -> None:
    """Sleep until the watch is woken."""
    watch.turn = asyncio.get_running_loop().create_future()
    try:
        await watch.turn
    finally:
        watch.turn = None


class Poll:
    """Asks for the tasks of everybody who waits.

    Args:
        caller: How to ask the server.
    """

    def __init__(self, caller: Caller) -> None:
        self._tasks = TaskNamespace(caller)
        self._passing = passing(caller)
        self._watches: dict[Watch, None] = {}
        self._requests: dict[_Request, None] = {}
        self._closed = False
        self._asked = -math.inf
        self._warned = -math.inf
        self._sleeps_until = -math.inf
        self._leader: Watch | None = None

    def close(self) -> None:
        """End every wait with `SessionClosed`."""
        self._closed = True
        for watch in self._watches:
            watch.wake()

    async def follow(self, watch: Watch) -> None:
        """Lead, or be served by who leads, until the watch is over.

        Raises:
            SessionClosed: Before or meanwhile.
            CloudtowerError: One that any later poll would meet, too.
        """
        self._watches[watch] = None
        watch.first_due(anyio.current_time(), self._asked)
        self._expect(watch)
        try:
            while not watch.over:
                if self._closed:
                    raise SessionClosed
                if self._leader is not None:
                    await _sleep(watch)
                else:
                    await self._lead(watch)
        finally:
            del self._watches[watch]
            if self._leader is None:
                self._hand_over()
        if watch.lost is not None:
            raise another(watch.lost)

    def _expect(self, watch: Watch) -> None:
        """Let the leader sleep no longer than until the watch is due."""
        if watch.due < self._sleeps_until and self._leader is not None:
            self._leader.wake()

    def _hand_over(self) -> None:
        """Let the one who came last take the lead: it will mostly stay longest."""
        for watch in reversed(self._watches):
            watch.wake()
            break

    async def _lead(self, leader: Watch) -> None:
        self._leader = leader
        try:
            await anyio.lowlevel.checkpoint()  # let those join who begin in the same moment
            async with anyio.create_task_group() as group:
                while not (leader.over or self._closed):
                    now = anyio.current_time()
                    for request in _requests(
                        [watch for watch in self._watches if watch.due <= now], now
                    ):
                        self._asked = now
                        self._requests[request] = None
                        group.start_soon(self._ask, request)
                    await self._sleep_until_due(leader)
                group.cancel_scope.deadline = anyio.current_time() + _PATIENCE
        finally:
            self._leader = None
            for request in self._requests:
                for watch in request.watches:
                    watch.abandon()
            self._requests.clear()

    async def _sleep_until_due(self, leader: Watch) -> None:
        """Sleep until something is due, or until there is news for the leader."""
        first = min(self._watches, key=_due)
        until = first.due + random.uniform(0, _JITTER) * first.step  # noqa: S311 - no secret
        self._sleeps_until = first.due
        with anyio.CancelScope(deadline=until):
            await _sleep(leader)
        self._sleeps_until = -math.inf

    async def _ask(self, request: _Request) -> None:
        """Ask for some tasks, and tell those who wait for each."""
        ids = list(request.by_id)
        tasks: list[Task] = []
        error: CloudtowerError | None = None
        try:
            tasks = await self._tasks.get_tasks(where={"id_in": ids}, first=len(ids))
        except CloudtowerError as exc:
            error = exc
        now = anyio.current_time()
        del self._requests[request]
        if error is None:
            self._tell(request.by_id, tasks, now)
        else:
            self._note(without_frames(error), request, now)
        for watch in request.watches:
            watch.end(request.started, now, error)
            self._expect(watch)
            if watch.over:
                watch.wake()

    def _tell(self, by_id: dict[str, list[Watch]], tasks: list[Task], now: float) -> None:
        shown = {task.id: task for task in tasks}
        for task_id, watches in by_id.items():
            task = shown.get(task_id)
            for watch in watches:
                if task is None:
                    watch.miss(task_id, now)
                else:
                    watch.see(task)

    def _note(self, error: CloudtowerError, request: _Request, now: float) -> None:
        if not isinstance(error, self._passing):
            for watch in request.watches:
                watch.lost = error
        elif now - self._warned >= _WARN_EVERY:
            self._warned = now
            _log.warning("asking for tasks failed and is tried again: %s", error)
