"""Wait until the resources that a mutation changes have settled.

A resource has settled when its task has succeeded and its ``entityAsyncStatus`` is null.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import anyio
import msgspec

from .. import models
from ..api.catalogue import READERS
from ..calls import registry
from ..concurrency import map_concurrently
from ..errors import CloudtowerError, InvalidInput, NotFound, ResponseDecodeError, SettleTimeout
from ..plans import PlannedAnswer
from ..queries.batches import batches, read_by_ids
from ..retry.backoff import poll_delays
from ..types import WithTask
from ..validators import close_calls
from .pending import Pending, check_endpoint, resources_in
from .subscription import LAST_POLL, LATE, ObservedTime
from .waiter import TaskWaiter, check_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..calls.executor import Executor
    from .waiter import Waitable


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
    if isinstance(changed, Pending):
        pending = cast("Pending[object]", changed)
        check_endpoint("settle", pending, executor.transport.settings.endpoints)
        work, single = _stored_work(pending), pending.single
        tasks: Waitable = pending
    else:
        answers = answers_in("settle", changed)
        work, single = list(map(_work, answers)), isinstance(changed, WithTask)
        tasks = answers
    deadline = math.inf if timeout is None else anyio.current_time() + timeout
    await waiter.wait(tasks, timeout=timeout, interval=interval, grace=grace)
    left = None if timeout is None else max(0.0, deadline - anyio.current_time())
    readings = _readings(work, executor, grace)
    with executor.transport.until_closed(left):
        for reading in readings.values():
            await reading.finish(interval)
    if anyio.current_time() - deadline >= LATE:  # the clock has jumped, see `LATE`
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
    for part in work:
        found: list[object] = []
        for resource in part.resources:
            reading_of = readings.get(resource.kind)
            if reading_of is None:
                found.append(resource.data)
            elif (there := reading_of.found.get(resource.id)) is not None:
                found.append(there)
        if part.is_list:
            settled.append(found)
        else:
            settled += found
    if not single:
        return settled
    if not settled:
        raise readings[work[0].resources[0].kind].not_found()
    return settled[0]


class _Resource(NamedTuple):
    """A resource that a mutation changes.

    Args:
        kind: Struct of the resource in the answer; NoneType if `data` is None.
        id: Id of the resource; empty if the server left out the id, or if no query can read the
            resource.
        data: The resource in the answer.
    """

    kind: type
    id: str
    data: object


class _Work(NamedTuple):
    """Resources of one answer.

    `is_list` is True if the answer holds a list of resources, and False if it holds a single
    resource.
    """

    resources: list[_Resource]
    is_list: bool


def _work(answer: WithTask[object]) -> _Work:
    # In plan mode nothing was sent, so the server changes nothing and nothing has to be read.
    if isinstance(answer, PlannedAnswer):
        data = [] if answer.deletes else resources_in(answer)
        resources = [_Resource(PlannedAnswer, "", one) for one in data]
        return _Work(resources, isinstance(answer.data, list))
    return _Work(
        [_Resource(type(one), getattr(one, "id", None) or "", one) for one in resources_in(answer)],
        isinstance(answer.data, list),
    )


def _stored_work(pending: Pending[object]) -> list[_Work]:
    """Return a `_Work` for each answer in a `Pending`.

    Raises:
        InvalidInput: No query can read the resources.
    """
    for answer in pending.answers:
        for one in answer.resources:
            if one.type is not None and one.type not in READERS:
                raise InvalidInput(
                    f"settle: resources of type {one.type!r} cannot be read again; "
                    "use wait, which returns the ended tasks"
                )
    return [
        _Work(
            [_Resource(_kind(one.type), one.id or "", None) for one in answer.resources],
            answer.is_list,
        )
        for answer in pending.answers
    ]


def _kind(name: str | None) -> type:
    if name is None:
        return type(None)
    kind: type = getattr(models, name)
    return kind


def answers_in(asker: str, changed: object) -> list[WithTask[object]]:
    """Return the answer or answers in `changed` as a list.

    Args:
        asker: Name of the method to which `changed` was passed, for the error message.
        changed: An answer, or a list of answers.

    Raises:
        InvalidInput: `changed` is of another type.
    """
    if isinstance(changed, WithTask):
        return [cast("WithTask[object]", changed)]
    got, wrong = type(changed).__name__, changed
    if isinstance(changed, Iterable) and not isinstance(changed, str | Mapping):
        answers = list(cast("Iterable[object]", changed))
        others = [one for one in answers if not isinstance(one, WithTask)]
        if not others:
            return cast("list[WithTask[object]]", answers)
        wrong = others[0]
        got = f"{type(wrong).__name__} in a {got}"
        close_calls(answers)
    close_calls(wrong)
    remedy = "; await each call first" if isinstance(wrong, Awaitable) else ""
    raise InvalidInput(
        f"{asker}: expected a call of a mutation that starts tasks, or its answer; "
        f"got {got}{remedy}"
    )


def _readings(work: list[_Work], executor: Executor, grace: float) -> dict[type, _Reading]:
    """Return a `_Reading` for each type of resource that has to be read.

    Raises:
        ResponseDecodeError: The server violated its schema: a resource or its id is missing from an
            answer.
    """
    readings: dict[type, _Reading] = {}
    nameless = 0
    for part in work:
        for kind, identifier, _ in part.resources:
            if kind is type(None):
                nameless += 1
            elif kind.__name__ in READERS:
                if kind not in readings:
                    readings[kind] = _Reading(kind, executor, grace)
                readings[kind].unsettled[identifier] = None
                nameless += not identifier
    if nameless:
        raise ResponseDecodeError(
            f"settle: the mutation has succeeded, but its answer leaves out the id of {nameless} "
            "resources, so these cannot be read",
            place="$.data.id",
            hint="Do not repeat the mutation; find the resources with a query.",
        )
    return readings


class _Reading:
    """Reads the resources of one type until all of them have settled.

    Args:
        kind: Class of the resources, such as `models.Vm`.
        executor: Executor of the calls.
        grace: Seconds after which a resource that the server never listed counts as deleted.

    Attributes:
        unsettled: Resources that have not settled: their ``entityAsyncStatus`` by id. The status is
            None until the resource has been read.
        found: Settled resources by id.
        error: Error of the last read; None if the read succeeded. A later read may succeed.
    """

    def __init__(self, kind: type, executor: Executor, grace: float) -> None:
        self.unsettled: dict[str, str | None] = {}
        self.found: dict[str, object] = {}
        self.error: CloudtowerError | None = None
        self._kind = kind
        self._executor = executor.for_polls()
        # Deleted resources are missing as expected, so they need no grace period.
        self._grace = 0.0 if kind.__name__.startswith("Delete") else grace
        self._observed = ObservedTime()
        self._missing: dict[str, float] = {}  # observed time when first missing, by id
        self._seen: set[str] = set()
        self._query = registry.reader(kind.__name__)

    async def finish(self, interval: float) -> None:
        """Read the resources repeatedly until all of them have settled."""
        for delay in poll_delays(interval):
            await self.look(delay)
            if not self.unsettled:
                return
            await anyio.sleep(delay)

    async def look(self, delay: float) -> None:
        """Read the unsettled resources once.

        Args:
            delay: Seconds since the last read.
        """
        began = anyio.current_time()
        errors: list[CloudtowerError] = []

        async def ask(**arguments: object) -> list[Any]:
            return await self._executor.call(self._query, arguments)

        async def read(ids: Sequence[str]) -> None:
            self._executor.transport.counts.polls += 1
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
        """Record the state of a resource; `resource` is None if the server does not list it."""
        status = getattr(resource, "entity_async_status", None)
        if status is not None:
            self.unsettled[identifier] = status
            self._seen.add(identifier)
            return
        if resource is not None:
            if type(resource) is not self._kind:
                # Answers of deletions have a separate struct, which only holds the id.
                resource = cast(
                    "object", msgspec.convert(resource, self._kind, from_attributes=True)
                )
            self.found[identifier] = resource
        elif identifier not in self._seen:
            now = self._observed.seconds
            if now - self._missing.setdefault(identifier, now) < self._grace:
                return  # the resource may be listed later
        del self.unsettled[identifier]

    def not_found(self) -> NotFound:
        return NotFound(
            f"the {self._kind.__name__} that the mutation changed no longer exists",
            operation=self._query.name,
            endpoint=self._executor.endpoints.latest,
            hint="Another task has deleted it.",
        )
