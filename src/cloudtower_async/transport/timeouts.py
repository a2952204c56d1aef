"""When calls have to be done, watched with one timer for all of them.

`asyncio.timeout` does the same with a timer for each, which hardly any call needs: that would be a
third of all that we add to the cost of a call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import TracebackType


class Deadlines:
    """Ends what is over time, or everything."""

    def __init__(self) -> None:
        self._limits: set[Limit] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # of the timer

    def limit(self, deadline: float, loop: asyncio.AbstractEventLoop | None = None) -> Limit:
        """Make a block that ends with TimeoutError at a time, by the clock of the event loop.

        Args:
            deadline: When it ends.
            loop: The running event loop, which is looked for if this is None.
        """
        return Limit(self, deadline, loop)

    def watch(self, limit: Limit, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch a limit, by the clock of this event loop."""
        self._limits.add(limit)
        if self._timer is None or limit.deadline < self._timer.when() or self._loop is not loop:
            self._set_timer(loop, limit.deadline)

    def forget(self, limit: Limit) -> None:
        """Watch it no longer. The timer goes on: without it, the next limit would set one."""
        self._limits.discard(limit)

    def end_all(self) -> None:
        """End all, as soon as the event loop comes to it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for limit in self._limits:
            limit.deadline = now
        self._set_timer(loop, now)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._end_due, loop, when)
        self._loop = loop

    def _end_due(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        now = max(when, loop.time())  # timers may go off a bit too early
        self._timer = None
        for limit in [limit for limit in self._limits if limit.deadline <= now]:
            self._limits.discard(limit)
            limit.end()
        if self._limits:
            self._set_timer(loop, min(limit.deadline for limit in self._limits))


class Limit:
    """One block of code; see `Deadlines.limit`.

    Args:
        deadlines: Where it is watched.
        deadline: When it ends, by the clock of the event loop.
        loop: The running event loop.
    """

    __slots__ = ("_cancelling", "_deadlines", "_ended", "_loop", "_task", "deadline")

    def __init__(
        self,
        deadlines: Deadlines,
        deadline: float,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.deadline: float = deadline
        self._deadlines = deadlines
        self._loop = loop
        self._ended = False

    def __enter__(self) -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task(self._loop))
        self._cancelling = self._task.cancelling()
        self._deadlines.watch(self, self._loop or self._task.get_loop())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._deadlines.forget(self)
        # Cancelled by us alone, and not by someone else besides.
        alone = self._ended and self._task.uncancel() <= self._cancelling
        if alone and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc

    def end(self) -> None:
        """End it, by cancelling its task."""
        self._ended = True
        self._task.cancel()
