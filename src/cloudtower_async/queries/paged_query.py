"""A query of many resources as it was asked for: what can be read of it, and in which order."""

from __future__ import annotations

from functools import partial
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
)

import msgspec

from ..calls.namespace import operation_of
from ..calls.operation import Kind
from ..calls.unawaited import no_method
from ..errors import InvalidInput, PagingFailed, SetChanged
from ..types import Everything
from ..validators import whole_number
from .batches import IDS_AT_ONCE, read_by_ids

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from ..calls.operation import Operation

_VALUES = (str, int, float, NoneType)
_TAKEN = ("where", "order_by", "first")

Filter: TypeAlias = "Mapping[str, object]"


class Resource(Protocol):
    """A resource in the answer of a query."""

    @property
    def id(self) -> str: ...


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
        asker: Who reads, as the user calls it, for errors: ``"iterate"``.
        method: Of a namespace.
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
                return field, candidate.name
        if not field:
            raise self._refused(
                f"order_by: expected a field and a direction, such as {self._order}_ASC, "
                f"got {self._order!r}"
            )
        raise self._refused(f"order_by: pages cannot be read in the order of {field}")

    def stretches(self, start: T | None) -> list[KeyRange]:
        """What to read one after the other, from the one in which this resource is.

        A server finds what lies behind a resource by comparing, and nothing compares with null:
        the resources without a value are a stretch of their own. Fields that the schema requires
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

    def belongs(self, row: T, stretch: KeyRange) -> bool:
        """Whether a resource is part of a stretch: servers may ignore a comparison with null."""
        if stretch.without is None or self._sorted_by is None:
            return True
        return (getattr(row, self._sorted_by[1]) is None) is stretch.without

    async def page(self, where: Filter | None, order_by: str | None, **part: object) -> list[T]:
        """Ask once.

        Args:
            where: Which ones of those that match.
            order_by: As it is sent.
            part: ``first``, ``skip``, ``after``.
        """
        return await self._fetch(where=_both(self.where, where), order_by=order_by, **part)

    async def whole(self, skip: int, first: int) -> list[T]:
        """Ask for a part by its place among all that match."""
        return await self.page(None, self._order or "id_ASC", skip=skip, first=first)

    async def batch(self, ids: Sequence[str]) -> list[T]:
        """Ask for some of the ids, and sort the answer as they are."""

        async def ask(some: list[str]) -> list[T]:
            where = {**(self.where or {}), "id_in": some}
            return await self._fetch(where=where, first=len(some))

        found = await read_by_ids(self.operation.name, ask, ids)
        return [found[one] for one in ids if one in found]

    async def following(self, last: Sequence[T], stretch: KeyRange, size: int) -> list[T]:
        """Return the page that follows these resources, or the first page; empty: the end.

        Raises:
            SetChanged: It cannot be said which of these was the last.
            PagingFailed: Nor do the server's answers make sense.
        """
        order = stretch.order_by
        if not last:
            return await self.page(stretch.where, order, first=size)
        if stretch.by_id:
            beyond: Filter = {"id_gt" if order == "id_ASC" else "id_lt": last[-1].id}
            return await self.page(_both(stretch.where, beyond), order, first=size)
        rows = await self.page(stretch.where, order, first=size, after=last[-1].id)
        return rows or await self._behind_the_rest(last, stretch, size)

    async def _behind_the_rest(self, last: Sequence[T], stretch: KeyRange, size: int) -> list[T]:
        """Return the page behind these, when the server knows of nothing behind the last one.

        That may be the end. Or the server does not find its place, as the last one was deleted, or
        no longer matches.
        """
        these = [row.id for row in last]
        where = _both(stretch.where, {"id_in": these})
        rest = await self.page(where, stretch.order_by, last=1)
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
        return await self.following(last[: place + 1], stretch, size)


def query_of(asker: str, method: object) -> Operation[object]:
    """The operation of a method that looks for many resources.

    Raises:
        InvalidInput: It is no such method.
    """
    operation = operation_of(method)
    if operation is None:
        raise InvalidInput(
            f"{asker}: expected a method of the session, such as tower.vm.get_vms; got "
            + no_method(method)
        )
    body = operation.body and operation.body()
    pages = "first" in getattr(body, "__annotations__", ())
    if operation.kind is not Kind.QUERY or not pages or not get_args(operation.answer()):
        raise InvalidInput(f"{asker}: {operation.name} is not a query of many resources")
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
