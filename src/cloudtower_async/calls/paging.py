"""Reading all that matches: page by page while the caller works, or many pages at once.

A page follows the one before it by a cursor, the id of its last resource. The order is total, as
the server sorts what is equal by id; so a resource that is there all the time is read once,
whatever else comes and goes.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import anyio

from ..errors import CloudtowerError
from ..types import Fetched
from ..wire.failures import without_frames
from .listing import IDS_AT_ONCE, Resource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from .listing import Listing

T = TypeVar("T", bound=Resource)
A = TypeVar("A")
R = TypeVar("R")

_log = logging.getLogger("cloudtower_async")


async def one_by_one(listing: Listing[T], size: int) -> AsyncGenerator[T]:
    """Yield all resources; one page is fetched while the caller works on the one before."""
    pages = _pages(listing, size)
    fetching = asyncio.create_task(_next(pages))
    try:
        while page := await fetching:
            fetching = asyncio.create_task(_next(pages))
            for row in page:
                yield row
    finally:
        # A task group must not stay open over a yield: its scope would be the caller's, too. So
        # this generator owns the task itself, and waits for its end however it is left.
        fetching.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(fetching, return_exceptions=True)
            await pages.aclose()


async def _next(pages: AsyncGenerator[list[T]]) -> list[T]:
    """The next page; empty behind the last."""
    async for page in pages:
        return page
    return []


def _pages(listing: Listing[T], size: int) -> AsyncGenerator[list[T]]:
    if listing.ids is not None:
        return _batches(listing, listing.ids[: listing.limit], size)
    return _cursor(listing, size, (), listing.limit)


async def _batches(listing: Listing[T], ids: Sequence[str], size: int) -> AsyncGenerator[list[T]]:
    for part in _parts(ids, size):
        if rows := await listing.batch(part):
            yield rows


def _parts(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    length = min(size, IDS_AT_ONCE)
    return [ids[start : start + length] for start in range(0, len(ids), length)]


async def _cursor(
    listing: Listing[T], size: int, last: Sequence[T], limit: int | None = None
) -> AsyncGenerator[list[T]]:
    """Page by page, behind those that were last."""
    for stretch in listing.stretches(last[-1] if last else None):
        while limit is None or limit > 0:
            wanted = size if limit is None else min(size, limit)
            after = last[-1].id if last else None
            rows = await listing.page(stretch.where, stretch.order_by, first=wanted, after=after)
            if last and not rows:
                rows = await listing.behind(last, stretch, wanted)
            if rows:
                yield rows
            if limit is not None:
                limit -= len(rows)
            if len(rows) < wanted:
                break
            last = rows
        last = ()


async def all_at_once(
    listing: Listing[T],
    size: int,
    concurrency: int,
    count: Callable[[], Awaitable[int]] | None,
) -> Fetched[T]:
    """Read the pages concurrently.

    Args:
        listing: What to read.
        size: Resources on a page.
        concurrency: Most requests at a time.
        count: Asks how many match; None: the server does not tell.
    """
    if listing.ids is not None:
        ids = listing.ids[: listing.limit]
        batches = await concurrently(listing.batch, _parts(ids, size), concurrency)
        return Fetched(row for batch in batches for row in batch)
    if count is None:
        return Fetched([row async for page in _pages(listing, size) for row in page])
    expected = await count()
    to_the_end = listing.limit is None or expected < listing.limit
    if listing.limit is not None:
        expected = min(expected, listing.limit)
    # Each page begins with the last resource of the one before, to see that they still meet; the
    # last one asks for one more than there should be.
    parts = [
        (max(0, start - 1), size + (start > 0) + (to_the_end and start + size >= expected))
        for start in range(0, max(expected, 1), size)
    ]
    pages = await concurrently(lambda part: listing.whole(*part), parts, concurrency)
    found = await _joined(listing, size, pages)
    if to_the_end and len(pages[-1]) == parts[-1][1]:
        last = found[-size:]
        async for page in _cursor(listing, size, last):
            found.extend(page)
    if listing.limit is not None:
        del found[listing.limit :]
    found.changed = found.changed or len(found) != expected
    if found.changed:
        found[:] = {row.id: row for row in found}.values()  # one whose place changed came twice
        _log.warning(
            "%s: resources came or went while %d pages were read; the others are all there",
            listing.operation.name,
            len(pages),
        )
    return found


async def _joined(listing: Listing[T], size: int, pages: Sequence[Sequence[T]]) -> Fetched[T]:
    """Put the pages together; where two do not meet, what follows the first is asked for."""
    found = Fetched(pages[0])
    for page in pages[1:]:
        place = _place(page, found[-1].id) if found else -1
        found.changed = found.changed or place != 0
        if place is None:
            between, place = await _until(listing, size, found, page)
            found.extend(between)
        found.extend(page[place + 1 :])
    return found


def _place(page: Sequence[T], one: str) -> int | None:
    return next((place for place, row in enumerate(page) if row.id == one), None)


async def _until(
    listing: Listing[T], size: int, found: Sequence[T], page: Sequence[T]
) -> tuple[list[T], int]:
    """What follows, up to and with one that is on the page, and the place of that.

    When none is: all that follows, and the end of the page.
    """
    places = {row.id: place for place, row in enumerate(page)}
    between: list[T] = []
    async with aclosing(_cursor(listing, size, found[-size:])) as following:
        async for rows in following:
            for row in rows:
                between.append(row)
                if row.id in places:
                    return between, places[row.id]
    return between, len(page)


async def concurrently(
    ask: Callable[[R], Awaitable[A]], parts: Sequence[R], concurrency: int
) -> list[A]:
    """Ask for each part, and return the answers in their order; the first error ends it."""
    answers: dict[int, A] = {}
    waiting = iter(enumerate(parts))
    failures: list[CloudtowerError] = []

    async def work() -> None:
        try:
            for place, part in waiting:
                answers[place] = await ask(part)
        except CloudtowerError as exc:
            failures.append(exc)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for _ in range(min(concurrency, len(parts))):
            group.start_soon(work)
    if failures:
        raise without_frames(failures[0])
    return [answers[place] for place in range(len(parts))]
