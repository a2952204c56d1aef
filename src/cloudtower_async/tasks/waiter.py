"""Waiting for the tasks that mutations start."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import anyio
import msgspec

from ..calls.unawaited import close_calls
from ..errors import InvalidInput, ResponseDecodeError, TaskError, TasksFailed, TaskTimeout
from ..models import Task
from ..validators import check_wait
from .poller import TaskPoller
from .subscription import LAST_POLL, LATE, TaskSubscription, has_ended
from .task_errors import task_failed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ..calls.executor import Executor


class HasTaskId(Protocol):
    """An answer that names the task that does the work, such as `WithTask`."""

    @property
    def task_id(self) -> str | None:
        """Id of the task; None: the work is done."""
        ...


Waitable: TypeAlias = "str | Task | HasTaskId | Mapping[str, object] | Iterable[Waitable] | None"
"""A task, its id, an answer with a ``task_id``, or any nesting of these. None is already done.

Answers of `Cloudtower.request`, which are plain dicts, are accepted as well.
"""


class TaskWaiter:
    """Waits for the tasks of a session.

    Args:
        caller: How to ask the server.
    """

    def __init__(self, caller: Executor) -> None:
        self._poll = TaskPoller(caller)
        self._transport = caller.transport

    async def wait(
        self,
        waitable: Waitable | Awaitable[Waitable],
        *,
        timeout: float | None,
        interval: float,
        grace: float,
        fail_fast: bool,
    ) -> list[Task]:
        """Wait until every task has ended: what `Cloudtower.wait` does."""
        _check_times("wait", waitable, timeout, interval, grace)
        given = await _tasks_in("wait", waitable)
        self._transport.running_loop()
        watch = TaskSubscription(
            _going_on(given), interval, grace, _failed if fail_fast else _never
        )
        if watch.pending:
            await self._follow(watch, timeout)
        ended = _ended(given) | {task.id: task for task in watch.news}
        # In the order given, not in that in which they were seen.
        tasks = [ended[task_id] for task_id in given if task_id in ended]
        failures: list[TaskError] = [task_failed(t) for t in tasks if t.status == "FAILED"]
        failures += watch.given_up
        if failures and fail_fast:
            raise failures[0]
        if watch.pending:
            raise _timed_out(watch, timeout, failures, tasks)
        if failures:
            raise failures[0] if len(given) == 1 else _together(failures, tasks)
        return tasks

    async def iterate(
        self,
        waitable: Waitable | Awaitable[Waitable],
        *,
        timeout: float | None,
        interval: float,
        grace: float,
        every_change: bool,
    ) -> AsyncGenerator[Task]:
        """Yield tasks as they end, or change: `Cloudtower.as_completed` and `.progress`."""
        what = "progress" if every_change else "as_completed"
        _check_times(what, waitable, timeout, interval, grace)
        given = await _tasks_in(what, waitable)
        self._transport.running_loop()
        for task in _ended(given).values():
            yield task
        watch = TaskSubscription(
            _going_on(given), interval, grace, _has_news, every_change=every_change
        )
        left = timeout
        while watch.pending:
            began = anyio.current_time()
            # Whoever takes the tasks may take his time: only here somebody waits, and only then
            # the tasks are asked for.
            await self._follow(watch, left)
            if left is not None:
                left = max(0.0, left - (anyio.current_time() - began))
            if not watch.satisfied:
                raise _timed_out(watch, timeout, watch.given_up, [])
            news, watch.news = watch.news, []
            for task in news:
                yield task
        if failures := watch.given_up:
            raise failures[0] if len(given) == 1 else _together(failures, [])

    async def _follow(self, watch: TaskSubscription, timeout: float | None) -> None:
        """Poll until the watch is over or the time is up; after a clock jump, poll once more."""
        with anyio.move_on_after(timeout) as scope:
            await self._poll.follow(watch)
        now = anyio.current_time()
        if watch.over or now - scope.deadline < LATE:
            return
        watch.expire(now)
        with anyio.move_on_after(LAST_POLL):
            await self._poll.follow(watch)

    def close(self) -> None:
        """End every wait with `SessionClosed`."""
        self._poll.close()


def _never(_: TaskSubscription) -> bool:
    return False


def _failed(watch: TaskSubscription) -> bool:
    return watch.failed


def _has_news(watch: TaskSubscription) -> bool:
    return bool(watch.news)


def _check_times(
    what: str, waitable: object, timeout: float | None, interval: float, grace: float
) -> None:
    try:
        check_wait(what, timeout, interval, grace)
    except InvalidInput:
        close_calls(waitable)
        raise


async def _tasks_in(what: str, waitable: Waitable | Awaitable[Waitable]) -> dict[str, Task | None]:
    """What a caller waits for, each task once: ids, and tasks where these were given."""
    given = await waitable if isinstance(waitable, Awaitable) else waitable
    tasks: dict[str, Task | None] = {}
    try:
        for one in _flat(what, given):
            if isinstance(one, str):
                tasks.setdefault(one)
            elif not one.id:
                raise ResponseDecodeError(
                    f"{what}: the server left out the id of a task, so it cannot be waited for",
                    place="$.id",
                )
            else:
                tasks[one.id] = one
    except (InvalidInput, ResponseDecodeError):
        close_calls(given)
        raise
    return tasks


def _flat(what: str, waitable: object) -> Iterator[str | Task]:
    """Take nestings apart, in their order. They are only read, never changed."""
    wrong, kind = waitable, type(waitable).__name__  # unless it is one of these
    if waitable is None:
        return
    if isinstance(waitable, str | Task):
        yield waitable
    elif isinstance(waitable, msgspec.Struct) and "task_id" in waitable.__struct_fields__:
        yield from _flat(what, cast("HasTaskId", waitable).task_id)
    elif isinstance(waitable, Mapping) and "task_id" in waitable:
        yield from _flat(what, cast("Mapping[str, object]", waitable)["task_id"])
    elif isinstance(waitable, Iterable) and not isinstance(waitable, Mapping):
        for part in cast("Iterable[object]", waitable):
            yield from _flat(what, part)
    else:
        close_calls(wrong)
        remedy = "; await each call first" if isinstance(wrong, Awaitable) else ""
        raise InvalidInput(
            f"{what}: expected ids of tasks, tasks, answers of mutations, or any nesting of these; "
            f"got {kind}{remedy}"
        )


def _ended(given: dict[str, Task | None]) -> dict[str, Task]:
    """The tasks that had ended already when they were given: that does not change any more."""
    return {task_id: task for task_id, task in given.items() if task and has_ended(task)}


def _going_on(given: dict[str, Task | None]) -> list[str]:
    return [task_id for task_id, task in given.items() if task is None or not has_ended(task)]


def _timed_out(
    watch: TaskSubscription, timeout: float | None, failures: list[TaskError], ended: list[Task]
) -> TaskTimeout:
    seen = {task_id: state for task_id, state in watch.pending.items() if state is not None}
    error = TaskTimeout(
        list(watch.pending),
        timeout,
        watch.error,
        last_seen=seen,
        unknown=watch.unknown,
        answered=watch.answered,
    )
    error.failures, error.succeeded = failures, _succeeded(ended)
    error.__cause__ = watch.error
    return error


def _together(failures: list[TaskError], ended: list[Task]) -> TasksFailed:
    succeeded = _succeeded(ended)
    group = TasksFailed(
        f"{len(failures)} of {len(failures) + len(succeeded)} tasks failed; "
        f"the first: {failures[0]}",
        failures,
    )
    group.succeeded = succeeded
    return group


def _succeeded(ended: list[Task]) -> list[Task]:
    return [task for task in ended if task.status == "SUCCESSED"]
