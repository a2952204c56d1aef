"""Pagination: read all matching resources page by page, or many pages concurrently.

Each page starts after the last resource of the previous page. The server sorts resources with equal
values by id, so the order is unique. Therefore, a resource that matches during the whole read is
read once, even if other resources are created or deleted. A server may return fewer resources than
requested, so only an empty page marks the end.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from functools import partial
from itertools import takewhile
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
)

import anyio
import msgspec

from ..calls.operation import Kind
from ..calls.registry import require_operation
from ..concurrency import map_concurrently
from ..errors import InvalidInput, PagingFailed, SetChanged
from ..transport.timeouts import running_loop
from ..types import Everything, Fetched
from ..validators import whole_number
from .batches import IDS_AT_ONCE, Resource, batches, read_by_ids
from .projection import row_struct

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from msgspec.structs import FieldInfo

    from ..calls.operation import Operation

_log = logging.getLogger("cloudtower_async")

_MOST_REPEATS = 8
"""Maximum number of consecutive pages that end with the last resource of an earlier page.

If the value of the sort field changes during the read, a resource that was already read can move to
a later page and appear again. Ids do not change, so this limit is not used for pages in the order
of ids.
"""

_VALUES = (str, int, float, NoneType)
_TAKEN = ("where", "order_by", "first")

Filter: TypeAlias = "Mapping[str, object]"


T = TypeVar("T", bound=Resource)


class KeyRange(NamedTuple):
    """A part of the matching resources that is read page by page in one order.

    Args:
        order_by: Value of ``orderBy`` in the requests.
        where: Condition to add to the filter. None adds no condition.
        without: True: the range has the resources whose sort field is null. False: the range has
            the other resources. None: the range has all resources.
    """

    order_by: str
    where: Filter | None = None
    without: bool | None = None

    @property
    def by_id(self) -> bool:
        """Whether the resources are sorted by id."""
        return self.order_by in ("id_ASC", "id_DESC")


class PagedQuery(Generic[T]):
    """Query of many resources, with its arguments.

    Args:
        asker: Name of the public function, for error messages: ``"iterate"``.
        method: Method of a namespace.
        arguments: Arguments of the method.

    Raises:
        InvalidInput: The method is not a query of many resources, or its arguments do not allow
            pagination.
    """

    def __init__(
        self,
        asker: str,
        method: Callable[..., Awaitable[list[T]]],
        arguments: Mapping[str, Any],
    ) -> None:
        self.operation: Operation[object] = query_of(asker, method)
        self._row_struct = row_struct(self.operation, method)
        self._asker = asker
        given = {name: value for name, value in arguments.items() if value is not None}
        for name in ("after", "before", "last", "skip"):
            if name in given:
                raise self._refused(
                    f"{name}: leave it out; all matching resources are read, or the `first` ones"
                )
        where = given.get("where")
        self.where: Filter | None = None if type(where) is Everything else where
        self.limit: int | None = self._limit(given.get("first"))
        self._order: str | None = given.get("order_by")
        options = {name: value for name, value in given.items() if name not in _TAKEN}
        self._fetch = partial(method, **options)
        self.ids: list[str] | None = self._ids()
        self._sorted_by: tuple[str, str] | None = (
            None if self.ids is not None else self._sort_field()
        )

    def _refused(self, why: str) -> InvalidInput:
        return InvalidInput(f"{self._asker}: {self.operation.name}: {why}")

    def _limit(self, first: object) -> int | None:
        if first is None:
            return None
        limit = whole_number(first)
        if limit is None:
            raise self._refused("first: expected a whole number, got " + _kind(first))
        if limit < 0:
            raise self._refused(f"first: must not be negative, got {limit}")
        return limit

    def _ids(self) -> list[str] | None:
        """Return the distinct ids in ``id_in``. The resources are read in the order of these ids.

        Return None if the filter has no ``id_in``, or if ``order_by`` sets another order.
        """
        ids = (self.where or {}).get("id_in")
        if not isinstance(ids, list | tuple | set | frozenset):
            return None
        distinct = list(dict.fromkeys(cast("Iterable[str]", ids)))
        if self._order is None:
            return distinct
        if len(distinct) > IDS_AT_ONCE:
            raise self._refused(
                f"order_by: {len(distinct)} ids take several requests, which nothing sorts; "
                "leave it out, and the answers come in the order of the ids"
            )
        return None

    def _sort_field(self) -> tuple[str, str] | None:
        """Return the API name and the attribute name of the sort field, or None to sort by id."""
        field, _, way = (self._order or "id_ASC").rpartition("_")
        if way not in ("ASC", "DESC"):
            raise self._refused(
                "order_by: expected a field with _ASC or _DESC, such as id_ASC, "
                f"got {self._order!r}"
            )
        if field == "id":
            return None
        for candidate in msgspec.structs.fields(_element(self.operation)):
            if candidate.encode_name == field and _sortable(candidate.type):
                return field, self._attribute(candidate)
        raise self._refused(f"order_by: pages cannot be read in the order of {field}")

    def _attribute(self, field: FieldInfo) -> str:
        """Return the name of the attribute that holds the sort field in a row."""
        if self._row_struct is _element(self.operation):
            return field.name
        for one in msgspec.structs.fields(self._row_struct):
            if one.encode_name == field.encode_name:
                if _sortable(one.type) and (one.required or one.default is None):
                    return one.name
                break
        from .struct_check import declaration  # see `select_fields`

        raise self._refused(
            f"order_by: to continue after a page, the rows need the field to sort by; declare "
            f"`{declaration(field)}` in {self._row_struct.__name__}"
        )

    def key_ranges(self, start: T | None) -> list[KeyRange]:
        """Return the ranges of sort keys to read, beginning with the range that contains `start`.

        A server cannot compare null with a value. Therefore, the resources whose sort field is null
        are a separate range. A server may send null even in a required field.
        """
        order = self._order or "id_ASC"
        if self._sorted_by is None:
            return [KeyRange(order)]
        field, _ = self._sorted_by
        parts = [
            KeyRange(order, {f"{field}_not": None}, without=False),
            KeyRange("id_ASC", {field: None}, without=True),
        ]
        if order.endswith("_DESC"):
            parts.reverse()
        if start is not None and not self.belongs(start, parts[0]):
            del parts[0]
        return parts

    def belongs(self, row: T, key_range: KeyRange) -> bool:
        """Return whether a resource is in a range.

        The check is needed because a server may ignore the condition ``key_range.where``.
        """
        if key_range.without is None or self._sorted_by is None:
            return True
        return (getattr(row, self._sorted_by[1]) is None) is key_range.without

    async def page(self, where: Filter | None, order_by: str | None, **part: object) -> list[T]:
        """Send one request, and return the resources in the answer.

        Args:
            where: Condition to add to the filter.
            order_by: Value of ``orderBy`` in the request.
            part: Other arguments of the query: ``first``, ``last``, ``skip``, ``after``.
        """
        return await self._fetch(where=_both(self.where, where), order_by=order_by, **part)

    async def whole(self, skip: int, first: int) -> list[T]:
        """Return `first` resources, starting at position `skip` of all matching resources."""
        return await self.page(None, self._order or "id_ASC", skip=skip, first=first)

    async def batch(self, ids: Sequence[str]) -> list[T]:
        """Return the resources with these ids, in the order of the ids."""
        found = await read_by_ids(self.operation.name, self._fetch, ids, self.where)
        return [found[one] for one in ids if one in found]

    async def following(self, last: Sequence[T], key_range: KeyRange, size: int) -> list[T]:
        """Return the page of `key_range` after the page `last`.

        If `last` is empty, return the first page. If no resources follow, return an empty list.

        Raises:
            SetChanged: All resources of the page `last` were deleted or no longer match.
            PagingFailed: The answers of the server contradict each other.
        """
        order = key_range.order_by
        if not last:
            return await self.page(key_range.where, order, first=size)
        if key_range.by_id:
            beyond: Filter = {"id_gt" if order == "id_ASC" else "id_lt": last[-1].id}
            return await self.page(_both(key_range.where, beyond), order, first=size)
        rows = await self.page(key_range.where, order, first=size, after=last[-1].id)
        return rows or await self._behind_the_rest(last, key_range, size)

    async def _behind_the_rest(self, last: Sequence[T], key_range: KeyRange, size: int) -> list[T]:
        """Return the page after the page `last` when the server has sent an empty page.

        The server also sends an empty page if the last resource in `last` was deleted or no longer
        matches. In this case, return the page after the last resource in `last` that still matches.
        Otherwise, return an empty list.
        """
        these = [row.id for row in last]
        where = _both(key_range.where, {"id_in": these})
        rest = await self.page(where, key_range.order_by, last=1)
        if not rest:
            raise SetChanged(
                "all resources of the last page were deleted or no longer match",
                operation=self.operation.name,
            )
        if rest[-1].id not in these:
            raise PagingFailed(
                "the answer has resources that the filter excludes", operation=self.operation.name
            )
        place = these.index(rest[-1].id)
        if place == len(these) - 1:
            return []
        return await self.following(last[: place + 1], key_range, size)


def query_of(asker: str, method: object) -> Operation[object]:
    """Return the operation of a method that queries many resources.

    Raises:
        InvalidInput: The method does not query many resources, or the struct given to
            `select_fields` has no field ``id``.
    """
    operation = require_operation(asker, method)
    body = operation.body and operation.body()
    pages = "first" in getattr(body, "__annotations__", ())
    if operation.kind is not Kind.QUERY or not pages or not get_args(operation.answer()):
        raise InvalidInput(f"{asker}: {operation.name} is not a query of many resources")
    struct = row_struct(operation, method)
    names = zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
    if struct is not _element(operation) and ("id", "id") not in names:
        raise InvalidInput(
            f"{asker}: {operation.name}: the rows need their id; declare `id: str` in "
            f"{struct.__name__}"
        )
    return operation


def has_field(operation: Operation[object], field: str) -> bool:
    """Return whether the resources that a query returns have the API field `field`."""
    fields = msgspec.structs.fields(_element(operation))
    return any(one.encode_name == field for one in fields)


def _kind(value: object) -> str:
    return "a fraction" if isinstance(value, float) else type(value).__name__


def _element(operation: Operation[object]) -> type[msgspec.Struct]:
    element: type[msgspec.Struct] = get_args(operation.answer())[0]
    return element


def _sortable(kind: object) -> bool:
    """Return whether the server can sort by a field of this type: string, number or boolean."""
    parts = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return all(isinstance(part, type) and issubclass(part, _VALUES) for part in parts)


def _both(one: Filter | None, other: Filter | None) -> Filter | None:
    return {"AND": [one, other]} if one and other else one or other


async def iter_pages(query: PagedQuery[T], size: int) -> AsyncGenerator[T]:
    """Yield all resources, and fetch the next page while the caller processes the current page."""
    running_loop()
    pages = _pages(query, size)
    fetching = asyncio.create_task(_next(pages))
    try:
        while page := await fetching:
            fetching = asyncio.create_task(_next(pages))
            for row in page:
                yield row
    finally:
        # A task group must not stay open during a yield, because its cancel scope would include the
        # caller. So this generator owns the task, and always waits for the end of the task.
        fetching.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(fetching, return_exceptions=True)
            await pages.aclose()


async def _next(pages: AsyncGenerator[list[T]]) -> list[T]:
    """Return the next page that is not empty, or an empty list after the last page."""
    async for page in pages:
        if page:
            return page
    return []


def _pages(query: PagedQuery[T], size: int) -> AsyncGenerator[list[T]]:
    if query.ids is not None:
        return _batches(query, query.ids, size, query.limit)
    return _cursor(query, size, (), query.limit)


async def _batches(
    query: PagedQuery[T], ids: Sequence[str], size: int, limit: int | None
) -> AsyncGenerator[list[T]]:
    for part in batches(ids, size if limit is None else max(1, min(size, limit))):
        if limit is not None and limit <= 0:
            return
        rows = await query.batch(part)
        yield rows[:limit]
        if limit is not None:
            limit -= len(rows)


async def _cursor(
    query: PagedQuery[T], size: int, last: Sequence[T], limit: int | None = None
) -> AsyncGenerator[list[T]]:
    """Yield the pages after the page `last`, or all pages if `last` is empty."""
    last = _with_id(last)
    for key_range in query.key_ranges(last[-1] if last else None):
        place = _Place(query, key_range, last)
        while limit is None or limit > 0:
            wanted = size if limit is None else min(size, limit)
            rows = await query.following(place.last, key_range, wanted)
            if not rows:
                break
            new = place.move(rows)
            yield new[:limit]
            if limit is not None:
                limit -= len(new)
        last = ()


class _Place(Generic[T]):
    """Position in a `KeyRange` while its pages are read. `move` detects repeated pages.

    Args:
        query: Query to read.
        key_range: Range to read.
        last: The last page that was read; empty before the first page.
    """

    def __init__(self, query: PagedQuery[T], key_range: KeyRange, last: Sequence[T]) -> None:
        self.last = last
        self._query = query
        self._key_range = key_range
        self._ends: set[str] = set()
        self._repeats = 0
        self._nameless = 0  # number of resources without an id at the end of the last page

    def move(self, rows: Sequence[T]) -> list[T]:
        """Move the position to the end of a page.

        Returns:
            Resources of the page that are in `key_range` and were not on the previous page.

        Raises:
            PagingFailed: The page has no resource to continue from, or the server repeats pages.
        """
        mine = [row for row in rows if self._query.belongs(row, self._key_range)]
        with_id = _with_id(rows if self._key_range.by_id else mine)
        if not with_id:
            raise self._failed("a page has no resource with an id and a value to continue from")
        before = {row.id for row in self.last}
        end = with_id[-1].id
        self._repeats = self._repeats + 1 if end in self._ends else 0
        if self._repeats > (0 if self._key_range.by_id else _MOST_REPEATS):
            raise self._failed("the server repeats pages")
        on_page = {row.id for row in with_id}
        if on_page <= before and self.last[-1].id in on_page:
            raise self._failed("a page has only resources of the page before it")
        again = min(_nameless(mine), self._nameless)
        self._ends.add(end)
        self._nameless = _nameless(reversed(mine))
        self.last = with_id
        return [row for row in mine[again:] if row.id not in before]

    def _failed(self, what: str) -> PagingFailed:
        return PagingFailed(what, operation=self._query.operation.name)


def _with_id(rows: Sequence[T]) -> Sequence[T]:
    """Return the rows that have an id. (A row without an id violates the API schema.)"""
    return [row for row in rows if row.id]


def _nameless(rows: Iterable[Resource]) -> int:
    """Return the number of rows at the start of `rows` that have no id."""
    return sum(1 for _ in takewhile(lambda row: not row.id, rows))


async def fetch_concurrently(
    query: PagedQuery[T],
    size: int,
    concurrency: int,
    count: Callable[[], Awaitable[int | None]] | None,
) -> Fetched[T]:
    """Read the pages concurrently.

    Args:
        query: Query to read.
        size: Number of resources per page.
        concurrency: Maximum number of concurrent requests.
        count: Function that returns the number of matching resources, or None if the server does
            not send the number. Without a function, the pages are read one after the other.
    """
    limit = query.limit
    if query.ids is not None and (limit is None or limit >= len(query.ids)):
        parts = await map_concurrently(query.batch, batches(query.ids, size), concurrency)
        return Fetched(row for part in parts for row in part)
    if query.ids is not None or count is None:
        return Fetched([row async for page in _pages(query, size) for row in page])
    # Request one more resource for the first page, to find out whether the server limits pages to
    # `size` resources.
    first = size + 1 if limit is None else min(size + 1, limit)
    asks: list[Callable[[], Awaitable[Any]]] = [count, partial(query.whole, 0, first)]
    expected, start = await map_concurrently(lambda ask: ask(), asks, concurrency)
    if expected is None:
        return Fetched([row async for page in _pages(query, size) for row in page])
    if limit is not None:
        expected = min(expected, limit)
    # If the first page is shorter than requested, its length is the server's maximum page size.
    step = len(start) - 1 if len(start) < min(first, expected) else size
    pages = [start, *await _rest(query, start, step, expected, concurrency)]
    found = await _joined(query, size, pages)
    if len(found) != expected or len(pages[-1]) > step:
        left = None if limit is None else max(0, limit - len(found))
        async for page in _cursor(query, size, found[-size:], left):
            found.extend(page)
    if limit is not None:
        del found[limit:]
    found.changed = found.changed or len(found) != expected
    if found.changed:
        found[:] = _distinct(found)  # a resource that moved may have been read twice
        _log.warning(
            "%s: resources were created or deleted while %d pages were read; "
            "all others are in the result",
            query.operation.name,
            len(pages),
        )
    return found


async def _rest(
    query: PagedQuery[T], start: Sequence[T], step: int, expected: int, concurrency: int
) -> list[list[T]]:
    """Read the pages after the first page, `start`, concurrently.

    Stop after a page without new resources. Each page repeats the last resource of the previous
    page, so that `_joined` finds gaps between the pages.
    """
    seen = {row.id for row in start}
    over = step < 1  # a page needs room for the overlap and at least one new resource

    def places() -> Iterator[int]:
        for place in range(len(start), expected, max(1, step)):
            if over:
                return
            yield place

    async def ask(place: int) -> list[T]:
        nonlocal over
        first = step + 1 if query.limit is None else min(step, query.limit - place) + 1
        rows = await query.whole(place - 1, first)
        ids = {row.id for row in rows}
        over = over or ids <= seen
        seen.update(ids)
        return rows

    return await map_concurrently(ask, places(), concurrency)


def _distinct(rows: Iterable[T]) -> list[T]:
    """Return the first row of each id. All rows without an id are kept, too."""
    seen: dict[object, T] = {}
    for place, row in enumerate(rows):
        seen[row.id or place] = row
    return list(seen.values())


async def _joined(query: PagedQuery[T], size: int, pages: Sequence[Sequence[T]]) -> Fetched[T]:
    """Join the pages. If two pages are not adjacent, read the resources between the two pages."""
    found = Fetched(pages[0])
    for page in pages[1:]:
        if not page:  # fewer resources exist than were counted
            found.changed = True
            continue
        place = _place(page, found[-1].id) if found else -1
        found.changed = found.changed or place != 0
        if place is None:
            between, place = await _until(query, size, found, page)
            found.extend(between)
        found.extend(page[place + 1 :])
    return found


def _place(page: Sequence[T], one: str) -> int | None:
    return next((place for place, row in enumerate(page) if row.id == one), None)


async def _until(
    query: PagedQuery[T], size: int, found: Sequence[T], page: Sequence[T]
) -> tuple[list[T], int]:
    """Read the resources after `found`, until one of them is also on `page`.

    Return the resources, and the index on `page` of the last one. If none of them is on `page`, the
    index is ``len(page)``.
    """
    places = {row.id: place for place, row in enumerate(page)}
    between: list[T] = []
    async with aclosing(_cursor(query, size, found[-size:])) as following:
        async for rows in following:
            for row in rows:
                between.append(row)
                if row.id in places:
                    return between, places[row.id]
    return between, len(page)
