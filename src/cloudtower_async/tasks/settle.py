"""Waiting until the resources that a mutation changes have settled."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec

from ..api.catalogue import READERS
from ..calls import registry
from ..concurrency import map_concurrently
from ..errors import CloudtowerError, InvalidInput, NotFound, ResponseDecodeError, SettleTimeout
from ..queries.batches import batches, read_by_ids
from ..retry.backoff import poll_delays
from ..types import WithTask
from ..validators import close_calls
from .subscription import LAST_POLL, LATE, ObservedTime
from .waiter import TaskWaiter, check_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..calls.executor import Executor


async def settle(
    changed: object,
    executor: Executor,
    waiter: TaskWaiter,
    *,
    timeout: float | None,
    interval: float,
    grace: float,
) -> object:
    """See `Cloudtower.settle`."""
    check_times("settle", changed, timeout, interval, grace)
    if isinstance(changed, Awaitable):
        changed = await cast("Awaitable[object]", changed)
    answers = _answers(changed)
    deadline = math.inf if timeout is None else anyio.current_time() + timeout
    await waiter.wait(answers, timeout=timeout, interval=interval, grace=grace)
    left = None if timeout is None else max(0.0, deadline - anyio.current_time())
    readings = _readings(answers, executor, grace)
    with executor.transport.until_closed(left):
        for reading in readings.values():
            await reading.finish(interval)
    if anyio.current_time() - deadline >= LATE:  # the clock has jumped
        with executor.transport.until_closed(LAST_POLL):
            for reading in readings.values():
                await reading.look(interval)
    unsettled: dict[str, str | None] = {}
    error: CloudtowerError | None = None
    for reading in readings.values():
        unsettled |= reading.unsettled
        error = error or reading.error
    if unsettled:
        raise SettleTimeout(unsettled, timeout, error) from error
    settled: list[object] = []
    for answer in answers:
        found: list[object] = []
        for resource in _resources(answer):
            reading_of = readings.get(type(resource))
            if reading_of is None:
                found.append(resource)
            elif (there := reading_of.found.get(cast("Any", resource).id)) is not None:
                found.append(there)
        if isinstance(answer.data, list):
            settled.append(found)
        else:
            settled += found
    if not isinstance(changed, WithTask):
        return settled
    if not settled:
        raise readings[type(answers[0].data)].not_found()
    return settled[0]


def _answers(changed: object) -> list[WithTask[object]]:
    """Return the answers of a mutation.

    Raises:
        InvalidInput: Something else was passed.
    """
    if isinstance(changed, WithTask):
        return [cast("WithTask[object]", changed)]
    got, remedy = type(changed).__name__, ""
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


def _resources(answer: WithTask[object]) -> list[object]:
    """Return the resources that an answer is about; some mutations answer with a list of them."""
    data = answer.data
    return cast("list[object]", data) if isinstance(data, list) else [data]


def _readings(
    answers: list[WithTask[object]], executor: Executor, grace: float
) -> dict[type, _Reading]:
    """Return what is to be read, by type.

    Raises:
        ResponseDecodeError: A resource, or its id, is missing: the server breaks its schema.
    """
    readings: dict[type, _Reading] = {}
    nameless = 0
    for answer in answers:
        for resource in _resources(answer):
            kind = type(resource)
            if resource is None:
                nameless += 1
            elif kind.__name__ in READERS:
                if kind not in readings:
                    readings[kind] = _Reading(kind, executor, grace)
                readings[kind].unsettled[cast("Any", resource).id] = None
                nameless += not cast("Any", resource).id
    if nameless:
        raise ResponseDecodeError(
            f"settle: the mutation has succeeded, but its answer leaves out the id of {nameless} "
            "resources, so these cannot be read",
            place="$.data.id",
            hint="Do not repeat the mutation; find the resources with a query.",
        )
    return readings


class _Reading:
    """Resources of one type, each read until nothing changes it any more.

    Args:
        kind: Type in the answer of the mutation.
        executor: Sends the calls.
        grace: Seconds until a resource that was never listed counts as gone.

    Attributes:
        unsettled: Ids of the resources to read, each with what is being done to it, if known.
        found: Settled resources by id.
        error: Error of the last look; a later one may succeed.
    """

    def __init__(self, kind: type, executor: Executor, grace: float) -> None:
        self.unsettled: dict[str, str | None] = {}
        self.found: dict[str, object] = {}
        self.error: CloudtowerError | None = None
        self._kind = kind
        self._executor = executor
        # Deleted resources are expected to be missing.
        self._grace = 0.0 if kind.__name__.startswith("Delete") else grace
        self._observed = ObservedTime()
        self._missing: dict[str, float] = {}  # by id: since when, in observed time
        self._seen: set[str] = set()
        self._query = registry.reader(kind.__name__)

    async def finish(self, interval: float) -> None:
        """Read until all resources have settled."""
        for delay in poll_delays(interval):
            await self.look(delay)
            if not self.unsettled:
                return
            await anyio.sleep(delay)

    async def look(self, delay: float) -> None:
        """Read the unsettled resources once.

        Args:
            delay: Seconds since the last look.
        """
        began = anyio.current_time()
        errors: list[CloudtowerError] = []

        async def ask(**arguments: object) -> list[Any]:
            return await self._executor.call(self._query, arguments)

        async def read(ids: Sequence[str]) -> None:
            try:
                found = await read_by_ids(self._query.name, ask, ids)
            except CloudtowerError as error:
                errors.append(error)
            else:
                now = anyio.current_time()
                self._observed.tick(now, 2 * delay + now - began)
                for identifier in ids:
                    self._take(identifier, found.get(identifier))

        await map_concurrently(read, batches(list(self.unsettled)))
        self.error = next(iter(errors), None)
        for error in errors:
            if not self._executor.is_transient(error):
                raise error

    def _take(self, identifier: str, resource: object) -> None:
        """Record how a resource is; None: it is not listed."""
        status = getattr(resource, "entity_async_status", None)
        if status is not None:
            self.unsettled[identifier] = status
            self._seen.add(identifier)
            return
        if resource is not None:
            if type(resource) is not self._kind:
                # The ids of resources that were to be deleted have a type of their own.
                resource = cast(
                    "object", msgspec.convert(resource, self._kind, from_attributes=True)
                )
            self.found[identifier] = resource
        elif identifier not in self._seen:
            now = self._observed.seconds
            if now - self._missing.setdefault(identifier, now) < self._grace:
                return  # it may be listed later
        del self.unsettled[identifier]

    def not_found(self) -> NotFound:
        return NotFound(
            f"the {self._kind.__name__} that the mutation was about is not there any more",
            operation=self._query.name,
            endpoint=self._executor.endpoints.latest,
            hint="Something else has deleted it.",
        )
