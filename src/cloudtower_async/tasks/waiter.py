"""Wait for the tasks that mutations start."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, ForwardRef, Literal, NamedTuple, Protocol, TypeAlias, cast

import anyio
import msgspec

from ..errors import InvalidInput, ResponseDecodeError, TaskError, TasksFailed, TaskTimeout
from ..models import Task
from ..validators import check_wait, close_calls
from .pending import Pending, check_endpoint
from .poller import TaskPoller
from .subscription import ENDED, LAST_POLL, LATE, TaskSubscription
from .task_errors import task_failed

if TYPE_CHECKING:
    from ..calls.executor import Executor


class HasTaskId(Protocol):
    """Answer that holds the id of a task, such as `WithTask`."""

    @property
    def task_id(self) -> str | None:
        """Id of the task; None if the mutation needed no task and the work is done."""
        ...


Waitable: TypeAlias = (
    "str | Task | HasTaskId | Pending[object] | Mapping[str, object] | Iterable[Waitable] | None"
)
"""A task, the id of a task, an answer with a ``task_id``, or nested lists of these.

A `Pending` and the plain dicts that `Cloudtower.request` returns are also accepted. None stands for
work that is already done.
"""
if not TYPE_CHECKING:  # lets other modules evaluate annotations that contain `Waitable`
    Waitable = ForwardRef(Waitable, module=__name__)


class _Given(NamedTuple):
    """Tasks to wait for.

    Args:
        tasks: Tasks by id, in the order in which the caller passed them. The value is the task if
            it has ended; otherwise, the value is None.
        resources: Ids of the resources that a mutation returned with the task, by id of the task.
    """

    tasks: dict[str, Task | None]
    resources: dict[str, list[str]]

    def pending(self) -> list[str]:
        """Return the ids of the tasks that are not known to have ended."""
        return [task_id for task_id, task in self.tasks.items() if task is None]

    def record(self, news: Iterable[Task]) -> None:
        """Store the tasks in `news` that have ended."""
        self.tasks.update((task.id, task) for task in news if task.status in ENDED)

    def results(self, subscription: TaskSubscription) -> tuple[list[Task], list[TaskError]]:
        """Return two lists: tasks that have ended, and an error for each unsuccessful task."""
        ended = [task for task in self.tasks.values() if task is not None]
        failures: list[TaskError] = [task_failed(t) for t in ended if t.status == "FAILED"]
        return ended, failures + subscription.given_up


class TaskWaiter:
    """Waits for tasks.

    Args:
        executor: Executor of the calls.
    """

    def __init__(self, executor: Executor) -> None:
        self._poller = TaskPoller(executor)
        self._transport = executor.transport

    async def wait(
        self,
        waitable: Waitable | Awaitable[Waitable],
        *,
        timeout: float | None,
        interval: float,
        grace: float,
        fail_fast: bool = False,
    ) -> list[Task]:
        """Wait until every task has ended; see `Cloudtower.wait`."""
        check_times("wait", waitable, timeout, interval, grace)
        given = await _tasks_in("wait", waitable, self._transport.settings.endpoints)
        self._transport.running_loop()
        until: Literal["end", "failure"] = "failure" if fail_fast else "end"
        subscription = TaskSubscription(given.pending(), interval, grace, given.resources, until)
        if subscription.pending:
            await self._follow(subscription, timeout)
        given.record(subscription.news)
        ended, failures = given.results(subscription)
        if failures and fail_fast:
            raise failures[0]
        if subscription.pending:
            raise _timed_out(subscription, timeout, ended, failures)
        if failures:
            raise failures[0] if len(given.tasks) == 1 else _together(ended, failures)
        return ended

    async def iterate(
        self,
        waitable: Waitable | Awaitable[Waitable],
        *,
        timeout: float | None,
        interval: float,
        grace: float,
        every_change: bool,
    ) -> AsyncGenerator[Task]:
        """Yield tasks for `Cloudtower.as_completed` and `Cloudtower.progress`."""
        asker = "progress" if every_change else "as_completed"
        check_times(asker, waitable, timeout, interval, grace)
        given = await _tasks_in(asker, waitable, self._transport.settings.endpoints)
        self._transport.running_loop()
        for task in given.tasks.values():
            if task is not None:
                yield task
        subscription = TaskSubscription(
            given.pending(), interval, grace, given.resources, "news", every_change=every_change
        )
        left = timeout
        while subscription.pending:
            began = anyio.current_time()
            # The consumer may be slow. Only the time spent in `_follow` counts for the time-out,
            # and tasks are only polled during this time.
            await self._follow(subscription, left)
            if left is not None:
                left = max(0.0, left - (anyio.current_time() - began))
            if subscription.pending and not subscription.news:
                raise _timed_out(subscription, timeout, *given.results(subscription))
            news, subscription.news = subscription.news, []
            given.record(news)
            for task in news:
                yield task
        if subscription.given_up:
            ended, failures = given.results(subscription)
            raise failures[0] if len(given.tasks) == 1 else _together(ended, failures)

    async def _follow(self, subscription: TaskSubscription, timeout: float | None) -> None:
        """Poll until the subscription is over or the time-out has passed.

        If the time-out has passed while the machine was asleep, poll once more.
        """
        with anyio.move_on_after(timeout) as scope:
            await self._poller.follow(subscription)
        now = anyio.current_time()
        if subscription.over or now - scope.deadline < LATE:
            return
        subscription.expire(now)
        with anyio.move_on_after(LAST_POLL):
            await self._poller.follow(subscription)

    def close(self) -> None:
        """End every wait with `SessionClosed`."""
        self._poller.close()


def check_times(
    asker: str, waitable: object, timeout: float | None, interval: float, grace: float
) -> None:
    """Check the arguments of a wait.

    If an argument is invalid, close the coroutines in `waitable`, because they will never be
    awaited.
    """
    try:
        check_wait(asker, timeout, interval, grace)
    except InvalidInput:
        close_calls(waitable)
        raise


async def _tasks_in(
    asker: str, waitable: Waitable | Awaitable[Waitable], endpoints: Sequence[str]
) -> _Given:
    """Return the tasks in the arguments, after awaiting the arguments if necessary."""
    given = await waitable if isinstance(waitable, Awaitable) else waitable
    found = _Given({}, {})
    tasks = found.tasks
    try:
        for one, resources in _flat(asker, given, endpoints):
            task_id = one if isinstance(one, str) else one.id
            if resources:
                found.resources.setdefault(task_id, []).extend(resources)
            if isinstance(one, str):
                tasks.setdefault(one)
            elif not one.id:
                raise ResponseDecodeError(
                    f"{asker}: the server left out the id of a task, so it cannot be waited for",
                    place="$.id",
                )
            else:
                tasks[one.id] = one if one.status in ENDED else tasks.get(one.id)
    except (InvalidInput, ResponseDecodeError):
        close_calls(given)
        raise
    return found


def _flat(
    asker: str, waitable: object, endpoints: Sequence[str]
) -> Iterator[tuple[str | Task, list[str]]]:
    """Yield each task or task id in nested arguments, with the ids of the task's resources.

    The arguments are not changed.
    """
    wrong, kind = waitable, type(waitable).__name__  # shown in the error below
    if waitable is None:
        return
    if isinstance(waitable, str):
        yield waitable, []
    elif isinstance(waitable, Task):
        yield waitable, [waitable.resource_id] if waitable.resource_id else []
    elif isinstance(waitable, Pending):
        pending = cast("Pending[object]", waitable)
        check_endpoint(asker, pending, endpoints)
        for answer in pending.answers:
            if answer.task_id is not None:
                yield answer.task_id, _ids_of(answer.resources)
    elif isinstance(waitable, msgspec.Struct) and "task_id" in waitable.__struct_fields__:
        for task, _ in _flat(asker, cast("HasTaskId", waitable).task_id, endpoints):
            yield task, _ids_of(getattr(waitable, "data", None))
    elif isinstance(waitable, Mapping) and "task_id" in waitable:
        plain = cast("Mapping[str, object]", waitable)
        for task, _ in _flat(asker, plain["task_id"], endpoints):
            yield task, _ids_of(plain.get("data"))
    elif isinstance(waitable, Iterable) and not isinstance(waitable, Mapping):
        for part in cast("Iterable[object]", waitable):
            yield from _flat(asker, part, endpoints)
    else:
        close_calls(wrong)
        remedy = "; await each call first" if isinstance(wrong, Awaitable) else ""
        raise InvalidInput(
            f"{asker}: expected ids of tasks, tasks, answers of mutations, or any nesting of "
            f"these; got {kind}{remedy}"
        )


def _ids_of(data: object) -> list[str]:
    """Return the ids of one or several resources, which are structs or plain dicts."""
    resources = cast("Sequence[object]", data if isinstance(data, list | tuple) else (data,))
    ids = [
        cast("Mapping[str, object]", one).get("id")
        if isinstance(one, Mapping)
        else getattr(one, "id", None)
        for one in resources
    ]
    return [one for one in ids if isinstance(one, str) and one]


def _timed_out(
    wait: TaskSubscription, timeout: float | None, ended: list[Task], failures: list[TaskError]
) -> TaskTimeout:
    error = TaskTimeout(
        list(wait.pending),
        timeout,
        wait.error,
        last_seen={task_id: state for task_id, state in wait.pending.items() if state is not None},
        unknown=wait.unknown,
        answered=wait.answered,
    )
    error.failures, error.succeeded = failures, _succeeded(ended)
    resources = (wait.resources.get(task_id, ()) for task_id in wait.pending)
    error.resource_ids = tuple(dict.fromkeys(chain.from_iterable(resources)))
    error.__cause__ = wait.error
    return error


def _together(ended: list[Task], failures: list[TaskError]) -> TasksFailed:
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
