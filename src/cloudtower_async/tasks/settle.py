"""From a mutation to the resources as they are when the work is done."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec

from ..api.catalogue import READERS
from ..calls import registry
from ..calls.unawaited import close_calls
from ..concurrency import map_concurrently
from ..errors import CloudtowerError, InvalidInput, NotFound, ResponseDecodeError, SettleTimeout
from ..queries.batches import batches, read_by_ids
from ..types import WithTask
from ..validators import check_wait
from .poller import may_pass
from .subscription import FIRST_DELAY, LAST_POLL, LATE, ObservedTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..calls.executor import Executor
    from ..calls.operation import Operation

_GONE = object()
"""Stands for a resource that is no longer there."""


async def settle(
    changed: object,
    caller: Executor,
    wait: Callable[..., Awaitable[object]],
    *,
    timeout: float | None,
    interval: float,
    grace: float,
) -> object:
    """See `Cloudtower.settle`."""
    try:
        check_wait("settle", timeout, interval, grace)
    except InvalidInput:
        close_calls(changed)
        raise
    if isinstance(changed, Awaitable):
        changed = await cast("Awaitable[object]", changed)
    answer = _answer(changed)
    deadline = math.inf if timeout is None else anyio.current_time() + timeout
    await wait(answer, timeout=timeout, interval=interval, grace=grace)
    left = None if timeout is None else max(0.0, deadline - anyio.current_time())
    _require_ids(answer)
    readings = _readings(answer, caller, grace)
    with caller.transport.until_closed(left):
        for reading in readings.values():
            await reading.finish(interval)
    if anyio.current_time() - deadline >= LATE:  # the clock has jumped
        with caller.transport.until_closed(LAST_POLL):
            for reading in readings.values():
                await reading.look(interval)
    unsettled = {
        resource: status
        for reading in readings.values()
        for resource, status in reading.unsettled.items()
    }
    if unsettled:
        error = next((r.error for r in readings.values() if r.error is not None), None)
        raise SettleTimeout(unsettled, timeout, error) from error
    if isinstance(answer, list):
        return _there(_anew(one.data, readings) for one in answer)
    resource = _anew(answer.data, readings)
    if resource is _GONE:
        raise readings[type(answer.data)].not_found()
    return resource


def _answer(changed: object) -> WithTask[object] | list[WithTask[object]]:
    if isinstance(changed, WithTask):
        return cast("WithTask[object]", changed)
    got = type(changed).__name__
    remedy = ""
    if isinstance(changed, Iterable) and not isinstance(changed, str | Mapping):
        answers = list(cast("Iterable[object]", changed))
        wrong = [one for one in answers if not isinstance(one, WithTask)]
        if not wrong:
            return cast("list[WithTask[object]]", answers)
        close_calls(answers)
        got = f"{type(wrong[0]).__name__} in a {got}"
        remedy = "; await each call first" if isinstance(wrong[0], Awaitable) else ""
    raise InvalidInput(
        "settle: expected a call of a mutation that starts tasks, or what it answered with; "
        f"got {got}{remedy}"
    )


def _require_ids(answer: WithTask[object] | list[WithTask[object]]) -> None:
    """Require the answer of a mutation to name the resources that it changes.

    Raises:
        ResponseDecodeError: A resource, or its id, is missing: the server breaks its schema.
    """
    answers = answer if isinstance(answer, list) else [answer]
    nameless = sum(
        resource is None or (type(resource).__name__ in READERS and not cast("Any", resource).id)
        for one in answers
        for resource in _resources(one.data)
    )
    if nameless:
        raise ResponseDecodeError(
            f"settle: the mutation has succeeded, but its answer leaves out the id of {nameless} "
            "resources, so these cannot be read",
            place="$.data.id",
            hint="Do not repeat the mutation; find the resources with a query.",
        )


def _readings(
    answer: WithTask[object] | list[WithTask[object]], caller: Executor, grace: float
) -> dict[type, _Reading]:
    """What is to be read anew, by type."""
    readings: dict[type, _Reading] = {}
    for one in answer if isinstance(answer, list) else [answer]:
        for resource in _resources(one.data):
            kind = type(resource)
            if kind.__name__ in READERS:
                reading = readings.setdefault(kind, _Reading(kind, caller, grace))
                reading.unsettled[cast("Any", resource).id] = None
    return readings


def _resources(data: object) -> Iterator[object]:
    """What the data of an answer is about; of some mutations it is a list."""
    if isinstance(data, list):
        yield from cast("list[object]", data)
    else:
        yield data


def _anew(data: object, readings: dict[type, _Reading]) -> object:
    """The data of an answer with each resource as it was read."""
    if isinstance(data, list):
        return _there(_anew(one, readings) for one in cast("list[object]", data))
    reading = readings.get(type(data))
    return data if reading is None else reading.found.get(cast("Any", data).id, _GONE)


def _there(resources: Iterator[object]) -> list[object]:
    return [resource for resource in resources if resource is not _GONE]


class _Reading:
    """Resources of one type: read again and again, each until nothing changes it any more.

    Args:
        kind: What the mutation answers with.
        caller: How to ask the server.
        grace: Seconds until a resource that was never listed counts as gone.
    """

    def __init__(self, kind: type, caller: Executor, grace: float) -> None:
        self.unsettled: dict[str, str | None] = {}  # by id: what is being done to it, when known
        self.found: dict[str, object] = {}
        self.error: CloudtowerError | None = None  # of the last look; a later one may do better
        self._kind = kind
        self._caller = caller
        # Deleted resources are expected to be missing.
        self._grace = 0.0 if kind.__name__.startswith("Delete") else grace
        self._observed = ObservedTime()
        self._missing: dict[str, float] = {}  # by id: since when, in observed time
        self._seen: set[str] = set()
        self._query: Operation[list[Any]] = registry.reader(kind.__name__)

    async def finish(self, interval: float) -> None:
        """Read until nothing is left to wait for."""
        delay = min(FIRST_DELAY, interval)
        while True:
            await self.look(delay)
            if not self.unsettled:
                return
            await anyio.sleep(delay)
            delay = min(delay * 2, interval)

    async def look(self, delay: float) -> None:
        """Read what is unsettled once.

        Args:
            delay: Seconds since the last look.
        """
        ids = list(self.unsettled)
        began = anyio.current_time()
        errors: list[CloudtowerError] = []

        async def ask(**arguments: object) -> list[Any]:
            return await self._caller.call(self._query, arguments)

        async def read(some: Sequence[str]) -> None:
            try:
                found = await read_by_ids(self._query.name, ask, some)
            except CloudtowerError as error:
                errors.append(error)
            else:
                now = anyio.current_time()
                self._observed.tick(now, 2 * delay + now - began)
                self._take(some, found)

        await map_concurrently(read, batches(ids))
        self.error = next(iter(errors), None)
        for error in errors:
            if not may_pass(error, self._caller):
                raise error

    def _take(self, ids: Sequence[str], found: dict[str, Any]) -> None:
        for identifier in ids:
            resource = found.get(identifier)
            status = getattr(resource, "entity_async_status", None)
            if status is not None:
                self.unsettled[identifier] = status
                self._seen.add(identifier)
                continue
            if resource is None and self._may_appear(identifier):
                continue
            del self.unsettled[identifier]
            if resource is not None:
                self.found[identifier] = self._as_answered(resource)

    def _may_appear(self, identifier: str) -> bool:
        """Return whether a resource that is not listed may be listed later."""
        if identifier in self._seen:
            return False
        now = self._observed.seconds
        return now - self._missing.setdefault(identifier, now) < self._grace

    def _as_answered(self, resource: object) -> object:
        if type(resource) is self._kind:
            return resource
        # The ids of what was to be deleted come in a type of their own.
        return cast("object", msgspec.convert(resource, self._kind, from_attributes=True))

    def not_found(self) -> NotFound:
        return NotFound(
            f"the {self._kind.__name__} that the mutation was about is not there any more",
            operation=self._query.name,
            endpoint=self._caller.endpoints.latest,
            hint="Something else has deleted it.",
        )
