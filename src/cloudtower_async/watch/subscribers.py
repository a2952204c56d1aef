"""Subscribers of a view or another source: one poll serves all subscribers.

Nothing runs in the background. One of the waiting subscribers sends the polls for all of them. If
this subscriber is cancelled, another waiting subscriber sends the polls.
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
    """Distributes the states of a source to any number of subscribers.

    For a view, use `Watch.subscribe` instead. Use this class for any other source, such as a report
    that is built from several queries.

    Args:
        advance: Async function that waits until the source has a new state, and then calls the
            method `change` of this object. One of the waiting subscribers runs the function
            for all subscribers. If this subscriber is cancelled, another subscriber runs the
            function again.
        state: Function that returns the current state of the source.

    Attributes:
        version: Number of states that the source has had so far.

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
        self._error: CloudtowerError | None = None  # error of the last failed poll
        self._scope: anyio.CancelScope | None = None
        self._closed = False
        self.version: int = 0

    def subscribe(self) -> Subscription[S]:
        """Return a subscription: enter it with ``async with``, and iterate over it."""
        return Subscription(self)

    def change(self) -> None:
        """Record that the source has a new state."""
        self.version += 1
        self._state = None

    def state(self) -> S:
        """Return the state of the source, which is computed once for all subscribers."""
        if self._state is None:
            self._state = self._read()
        return self._state

    def open(self) -> None:
        """Undo `close`: subscribers can iterate again, starting with the current state."""
        self._closed = False
        self.change()

    def close(self) -> None:
        """End the iteration of every subscriber."""
        self._closed = True
        if self._scope is not None:
            self._scope.cancel()

    async def newer(self, version: int) -> None:
        """Wait until ``self.version`` differs from `version`: the source has a newer state.

        One of the waiting subscribers calls ``advance`` for all of them.

        Raises:
            StopAsyncIteration: The source was closed.
            CloudtowerError: ``advance`` failed. Each subscriber gets a separate error object.
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
    """One subscriber's iterator over the states of a view or another source.

    `Watch.subscribe` and `Subscribers.subscribe` return subscriptions. The iteration yields the
    current state immediately, then the latest state after each change. A slow subscriber skips the
    states in between, so no backlog builds up.
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
        """Wait for the next state and return it. A cancelled call can be repeated."""
        if not self._open:
            raise CloudtowerError(
                "the subscription is not entered: async with view.subscribe() as states"
            )
        with self._guard:
            await self._subscribers.newer(self._seen)
            self._seen = self._subscribers.version
            return self._subscribers.state()
