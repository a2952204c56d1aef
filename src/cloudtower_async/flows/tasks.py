"""Waiting for the tasks that mutations start: one poll for all who wait.

Nothing runs in the background. One of the callers that wait leads: it asks the server for the tasks
of all of them. When the leader has what it came for, runs out of time or is cancelled, the next
one leads. So each poll has an owner, and when the last one leaves nothing is left running.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias, cast

import anyio

from ..api.task import TaskNamespace
from ..errors import (
    CallTimeout,
    CloudtowerError,
    ConnectionFailed,
    InvalidInput,
    ResponseDecodeError,
    ServerError,
    SessionClosed,
    TaskError,
    TaskNotFound,
    TasksFailed,
    TaskTimeout,
    TooManyRequests,
)
from ..models import Task
from ..settings import seconds_fault
from ..types import WithTask
from ..wire.failures import another, without_frames
from .failures import task_failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..calls.caller import Caller

Waitable: TypeAlias = "str | Task | WithTask[object] | Iterable[Waitable] | None"
"""A task, its id, the answer of a mutation, or any nesting of these. A null id is already done."""

_log = logging.getLogger("cloudtower_async")

_MOST_IDS = 500
"""Ids in one request: enough for few requests, and far below any limit on a body's size."""

_FIRST_DELAY = 0.25
"""Seconds between the first two polls; each delay after it is twice as long, up to the interval."""

_PASSING = (CallTimeout, ConnectionFailed, ResponseDecodeError, ServerError, TooManyRequests)
"""What a later poll may not meet again."""


def task_ids(waitable: object) -> Iterator[str]:
    """The task ids in what a caller waits for, in its order; it is only read, never changed.

    Raises:
        InvalidInput: It is no `Waitable`.
    """
    kind = type(waitable).__name__
    if waitable is None:
        return
    if isinstance(waitable, str):
        yield waitable
    elif isinstance(waitable, Task):
        yield waitable.id
    elif isinstance(waitable, WithTask):
        yield from task_ids(waitable.task_id)
    elif isinstance(waitable, Iterable) and not isinstance(waitable, Mapping):
        for part in cast("Iterable[object]", waitable):
            yield from task_ids(part)
    else:
        raise InvalidInput(
            "wait: expected ids of tasks, tasks, answers of mutations, or any nesting of these; "
            f"got {kind}"
        )


def _check_times(timeout: float | None, interval: float, grace: float) -> None:
    faults = {
        "timeout": None if timeout is None else seconds_fault(timeout),
        "interval": seconds_fault(interval),
        "grace": None if grace == 0 else seconds_fault(grace),
    }
    for argument, fault in faults.items():
        if fault is not None:
            raise InvalidInput(f"wait: {argument}: {fault}")


class _Wait:
    """What one caller waits for, and what has been seen of it."""

    def __init__(self, ids: list[str], interval: float, grace: float, fail_fast: bool) -> None:
        now = anyio.current_time()
        self.pending = dict.fromkeys(ids)
        self.ended: dict[str, Task] = {}
        self.failures: list[TaskError] = []
        self.due = now
        self.error: CloudtowerError | None = None  # of the last poll; a later one may do better
        self.lost: CloudtowerError | None = None  # a later poll would meet it too
        self.turn = anyio.Event()
        self._unseen = set(ids)
        self._unseen_until = now + grace
        self._interval = interval
        self._delay = min(_FIRST_DELAY, interval)
        self._fail_fast = fail_fast
        self._alone = len(ids) == 1

    @property
    def over(self) -> bool:
        return (
            not self.pending or self.lost is not None or (self._fail_fast and bool(self.failures))
        )

    def raise_failures(self) -> None:
        """Raise what went wrong, in a form that depends on what was asked and not on how much."""
        if self.lost is not None:
            raise another(self.lost)
        if not self.failures:
            return
        if self._fail_fast or self._alone:
            raise self.failures[0]
        raise self.failed_together()

    def failed_together(self) -> TasksFailed:
        succeeded = [task for task in self.ended.values() if task.status == "SUCCESSED"]
        group = TasksFailed(
            f"{len(self.failures)} of {len(self.failures) + len(succeeded)} tasks failed; "
            f"the first: {self.failures[0]}",
            self.failures,
        )
        group.succeeded = succeeded
        return group

    def lose(self, error: CloudtowerError) -> None:
        """Learn that there is nothing more to learn."""
        self.lost = error
        self.turn.set()

    def take(self, tasks: dict[str, Task], error: CloudtowerError | None) -> None:
        """Learn from a poll, and say when the next one is due."""
        now = anyio.current_time()
        self.error = error
        for task_id in [task_id for task_id in self.pending if task_id in tasks]:
            self._unseen.discard(task_id)
            task = tasks[task_id]
            if task.status not in ("SUCCESSED", "FAILED"):
                continue
            del self.pending[task_id]
            self.ended[task_id] = task
            if task.status == "FAILED":
                self.failures.append(task_failed(task))
        if error is None and now >= self._unseen_until:
            for task_id in self._unseen:
                del self.pending[task_id]
                self.failures.append(TaskNotFound(task_id))
            self._unseen.clear()
        self.due = now + self._delay
        self._delay = min(self._delay * 2, self._interval)
        if self.over:
            self.turn.set()


class TaskWaiter:
    """Watches the tasks of a session.

    Args:
        caller: How to ask the server.
    """

    def __init__(self, caller: Caller) -> None:
        self._tasks = TaskNamespace(caller)
        self._waits: dict[_Wait, None] = {}
        self._led = False
        self._failing = False
        self._joined = anyio.Event()
        self._closed = False

    async def wait(
        self,
        waitable: Waitable,
        *,
        timeout: float | None = 300.0,
        interval: float = 5.0,
        grace: float = 30.0,
        fail_fast: bool = False,
    ) -> list[Task]:
        """Wait until every task has ended: what `Cloudtower.wait` does."""
        _check_times(timeout, interval, grace)
        ids = list(dict.fromkeys(task_ids(waitable)))
        wait = _Wait(ids, interval, grace, fail_fast)
        with anyio.move_on_after(timeout):
            await self._watch(wait)
        if not wait.over:
            raise TaskTimeout(list(wait.pending), timeout, wait.error) from wait.error
        wait.raise_failures()
        return [wait.ended[task_id] for task_id in ids]

    def close(self) -> None:
        """End every wait with `SessionClosed`."""
        self._closed = True
        self._joined.set()
        for wait in self._waits:
            wait.turn.set()

    async def _watch(self, wait: _Wait) -> None:
        """Lead, or be served by who leads, until the wait is over."""
        self._waits[wait] = None
        self._joined.set()
        try:
            while not wait.over:
                if self._closed:
                    raise SessionClosed
                if self._led:
                    wait.turn = anyio.Event()
                    await wait.turn.wait()
                else:
                    await self._lead(wait)
        finally:
            del self._waits[wait]
            if not self._led:
                self._hand_over()

    async def _lead(self, leader: _Wait) -> None:
        self._led = True
        try:
            while not (leader.over or self._closed):
                due = min(wait.due for wait in self._waits)
                if due > anyio.current_time():
                    await self._sleep_until(due)
                else:
                    await self._poll()
        finally:
            self._led = False

    def _hand_over(self) -> None:
        """Give the lead to one of those who still wait."""
        for wait in self._waits:
            wait.turn.set()
            break

    async def _sleep_until(self, due: float) -> None:
        """Sleep, but no longer than until somebody joins, whose first poll is due at once."""
        self._joined = anyio.Event()
        with anyio.move_on_after(max(0.0, due - anyio.current_time())):
            await self._joined.wait()

    async def _poll(self) -> None:
        """Ask once for the tasks of all who wait."""
        waits = list(self._waits)
        ids = list(dict.fromkeys(chain.from_iterable(wait.pending for wait in waits)))
        tasks: dict[str, Task] = {}
        errors: list[CloudtowerError] = []

        async def ask(some: list[str]) -> None:
            try:
                for task in await self._tasks.get_tasks(where={"id_in": some}, first=len(some)):
                    tasks[task.id] = task
            except CloudtowerError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            for start in range(0, len(ids), _MOST_IDS):
                group.start_soon(ask, ids[start : start + _MOST_IDS])
        if errors and not self._failing:
            _log.warning("asking for tasks failed and is tried again: %s", errors[0])
        self._failing = bool(errors)
        lasting = next((error for error in errors if not isinstance(error, _PASSING)), None)
        for wait in waits:
            if lasting is None:
                wait.take(tasks, errors[0] if errors else None)
            else:
                wait.lose(without_frames(lasting))
