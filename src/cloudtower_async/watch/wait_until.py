"""Wait until resources meet a condition."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio

from ..errors import ConditionFailed, ConditionTimeout, InvalidInput
from ..queries.batches import Resource
from ..retry.backoff import poll_delays
from ..tasks.subscription import LAST_POLL, LATE
from ..validators import check_wait, close_calls
from .outages import Outage
from .view import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from ..calls.executor import Executor
    from .shared_reads import SharedReads

R = TypeVar("R", bound=Resource)


async def wait_until(
    executor: Executor,
    method: Callable[..., Awaitable[list[R]]],
    condition: Callable[[R], object],
    fail_if: Callable[[R], object] | None,
    timeout: float | None,
    interval: float,
    query: Mapping[str, Any],
    shared: MutableMapping[object, SharedReads[Any]],
) -> list[R]:
    """See `Cloudtower.wait_until`."""
    check_wait("wait_until", timeout, interval, 0.0)
    for name, function in (("condition", condition), ("fail_if", fail_if)):
        if not (callable(function) or (function is None and name == "fail_if")):
            close_calls(function)
            raise InvalidInput(
                f"wait_until: {name}: expected a function of a resource, such as "
                f"lambda vm: vm.ips; got {type(function).__name__}"
            )
    view = Watch(
        executor,
        method,
        query,
        interval,
        asker="wait_until",
        pauses=poll_delays(interval),
        shared=shared,
    )
    judge = _Judge(view.wanted_ids, condition, fail_if)
    outage = Outage(f"reading {view.name} to wait", executor.transport, interval)
    began = anyio.current_time()

    async def follow() -> list[R] | None:
        await outage.outlast(view.__aenter__, executor.is_transient)
        async with view.subscribe() as states:
            async for state in states:
                if judge.is_met(state):
                    return list(state.values())
                if executor.mode is not None:
                    executor.mode.check_wait(view.name, query.get("where"), state)
        return None

    with executor.transport.until_closed(timeout):
        if (found := await follow()) is not None:
            return found
    if timeout is not None and anyio.current_time() - began - timeout >= LATE:
        with executor.transport.until_closed(LAST_POLL):
            await outage.outlast(view.__aenter__, executor.is_transient)
            if judge.is_met(state := view.snapshot):
                return list(state.values())
    error = outage.error or view.error
    raise ConditionTimeout(judge.missing, judge.last_seen, timeout, error) from error


class _Judge(Generic[R]):
    """Checks whether all resources meet a condition.

    Attributes:
        missing: Ids of the resources that did not meet the condition in the last check.
        last_seen: Last known state of each resource, by id.
    """

    def __init__(
        self,
        wanted: list[str],
        condition: Callable[[R], object],
        fail_if: Callable[[R], object] | None,
    ) -> None:
        self.missing = wanted
        self.last_seen: Mapping[str, R] = {}
        self._wanted = wanted
        self._condition = condition
        self._fail_if = fail_if

    def is_met(self, state: Mapping[str, R]) -> bool:
        """Return whether at least one resource exists and all resources meet the condition.

        Raises:
            ConditionFailed: A resource was deleted, or `fail_if` is true for a resource.
        """
        before, self.last_seen = self.last_seen, state
        if gone := [one for one in before if one not in state]:
            raise ConditionFailed(gone, before, gone=True)
        if self._fail_if is not None:
            failed = [one for one, row in state.items() if _answer(self._fail_if, row)]
            if failed:
                raise ConditionFailed(failed, state)
        absent = [one for one in self._wanted if one not in state]
        self.missing = absent + [
            one for one, row in state.items() if not _answer(self._condition, row)
        ]
        return bool(state) and not self.missing


def _answer(function: Callable[[R], object], resource: R) -> object:
    answer = function(resource)
    if isinstance(answer, Awaitable):
        close_calls(cast("object", answer))
        raise InvalidInput("wait_until: expected a plain function, got an async one")
    return answer
