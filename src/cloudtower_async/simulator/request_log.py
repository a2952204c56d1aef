"""Log of the requests that the server received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ..api.catalogue import OPERATIONS
from ..calls.operation import Kind
from ..calls.registry import operation_at
from .operation_paths import unknown_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .server.request_parser import Request


GRAPHQL = "/api"
T = TypeVar("T")


def append_bounded(kept: list[T], one: T, most: int | None) -> None:
    """Append a value to a list, and remove the oldest values if there are more than `most`.

    If `most` is None, no values are removed.
    """
    kept.append(one)
    if most is not None:
        del kept[: max(len(kept) - most, 0)]


def sent(requests: Iterable[Request], path: str) -> list[Any]:
    """Return the bodies of all requests of one operation, in the order of arrival.

    Raises:
        ValueError: No operation has this path. The path may be misspelled.
    """
    if f"/{path}" not in OPERATIONS:
        raise ValueError(unknown_path(path))
    return [request.body for request in [*requests] if request.path == path]


def mutations(requests: Iterable[Request]) -> list[Request]:
    """Return the requests of mutations, in the order of arrival.

    The result does not contain logins, because a login changes no resource.
    """
    return [request for request in [*requests] if _changes(request)]


def _changes(request: Request) -> bool:
    match request.body:
        case {"query": str(text)} if request.path == GRAPHQL:
            return text.lstrip().startswith("mutation")
        case _:
            path = f"/{request.path}"
            known = path in OPERATIONS and path != "/login"
            return known and operation_at(path).kind is not Kind.QUERY
