"""Errors of tasks that mutations start."""

# ruff: noqa: N818 - names without "Error" read well: `except ResourceLocked`
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ..control_characters import one_line
from ..lazy_module import LazyModule
from .base import CloudtowerError

if TYPE_CHECKING:
    from .. import models
else:
    models = LazyModule("..models", __package__)


class TaskError(CloudtowerError):
    """Base of errors about the tasks that a mutation started.

    Attributes:
        task_id: Id of the task. None if the error is about several tasks or about resources.
        resource_ids: Ids of the resources that the tasks create or change. Empty if these ids are
            unknown.
    """

    task_id: str | None = None
    resource_ids: tuple[str, ...] = ()


class TaskFailed(TaskError):
    """A task ended with the status FAILED.

    Attributes:
        task_id: Id of the task.
        code: The server's ``error_code``, such as ``"CREATE_VM_FORM_TEMPLATE_FAILED"``.
        ec: Error code of the underlying component, such as ``"VM_CLOUD_INIT_CONFIG_ERROR"``.
        message: The server's description of the failure.
        task: The failed task. None if the error has no details of the task.
    """

    def __init__(
        self,
        task_id: str,
        code: str | None = None,
        ec: str | None = None,
        message: str | None = None,
        task: models.Task | None = None,
    ) -> None:
        super().__init__(task_id)
        self.task_id: str = task_id  # pyright: ignore[reportIncompatibleVariableOverride]
        self.code = code
        self.ec = ec
        self.message = message
        self.task = task

    @property
    def resource_id(self) -> str | None:
        """Id of the resource that the task worked on, or None if the id is unknown."""
        return self.task.resource_id if self.task else None

    @property
    def resource_type(self) -> str | None:
        """Type of the resource, such as ``"Vm"``, or None if the type is unknown."""
        return self.task.resource_type if self.task else None

    def _describe(self) -> str:
        said = one_line(self.message) if self.message else "the server gave no reason"
        codes = ", ".join(code for code in (self.code, self.ec) if code)
        description = cast("str | None", self.task.description) if self.task else None
        what = f" ({one_line(description)})" if description else ""
        return f"task {self.task_id}{what} failed: {said}" + (f" [{codes}]" if codes else "")


class TasksFailed(CloudtowerError, ExceptionGroup[TaskError]):
    """One or more of several tasks failed. This error is an exception group, so ``except*`` works.

    If ``except*``, `split` or `subgroup` makes a smaller group, `succeeded` stays the same.

    Attributes:
        succeeded: The tasks that succeeded.
    """

    succeeded: Sequence[models.Task] = ()

    @property
    def failed(self) -> tuple[TaskFailed, ...]:
        """The errors of tasks that ended with the status FAILED.

        The attribute `exceptions` also has the errors of tasks that were not found or have an
        unknown status.
        """
        return tuple(error for error in self.exceptions if isinstance(error, TaskFailed))

    def derive(self, excs: Sequence[TaskError], /) -> TasksFailed:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a group of `excs` that has the message and `succeeded` of this group."""
        group = TasksFailed(self.message, excs)
        group.succeeded = self.succeeded
        return group


class TaskTimeout(TaskError, TimeoutError):
    """Tasks had not ended, or could not be read, when the time-out expired.

    The tasks continue to run. Wait again for the tasks in ``pending``, or read these tasks with
    ``tower.task.get_tasks``.

    Attributes:
        pending: Ids of the tasks that had not ended.
        timeout: Time-out in seconds.
        poll_error: Error of the last poll. None if the last poll succeeded.
        last_seen: Last known status and progress (0 to 1) of the tasks, by task id.
        unknown: Ids of tasks that the server did not list. Such a task was just started, or belongs
            to another server.
        answered: Whether any poll succeeded. If False, the state of the tasks is unknown.
        failures: Errors of the tasks that failed, were not found, or kept an unknown status.
        succeeded: The tasks that succeeded.
    """

    failures: Sequence[TaskError] = ()
    succeeded: Sequence[models.Task] = ()

    def __init__(
        self,
        pending: Sequence[str],
        timeout: float | None = None,
        poll_error: CloudtowerError | None = None,
        *,
        last_seen: Mapping[str, tuple[models.TaskStatus, float]] | None = None,
        unknown: Sequence[str] = (),
        answered: bool = True,
    ) -> None:
        super().__init__(pending)
        self.pending: tuple[str, ...] = tuple(pending)
        self.task_id: str | None = self.pending[0] if len(self.pending) == 1 else None
        self.timeout = timeout
        self.poll_error = poll_error
        self.last_seen: dict[str, tuple[models.TaskStatus, float]] = dict(last_seen or {})
        self.unknown: tuple[str, ...] = tuple(unknown)
        self.answered = answered

    def _describe(self) -> str:
        number = f"{len(self.pending)} task" + ("s" if len(self.pending) != 1 else "")
        after = "" if self.timeout is None else f" after {self.timeout:g} s"
        shown = ", ".join(map(self._shown, self.pending[:5]))
        shown += ", …" if len(self.pending) > 5 else ""
        failed = f"Other tasks that failed: {len(self.failures)}. " if self.failures else ""
        ended = "still running"
        if self.unknown or self.poll_error is not None or not self.answered:
            ended = "not known to have ended"
        changing = ", ".join(self.resource_ids[:5]) + (", …" if len(self.resource_ids) > 5 else "")
        about = f" (creating or changing {changing})" if changing else ""
        return f"{number} {ended}{after}: {shown}{about}. {failed}{self._advice()}"

    def _advice(self) -> str:
        if not self.answered:
            why = f": {self.poll_error}" if self.poll_error else ". Check the endpoint."
            return f"The server never answered get_tasks{why}"
        if self.poll_error is not None:
            return f"The last poll failed: {self.poll_error}"
        again = "wait again, with a longer timeout= if needed."
        if not self.unknown:
            return f"The tasks continue: {again}"
        goes_on = "" if len(self.unknown) == len(self.pending) else "The other tasks continue. "
        return f"{goes_on}Check the unknown ids and the endpoint, or {again}"

    def _shown(self, task_id: str) -> str:
        if task_id in self.unknown:
            return f"{task_id} (unknown to the server so far)"
        if task_id not in self.last_seen:
            return task_id
        status, progress = self.last_seen[task_id]
        return f"{task_id} ({status}, {progress:.0%})"


class TaskNotFound(TaskError):
    """The server does not list a task, even after the grace period of the wait.

    The grace period is the argument ``grace`` of methods such as `Cloudtower.wait`.

    Attributes:
        task_id: Id of the task.
        last_seen: Status and progress (0 to 1) of the task before it disappeared. None if the
            server never listed the task.
    """

    def __init__(
        self, task_id: str, *, last_seen: tuple[models.TaskStatus, float] | None = None
    ) -> None:
        super().__init__(task_id)
        self.task_id: str = task_id  # pyright: ignore[reportIncompatibleVariableOverride]
        self.last_seen = last_seen

    def _describe(self) -> str:
        if self.last_seen is None:
            return f"task {self.task_id} is unknown to the server. Check the id and the endpoint."
        status, progress = self.last_seen
        return (
            f"task {self.task_id} disappeared from the server; its last known state was {status} "
            f"({progress:.0%}). Its work may be done or still continue: read the resource that the "
            "task changes."
        )


class UnknownTaskStatus(TaskError):
    """A task has had an unknown status for `grace` seconds, and did not change in this time.

    The task may still be running. Read the task with ``tower.task.get_tasks``, or wait for the task
    again.

    Attributes:
        task_id: Id of the task.
        status: The unknown status. None if the server sent no status.
        progress: Progress of the task, from 0 to 1.
        grace: Number of seconds during which the status and the progress did not change.
    """

    def __init__(
        self,
        task_id: str,
        status: models.TaskStatus | None,
        progress: float = 0.0,
        *,
        grace: float = 0.0,
    ) -> None:
        super().__init__(task_id, status, progress)
        self.task_id: str = task_id  # pyright: ignore[reportIncompatibleVariableOverride]
        self.status = status
        self.progress = progress
        self.grace = grace

    def _describe(self) -> str:
        known = "no status" if self.status is None else f"the unknown status {self.status!s:.80}"
        return (
            f"task {self.task_id} has {known} ({self.progress:.0%}), unchanged for "
            f"{self.grace:g} s. It may still run: look at it with tower.task.get_tasks, "
            "or wait for it again."
        )


class SettleTimeout(TaskError, TimeoutError):
    """The tasks ended, but resources were still being changed when the time-out expired.

    The server continues to change the resources. A resource is ready when its ``entityAsyncStatus``
    is None.

    Attributes:
        unsettled: Last known ``entityAsyncStatus`` of each resource by id, such as ``"UPDATING"``.
            Here, None means that the resource was not read.
        timeout: Time-out in seconds.
        poll_error: Error of the last poll. None if the last poll succeeded.
    """

    def __init__(
        self,
        unsettled: Mapping[str, str | None],
        timeout: float | None = None,
        poll_error: CloudtowerError | None = None,
    ) -> None:
        super().__init__(unsettled)
        self.unsettled: dict[str, str | None] = dict(unsettled)
        self.resource_ids: tuple[str, ...] = tuple(self.unsettled)
        self.timeout = timeout
        self.poll_error = poll_error

    def _describe(self) -> str:
        number = f"{len(self.unsettled)} resource" + ("s" if len(self.unsettled) != 1 else "")
        after = "" if self.timeout is None else f" after {self.timeout:g} s"
        first = list(self.unsettled.items())[:5]
        shown = ", ".join(f"{one} ({status})" if status else one for one, status in first)
        more = ", …" if len(self.unsettled) > len(first) else ""
        why = (
            "Their tasks have ended; read the resources again later."
            if self.poll_error is None
            else f"The last poll failed: {self.poll_error}"
        )
        return f"{number} not known to be ready{after}: {shown}{more}. {why}"


class ReadBackFailed(TaskError):
    """A mutation was accepted, but its result could not be read. ``__cause__`` is the reason.

    Do not repeat the mutation. Read the resources later.

    Attributes:
        resource_ids: Ids of the resources that the mutation created or changed.
        done: Whether the server has completed the mutation. If False, the tasks could not be
            observed, and may still be running.
        reason: Error that prevented reading the result.
    """

    def __init__(
        self, resource_ids: Sequence[str], reason: Exception, *, done: bool = False
    ) -> None:
        super().__init__(resource_ids, reason)
        self.resource_ids: tuple[str, ...] = tuple(resource_ids)
        self.reason: Exception = reason
        self.done: bool = done
        self.__cause__: BaseException | None = reason

    def _describe(self) -> str:
        state = (
            "the work is done, but its result could not be read"
            if self.done
            else "the work was started, but could not be watched to its end"
        )
        shown = ", ".join(self.resource_ids[:5]) + (", …" if len(self.resource_ids) > 5 else "")
        return f"{state}: {shown}. Do not repeat it; read these ids later. Reason: {self.reason}"
