"""What a session offers for reading: all that matches, exactly one, how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import msgspec

from ..calls.namespace import operation_of
from ..calls.server_version import server_version
from ..errors import Ambiguous, InvalidInput, NotFound, ResponseDecodeError
from ..queries.paged_query import PagedQuery, Resource, has_field, query_of
from ..queries.pages import fetch_concurrently, iter_pages
from ..validators import positive_number, reject_positional

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from ..calls.executor import Executor
    from ..calls.operation import Operation
    from ..transport.redaction import Mask
    from ..types import Aggregate, Connection, Fetched

P = ParamSpec("P")
T = TypeVar("T", bound=Resource)

_FEW = 5
"""Ids that an error names."""

_LONGEST = 200
"""Characters of a where that an error quotes."""

_KEYWORDS = "tower.vm.get_vms, where={…}"


class Reading:
    """Reading many resources, as methods of a session."""

    _caller: Executor

    def iterate(
        self,
        method: Callable[P, Awaitable[list[T]]],
        page_size: int = 500,
        *args: P.args,
        **query: P.kwargs,
    ) -> AsyncGenerator[T]:
        """Read all that matches page by page, the next page while you work on the last one.

        Each resource that matches all the time comes exactly once, whatever comes and goes
        meanwhile. No more than three pages are in memory. A server may return fewer resources than
        requested: only an empty page is the end.

        Args:
            method: A query: ``tower.vm.get_vms``.
            page_size: Resources in a request.
            args: None: pass the arguments of the query by keyword.
            query: As for the method: ``where``, ``order_by``, ``first`` for at most so many.
                Without ``order_by`` they come in the order of their ids, or of ``id_in``.

        Raises:
            InvalidInput: The method is no query, or the arguments cannot be used.
            TypeError: Arguments of the query were passed by position.
            CallError: A page cannot be read.
            SetChanged: With ``order_by``: all of a page was deleted before the next could be read.
            PagingFailed: The server repeats a page, or ignores where a page is to begin.

        Example:
            ::

                async for vm in tower.iterate(tower.vm.get_vms, where={"status": "RUNNING"}):
                    print(vm.name)
        """
        reject_positional("iterate", _KEYWORDS, args, page_size)
        size = positive_number("iterate", "page_size", page_size)
        return iter_pages(PagedQuery("iterate", method, query), size)

    async def fetch_all(
        self,
        method: Callable[P, Awaitable[list[T]]],
        concurrency: int = 8,
        page_size: int = 500,
        *args: P.args,
        **query: P.kwargs,
    ) -> Fetched[T]:
        """Read all that matches: counts first, then asks for many pages at a time.

        The answer is that of one big query. Each resource that matches all the time is in it once;
        when others came or went meanwhile, its ``changed`` is True, and a warning is logged. If the
        server returns fewer resources than requested, smaller pages are requested.

        Args:
            method: A query: ``tower.vm.get_vms``.
            concurrency: Most requests at a time.
            page_size: Resources in a request.
            args: None: pass the arguments of the query by keyword.
            query: As for `iterate`.

        Raises:
            InvalidInput: The method is no query, or the arguments cannot be used.
            TypeError: Arguments of the query were passed by position.
            CallError: A page cannot be read.
            SetChanged: See `iterate`.
            PagingFailed: See `iterate`.

        Example:
            ::

                vms = await tower.fetch_all(tower.vm.get_vms, where={"cluster": {"name": "prod"}})
        """
        reject_positional("fetch_all", _KEYWORDS, args, concurrency, page_size)
        concurrency = positive_number("fetch_all", "concurrency", concurrency)
        page_size = positive_number("fetch_all", "page_size", page_size)
        listing = PagedQuery("fetch_all", method, query)
        ask = _sister(method)

        async def count() -> int | None:
            assert ask is not None  # noqa: S101
            return _number(await ask(**query))

        return await fetch_concurrently(listing, page_size, concurrency, count if ask else None)

    async def get_one(
        self, method: Callable[P, Awaitable[list[T]]], *args: P.args, **query: P.kwargs
    ) -> T:
        """Get the one resource that matches.

        Args:
            method: A query: ``tower.vm.get_vms``.
            args: None: pass the arguments of the query by keyword.
            query: As for the method.

        Raises:
            NotFound: Nothing matches.
            Ambiguous: Several match; it has the ``count`` and the first ``ids``.
            InvalidInput: The method is no query.
            TypeError: Arguments of the query were passed by position.
            CallError: See its subclasses.

        Example:
            ::

                vm = await tower.get_one(tower.vm.get_vms, where={"name": "web-1"})
        """
        reject_positional("get_one", _KEYWORDS, args)
        operation = query_of("get_one", method)
        ask: Callable[..., Awaitable[list[T]]] = method
        found = await ask(**{"first": _FEW + 1, **query})
        if len(found) != 1:
            return await self._not_one(method, operation, found, query)
        return _require_id(operation, found[0])

    async def resolve(self, method: Callable[..., Awaitable[list[T]]], name_or_id: str) -> T:
        """Get the one resource that has this id, or this name.

        Args:
            method: A query: ``tower.vm.get_vms``.
            name_or_id: As a user gives it; an id goes before a name.

        Raises:
            NotFound: There is none.
            Ambiguous: Several have the name; it has the ``count`` and the first ``ids``.
            InvalidInput: The method is no query, or the name is not a text.
            CallError: See its subclasses.

        Example:
            ::

                vm = await tower.resolve(tower.vm.get_vms, "web-1")
        """
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
            raise self._none(
                operation,
                f"nothing has the name or the id {name_or_id!r}",
                "Check the spelling, and what the user may see.",
            )
        if len(found) != 1:
            return await self._not_one(method, operation, found, query)
        return _require_id(operation, found[0])

    async def count(
        self, method: Callable[P, Awaitable[list[T]]], *args: P.args, **query: P.kwargs
    ) -> int:
        """Count what matches, without reading it.

        Args:
            method: A query: ``tower.vm.get_vms``.
            args: None: pass the arguments of the query by keyword.
            query: As for the method.

        Raises:
            InvalidInput: The method is no query, or the API has no count for it.
            TypeError: Arguments of the query were passed by position.
            CallError: See its subclasses.

        Example:
            ::

                running = await tower.count(tower.vm.get_vms, where={"status": "RUNNING"})
        """
        reject_positional("count", _KEYWORDS, args)
        operation = query_of("count", method)
        ask = _sister(method)
        if ask is None:
            raise InvalidInput(f"count: the API has no count for {operation.name}")
        return await _count(ask, query)

    async def server_version(self) -> str:
        """The version of the server: ``"4.9.0"``. Asked once for each connection.

        Raises:
            CallError: See its subclasses.
        """
        return await server_version(self._caller)

    def _none(self, operation: Operation[object], what: str, hint: str) -> NotFound:
        endpoint = self._caller.endpoints.latest
        return NotFound(what, operation=operation.name, endpoint=endpoint, hint=hint)

    async def _not_one(
        self,
        method: Callable[..., Awaitable[list[T]]],
        operation: Operation[object],
        found: Sequence[T],
        query: dict[str, Any],
    ) -> T:
        if not found:
            where = _quoted(query.get("where"), self._caller.transport.mask)
            raise self._none(
                operation,
                f"nothing matches {where}".rstrip(),
                "Check the where, and what the user may see.",
            )
        total = len(found)
        ask = _sister(method)
        if total > _FEW and ask is not None:
            total = await _count(ask, query)
        ids = [str(row.id) for row in found[:_FEW]]
        raise Ambiguous(
            f"{total} match where one was wanted: {', '.join(ids)}{', …' if total > _FEW else ''}",
            operation=operation.name,
            endpoint=self._caller.endpoints.latest,
            count=total,
            ids=ids,
        )


def _require_id(operation: Operation[object], row: T) -> T:
    """Refuse a resource whose id the server left out: nothing can be done with it."""
    if row.id:
        return row
    raise ResponseDecodeError(
        "the server left out the id of the resource", operation=operation.name, place="$[0].id"
    )


def _sister(method: object) -> Callable[..., Awaitable[Connection]] | None:
    """The method that counts what this one reads; a few have none."""
    name = f"{getattr(method, '__name__', '')}_connection"
    return getattr(getattr(method, "__self__", None), name, None)


async def _count(ask: Callable[..., Awaitable[Connection]], query: dict[str, Any]) -> int:
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
    """The count in an answer; None where a server that breaks its schema left it out."""
    aggregate = cast("Aggregate | None", answer.aggregate)
    return None if aggregate is None else cast("int | None", aggregate.count)


def _quoted(where: object, mask: Mask) -> str:
    """The start of a where, for an error."""
    text = mask.body(msgspec.json.encode(where)) if where else ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
