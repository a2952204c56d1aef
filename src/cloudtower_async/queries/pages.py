"""Reading all that matches: page by page while the caller works, or many pages concurrently.

A page follows the one before it by the id of its last resource. The order is total, because the
server sorts by id what is equal otherwise; so a resource that matches all the time is read once,
whatever else comes and goes. A server may return fewer resources than requested: only an empty page
is the end.
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
"""Pages in a row that may end with a resource that ended an earlier page.

One that is changed while pages are read can move behind them and come once more, unless they are
read in the order of ids.
"""

_VALUES = (str, int, float, NoneType)
_TAKEN = ("where", "order_by", "first")

Filter: TypeAlias = "Mapping[str, object]"


T = TypeVar("T", bound=Resource)


class KeyRange(NamedTuple):
    """A part of the result set, in an order that can be continued after any of its resources.

    Args:
        order_by: Order, as it is sent.
        where: Condition to add to the filter.
        without: True: the resources without a value in the field to sort by; False: those with one.
    """

    order_by: str
    where: Filter | None = None
    without: bool | None = None

    @property
    def by_id(self) -> bool:
        """Whether the order is that of the ids, which never change."""
        return self.order_by in ("id_ASC", "id_DESC")


class PagedQuery(Generic[T]):
    """A query of many resources, with what it was asked for.

    Args:
        asker: Name of the public function that reads, for errors: ``"iterate"``.
        method: Method of a namespace.
        arguments: For the method.

    Raises:
        InvalidInput: The method is no such query, or cannot be read in parts with these arguments.
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
                raise self._refused(f"{name}: it reads all that matches, or the `first` so many")
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
        """The ids that are asked for, each once, where they decide on the order."""
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
        """The field to sort by, on the wire and in the structs; None: the id."""
        field = (self._order or "id_ASC").rpartition("_")[0]
        if field == "id":
            return None
        for candidate in msgspec.structs.fields(_element(self.operation)):
            if candidate.encode_name == field and _sortable(candidate.type):
                return field, self._attribute(candidate)
        if not field:
            raise self._refused(
                f"order_by: expected a field and a direction, such as {self._order}_ASC, "
                f"got {self._order!r}"
            )
        raise self._refused(f"order_by: pages cannot be read in the order of {field}")

    def _attribute(self, field: FieldInfo) -> str:
        """Return the attribute of the rows that holds a field to sort by."""
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
        """Return the ranges to read in turn, beginning with the one that holds this resource.

        A server finds what follows a resource by comparing, and nothing compares with null: the
        resources without a value are a range of their own. Fields that the schema requires
        are no exception, as servers send null in these, too.
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
        """Whether a resource is part of a range: servers may ignore a comparison with null."""
        if key_range.without is None or self._sorted_by is None:
            return True
        return (getattr(row, self._sorted_by[1]) is None) is key_range.without

    async def page(self, where: Filter | None, order_by: str | None, **part: object) -> list[T]:
        """Send one request.

        Args:
            where: Condition to add to the filter.
            order_by: Order, as it is sent.
            part: ``first``, ``skip``, ``after``.
        """
        return await self._fetch(where=_both(self.where, where), order_by=order_by, **part)

    async def whole(self, skip: int, first: int) -> list[T]:
        """Ask for a part by its place among all that match."""
        return await self.page(None, self._order or "id_ASC", skip=skip, first=first)

    async def batch(self, ids: Sequence[str]) -> list[T]:
        """Ask for some of the ids, and sort the answer as they are."""
        found = await read_by_ids(self.operation.name, self._fetch, ids, self.where)
        return [found[one] for one in ids if one in found]

    async def following(self, last: Sequence[T], key_range: KeyRange, size: int) -> list[T]:
        """Return the page that follows these resources, or the first page; empty: the end.

        Raises:
            SetChanged: It cannot be said which of these was the last.
            PagingFailed: Nor do the server's answers make sense.
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
        """Return the page behind these, when the server knows of nothing behind the last one.

        That may be the end. Or the server does not find its place, as the last one was deleted, or
        no longer matches.
        """
        these = [row.id for row in last]
        where = _both(key_range.where, {"id_in": these})
        rest = await self.page(where, key_range.order_by, last=1)
        if not rest:
            raise SetChanged(
                "all of the last page was deleted or no longer matches, so the place is lost",
                operation=self.operation.name,
            )
        if rest[-1].id not in these:
            raise PagingFailed(
                "an answer has resources that its filter excludes", operation=self.operation.name
            )
        place = these.index(rest[-1].id)
        if place == len(these) - 1:
            return []
        return await self.following(last[: place + 1], key_range, size)


def query_of(asker: str, method: object) -> Operation[object]:
    """The operation of a method that looks for many resources.

    Raises:
        InvalidInput: It is no such method, or its rows were selected without their ids.
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
    """Whether the resources of a query have a field, by its name on the wire."""
    fields = msgspec.structs.fields(_element(operation))
    return any(one.encode_name == field for one in fields)


def _kind(value: object) -> str:
    return "a fraction" if isinstance(value, float) else type(value).__name__


def _element(operation: Operation[object]) -> type[msgspec.Struct]:
    element: type[msgspec.Struct] = get_args(operation.answer())[0]
    return element


def _sortable(kind: object) -> bool:
    """Whether a field holds one value: nothing sorts or compares lists and objects."""
    parts = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    return all(isinstance(part, type) and issubclass(part, _VALUES) for part in parts)


def _both(one: Filter | None, other: Filter | None) -> Filter | None:
    return {"AND": [one, other]} if one and other else one or other


async def iter_pages(query: PagedQuery[T], size: int) -> AsyncGenerator[T]:
    """Yield all resources; one page is fetched while the caller works on the one before."""
    running_loop()
    pages = _pages(query, size)
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
    """Yield page after page, behind those that were last."""
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
    """How far a range has been read; detects pages that do not lead further.

    Args:
        query: What is read.
        key_range: The part of it.
        last: The page that was read last.
    """

    def __init__(self, query: PagedQuery[T], key_range: KeyRange, last: Sequence[T]) -> None:
        self.last = last
        self._query = query
        self._key_range = key_range
        self._ends: set[str] = set()
        self._repeats = 0
        self._nameless = 0  # resources without an id at the end of the last page

    def move(self, rows: Sequence[T]) -> list[T]:
        """Move behind a page.

        Returns:
            Those of its resources that are part of the range, and were not on the page before.

        Raises:
            PagingFailed: The page does not lead further.
        """
        mine = [row for row in rows if self._query.belongs(row, self._key_range)]
        with_id = _with_id(rows if self._key_range.by_id else mine)
        if not with_id:
            raise self._failed("a page has no resource with an id and a value to go on from")
        before = {row.id for row in self.last}
        end = with_id[-1].id
        self._repeats = self._repeats + 1 if end in self._ends else 0
        if self._repeats > (0 if self._key_range.by_id else _MOST_REPEATS):
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
        return PagingFailed(what, operation=self._query.operation.name)


def _with_id(rows: Sequence[T]) -> Sequence[T]:
    """Leave out the resources whose id the server left out: it breaks its schema."""
    return [row for row in rows if row.id]


def _nameless(rows: Iterable[Resource]) -> int:
    """Count the resources without an id that come first."""
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
        size: Resources on a page.
        concurrency: Most requests at a time.
        count: Asks how many match; None, or an answer of None: the server does not tell.
    """
    limit = query.limit
    if query.ids is not None and (limit is None or limit >= len(query.ids)):
        parts = await map_concurrently(query.batch, batches(query.ids, size), concurrency)
        return Fetched(row for part in parts for row in part)
    if query.ids is not None or count is None:
        return Fetched([row async for page in _pages(query, size) for row in page])
    # The first page is one longer, to see whether the server returns that many.
    first = size + 1 if limit is None else min(size + 1, limit)
    asks: list[Callable[[], Awaitable[Any]]] = [count, partial(query.whole, 0, first)]
    expected, start = await map_concurrently(lambda ask: ask(), asks, concurrency)
    if expected is None:
        return Fetched([row async for page in _pages(query, size) for row in page])
    if limit is not None:
        expected = min(expected, limit)
    # A first page that is too short shows how many the server returns at most.
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
        found[:] = _distinct(found)  # one whose place changed came twice
        _log.warning(
            "%s: resources came or went while %d pages were read; the others are all there",
            query.operation.name,
            len(pages),
        )
    return found


async def _rest(
    query: PagedQuery[T], start: Sequence[T], step: int, expected: int, concurrency: int
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
        first = step + 1 if query.limit is None else min(step, query.limit - place) + 1
        rows = await query.whole(place - 1, first)
        ids = {row.id for row in rows}
        over = over or ids <= seen
        seen.update(ids)
        return rows

    return await map_concurrently(ask, places(), concurrency)


def _distinct(rows: Iterable[T]) -> list[T]:
    """Leave out repetitions; resources without an id cannot be told apart."""
    seen: dict[object, T] = {}
    for place, row in enumerate(rows):
        seen[row.id or place] = row
    return list(seen.values())


async def _joined(query: PagedQuery[T], size: int, pages: Sequence[Sequence[T]]) -> Fetched[T]:
    """Put the pages together; where two do not meet, what follows the first is asked for."""
    found = Fetched(pages[0])
    for page in pages[1:]:
        if not page:  # fewer resources than were counted
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
    """Return the following ids up to the first that is on the page, and its place.

    When none is: all that follows, and the end of the page.
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
