"""About sessions that send no mutations."""

# ruff: noqa: N818 - the names say what happened: `except MutationRefused`
from __future__ import annotations

from .base import CloudtowerError


class MutationRefused(CloudtowerError):
    """A read-only session (``mutations="refuse"``) was to change something. Nothing was sent.

    Attributes:
        operation: What was called: ``"vm.start_vm"``, or the path for calls outside the schema.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation

    def _describe(self) -> str:
        return (
            f"{self.operation}: refused, because the session is read-only (mutations='refuse'); "
            "nothing was sent. Use a session with mutations='allow' to change something."
        )
