"""Which page a query asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..http_errors import QueryError
from ..store.paging import Order, Page
from ..store.schema import orders

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES: dict[str, type] = {
    **dict.fromkeys(("first", "last", "skip"), int),
    **dict.fromkeys(("after", "before"), str),
}


def page_of(resource: str, arguments: Mapping[str, Any]) -> Page:
    """The page that the arguments of a query ask for.

    Raises:
        QueryError: One of them is unknown, or of the wrong type.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    given.pop("where", None)
    order = given.pop("orderBy", None)
    if order is not None and not (isinstance(order, str) and order in orders(resource)):
        raise QueryError(f"orderBy: {order!r} is no order of {resource}")
    for name, value in given.items():
        kind = _TYPES.get(name)
        if kind is None:
            raise QueryError(f"{name}: there is no such argument")
        if type(value) is not kind:
            raise QueryError(f"{name}: {value!r} is of the wrong type")
    return Page(orders(resource)[order] if order else Order(), **given)
