"""How recipes tell how far they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from ..errors import CloudtowerError
from ..types import WithTask

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..flows.tasks import HasTaskId
    from ..models import Task
    from ..session import Cloudtower

T = TypeVar("T")


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


OnProgress: TypeAlias = Callable[[Progress], object]
"""Called with each news of a recipe, in the event loop: it has to return at once.

What it raises ends the recipe, as cancelling it does, and comes out of it.
"""


class Telling:
    """Tells one who wants to know, or nobody.

    Args:
        on_progress: Who is told.
        total: How many subjects there are.
    """

    def __init__(self, on_progress: OnProgress | None, total: int = 1) -> None:
        self._on_progress = on_progress
        self._done = 0
        self._total = total

    def step(self, subject: str, step: str, fraction: float = 0.0) -> None:
        """Tell what is being done."""
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    subject=subject,
                    step=step,
                    fraction=fraction,
                    done=self._done,
                    total=self._total,
                )
            )

    def end(self, subject: str, error: CloudtowerError | None = None) -> None:
        """Tell that a subject is finished."""
        self._done += 1
        self.step(subject, "done" if error is None else "failed", 1.0)

    @contextmanager
    def about(self, subject: str) -> Generator[None]:
        """Tell that a subject is finished when the block ends, well or with an error."""
        try:
            yield
        except CloudtowerError as error:
            self.end(subject, error)
            raise
        self.end(subject)


async def follow(
    tower: Cloudtower,
    started: HasTaskId,
    tell: Callable[[float], None],
    timeout: float | None,
) -> None:
    """Wait as `Cloudtower.wait` does for one task, and tell of its progress meanwhile."""
    task: Task | None = None
    async for task in tower.progress(started, timeout=timeout):
        tell(task.progress)
    await tower.wait(task)  # it has ended: this asks nobody, and raises what there is to raise


async def carry_out(
    tower: Cloudtower,
    started: WithTask[T],
    tell: Callable[[float], None],
    timeout: float | None,
) -> T:
    """Do what `Cloudtower.settle` does for one resource, and tell of the progress meanwhile."""
    await follow(tower, started, tell, timeout)
    return await tower.settle(WithTask(data=started.data), timeout=timeout)
