"""Loader that combines many reads by id into few requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

from ..calls.executor import Executor
from ..concurrency import Leadership, map_concurrently
from ..errors import CloudtowerError, InvalidInput, NotFound
from ..transport.tracebacks import another, without_frames
from ..validators import check_seconds, positive_number
from .batches import IDS_AT_ONCE, Resource, read_by_ids
from .pages import has_field, query_of

T = TypeVar("T", bound=Resource)


class _Batch(Generic[T]):
    """Ids that are read with one request, and the result of the request.

    Attributes:
        readers: Number of waiting callers, by id.
        result: Resources by id, or the error of the request; None until the request has ended.
        leadership: Selects the caller that sends the request.
    """

    def __init__(self) -> None:
        self.readers: dict[str, int] = {}
        self.result: dict[str, T] | CloudtowerError | None = None
        self.leadership = Leadership()


class Loader(Generic[T]):
    """Loader of resources by id, which combines simultaneous reads into one request.

    `Cloudtower.loader` returns a loader. Loaders are meant for web backends and GraphQL resolvers,
    where many coroutines each need one resource. The ids that are requested in the same turn of the
    event loop are read together. Each request reads at most 500 ids. One of the waiting callers
    sends the request. If this caller is cancelled, another caller sends the request again. Nothing
    runs in the background.

    Without a cache, each call of `get` waits for a request that is sent after the call. So a read
    after a mutation sees the effect of the mutation.
    """

    def __init__(
        self,
        executor: Executor,
        method: Callable[..., Awaitable[Sequence[T]]],
        max_age: float | None,
        max_entries: int,
    ) -> None:
        operation = query_of("loader", method)
        if not has_field(operation, "id"):
            raise InvalidInput(f"loader: the rows of {operation.name} have no field id")
        if max_age is not None:
            check_seconds("loader", "max_age", max_age)
        self._executor = executor
        self._method = method
        self._name = operation.name
        self._max_age = max_age or 0.0
        self._max_entries = positive_number("loader", "max_entries", max_entries)
        self._cache: dict[str, tuple[float, T]] = {}  # oldest first
        self._open: _Batch[T] | None = None  # the batch that still accepts ids

    async def get(self, id: str) -> T:  # noqa: A002 - the API's name
        """Return the resource with this id.

        Args:
            id: Id of the resource.

        Raises:
            NotFound: The server has no such resource, or the user may not see it.
            CallError: The request failed. Callers that share a request get separate error objects.
            InvalidInput: The id is not a string or is empty.
            SessionClosed: The session is closed.

        Example:
            ::

                vms = tower.loader(tower.vm.get_vms)
                vm = await vms.get(vm_id)
        """
        self._check(id)
        now = self._executor.transport.running_loop().time()
        if self._cache and (cached := self._cached(id, now)) is not None:
            return cached
        batch = self._join(id)
        try:
            rows = await self._result(batch)
        finally:
            self._leave(batch, id)
        if id not in rows:
            raise NotFound(
                f"no resource has the id {id!r}",
                operation=self._name,
                endpoint=self._executor.endpoints.latest,
                hint="Check the id, and the permissions of the user.",
            )
        return rows[id]

    async def get_many(self, ids: Iterable[str]) -> dict[str, T]:
        """Return a dict of resources by id, in the order of `ids`.

        Ids that match no resource are left out.

        Args:
            ids: Ids of the resources. Repeated ids are read once.

        Raises:
            CallError: A request failed.
            InvalidInput: An id is not a string or is empty, or `ids` is a single string.
            SessionClosed: The session is closed.
        """
        wanted = self._distinct(ids)
        now = self._executor.transport.running_loop().time()
        found = {one: row for one in wanted if (row := self._cached(one, now)) is not None}
        batches: dict[_Batch[T], list[str]] = {}
        for one in wanted:
            if one not in found:
                batch = self._join(one)
                batches.setdefault(batch, []).append(one)
        try:
            results = await map_concurrently(self._result, batches)
        finally:
            for batch, parts in batches.items():
                for one in parts:
                    self._leave(batch, one)
        for parts, rows in zip(batches.values(), results, strict=True):
            found.update((one, rows[one]) for one in parts if one in rows)
        return {one: found[one] for one in wanted if one in found}

    def clear(self, ids: Iterable[str] | None = None) -> None:
        """Forget cached resources, for example after a mutation changed them.

        Args:
            ids: Ids of the resources to forget. None forgets all cached resources.
        """
        if ids is None:
            self._cache.clear()
            return
        for one in self._distinct(ids):
            self._cache.pop(one, None)

    def _check(self, one: object) -> None:
        if not isinstance(one, str) or not one:
            raise InvalidInput(f"loader of {self._name}: expected an id, got {one!r}")

    def _distinct(self, ids: Iterable[str]) -> list[str]:
        if isinstance(ids, str):
            raise InvalidInput(f"loader of {self._name}: expected a list of ids, got {ids!r}")
        wanted = list(dict.fromkeys(ids))
        for one in wanted:
            self._check(one)
        return wanted

    def _cached(self, one: str, now: float) -> T | None:
        since, row = self._cache.get(one, (0.0, None))
        if row is None or now - since < self._max_age:
            return row
        del self._cache[one]
        return None

    def _keep(self, since: float, rows: dict[str, T]) -> None:
        if not self._max_age:
            return
        for one, row in rows.items():
            self._cache.pop(one, None)
            self._cache[one] = since, row
        while len(self._cache) > self._max_entries:
            del self._cache[next(iter(self._cache))]

    def _join(self, one: str) -> _Batch[T]:
        batch = self._open
        if batch is None or (one not in batch.readers and len(batch.readers) >= IDS_AT_ONCE):
            batch = self._open = _Batch()
        batch.readers[one] = batch.readers.get(one, 0) + 1
        return batch

    def _leave(self, batch: _Batch[T], one: str) -> None:
        batch.readers[one] -= 1
        if not batch.readers[one]:
            del batch.readers[one]
        if batch is self._open and not batch.readers:
            self._open = None

    async def _result(self, batch: _Batch[T]) -> dict[str, T]:
        while batch.result is None:
            await batch.leadership.lead_or_wait(partial(self._send, batch))
        if isinstance(batch.result, CloudtowerError):
            raise another(batch.result)
        return batch.result

    async def _send(self, batch: _Batch[T]) -> None:
        """Wait one turn of the event loop, so that more callers can join; then send the request."""
        await asyncio.sleep(0)
        if batch is self._open:
            self._open = None
        since = asyncio.get_running_loop().time()
        try:
            rows = await read_by_ids(self._name, self._method, list(batch.readers))
        except CloudtowerError as exc:
            batch.result = without_frames(exc)
        else:
            self._keep(since, rows)
            batch.result = rows
