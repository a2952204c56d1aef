"""Two things at a time, and things that are allowed to end, without groups of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


async def side_by_side(
    other: Callable[[], Awaitable[object]], own: Callable[[], Awaitable[T]]
) -> T:
    """Do two things at a time; when one fails, the other is cancelled, and that error raised.

    Args:
        other: Done in another task.
        own: Done in this one.

    Returns:
        What `own` returns.
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
        raise failures.pop(0)  # else it and this frame would keep each other
    return results[0]


async def let_end(work: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do something that is better not broken off: cancelled, it gets so many seconds to end."""
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
        raise failures.pop(0)  # else it and this frame would keep each other
