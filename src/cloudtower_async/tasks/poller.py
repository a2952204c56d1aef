"""Poll loop shared by all waiters for tasks.

Nothing runs in the background. One waiter is the leader and polls the tasks of all waiters. When
the leader's own wait ends, times out or is cancelled, another waiter becomes the leader. So each
request belongs to a waiter, and no request is left running when the last waiter leaves.
"""

from __future__ import annotations

import logging
import math
import random
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.lowlevel

from ..api.task import TaskNamespace
from ..errors import CloudtowerError, SessionClosed
from ..queries.batches import batches, read_by_ids
from ..transport.tracebacks import another, without_frames
from ..transport.tracing import current_span, link_to
from .subscription import JITTER, TaskSubscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup
    from opentelemetry.trace import Span

    from ..calls.executor import Executor
    from ..models import Task

    Waiters: TypeAlias = dict[str, list[TaskSubscription]]

_log = logging.getLogger("cloudtower_async")

_PATIENCE = 1.0
"""Maximum number of seconds that a leader waits for running requests after its own wait has
ended."""

_WARN_EVERY = 60.0
"""Minimum number of seconds between two warnings about failed polls."""


class TaskPoller:
    """Poller for the tasks of all waiters of a session.

    Args:
        executor: Executor of the calls.
    """

    def __init__(self, executor: Executor) -> None:
        self._tasks = TaskNamespace(executor.for_polls())
        self._executor = executor
        self._subscriptions: dict[TaskSubscription, None] = {}
        self._polled: set[TaskSubscription] = set()  # subscriptions with running requests
        self._closed = False
        self._failures: list[Exception] = []  # unexpected errors, which end the leader's wait
        self._asked = -math.inf
        self._warned = -math.inf
        self._sleeps_until = -math.inf
        self._leader: TaskSubscription | None = None
        self._leading: Span | None = None  # tracing span to which the requests belong

    def close(self) -> None:
        """End every wait with `SessionClosed`."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.wake()

    async def follow(self, subscription: TaskSubscription) -> None:
        """Poll as the leader, or wait for the current leader, until the subscription is over.

        Raises:
            SessionClosed: The session was closed before or during the wait, or belongs to another
                event loop.
            CloudtowerError: A poll failed with an error that is not transient.
        """
        self._executor.transport.running_loop()
        self._subscriptions[subscription] = None
        subscription.first_due(anyio.current_time(), self._asked)
        self._expect(subscription)
        linked: set[Span] = set()
        try:
            while not subscription.over:
                if self._closed:
                    raise SessionClosed
                if self._leader is not None:
                    if self._leading is not None and self._leading not in linked:
                        linked.add(self._leading)
                        link_to(self._leading)
                    await subscription.sleep()
                else:
                    await self._lead(subscription)
        finally:
            del self._subscriptions[subscription]
            if self._leader is None and self._subscriptions:
                # The latest waiter becomes the leader, because it is likely to wait longest.
                next(reversed(self._subscriptions)).wake()
        if subscription.lost is not None:
            raise another(subscription.lost)

    def _expect(self, subscription: TaskSubscription) -> None:
        """Wake the leader (the wait that polls for all) if it would sleep past the next poll."""
        if subscription.due < self._sleeps_until and self._leader is not None:
            self._leader.wake()

    async def _lead(self, leader: TaskSubscription) -> None:
        self._leader = leader
        self._leading = current_span()
        try:
            await anyio.lowlevel.checkpoint()  # let other waits that begin now join this poll
            async with anyio.create_task_group() as group:
                while not (leader.over or self._closed or self._failures):
                    self._send_requests(group)
                    first = min(self._subscriptions, key=attrgetter("due"))
                    self._sleeps_until = first.due
                    jitter = random.uniform(0, JITTER) * first.step  # noqa: S311 - no secret
                    with anyio.CancelScope(deadline=first.due + jitter):
                        await leader.sleep()
                    self._sleeps_until = -math.inf
                group.cancel_scope.deadline = anyio.current_time() + _PATIENCE
            if self._failures:
                raise self._failures.pop(0)  # raise the error itself instead of an exception group
        finally:
            self._leader = self._leading = None
            self._sleeps_until = -math.inf
            for subscription in self._polled:
                subscription.abandon()
            self._polled.clear()
            self._failures.clear()

    def _send_requests(self, group: TaskGroup) -> None:
        """Query the tasks of all subscriptions whose next poll is due, each task only once."""
        now = anyio.current_time()
        waiters: Waiters = {}
        for subscription in self._subscriptions:
            if subscription.due <= now:
                for task_id in subscription.pending:
                    waiters.setdefault(task_id, []).append(subscription)
        for ids in batches(list(waiters)):
            self._asked = now
            subscriptions = set(chain.from_iterable(map(waiters.__getitem__, ids)))
            for subscription in subscriptions:
                subscription.begin()
            self._polled |= subscriptions
            group.start_soon(self._ask, ids, waiters, subscriptions, now)

    async def _ask(
        self,
        ids: Sequence[str],
        waiters: Waiters,
        subscriptions: set[TaskSubscription],
        started: float,
    ) -> None:
        """Query some tasks, and pass the state of each task to its subscriptions."""
        tasks: dict[str, Task] = {}
        error: CloudtowerError | None = None
        self._executor.transport.counts.polls += 1
        try:
            tasks = await read_by_ids("task.get_tasks", self._tasks.get_tasks, ids)
        except CloudtowerError as exc:
            error = exc
        except Exception as exc:  # such as an error in a hook of the caller
            self._failures = [exc]
            if self._leader is not None:
                self._leader.wake()
            return
        now = anyio.current_time()
        lost = error is not None and self._is_lost(without_frames(error), now)
        for subscription in subscriptions:
            subscription.end(started, now, error)
            if lost:
                subscription.lost = error
            if subscription.due < math.inf:
                self._polled.discard(subscription)
        if error is None:
            for task_id in ids:
                task = tasks.get(task_id)
                for subscription in waiters[task_id]:
                    if task is None:
                        subscription.miss(task_id)
                    else:
                        subscription.see(task)
        for subscription in subscriptions:
            self._expect(subscription)
            if subscription.over:
                subscription.wake()

    def _is_lost(self, error: CloudtowerError, now: float) -> bool:
        """Return whether the error of a poll is permanent. If it is transient, log a warning.

        There is at most one warning in `_WARN_EVERY` seconds.
        """
        if not self._executor.is_transient(error):
            return True
        if now - self._warned >= _WARN_EVERY:
            self._warned = now
            _log.warning("polling tasks failed, retrying: %s", error)
        return False
