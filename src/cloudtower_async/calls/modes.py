"""Modes of a session, in which mutations are sent, refused or planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, get_args

from ..errors import InvalidSettings, MutationRefused
from ..options import Mutations
from .operation import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .executor import Executor
    from .operation import Operation

_STRICTNESS = get_args(Mutations)  # in ascending order of strictness

LOGIN = "user.login"
"""The only mutation that every mode sends, because it changes no resource."""


class RefuseMode:
    """Mode of a read-only session, which refuses all mutations and uploads."""

    name: Mutations = "refuse"

    def stops(self, operation: Operation[Any], arguments: object) -> bool:
        return changes(operation)

    def check_wait(self, operation: str, where: object, seen: Collection[str]) -> None:
        """Accept every condition, because waiting changes nothing."""

    async def answer(
        self,
        executor: Executor,
        operation: Operation[Any],
        arguments: object,
        options: Mapping[str, Any],
    ) -> NoReturn:
        raise MutationRefused(operation.name)


def changes(operation: Operation[Any]) -> bool:
    """Return whether an operation changes the server. A login does not count as a change."""
    return operation.kind is not Kind.QUERY and operation.name != LOGIN


def check_tightening(before: Mutations, after: Mutations) -> None:
    """Raise an error if `after` is less strict than `before`.

    Raises:
        InvalidSettings: `after` allows calls that `before` does not allow.
    """
    if _STRICTNESS.index(after) < _STRICTNESS.index(before):
        raise InvalidSettings(
            f"mutations: this session has {before!r}, which with_options can tighten but not "
            f"loosen to {after!r}; create a separate session",
            option="mutations",
        )
