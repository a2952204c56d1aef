"""The flow of every idempotent recipe: look, act, and look again when the outcome is unknown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import anyio
import msgspec

from ... import models
from ...client import Cloudtower
from ...errors import (
    Ambiguous,
    BadRequest,
    CallError,
    CloudtowerError,
    NotFound,
    OutcomeUnknown,
    ReadBackFailed,
    TaskError,
    TaskFailed,
    TaskNotFound,
    UnknownTaskStatus,
)
from ...queries.batches import Resource
from ...retry.backoff import poll_delays
from ...retry.classify import is_transient
from ...validators import check_argument, check_seconds, text_fault
from ..batch import identified
from ..progress import read_back

T = TypeVar("T", bound=Resource)
Value = TypeVar("Value")

EnsureResult: TypeAlias = Literal["created", "changed", "unchanged"]
"""Action of a recipe: the resource was created, changed, or left unchanged."""

RECONCILE_TIMEOUT = 120.0
"""Default of `reconcile_timeout` in seconds. It is longer than the 60 s for which a new VM can be
missing from listings."""

_INTERVAL = 5.0
"""Maximum number of seconds between two reads, while the outcome of an action is unknown."""

_MOST = 500
"""Maximum number of resources that a lookup reads."""

_NAME_TAKEN = frozenset({"VM_DUPLICATE", "VM_DUPLICATED_NAME", "PLACEMENT_GROUP_DUPLICATE_NAME"})
"""Error codes of the server. They mean that another resource already has the name."""

_UNKNOWN = (OutcomeUnknown, TaskNotFound, UnknownTaskStatus, ReadBackFailed)
"""Errors after which the server may still carry out the action."""


class Ensured(msgspec.Struct, Generic[Value], kw_only=True, frozen=True):
    """Result of an idempotent recipe.

    Attributes:
        result: ``"created"``, ``"changed"``, or ``"unchanged"`` if there was nothing to do.
        resource: The resource, read after the server has completed all changes (see
            `Cloudtower.settle`).
    """

    result: EnsureResult
    resource: Value


def check_times(recipe: str, timeout: object, reconcile_timeout: object) -> None:
    """Refuse time-outs that are not numbers of seconds."""
    check_seconds(recipe, "timeout", timeout, none_ok=True)
    check_seconds(recipe, "reconcile_timeout", reconcile_timeout, zero_ok=True)


def check_texts(recipe: str, **texts: object) -> None:
    """Refuse names and ids that are not strings of at least one character."""
    for argument, text in texts.items():
        check_argument(recipe, argument, text_fault(text))


class Lookup(Generic[T]):
    """Lookup of the one resource that a recipe ensures.

    Args:
        tower: The session.
        query: Query that lists the resources: ``tower.vm.get_vms``.
        where: Filter of the query.
        fits: Function that returns whether a listed resource is the right one. It is needed because
            servers may ignore filters.
        what: Description of the resource, for errors: ``"VM 'web-1'"``.
        timeout: Seconds to wait until the resource has settled. None means no limit.

    Attributes:
        others: Whether the last `look` found resources, but none that fits. For example, a resource
            in another cluster has the same name.
    """

    def __init__(
        self,
        tower: Cloudtower,
        query: Callable[..., Awaitable[list[T]]],
        where: Mapping[str, Any],
        fits: Callable[[T], bool],
        what: str,
        timeout: float | None,
    ) -> None:
        self.others: bool = False
        self._tower = tower
        self._query = query
        self._where = where
        self._fits = fits
        self._what = what
        self._timeout = timeout

    async def look(self) -> T | None:
        """Wait until the resource has settled and return it, or return None if it is missing.

        Raises:
            Ambiguous: `fits` is true for several resources.
            SettleTimeout: The resource is still changing.
        """
        rows = await self._query(where=self._where, first=_MOST)
        found = self._only([row for row in rows if self._fits(row)])
        self.others = found is None and bool(rows)
        if found is None or getattr(found, "entity_async_status", None) is None:
            return found
        try:
            return await read_back(self._tower, found, self._timeout)
        except NotFound:
            return None  # its creation failed, or it was being deleted

    def _only(self, rows: Sequence[T]) -> T | None:
        by_id = {identified(row, self._query.__name__).id: row for row in rows}
        staying = {
            row_id: row
            for row_id, row in by_id.items()
            if getattr(row, "entity_async_status", None) != "DELETING"
        }
        chosen = staying or by_id
        if len(chosen) > 1:
            raise Ambiguous(
                f"there are {len(chosen)} of {self._what}: {', '.join(list(chosen)[:5])}",
                endpoint=self._tower.endpoint,
                count=len(chosen),
                ids=list(chosen)[:5],
                hint="Delete or rename all but one of them.",
            )
        return next(iter(chosen.values()), None)


def in_cluster(row: Any, cluster_id: str) -> bool:  # noqa: ANN401 - any resource with a cluster
    """Return whether a resource is in a cluster. Return True if its cluster is unknown."""
    cluster: models.NestedCluster | None = row.cluster
    return cluster is None or not cluster.id or cluster.id == cluster_id


def is_name_taken(error: Exception | None) -> bool:
    """Return whether the server refused a name because another resource has it."""
    if isinstance(error, TaskFailed):
        return not _NAME_TAKEN.isdisjoint((error.code, error.ec))
    return isinstance(error, CallError) and error.code in _NAME_TAKEN


def if_planned(tower: Cloudtower, resource: Value) -> Value | None:
    """Return `resource` if the session is in plan mode, otherwise None."""
    return resource if tower.mutations == "plan" else None


async def ensure(
    look: Callable[[], Awaitable[Value | None]],
    act: Callable[[], Awaitable[Value | None]],
    does: EnsureResult,
    reconcile_timeout: float,
    *,
    taken_elsewhere: Callable[[], bool] = lambda: False,
) -> Ensured[Value]:
    """Return the resource in the wanted state; call `act` if `look` does not find it.

    If `act` does not return the resource, call `look` again, for up to `reconcile_timeout` seconds.
    If `act` raised `OutcomeUnknown` and `look` still returns None, call both a second time.

    Args:
        look: Function that returns the resource if it is in the wanted state.
        act: Function that creates or changes the resource. It returns the resource, or None if
            `look` has to read the resource.
        does: Value of `Ensured.result` after `act` was called, such as ``"created"``.
        reconcile_timeout: Seconds to look for the effect of an action whose outcome is unknown.
        taken_elsewhere: Function that returns True if a resource that `look` rejected has the
            wanted name, such as a VM of another cluster. If the server has refused the name, the
            error of `act` is then raised without another `look`.

    Raises:
        CloudtowerError: `look` or `act` failed. If the outcome of `act` stays unknown, the error of
            `act` is raised.
    """
    found = await look()
    if found is not None:
        return Ensured(result="unchanged", resource=found)
    result: EnsureResult = "unchanged"
    for may_repeat in (True, False):
        try:
            doubt: Exception | None = None
            found = await act()
            result = does
        except (CallError, TaskError) as error:
            doubt = error
        if found is not None:
            return Ensured(result=result, resource=found)
        wait = reconcile_timeout
        if isinstance(doubt, _UNKNOWN):
            result = does
        elif isinstance(doubt, BadRequest | TaskFailed) or is_name_taken(doubt):
            # Another program, or an earlier run of this recipe, may have created the resource,
            # which is not listed yet.
            wait = reconcile_timeout if is_name_taken(doubt) else 0.0
        elif doubt is not None:
            raise doubt
        found = await _look_until(look, wait, doubt, taken_elsewhere)
        if found is not None:
            return Ensured(result=result, resource=found)
        if doubt is None:
            raise OutcomeUnknown(
                "the server reports success, but the change does not show within "
                f"{reconcile_timeout:g} s",
                hint="Run the recipe again later: it looks before it acts.",
            )
        if not (may_repeat and isinstance(doubt, OutcomeUnknown)):
            raise doubt
    raise AssertionError  # the last round returns or raises


async def _look_until(
    look: Callable[[], Awaitable[Value | None]],
    seconds: float,
    doubt: Exception | None,
    taken_elsewhere: Callable[[], bool],
) -> Value | None:
    """Call `look` for up to `seconds`, and return the resource, or None if `look` finds nothing.

    Raises:
        CloudtowerError: `look` failed permanently, or its last call failed. If `doubt`,
            the error of the mutation, is not None, `doubt` is raised instead.
    """
    deadline = anyio.current_time() + seconds
    failed: CloudtowerError | None = None
    for delay in poll_delays(_INTERVAL):
        last = anyio.current_time() >= deadline
        try:
            found = await look()
        except CloudtowerError as error:
            failed = error
            if last or not _passes(error):
                break
        else:
            if found is not None or last or (is_name_taken(doubt) and taken_elsewhere()):
                return found
        await anyio.sleep(min(delay, max(0.0, deadline - anyio.current_time())))
    raise doubt or failed or AssertionError from failed


def _passes(error: CloudtowerError) -> bool:
    """Return whether to call `look` again after it failed with this error."""
    reason = error.reason if isinstance(error, ReadBackFailed) else error
    return isinstance(reason, CloudtowerError) and is_transient(reason, can_log_in=False)
