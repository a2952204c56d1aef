"""Read resources by their ids: a limited number per request, however few the server returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from ..errors import PagingFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

IDS_AT_ONCE = 500
"""Ids in one request: enough for few requests, and far below any limit on the size of a body."""


class _Resource(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Resource)


def batches(ids: Sequence[str], size: int = IDS_AT_ONCE) -> Iterator[Sequence[str]]:
    """Split ids into parts that fit in one request each.

    Args:
        ids: To split.
        size: Maximum number of ids in a part; never more than `IDS_AT_ONCE`.
    """
    size = min(size, IDS_AT_ONCE)
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


async def read_by_ids(
    operation: str, ask: Callable[[list[str]], Awaitable[Sequence[T]]], ids: Sequence[str]
) -> dict[str, T]:
    """Read one batch of resources by their ids.

    A server may return fewer rows than requested and keep the rest for later pages. So ids that an
    answer leaves out are requested again, until none is left or the answer is empty.

    Args:
        operation: Name of the query, for errors.
        ask: Sends one request for these ids.
        ids: At most `IDS_AT_ONCE`.

    Returns:
        The resources by id. An id that is not among the keys matches nothing at the moment.

    Raises:
        PagingFailed: An answer contains none of the resources that were requested.
    """
    found: dict[str, T] = {}
    missing = dict.fromkeys(ids)
    while missing:
        rows = await ask(list(missing))
        if not rows:
            break
        new = {row.id: row for row in rows if row.id in missing}
        if not new:
            raise PagingFailed(
                f"{len(missing)} resources were requested by id, and the answer has {len(rows)}, "
                "none of them among these",
                operation=operation,
            )
        found.update(new)
        for one in new:
            del missing[one]
    return found
