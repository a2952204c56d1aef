"""Read resources by their ids, in batches of at most 500 ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import PagingFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

IDS_AT_ONCE = 500
"""Maximum number of ids per request. The body stays far below common size limits."""


class Resource(Protocol):
    """A resource in the response to a query."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Resource)


def batches(ids: Sequence[str], size: int = IDS_AT_ONCE) -> Iterator[Sequence[str]]:
    """Yield the ids in batches. Each batch is small enough for one request.

    Args:
        ids: Ids to split.
        size: Maximum number of ids in a batch, but never more than `IDS_AT_ONCE`.
    """
    size = min(size, IDS_AT_ONCE)
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


async def read_by_ids(
    operation: str,
    method: Callable[..., Awaitable[Sequence[T]]],
    ids: Sequence[str],
    where: Mapping[str, Any] | None = None,
) -> dict[str, T]:
    """Read one batch of resources by their ids.

    A server may return fewer resources than requested. Therefore, the function requests the missing
    ids again, until every id is found or a response is empty.

    Args:
        operation: Name of the query, for error messages.
        method: Method that sends the query; it takes ``where`` and ``first``.
        ids: Ids of the resources; at most `IDS_AT_ONCE` ids.
        where: Additional filter that the resources must match. None means no additional filter.

    Returns:
        The resources by id. Ids that match no resource are left out.

    Raises:
        PagingFailed: A response has resources, but none that were requested.
    """
    found: dict[str, T] = {}
    missing = dict.fromkeys(ids)
    while missing:
        rows = await method(where={**(where or {}), "id_in": list(missing)}, first=len(missing))
        if not rows:
            break
        requested = len(missing)
        for row in rows:
            if row.id in missing:
                found[row.id] = row
                del missing[row.id]
        if len(missing) == requested:
            raise PagingFailed(
                f"{requested} resources were requested by id, and the answer has {len(rows)}, "
                "none of them among these",
                operation=operation,
            )
    return found
