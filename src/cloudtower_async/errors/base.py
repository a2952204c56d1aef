"""Base class of all errors, and errors of the session itself."""

# ruff: noqa: N818 - names without "Error" read well: `except ResourceLocked`
from __future__ import annotations

from collections.abc import Sequence

from ..control_characters import printable


class CloudtowerError(Exception):
    """Base of all exceptions that this package raises on purpose.

    ``str(error)`` is one line without control characters, even if the server has sent control
    characters. The attributes hold the original texts. Subclasses override `_describe` instead of
    ``__str__``. The ``repr`` contains the same text as ``str(error)``, so logs and exception groups
    show this text, too.
    """

    def __str__(self) -> str:
        return printable(self._describe())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def _describe(self) -> str:
        return super().__str__()


class InvalidSettings(CloudtowerError, ValueError):
    """An option of the session is invalid. The attribute ``option`` is the name of the option."""

    def __init__(self, message: str, *, option: str = "") -> None:
        super().__init__(message)
        self.option = option


class InvalidInput(CloudtowerError, ValueError):
    """The arguments of a call are invalid. No request was sent."""


class EmptyFilter(InvalidInput):
    """A filter of a mutation or of a metrics query may match everything.

    No request was sent. Pass `EVERYTHING` to match all resources on purpose.
    """


class SessionClosed(CloudtowerError):
    """The session is closed, or it belongs to another event loop."""

    def __init__(self, message: str = "the session is closed; make a new one") -> None:
        super().__init__(message)


class LockTimeout(CloudtowerError, TimeoutError):
    """Other callers in this process held the locks of resources for longer than `timeout`.

    Attributes:
        resource_ids: Ids of the resources that other callers have locked or are waiting for.
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
