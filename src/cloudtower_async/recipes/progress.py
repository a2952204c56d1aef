"""How recipes tell how far they are."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import msgspec

from .. import models
from ..client import Cloudtower
from ..errors import CallError, NotFound, ReadBackFailed, SettleTimeout, TaskError
from ..plans import PlannedAnswer
from ..queries.batches import Resource
from ..tasks.waiter import HasTaskId
from ..types import WithTask
from ..validators import callback_fault, check_argument
from .batch import only

T = TypeVar("T", bound="Resource")


class Progress(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """How far a recipe is, told each time that there is news of one of the things it works on.

    Attributes:
        subject: What there is news of: the name of a VM or a host.
        step: What is being done to it; each recipe lists its steps. The last one of each subject is
            ``"done"`` or ``"failed"``.
        fraction: How much of the step is done, 0 to 1, as far as the server tells.
        done: How many subjects are finished, well or not.
        total: Of how many.
    """

    subject: str
    step: str
    fraction: float
    done: int
    total: int


ENDS = ("done", "failed")
"""Last steps of a subject."""

OnProgress: TypeAlias = Callable[[Progress], object]
"""Called with each news of a recipe, in the event loop: it has to return at once.

What it raises ends the recipe, as cancelling it does, and comes out of it.
"""


class Telling:
    """Tells one who wants to know, or nobody.

    Args:
        on_progress: Who is told.
        total: How many subjects there are.

    Attributes:
        raised: What `on_progress` raised: that ends the recipe, unlike errors of a single subject.
    """

    def __init__(self, on_progress: OnProgress | None, total: int = 1) -> None:
        check_argument("recipes", "on_progress", callback_fault(on_progress))
        self.raised: Exception | None = None
        self._on_progress = on_progress
        self._done = 0
        self._total = total

    def step(self, subject: str, step: str, fraction: float = 0.0) -> None:
        """Tell what is being done."""
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
        """Tell that a subject is finished."""
        self._done += 1
        self.step(subject, "done" if error is None else "failed", 1.0)

    @contextmanager
    def about(self, subject: str) -> Generator[None]:
        """Tell that a subject is finished when the block ends, well or with an error."""
        try:
            yield
        except Exception as error:
            if error is not self.raised:
                self.end(subject, error)
            raise
        self.end(subject)


def label(resource: models.Vm | models.Host) -> str:
    """Return what people call a resource, also where the server leaves out its name."""
    return resource.name or resource.id or "unnamed"


async def follow(
    tower: Cloudtower,
    started: HasTaskId,
    tell: Callable[[float], None],
    timeout: float | None,
    resource_ids: Sequence[str] = (),
) -> None:
    """Wait as `Cloudtower.wait` does for one task, and tell of its progress meanwhile.

    Args:
        tower: The session.
        started: Answer of the mutation.
        tell: Told the progress of the task, 0 to 1.
        timeout: Seconds to wait for the task; None: no limit.
        resource_ids: Ids of the resources that the task creates or changes, for errors.

    Raises:
        TaskError: The task failed or is not known to have ended.
        ReadBackFailed: The task could not be watched.
    """
    task: models.Task | None = None
    try:
        async for task in tower.progress(started, timeout=timeout):
            tell(min(max(task.progress or 0.0, 0.0), 1.0))
        await tower.wait(task)  # it has ended: this sends nothing, and raises its error
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
    """Do what `Cloudtower.settle` does for one resource, and tell of the progress meanwhile.

    Args:
        tower: The session.
        started: Answer of the mutation, with the resource.
        tell: Told the progress of the task, 0 to 1.
        timeout: Seconds to wait for the task, and for the resource to settle; None: no limit.

    Raises:
        TaskError: See `follow`; or the resource did not settle.
        ReadBackFailed: The work is done, but the resource could not be read.
        NotFound: The resource is not there any more.
    """
    await follow(tower, started, tell, timeout, [started.data.id])
    if isinstance(started, PlannedAnswer):  # nothing changes it, and it may not exist
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
    """Return the one resource that a mutation creates, once it has settled.

    Args:
        tower: The session.
        answers: Answer of the mutation.
        operation: Name of the method, for errors.
        timeout: Seconds to wait for the task, and for the resource to settle; None: no limit.
        tell: Told the progress of the task, 0 to 1.

    Raises:
        OutcomeUnknown: The server answered with none, with several, or without naming it.
        TaskError: See `carry_out`.
        ReadBackFailed: It was created, but could not be read, or is not listed.
    """
    created = only(answers, operation, tower)
    try:
        return await carry_out(tower, created, tell or ignore_progress, timeout)
    except NotFound as error:
        raise ReadBackFailed([created.data.id], error, done=True) from error


def ignore_progress(_: float) -> None:
    """Tell nobody."""


async def read_back(tower: Cloudtower, resource: T, timeout: float | None) -> T:
    """Read a resource again, once nothing changes it any more.

    Raises:
        SettleTimeout: Something still changes it.
        ReadBackFailed: It could not be read.
        NotFound: It is not there any more.
    """
    try:
        return await tower.settle(WithTask(data=resource), timeout=timeout)
    except CallError as error:
        if isinstance(error, NotFound) and error.status is None:
            raise
        raise ReadBackFailed([resource.id], error, done=True) from error
    except SettleTimeout as error:
        error.resource_ids = (resource.id,)
        raise
