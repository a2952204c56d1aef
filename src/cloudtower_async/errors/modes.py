"""Errors of read-only sessions, and of sessions in plan mode."""

# ruff: noqa: N818 - names without "Error" read well: `except MutationRefused`
from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy_module import LazyModule
from .base import CloudtowerError

if TYPE_CHECKING:
    from .. import plans
else:
    plans = LazyModule("..plans", __package__)


class MutationRefused(CloudtowerError):
    """A mutation was called in a read-only session (``mutations="refuse"``). No request was sent.

    Attributes:
        operation: Name of the operation, such as ``"vm.start_vm"``, or the path for calls outside
            the schema.
    """

    def __init__(self, operation: str) -> None:
        super().__init__(operation)
        self.operation = operation

    def _describe(self) -> str:
        return (
            f"{self.operation}: refused, because the session is read-only (mutations='refuse'); "
            "nothing was sent. Use a session with mutations='allow' to change something."
        )


class PlanEnded(CloudtowerError):
    """The answer to a call in plan mode depends on a planned mutation, so it is unknown.

    The server was not changed.

    Attributes:
        operation: Name of the operation, such as ``"vm.get_vms"``, or the path for calls outside
            the schema.
        reason: Reason why the answer cannot be known.
        plan: The plan so far. If the call is a mutation, the call is the last entry of the plan.
    """

    def __init__(self, operation: str, reason: str, plan: plans.Plan) -> None:
        super().__init__(operation, reason, plan)
        self.operation = operation
        self.reason = reason
        self.plan = plan

    def _describe(self) -> str:
        number = len(self.plan)
        return (
            f"{self.operation}: the plan ends here: {self.reason}. Nothing was changed; the plan "
            f"so far has {number} mutation{'s' if number != 1 else ''}."
        )
