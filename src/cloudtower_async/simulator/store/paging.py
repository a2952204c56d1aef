"""Sorting and pagination: `orderBy`, `first`, `last`, `skip`, `after` and `before`.

As in Prisma 1, documents are sorted by a field. Documents with the same value are sorted by
ascending id. Nulls come last in ascending order and first in descending order. `after` and `before`
contain the id of a document. This document does not have to match the filter. If a query contains
`last`, both `last` and `skip` count from the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from ..http_errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .filters import Document, Predicate


@dataclass(frozen=True, slots=True)
class Order:
    """Sort order of documents.

    Args:
        field: Field to sort by.
        descending: Whether the order is descending.
    """

    field: str = "id"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Requested page of the sorted documents. None means that the query lacks the argument.

    Args:
        order: Sort order.
        first: Maximum number of documents from the start.
        last: Maximum number of documents from the end.
        skip: Number of documents to skip.
        after: Id of a document. Only documents after this document are returned.
        before: Id of a document. Only documents before this document are returned.
    """

    order: Order = Order()
    first: int | None = None
    last: int | None = None
    skip: int | None = None
    after: str | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        for name in ("first", "last", "skip"):
            if (getattr(self, name) or 0) < 0:
                raise BadRequestError(f"{name}: must not be negative")
        if self.first is not None and self.last is not None:
            raise BadRequestError("first, last: only one of them can be given")


def take_page(
    documents: Iterable[Document], page: Page, table: Mapping[str, Document]
) -> list[Document]:
    """Sort documents, and return the requested page.

    Args:
        documents: Documents that match the filter.
        page: Requested page.
        table: All documents of the resource type by id. The ids in `page` refer to this mapping.
    """
    ordered = in_order(documents, page.order)
    for identifier, later in ((page.after, True), (page.before, False)):
        if identifier is not None:
            beyond = _beyond(identifier, page.order, table, later=later)
            ordered = [document for document in ordered if beyond(document)]
    skip = page.skip or 0
    if page.last is None:
        end = None if page.first is None else skip + page.first
        return ordered[skip:end]
    end = max(0, len(ordered) - skip)
    return ordered[max(0, end - page.last) : end]


def in_order(documents: Iterable[Document], order: Order) -> list[Document]:
    """Return the documents in the requested order."""
    ordered = sorted(documents, key=_by_id, reverse=order.field == "id" and order.descending)
    if order.field != "id":
        ordered.sort(key=_by_field(order.field), reverse=order.descending)
    return ordered


def _by_id(document: Document) -> str:
    identifier: str = document["id"]
    return identifier


def _by_field(field: str) -> Callable[[Document], tuple[bool, Any]]:
    def key(document: Document) -> tuple[bool, Any]:
        value = document[field]
        return (value is None, 0 if value is None else comparable(value))

    return key


def comparable(value: object) -> Any:  # noqa: ANN401 - the type depends on the field
    """Return a value that can be compared. Lists and objects are converted to JSON."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted")
    return value


def _beyond(
    identifier: str, order: Order, table: Mapping[str, Document], *, later: bool
) -> Predicate:
    """Return a predicate that tests whether a document comes after the document `identifier`.

    If `later` is False, the predicate tests whether a document comes before the document
    `identifier`. If the document `identifier` does not exist, or if its value of the sort field is
    null, the predicate is always False, as in SQL.
    """
    cursor = table.get(identifier)
    field = order.field
    if cursor is None or cursor[field] is None:
        return lambda _: False
    if field == "id":
        upwards = later is not order.descending
        return lambda document: (
            document["id"] != identifier and ((document["id"] > identifier) is upwards)
        )
    edge = comparable(cursor[field])
    upwards = later is not order.descending

    def beyond(document: Document) -> bool:
        value = document[field]
        if value is None:
            return False
        value = comparable(value)
        if value == edge:
            return document["id"] != identifier and (document["id"] > identifier) is later
        return (value > edge) is upwards

    return beyond
