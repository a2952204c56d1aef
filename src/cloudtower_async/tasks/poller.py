"""The poll that tells everybody who waits for tasks how these are.

Nothing runs in the background. One of those who wait leads: it asks the server about the tasks of
all of them. When it has what it came for, runs out of time or is cancelled, another one leads. So
each request has an owner, and when the last one leaves nothing is left running.
"""

from __future__ import annotations

import logging
import math
import random
from itertools import chain
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from ..api.task import TaskNamespace
from ..errors import CloudtowerError, SessionClosed
from ..queries.batches import batches, read_by_ids
from ..retry.classify import is_transient
from ..transport.connection_errors import another, without_frames
from .subscription import JITTER, TaskSubscription

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..calls.executor import Executor
    from ..models import Task

_log = logging.getLogger("cloudtower_async")

_OPERATION = "task.get_tasks"

_PATIENCE = 1.0
"""Seconds that a leader who has what it came for stays for answers that others wait for."""

_WARN_EVERY = 60.0
"""Seconds between warnings that polls fail."""


def may_pass(error: CloudtowerError, caller: Executor) -> bool:
    """Return whether a later call of a query may succeed, after this one failed."""
    return is_transient(
        error, pair=caller.endpoints.several, can_log_in=caller.authenticator.can_log_in
    )


class _Request:
    """One request: the tasks that it asks for, and who wants to know of each."""

    __slots__ = ("by_id", "started", "watches")

    def __init__(self, by_id: dict[str, list[TaskSubscription]], started: float) -> None:
        self.by_id = by_id
        self.started = started
        self.watches = set(chain.from_iterable(by_id.values()))
        for watch in self.watches:
            watch.begin()


def _requests(watches: Iterable[TaskSubscription], now: float) -> Iterator[_Request]:
    """As few requests as it takes for what these wait for, no task in two of them."""
    by_id: dict[str, list[TaskSubscription]] = {}
    for watch in watches:
        for task_id in watch.pending:
            by_id.setdefault(task_id, []).append(watch)
    for ids in batches(list(by_id)):
        yield _Request({task_id: by_id[task_id] for task_id in ids}, now)


def _due(watch: TaskSubscription) -> float:
    return watch.due


class TaskPoller:
    """Asks for the tasks of everybody who waits.

    Args:
        caller: How to ask the server.
    """

    def __init__(self, caller: Executor) -> None:
        self._tasks = TaskNamespace(caller)
        self._caller = caller
        self._watches: dict[TaskSubscription, None] = {}
        self._requests: dict[_Request, None] = {}
        self._closed = False
        self._asked = -math.inf
        self._warned = -math.inf
        self._sleeps_until = -math.inf
        self._leader: TaskSubscription | None = None

    def close(self) -> None:
        """End every wait with `SessionClosed`."""
        self._closed = True
        for watch in self._watches:
            watch.wake()

    async def follow(self, watch: TaskSubscription) -> None:
        """Lead, or be served by who leads, until the watch is over.

        Raises:
            SessionClosed: Before or meanwhile, or the session belongs to another event loop.
            CloudtowerError: One that any later poll would meet, too.
        """
        self._caller.transport.running_loop()
        self._watches[watch] = None
        watch.first_due(anyio.current_time(), self._asked)
        self._expect(watch)
        try:
            while not watch.over:
                if self._closed:
                    raise SessionClosed
                if self._leader is not None:
                    await watch.sleep()
                else:
                    await self._lead(watch)
        finally:
            del self._watches[watch]
            if self._leader is None:
                self._hand_over()
        if watch.lost is not None:
            raise another(watch.lost)

    def _expect(self, watch: TaskSubscription) -> None:
        """Let the leader sleep no longer than until the watch is due."""
        if watch.due < self._sleeps_until and self._leader is not None:
            self._leader.wake()

    def _hand_over(self) -> None:
        """Let the one who came last take the lead: it will mostly stay longest."""
        for watch in reversed(self._watches):
            watch.wake()
            break

    async def _lead(self, leader: TaskSubscription) -> None:
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

    async def _sleep_until_due(self, leader: TaskSubscription) -> None:
        """Sleep until something is due, or until there is news for the leader."""
        first = min(self._watches, key=_due)
        until = first.due + random.uniform(0, JITTER) * first.step  # noqa: S311 - no secret
        self._sleeps_until = first.due
        with anyio.CancelScope(deadline=until):
            await leader.sleep()
        self._sleeps_until = -math.inf

    async def _ask(self, request: _Request) -> None:
        """Ask for some tasks, and tell those who wait for each."""
        tasks: dict[str, Task] = {}
        error: CloudtowerError | None = None
        try:
            tasks = await read_by_ids(_OPERATION, self._tasks.get_tasks, list(request.by_id))
        except CloudtowerError as exc:
            error = exc
        now = anyio.current_time()
        del self._requests[request]
        if error is None:
            self._tell(request, tasks, now)
        else:
            self._note(without_frames(error), request, now)
        for watch in request.watches:
            watch.end(request.started, now, error)
            self._expect(watch)
            if watch.over:
                watch.wake()

    def _tell(self, request: _Request, tasks: dict[str, Task], now: float) -> None:
        for watch in request.watches:
            watch.answer(request.started, now)
        for task_id, watches in request.by_id.items():
            task = tasks.get(task_id)
            for watch in watches:
                if task is None:
                    watch.miss(task_id)
                else:
                    watch.see(task)

    def _note(self, error: CloudtowerError, request: _Request, now: float) -> None:
        if not may_pass(error, self._caller):
            for watch in request.watches:
                watch.lost = error
        elif now - self._warned >= _WARN_EVERY:
            self._warned = now
            _log.warning("asking for tasks failed and is tried again: %s", error)
