"""Progress reports of recipes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import msgspec

from .. import models
from ..client import Cloudtower
from ..errors import CallError, NotFound, ReadBackFailed, TaskError
from ..plans import PlannedAnswer
from ..queries.batches import Resource
from ..tasks.waiter import HasTaskId
from ..types import WithTask
from ..validators import callback_fault, check_argument
from .batch import only

T = TypeVar("T", bound="Resource")


class Progress(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Report of the progress of a recipe.

    A report is about one subject: a VM, host or template that the recipe works on. The recipe sends
    a report whenever the `step` or the `fraction` of a subject changes.

    Attributes:
        subject: Name of the VM, host or template that the report is about.
        step: Current step of the subject. The docstring of each recipe lists the steps. The last
            step of each subject is ``"done"`` or ``"failed"``.
        fraction: Completed share of the step, from 0 to 1, as reported by the server.
        done: Number of subjects that have finished, successfully or not.
        total: Number of all subjects.
    """

    subject: str
    step: str
    fraction: float
    done: int
    total: int


ENDS = ("done", "failed")
"""Possible last steps of a subject."""

OnProgress: TypeAlias = Callable[[Progress], object]
"""Function that a recipe calls with each `Progress`. It runs in the event loop and must not block.

If the function raises an exception, the recipe stops as if it were cancelled, and raises the
exception.
"""


class Telling:
    """Reporter of progress. It calls the caller's function, if the caller passed a function.

    Args:
        on_progress: Function to call with each report. None means that progress is not reported.
        total: Number of VMs, hosts or templates that the recipe works on.

    Attributes:
        raised: Exception that `on_progress` raised, or None. This exception ends the whole recipe.
    """

    def __init__(self, on_progress: OnProgress | None, total: int = 1) -> None:
        check_argument("recipes", "on_progress", callback_fault(on_progress))
        self.raised: Exception | None = None
        self._on_progress = on_progress
        self._done = 0
        self._total = total

    def step(self, subject: str, step: str, fraction: float = 0.0) -> None:
        """Report the current step of a subject."""
        if self._on_progress is None:
            return
        news = Progress(
            subject=subject, step=step, fraction=fraction, done=self._done, total=self._total
        )
        try:
            self._on_progress(news)
        except Exception as error:
            self.raised = error
            raise

    def end(self, subject: str, error: Exception | None = None) -> None:
        """Report that a subject has finished."""
        self._done += 1
        self.step(subject, "done" if error is None else "failed", 1.0)

    @contextmanager
    def about(self, subject: str) -> Generator[None]:
        """When the ``with`` block ends, report that the VM, host or template is done or failed."""
        try:
            yield
        except Exception as error:
            if error is not self.raised:
                self.end(subject, error)
            raise
        self.end(subject)


def label(resource: models.Vm | models.Host) -> str:
    """Return the name of a resource. If it has no name, return its id, or else ``"unnamed"``."""
    return resource.name or resource.id or "unnamed"


async def follow(
    tower: Cloudtower,
    started: HasTaskId,
    tell: Callable[[float], None],
    timeout: float | None,
    resource_ids: Sequence[str] = (),
) -> None:
    """Wait for one task as `Cloudtower.wait` does, and report its progress.

    Args:
        tower: The session.
        started: Answer of the mutation.
        tell: Function to call with the progress of the task, from 0 to 1.
        timeout: Seconds to wait for the task. None means no limit.
        resource_ids: Ids of the resources that the task creates or changes. Errors contain these
            ids.

    Raises:
        TaskError: The task failed, or it is unknown whether the task has ended.
        ReadBackFailed: A poll failed with an error that is not retried.
    """
    task: models.Task | None = None
    try:
        async for task in tower.progress(started, timeout=timeout):
            tell(min(max(task.progress or 0.0, 0.0), 1.0))
        # The task has ended, so this call sends no request. It raises the error of a failed task.
        await tower.wait(task)
    except TaskError as error:
        error.resource_ids = error.resource_ids or tuple(resource_ids)
        raise
    except CallError as error:
        if not resource_ids:
            raise
        raise ReadBackFailed(resource_ids, error, done=False) from error


async def carry_out(
    tower: Cloudtower,
    started: WithTask[T],
    tell: Callable[[float], None],
    timeout: float | None,
) -> T:
    """Wait until one resource has settled, as `Cloudtower.settle` does, and return the resource.

    The progress of the task is reported.

    Args:
        tower: The session.
        started: Answer of the mutation, with the resource.
        tell: Function to call with the progress of the task, from 0 to 1.
        timeout: Maximum number of seconds for each of two waits: first for the task, then until the
            resource is no longer changing. None means no limit.

    Raises:
        TaskError: The task failed, it is unknown whether the task has ended, or the resource did
            not settle.
        ReadBackFailed: The task has succeeded, but the resource could not be read.
        ResponseDecodeError: The task has succeeded, but the answer of the mutation lacks the id of
            the resource.
        NotFound: The resource no longer exists.
    """
    identifier = getattr(started.data, "id", None)
    await follow(tower, started, tell, timeout, [identifier] if identifier else [])
    if not identifier:
        return await tower.settle(started, timeout=timeout)
    # In plan mode, nothing was sent, so the resource may not exist.
    if isinstance(started, PlannedAnswer):
        data: T = started.data
        return data
    return await read_back(tower, started.data, timeout)


async def created_resource(
    tower: Cloudtower,
    answers: Sequence[WithTask[T]],
    operation: str,
    timeout: float | None,
    tell: Callable[[float], None] | None = None,
) -> T:
    """Return the single resource that a mutation creates, after the resource has settled.

    Args:
        tower: The session.
        answers: Answers of the mutation, one for each resource.
        operation: Name of the method, used in error messages.
        timeout: Maximum number of seconds for each of two waits: first for the task, then until the
            resource is no longer changing. None means no limit.
        tell: Function to call with the progress of the task, from 0 to 1.

    Raises:
        OutcomeUnknown: There is no answer, there are several answers, or the answer has no resource
            with an id.
        TaskError: See `carry_out`.
        ReadBackFailed: The resource was created, but could not be read, or the server does not
            list it.
    """
    created = only(answers, operation, tower)
    try:
        return await carry_out(tower, created, tell or ignore_progress, timeout)
    except NotFound as error:
        raise ReadBackFailed([created.data.id], error, done=True) from error


def ignore_progress(_: float) -> None:
    """Ignore the progress of a task."""


async def read_back(tower: Cloudtower, resource: T, timeout: float | None) -> T:
    """Wait until a resource has settled, read the resource again, and return the new state.

    Raises:
        SettleTimeout: The resource was still changing after `timeout` seconds.
        ReadBackFailed: The resource could not be read.
        NotFound: The resource no longer exists.
    """
    try:
        return await tower.settle(WithTask(data=resource), timeout=timeout)
    except CallError as error:
        if isinstance(error, NotFound) and error.status is None:
            raise
        raise ReadBackFailed([resource.id], error, done=True) from error
