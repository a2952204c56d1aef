"""Errors of `Cloudtower.wait_until`, which waits for a condition."""

# ruff: noqa: N818 - names without "Error" read well: `except ConditionTimeout`
from __future__ import annotations

from collections.abc import Mapping, Sequence

from .base import CloudtowerError

_SHOWN = 5
"""Maximum number of resources in a message."""

_FIELDS = ("status", "state", "vm_tools_status", "entity_async_status")
"""Fields of a resource that a message shows."""


class ConditionError(CloudtowerError):
    """Resources did not meet a condition; see `Cloudtower.wait_until`.

    Attributes:
        ids: Ids of the resources that did not meet the condition.
        last_seen: Resources by id, in the state in which they were last read.
    """

    def __init__(self, ids: Sequence[str], last_seen: Mapping[str, object]) -> None:
        super().__init__(ids)
        self.ids: tuple[str, ...] = tuple(ids)
        self.last_seen: dict[str, object] = dict(last_seen)

    def _number(self) -> str:
        return f"{len(self.ids)} resource" + ("s" if len(self.ids) != 1 else "")

    def _states(self) -> str:
        more = ", …" if len(self.ids) > _SHOWN else ""
        return ", ".join(map(self._state, self.ids[:_SHOWN])) + more

    def _state(self, one: str) -> str:
        if one not in self.last_seen:
            return f"{one} (not seen)"
        resource = self.last_seen[one]
        name = getattr(resource, "name", None)
        fields = ((field, getattr(resource, field, None)) for field in _FIELDS)
        told = [f"{field} {value!s:.80}" for field, value in fields if value is not None]
        return f"{one} ({', '.join([f'{name!s:.80}', *told] if name else told)})"


class ConditionFailed(ConditionError):
    """A resource no longer matches the query, or ``fail_if`` was true for a resource.

    Attributes:
        gone: True if the resources were deleted or no longer match the filter. False if
            ``fail_if`` was true.
    """

    def __init__(
        self, ids: Sequence[str], last_seen: Mapping[str, object], *, gone: bool = False
    ) -> None:
        super().__init__(ids, last_seen)
        self.gone = gone

    def _describe(self) -> str:
        if self.gone:
            return (
                f"{self._number()} gone during the wait: {self._states()} when last read. "
                "It was deleted, or the filter no longer matches it."
            )
        return f"fail_if is true for {self._number()}: {self._states()}"


class ConditionTimeout(ConditionError, TimeoutError):
    """Resources did not meet the condition within the time-out.

    Attributes:
        timeout: Time-out in seconds.
        poll_error: Error of the last poll. None if the last poll succeeded.
    """

    def __init__(
        self,
        ids: Sequence[str],
        last_seen: Mapping[str, object],
        timeout: float | None = None,
        poll_error: CloudtowerError | None = None,
    ) -> None:
        super().__init__(ids, last_seen)
        self.timeout = timeout
        self.poll_error = poll_error

    def _describe(self) -> str:
        after = "" if self.timeout is None else f" after {self.timeout:g} s"
        why = "" if self.poll_error is None else f". The last poll failed: {self.poll_error}"
        if not self.ids:
            return f"no resource matched the filter{after}{why or '. Check the filter.'}"
        advice = why or ". Wait again, with a longer timeout= if needed."
        return f"{self._number()} did not meet the condition{after}: {self._states()}{advice}"
