"""Requests by id that several concurrent waits share.

Each wait pauses between its reads. One of the waits is the leader, which sends the requests. When
the pause of one wait ends, the leader also reads for the waits that are in the second half of their
pauses. The next pauses of all these waits begin together, so the waits usually share their next
request, too. One request reads up to 500 ids.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import anyio.lowlevel

from ..concurrency import Leadership
from ..errors import CloudtowerError
from ..queries.batches import Resource, batches, read_by_ids
from ..transport.tracebacks import another, without_frames
from .outages import Outage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..calls.executor import Executor

R = TypeVar("R", bound=Resource)


class _Request(Generic[R]):
    """Resources that one wait has to read.

    Attributes:
        ids: Ids of the resources.
        due: Latest time to read the resources.
        early: Earliest time to read the resources, if another request is due.
        rows: The resources by id; None if the resources have not been read yet.
        error: Error of the read; None if the read has not failed.
    """

    def __init__(self, ids: Sequence[str], due: float, delay: float) -> None:
        self.ids = ids
        self.due = due
        self.early = due - delay / 2
        self.rows: dict[str, R] | None = None
        self.error: CloudtowerError | None = None

    @property
    def is_open(self) -> bool:
        return self.rows is None and self.error is None


class SharedReads(Generic[R]):
    """Reader of resources by id, for all waits that use the same query.

    Args:
        executor: Executor, which decides which errors are transient.
        name: Name of the query.
        page: Function that sends the query; it takes ``where`` and ``first``.
        interval: Maximum pause in seconds before the first retry of a failed read.
    """

    def __init__(
        self,
        executor: Executor,
        name: str,
        page: Callable[..., Awaitable[Sequence[R]]],
        interval: float,
    ) -> None:
        self._executor = executor
        self._name = name
        self._page = page
        self._outage = Outage(f"reading {name} to wait", executor.transport, interval)
        self._requests: dict[_Request[R], None] = {}
        self._leadership = Leadership()
        self._joined = anyio.Event()  # set when a wait joins, then replaced by a new event

    @property
    def error(self) -> CloudtowerError | None:
        """Error of the last read; None if the read succeeded."""
        return self._outage.error

    async def read(self, ids: Sequence[str], due: float, delay: float) -> dict[str, R]:
        """Read resources, and keep retrying while the server is unavailable.

        Args:
            ids: Ids of the resources.
            due: Latest time to read the resources, by the clock of the event loop.
            delay: Seconds of the pause before `due`. The read may happen in the second half.

        Returns:
            The resources that exist, by id.

        Raises:
            CallError: The read failed with a permanent error.
        """
        request = _Request[R](ids, due, delay)
        self._requests[request] = None
        self._joined.set()
        self._joined = anyio.Event()
        try:
            while request.is_open:
                await self._leadership.lead_or_wait(self._poll)
        finally:
            del self._requests[request]
        if request.error is not None:
            raise another(request.error)
        return request.rows or {}

    async def _poll(self) -> None:
        """Wait until a request is due. Then serve all requests whose time `early` has passed."""
        await anyio.lowlevel.checkpoint()  # let other waits that begin now join this read
        while True:
            waiting = [one for one in self._requests if one.is_open]
            now = anyio.current_time()
            first = min(one.due for one in waiting)
            if first <= now:
                break
            with anyio.move_on_after(first - now):
                await self._joined.wait()
        served = [one for one in waiting if one.early <= now]
        ids = list(dict.fromkeys(chain.from_iterable(one.ids for one in served)))
        found: dict[str, R] = {}
        try:
            for part in batches(ids):
                read = partial(self._read, part)
                found |= await self._outage.outlast(read, self._executor.is_transient)
        except CloudtowerError as exc:
            for one in served:
                one.error = without_frames(another(exc))
        else:
            for one in served:
                one.rows = {id_: found[id_] for id_ in one.ids if id_ in found}

    async def _read(self, ids: Sequence[str]) -> dict[str, Any]:
        self._executor.transport.counts.polls += 1
        return await read_by_ids(self._name, self._page, ids)
