"""Many subscribers of one view.

Nothing runs in the background. One of the subscribers that wait leads: it polls for all of them.
When it is cancelled, another one takes over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import anyio

from ..concurrency import Leadership
from ..errors import CloudtowerError
from ..transport.tracebacks import another, without_frames

S = TypeVar("S")


class Subscribers(Generic[S]):
    """Shares the states of any source with any number of subscribers.

    Views have `Watch.subscribe`. Use this class for a source that is not a view, such as a
    report that is built from several queries.

    Args:
        advance: Waits until the source has a new state, and calls `change`. One of the subscribers
            that wait runs it for all; when that one is cancelled, another one runs it again.
        state: Returns the state of the source.

    Attributes:
        version: Number of states so far.

    Example:
        ::

            async def poll() -> None:
                await anyio.sleep(5.0)
                boards.append(await build_dashboard(tower))
                subscribers.change()

            subscribers = Subscribers(poll, lambda: boards[-1])
            async with subscribers.subscribe() as states:
                async for board in states:
                    print(board.cpu.usage)
    """

    def __init__(self, advance: Callable[[], Awaitable[object]], state: Callable[[], S]) -> None:
        self._advance = advance
        self._read = state
        self._state: S | None = None
        self._leadership = Leadership()
        self._failures = 0
        self._error: CloudtowerError | None = None  # of the last failure
        self._scope: anyio.CancelScope | None = None
        self._closed = False
        self.version: int = 0

    def subscribe(self) -> Subscription[S]:
        """Follow the source; enter the subscription and iterate over it."""
        return Subscription(self)

    def change(self) -> None:
        """Record that the source has a new state."""
        self.version += 1
        self._state = None

    def state(self) -> S:
        """Return the state, made once for all subscribers."""
        if self._state is None:
            self._state = self._read()
        return self._state

    def open(self) -> None:
        """Start with a fresh state of the source."""
        self._closed = False
        self.change()

    def close(self) -> None:
        """End the iteration of every subscriber."""
        self._closed = True
        if self._scope is not None:
            self._scope.cancel()

    async def newer(self, version: int) -> None:
        """Lead, or wait for the leader, until there is a state after this version.

        Raises:
            StopAsyncIteration: The source has ended.
            CloudtowerError: The poll failed. Each subscriber gets a separate error.
        """
        while not self._closed:
            if self.version != version:
                return
            failures = self._failures
            await self._leadership.lead_or_wait(self._lead)
            if self._error is not None and self._failures != failures:
                raise another(self._error)
        raise StopAsyncIteration

    async def _lead(self) -> None:
        try:
            with anyio.CancelScope() as self._scope:
                await self._advance()
        except CloudtowerError as exc:
            self._failures += 1
            self._error = without_frames(another(exc))
            raise
        finally:
            self._scope = None


class Subscription(Generic[S]):
    """The states of a view as one subscriber sees them; made by `Watch.subscribe`.

    `Subscribers.subscribe` makes one for any other source.

    Iterating yields the present state at once, then the latest one after each change. A subscriber
    that is slow misses the states between: there is no backlog.
    """

    def __init__(self, subscribers: Subscribers[S]) -> None:
        self._subscribers = subscribers
        self._seen = 0
        self._open = False
        self._guard = anyio.ResourceGuard("reading this subscription")

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> S:
        """Wait for the next state. Cancellation loses none."""
        if not self._open:
            raise CloudtowerError(
                "the subscription is not entered: async with view.subscribe() as states"
            )
        with self._guard:
            await self._subscribers.newer(self._seen)
            self._seen = self._subscribers.version
            return self._subscribers.state()
