"""Handler of queries that return the matching resources or their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..http_errors import BadRequestError, HttpError
from ..store.paging import Order, Page
from ..store.schema import orders
from .context import DocumentList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..store.schema import ResourceQuery
    from .context import RequestContext

_TYPES: dict[str, type] = {
    **dict.fromkeys(("first", "last", "skip"), int),
    **dict.fromkeys(("after", "before"), str),
}


def answer_query(query: ResourceQuery, context: RequestContext) -> object:
    """Return one page of the resources that match the filter.

    If the query counts resources, return the number of matching resources instead of the page.

    Raises:
        BadRequestError: The filter, the order or the page is invalid.
    """
    arguments = context.arguments()
    if not isinstance(arguments, dict):
        raise HttpError(400, "the body is not a JSON object")
    known = cast("dict[str, Any]", arguments)
    page = parse_page(query.resource, known)
    hidden = context.tasks.hidden() if query.resource == "Task" else ()
    found = context.store.select(query.resource, known.get("where"), page, without=hidden)
    if query.counts:
        return {"aggregate": {"count": len(found)}}
    return DocumentList(query.resource, found)


def parse_page(resource: str, arguments: Mapping[str, Any]) -> Page:
    """Convert the arguments of a query to a `Page`.

    Raises:
        BadRequestError: An argument is unknown or has the wrong type.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    given.pop("where", None)
    order = given.pop("orderBy", None)
    if order is not None and not (isinstance(order, str) and order in orders(resource)):
        raise BadRequestError(f"orderBy: {order!r} is no order of {resource}")
    for name, value in given.items():
        kind = _TYPES.get(name)
        if kind is None:
            raise BadRequestError(f"{name}: there is no such argument")
        if type(value) is not kind:
            raise BadRequestError(f"{name}: {value!r} is of the wrong type")
    return Page(orders(resource)[order] if order else Order(), **given)
