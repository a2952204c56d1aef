"""Reading all that matches: page by page while the caller works, or many pages at once.

A page follows the one before it by the id of its last resource. The order is total, as the server
sorts what is equal by id; so a resource that is there all the time is read once, whatever else
comes and goes. A server may return fewer resources than requested: only an empty page is the end.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from ..errors import CloudtowerError, PagingFailed
from ..transport.connection_errors import without_frames
from ..transport.timeouts import running_loop
from ..types import Fetched
from .batches import batches
from .paged_query import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence

    from .paged_query import KeyRange, PagedQuery

T = TypeVar("T", bound=Resource)
A = TypeVar("A")
R = TypeVar("R")

_log = logging.getLogger("cloudtower_async")

_MOST_REPEATS = 8
"""Pages in a row that may end with a resource that ended an earlier page.

One that is changed while pages are read can move behind them and come once more, unless they are
read in the order of ids.
"""


async def iter_pages(listing: PagedQuery[T], size: int) -> AsyncGenerator[T]:
    """Yield all resources; one page is fetched while the caller works on the one before."""
    running_loop()
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
    """The next page that is not empty; empty behind the last."""
    async for page in pages:
        if page:
            return page
    return []


def _pages(listing: PagedQuery[T], size: int) -> AsyncGenerator[list[T]]:
    if listing.ids is not None:
        return _batches(listing, listing.ids, size, listing.limit)
    return _cursor(listing, size, (), listing.limit)


async def _batches(
    listing: PagedQuery[T], ids: Sequence[str], size: int, limit: int | None
) -> AsyncGenerator[list[T]]:
    for part in batches(ids, size if limit is None else max(1, min(size, limit))):
        if limit is not None and limit <= 0:
            return
        rows = await listing.batch(part)
        yield rows[:limit]
        if limit is not None:
            limit -= len(rows)


async def _cursor(
    listing: PagedQuery[T], size: int, last: Sequence[T], limit: int | None = None
) -> AsyncGenerator[list[T]]:
    """Yield page after page, behind those that were last."""
    last = _with_id(last)
    for stretch in listing.stretches(last[-1] if last else None):
        place = _Place(listing, stretch, last)
        while limit is None or limit > 0:
            wanted = size if limit is None else min(size, limit)
            rows = await listing.following(place.last, stretch, wanted)
            if not rows:
                break
            new = place.move(rows)
            yield new[:limit]
            if limit is not None:
                limit -= len(new)
        last = ()


class _Place(Generic[T]):
    """How far a stretch has been read. Finds out when pages do not lead further.

    Args:
        listing: What is read.
        stretch: The part of it.
        last: The page that was read last.
    """

    def __init__(self, listing: PagedQuery[T], stretch: KeyRange, last: Sequence[T]) -> None:
        self.last = last
        self._listing = listing
        self._stretch = stretch
        self._ends: set[str] = set()
        self._repeats = 0
        self._nameless = 0  # resources without an id at the end of the last page

    def move(self, rows: Sequence[T]) -> list[T]:
        """Move behind a page.

        Returns:
            Those of its resources that are part of the stretch, and were not on the page before.

        Raises:
            PagingFailed: The page does not lead further.
        """
        mine = [row for row in rows if self._listing.belongs(row, self._stretch)]
        with_id = _with_id(rows if self._stretch.by_id else mine)
        if not with_id:
            raise self._failed("a page has no resource with an id and a value to go on from")
        before = {row.id for row in self.last}
        end = with_id[-1].id
        self._repeats = self._repeats + 1 if end in self._ends else 0
        if self._repeats > (0 if self._stretch.by_id else _MOST_REPEATS):
            raise self._failed("the server repeats pages")
        on_page = {row.id for row in with_id}
        if on_page <= before and self.last[-1].id in on_page:
            raise self._failed("a page has nothing that was not on the page before it")
        again = min(_nameless(mine), self._nameless)
        self._ends.add(end)
        self._nameless = _nameless(reversed(mine))
        self.last = with_id
        return [row for row in mine[again:] if row.id not in before]

    def _failed(self, what: str) -> PagingFailed:
        return PagingFailed(what, operation=self._listing.operation.name)


def _with_id(rows: Sequence[T]) -> Sequence[T]:
    """Leave out the resources whose id the server left out: it breaks its schema."""
    return [row for row in rows if row.id]


def _nameless(rows: Iterable[Resource]) -> int:
    """Count the resources without an id that come first."""
    return sum(1 for _ in takewhile(lambda row: not row.id, rows))


async def fetch_concurrently(
    listing: PagedQuery[T],
    size: int,
    concurrency: int,
    count: Callable[[], Awaitable[int | None]] | None,
) -> Fetched[T]:
    """Read the pages concurrently.

    Args:
        listing: What to read.
        size: Resources on a page.
        concurrency: Most requests at a time.
        count: Asks how many match; None, or an answer of None: the server does not tell.
    """
    limit = listing.limit
    if listing.ids is not None and (limit is None or limit >= len(listing.ids)):
        parts = await concurrently(listing.batch, batches(listing.ids, size), concurrency)
        return Fetched(row for part in parts for row in part)
    if listing.ids is not None or count is None:
        return Fetched([row async for page in _pages(listing, size) for row in page])
    # The first page is one longer, to see whether the server returns that many.
    first = size + 1 if limit is None else min(size + 1, limit)
    asks: list[Callable[[], Awaitable[Any]]] = [count, partial(listing.whole, 0, first)]
    expected, start = await concurrently(lambda ask: ask(), asks, concurrency)
    if expected is None:
        return Fetched([row async for page in _pages(listing, size) for row in page])
    if limit is not None:
        expected = min(expected, limit)
    # A first page that is too short shows how many the server returns at most.
    step = len(start) - 1 if len(start) < min(first, expected) else size
    pages = [start, *await _rest(listing, start, step, expected, concurrency)]
    found = await _joined(listing, size, pages)
    if len(found) != expected or len(pages[-1]) > step:
        left = None if limit is None else max(0, limit - len(found))
        async for page in _cursor(listing, size, found[-size:], left):
            found.extend(page)
    if limit is not None:
        del found[limit:]
    found.changed = found.changed or len(found) != expected
    if found.changed:
        found[:] = _distinct(found)  # one whose place changed came twice
        _log.warning(
            "%s: resources came or went while %d pages were read; the others are all there",
            listing.operation.name,
            len(pages),
        )
    return found


async def _rest(
    listing: PagedQuery[T], start: Sequence[T], step: int, expected: int, concurrency: int
) -> list[list[T]]:
    """Read the pages that follow the first one, up to one that has nothing new.

    Each page begins with the last resource of the one before, to see that they still meet.
    """
    seen = {row.id for row in start}
    over = step < 1  # nothing is left for a page if it begins with what is known

    def places() -> Iterator[int]:
        for place in range(len(start), expected, max(1, step)):
            if over:
                return
            yield place

    async def ask(place: int) -> list[T]:
        nonlocal over
        first = step + 1 if listing.limit is None else min(step, listing.limit - place) + 1
        rows = await listing.whole(place - 1, first)
        ids = {row.id for row in rows}
        over = over or ids <= seen
        seen.update(ids)
        return rows

    return await concurrently(ask, places(), concurrency)


def _distinct(rows: Iterable[T]) -> list[T]:
    """Leave out repetitions; resources without an id cannot be told apart."""
    seen: dict[object, T] = {}
    for place, row in enumerate(rows):
        seen[row.id or place] = row
    return list(seen.values())


async def _joined(listing: PagedQuery[T], size: int, pages: Sequence[Sequence[T]]) -> Fetched[T]:
    """Put the pages together; where two do not meet, what follows the first is asked for."""
    found = Fetched(pages[0])
    for page in pages[1:]:
        if not page:  # fewer resources than were counted
            found.changed = True
            continue
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
    listing: PagedQuery[T], size: int, found: Sequence[T], page: Sequence[T]
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
    ask: Callable[[R], Awaitable[A]], parts: Iterable[R], concurrency: int
) -> list[A]:
    """Ask for each part, and return the answers in their order; the first error ends it."""
    answers: dict[int, A] = {}
    waiting = iter(enumerate(parts))
    failures: list[CloudtowerError] = []

    async def work(place: int, part: R) -> None:
        try:
            answers[place] = await ask(part)
            for later, another in waiting:
                answers[later] = await ask(another)
        except CloudtowerError as exc:
            failures.append(exc)
            group.cancel_scope.cancel()

    running_loop()
    async with anyio.create_task_group() as group:
        for place, part in islice(waiting, concurrency):
            group.start_soon(work, place, part)
    if failures:
        raise without_frames(failures[0])
    return [answers[place] for place in sorted(answers)]
