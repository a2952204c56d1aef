"""Read resources by id in batches, even if the server returns fewer per request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import PagingFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

IDS_AT_ONCE = 500
"""Maximum number of ids per request, far below common limits on body sizes."""


class Resource(Protocol):
    """A resource in the answer of a query."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Resource)


def batches(ids: Sequence[str], size: int = IDS_AT_ONCE) -> Iterator[Sequence[str]]:
    """Split ids into parts that fit in one request each.

    Args:
        ids: Ids to split.
        size: Maximum number of ids in a part; never more than `IDS_AT_ONCE`.
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

    A server may return fewer rows than requested and keep the rest for later pages. So ids that an
    answer leaves out are requested again, until no id is left or an answer is empty.

    Args:
        operation: Name of the query, for errors.
        method: Method that sends the query, with ``where`` and ``first``.
        ids: At most `IDS_AT_ONCE`.
        where: Filter that the resources must also match.

    Returns:
        The resources by id. No resource currently matches an id that is missing.

    Raises:
        PagingFailed: An answer contains none of the resources that were requested.
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
