"""Sort and page documents: `orderBy`, `first`, `last`, `skip`, `after` and `before`.

As in Prisma 1, documents are sorted by the field and then by id. The order of ids is always
ascending. Nulls come last in ascending order and first in descending order. `after` and `before`
name a document by id, even if it does not match the filter. `last` and its `skip` count from the
end.
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
    """Order by a field, ascending or ``descending``."""

    field: str = "id"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Requested part of the sorted documents. A limit of None means no limit."""

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
    """Sort the documents and return the requested page.

    Args:
        documents: Matching documents.
        page: Page to return.
        table: All documents of the resource by id, to look up cursors.
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
    """Return the documents, sorted by the field and then by id."""
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


def comparable(value: object) -> Any:  # noqa: ANN401 - of one type in each field
    """Return the value if it can be ordered, otherwise its JSON."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted")
    return value


def _beyond(
    identifier: str, order: Order, table: Mapping[str, Document], *, later: bool
) -> Predicate:
    """Return a predicate for documents strictly after, or before, the document with this id.

    As in SQL, no comparison with a missing document or a null is true.
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
