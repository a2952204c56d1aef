"""Time limits of calls. When a session is closed, this module also ends all its calls.

`asyncio.timeout` sets a timer for each call. These timers would be a third of this package's
overhead per call. Therefore all `TimeLimit` blocks share one timer.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import anyio

from ..errors import CloudtowerError, SessionClosed

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

_ASYNCIO_ONLY = (
    "cloudtower-async runs on asyncio only, and no asyncio event loop is running here: "
    "start the program with asyncio.run() (or anyio.run() with its asyncio backend, not trio)"
)
_OTHER_LOOP = "the session belongs to another event loop; make one inside each asyncio.run()"


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop of asyncio.

    Raises:
        CloudtowerError: No asyncio event loop is running.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise CloudtowerError(_ASYNCIO_ONLY) from None


def closed_during(operation: str) -> SessionClosed:
    """Return the error of a call that ended because the session was closed."""
    return SessionClosed(f"{operation}: the session was closed during the call")


class SessionScope:
    """Event loop of a session, and the running blocks that end when the session is closed.

    Attributes:
        closed: Whether the session has been closed.
        connected: Whether the session has a connection pool.
        loop: Event loop that the session is bound to. None before the first use of the session.
        scopes: Cancel scopes of the running blocks of `until_closed`.
        limits: The running blocks of `TimeLimit`.
        timer_at: Time at which the shared timer of `limits` fires, by the clock of `timer_loop`.
        timer_loop: Event loop of the shared timer.
    """

    def __init__(self) -> None:
        self.closed: bool = False
        self.connected: bool = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.scopes: set[anyio.CancelScope] = set()
        self.limits: set[TimeLimit] = set()
        self.timer_at: float = math.inf
        self.timer_loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop. The first call binds the session to this event loop.

        Call this method before using state that the session shares between asyncio tasks.

        Raises:
            SessionClosed: The session belongs to another event loop, perhaps in another thread.
            CloudtowerError: No asyncio event loop is running.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise CloudtowerError(_ASYNCIO_ONLY) from None
        if loop is not self.loop:
            # The session can change to another loop if the previous loop was closed before any
            # connection was opened.
            if self.loop is not None and (self.connected or not self.loop.is_closed()):
                raise SessionClosed(_OTHER_LOOP)
            self.loop = loop
        return loop

    def check_closable(self) -> None:
        """Check that the running event loop may close the session.

        Raises:
            SessionClosed: The session belongs to another event loop, which is still open.
            CloudtowerError: No asyncio event loop is running.
        """
        if self.loop is not None and not self.loop.is_closed():
            self.running_loop()

    @contextmanager
    def until_closed(
        self, seconds: float | None, operation: str = ""
    ) -> Generator[anyio.CancelScope]:
        """Run a block with a time limit. Closing the session ends the block at once.

        Args:
            seconds: Seconds after which the rest of the block is skipped, without an error. None
                means no limit.
            operation: Name of the operation, for the message of SessionClosed.

        Raises:
            SessionClosed: The session was closed before or during the block, or belongs to another
                event loop.
        """
        self.running_loop()
        if self.closed:
            raise SessionClosed
        scope = anyio.move_on_after(seconds)
        self.scopes.add(scope)
        try:
            with scope:
                yield scope
        finally:
            self.scopes.discard(scope)
        if self.closed:
            raise closed_during(operation) if operation else SessionClosed

    async def sleep(self, seconds: float, operation: str = "") -> None:
        """Sleep for a number of seconds. Closing the session ends the sleep with an error.

        Args:
            seconds: Seconds to sleep.
            operation: Name of the operation, for the message of SessionClosed.

        Raises:
            SessionClosed: The session was closed before or during the sleep, or belongs to another
                event loop.
        """
        with self.until_closed(None, operation):
            await anyio.sleep(seconds)

    def end_blocks(self) -> None:
        """End all running blocks of `until_closed` and `TimeLimit`.

        The blocks end in the next iteration of the event loop.
        """
        for scope in tuple(self.scopes):
            scope.cancel()
        loop = asyncio.get_running_loop()
        now = loop.time()
        for limit in self.limits:
            limit.deadline = now
        self.set_timer(loop, now)

    def set_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        """Set the shared timer of all `TimeLimit` blocks. `when` is a time of the loop's clock."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._end_due, loop, when)
        self.timer_at, self.timer_loop = when, loop

    def _end_due(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        now = max(when, loop.time())  # timers may fire slightly too early
        self._timer, self.timer_at = None, math.inf
        for limit in [limit for limit in self.limits if limit.deadline <= now]:
            self.limits.discard(limit)
            limit.end()
        if self.limits:
            self.set_timer(loop, min(limit.deadline for limit in self.limits))


class TimeLimit:
    """A block that raises TimeoutError at its deadline, or when the session is closed.

    Args:
        scope: The session.
        deadline: End of the block, by the clock of the event loop.
    """

    __slots__ = ("_cancelling", "_ended", "_scope", "_task", "deadline")

    def __init__(self, scope: SessionScope, deadline: float) -> None:
        self.deadline: float = deadline
        self._scope = scope
        self._ended = False

    def __enter__(self) -> None:
        scope = self._scope
        self._task = cast("asyncio.Task[object]", asyncio.current_task(scope.loop))
        self._cancelling = self._task.cancelling()
        scope.limits.add(self)
        loop = scope.loop or self._task.get_loop()
        if self.deadline < scope.timer_at or scope.timer_loop is not loop:
            scope.set_timer(loop, self.deadline)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        # Keep the timer, so that the next block need not set a new timer.
        self._scope.limits.discard(self)
        # True if this block is the only reason for the cancellation of the task.
        alone = self._ended and self._task.uncancel() <= self._cancelling
        if alone and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc

    def end(self) -> None:
        """End the block of this `TimeLimit`: cancel the asyncio task that runs the block."""
        self._ended = True
        self._task.cancel()
