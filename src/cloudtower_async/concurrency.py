"""Bounded concurrency, and clean-up with a time limit.

A task group of asyncio or anyio wraps the error of a task in an exception group. If the caller is
cancelled at the same moment, the exception group even replaces the cancellation. The functions in
this module raise the first error without a group.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")


async def map_concurrently(
    function: Callable[[T], Awaitable[R]], items: Iterable[T], limit: int | None = None
) -> list[R]:
    """Call a function with each item concurrently, and return the results in order.

    The first error cancels the other function calls and is raised.

    Args:
        function: The function to call.
        items: Arguments of the function calls. The first `limit` items are read at once, and
            each further item when a function call ends.
        limit: Maximum number of concurrent function calls. None means no limit.
    """
    results: dict[int, R] = {}
    waiting = iter(enumerate(items))
    failures: list[Exception] = []

    async def work(place: int, item: T) -> None:
        try:
            results[place] = await function(item)
            for later, another in waiting:
                results[later] = await function(another)
        except Exception as exc:
            failures.append(exc)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for place, item in islice(waiting, limit):
            group.start_soon(work, place, item)
    if failures:
        raise failures.pop(0)  # avoid a reference cycle with this frame
    return list(map(results.__getitem__, sorted(results)))


async def side_by_side(
    other: Callable[[], Awaitable[object]], own: Callable[[], Awaitable[T]]
) -> T:
    """Run two functions concurrently, and return the result of `own`.

    If either function raises an error, the function that is still running is cancelled, and the
    error is raised.

    Args:
        other: Function to run in a new task.
        own: Function to run in the task of the caller.

    Returns:
        The result of `own`.
    """
    failures: list[Exception] = []
    results: list[T] = []

    async def noting(work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except Exception as exc:
            failures.append(exc)
            group.cancel_scope.cancel()

    async def keep() -> None:
        results.append(await own())

    async with anyio.create_task_group() as group:
        group.start_soon(noting, other)
        await noting(keep)
    if failures:
        raise failures.pop(0)  # avoid a reference cycle with this frame
    return results[0]


class Leadership:
    """Leader election among callers that wait for the same result. Only the leader works.

    Nothing runs in the background. If the leader is cancelled, another waiting caller becomes the
    leader.
    """

    def __init__(self) -> None:
        self._over: anyio.Event | None = None

    async def lead_or_wait(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` as the leader, or wait until the run of the current leader has ended.

        Call this method repeatedly until the wanted result exists. If `work` raises an error, only
        the leader gets the error.
        """
        if self._over is not None:
            await self._over.wait()
            return
        over = self._over = anyio.Event()
        try:
            await work()
        finally:
            self._over = None
            over.set()


async def let_end(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Run `work`. If the caller is cancelled, `work` has `seconds` seconds to finish."""
    failures: list[Exception] = []
    done = anyio.Event()
    scope = anyio.CancelScope(shield=True)

    async def run() -> None:
        with scope:
            try:
                await work()
            except Exception as exc:
                failures.append(exc)
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            await done.wait()
        finally:
            scope.deadline = anyio.current_time() + seconds
    if failures:
        raise failures.pop(0)  # avoid a reference cycle with this frame
