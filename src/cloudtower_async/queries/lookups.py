"""Functions that read all matching resources, exactly one resource, or the number of resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ..calls.registry import operation_of
from ..errors import Ambiguous, InvalidInput, NotFound, ResponseDecodeError
from ..validators import positive_number, reject_positional
from .batches import Resource
from .pages import PagedQuery, fetch_concurrently, has_field, iter_pages, query_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from ..calls.executor import Executor
    from ..calls.operation import Operation
    from ..transport.redaction import Mask
    from ..types import Aggregate, Connection, Fetched

T = TypeVar("T", bound=Resource)

_FEW = 5
"""Maximum number of ids in an error message."""

_LONGEST = 200
"""Maximum number of characters of a filter in an error message."""

EXAMPLE = "tower.vm.get_vms, where={…}"
"""Correct arguments of a query, shown by the errors of `reject_positional`."""


def iterate(
    method: Callable[..., Awaitable[list[T]]],
    page_size: int,
    args: tuple[object, ...],
    query: dict[str, Any],
) -> AsyncGenerator[T]:
    """See `Cloudtower.iterate`."""
    reject_positional("iterate", EXAMPLE, args, page_size)
    size = positive_number("iterate", "page_size", page_size)
    return iter_pages(PagedQuery("iterate", method, query), size)


async def fetch_all(
    method: Callable[..., Awaitable[list[T]]],
    concurrency: int,
    page_size: int,
    args: tuple[object, ...],
    query: dict[str, Any],
) -> Fetched[T]:
    """See `Cloudtower.fetch_all`."""
    reject_positional("fetch_all", EXAMPLE, args, concurrency, page_size)
    concurrency = positive_number("fetch_all", "concurrency", concurrency)
    page_size = positive_number("fetch_all", "page_size", page_size)
    paged = PagedQuery("fetch_all", method, query)
    ask = _counting_method(method)

    async def count_matches() -> int | None:
        assert ask is not None  # noqa: S101
        return _number(await ask(**query))

    return await fetch_concurrently(paged, page_size, concurrency, count_matches if ask else None)


async def get_one(
    executor: Executor,
    method: Callable[..., Awaitable[list[T]]],
    args: tuple[object, ...],
    query: dict[str, Any],
) -> T:
    """See `Cloudtower.get_one`."""
    reject_positional("get_one", EXAMPLE, args)
    operation = query_of("get_one", method)
    found = await method(**{"first": _FEW + 1, **query})
    if len(found) != 1:
        return await _not_one(executor, method, operation, found, query)
    return _require_id(operation, found[0])


async def resolve(
    executor: Executor, method: Callable[..., Awaitable[list[T]]], name_or_id: str
) -> T:
    """See `Cloudtower.resolve`."""
    operation = query_of("resolve", method)
    if not isinstance(name_or_id, str) or not name_or_id:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"resolve: expected a name or an id, got {name_or_id!r}")
    where: dict[str, object] = {"id": name_or_id}
    if has_field(operation, "name"):
        where = {"OR": [where, {"name": name_or_id}]}
    query: dict[str, Any] = {"where": where}
    found = await method(first=_FEW + 1, **query)
    for row in found:
        if row.id == name_or_id:
            return row
    if not found:
        raise _not_found(
            executor,
            operation,
            f"no resource has the name or the id {name_or_id!r}",
            "Check the spelling, and the permissions of the user.",
        )
    if len(found) != 1:
        return await _not_one(executor, method, operation, found, query)
    return _require_id(operation, found[0])


async def count(
    method: Callable[..., Awaitable[list[T]]], args: tuple[object, ...], query: dict[str, Any]
) -> int:
    """See `Cloudtower.count`."""
    reject_positional("count", EXAMPLE, args)
    operation = query_of("count", method)
    ask = _counting_method(method)
    if ask is None:
        raise InvalidInput(f"count: the API has no count for {operation.name}")
    return await _count(ask, query)


def _not_found(executor: Executor, operation: Operation[object], what: str, hint: str) -> NotFound:
    endpoint = executor.endpoints.latest
    return NotFound(what, operation=operation.name, endpoint=endpoint, hint=hint)


async def _not_one(
    executor: Executor,
    method: Callable[..., Awaitable[list[T]]],
    operation: Operation[object],
    found: Sequence[T],
    query: dict[str, Any],
) -> T:
    """Raise `NotFound` if no resource matches, or `Ambiguous` if several resources match."""
    if not found:
        where = _quoted(query.get("where"), executor.transport.mask)
        raise _not_found(
            executor,
            operation,
            f"nothing matches {where}".rstrip(),
            "Check the filter, and the permissions of the user.",
        )
    total = len(found)
    ask = _counting_method(method)
    if total > _FEW and ask is not None:
        total = await _count(ask, query)
    ids = [str(row.id) for row in found[:_FEW]]
    raise Ambiguous(
        f"{total} match where one was wanted: {', '.join(ids)}{', …' if total > _FEW else ''}",
        operation=operation.name,
        endpoint=executor.endpoints.latest,
        count=total,
        ids=ids,
    )


def _require_id(operation: Operation[object], row: T) -> T:
    """Return `row`, or raise `ResponseDecodeError` if the row has no id."""
    if row.id:
        return row
    raise ResponseDecodeError(
        "the server left out the id of the resource", operation=operation.name, place="$[0].id"
    )


def _counting_method(method: object) -> Callable[..., Awaitable[Connection]] | None:
    """Return the method that counts the resources of a query, or None if the API has none."""
    name = f"{getattr(method, '__name__', '')}_connection"
    return getattr(getattr(method, "__self__", None), name, None)


async def _count(ask: Callable[..., Awaitable[Connection]], query: dict[str, Any]) -> int:
    """Return the number of resources, or raise `ResponseDecodeError` if the answer has no count."""
    number = _number(await ask(**query))
    if number is None or number < 0:
        operation = operation_of(ask)
        raise ResponseDecodeError(
            "the answer has no count" if number is None else f"the answer has no count: {number}",
            operation=operation.name if operation else "",
            place="$.aggregate.count",
        )
    return number


def _number(answer: Connection) -> int | None:
    """Return the number of resources in an answer, or None if the server left out the number."""
    aggregate = cast("Aggregate | None", answer.aggregate)
    return None if aggregate is None else cast("int | None", aggregate.count)


def _quoted(where: object, mask: Mask) -> str:
    """Return a filter as JSON for an error message, cut to `_LONGEST` characters."""
    text = mask.body(msgspec.json.encode(where)) if where else ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
