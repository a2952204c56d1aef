"""What is neither about one call nor about tasks."""

# ruff: noqa: N818 - the names say what happened: `except ResourceLocked`
from __future__ import annotations

from collections.abc import Sequence

from ..control_characters import printable


class CloudtowerError(Exception):
    """Base of everything this package raises on purpose.

    ``str(error)`` is one line without control characters, whatever a server has put into it; the
    attributes hold the texts as they are. Subclasses override `_describe`, not ``__str__``. The
    ``repr`` has the same text, so that it is in logs and in groups of errors, too.
    """

    def __str__(self) -> str:
        return printable(self._describe())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def _describe(self) -> str:
        return super().__str__()


class InvalidSettings(CloudtowerError, ValueError):
    """An option of the session cannot be used. ``option`` names it."""

    def __init__(self, message: str, *, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class InvalidInput(CloudtowerError, ValueError):
    """The arguments of a call cannot be sent. Nothing was sent."""


class EmptyFilter(InvalidInput):
    """A filter may match everything, and the call would change, or measure, all of it.

    No request was sent. Pass `EVERYTHING` to match all resources on purpose.
    """


class SessionClosed(CloudtowerError):
    """The session was closed, or belongs to another event loop."""

    def __init__(self, message: str = "the session is closed; make a new one") -> None:
        super().__init__(message)


class LockTimeout(CloudtowerError, TimeoutError):
    """Other callers of this process held resources for longer than `timeout`.

    Attributes:
        resource_ids: Ids that other callers hold, or waited for earlier.
        timeout: Time-out in seconds.
    """

    def __init__(self, resource_ids: Sequence[str], timeout: float | None = None) -> None:
        super().__init__(resource_ids)
        self.resource_ids: tuple[str, ...] = tuple(resource_ids)
        self.timeout = timeout

    def _describe(self) -> str:
        after = "" if self.timeout is None else f" after {self.timeout:g} s"
        shown = ", ".join(self.resource_ids[:5]) + (", …" if len(self.resource_ids) > 5 else "")
        return f"locked by other callers of this process{after}: {shown}. Pass a longer timeout=."
