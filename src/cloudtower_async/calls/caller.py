"""From arguments to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .operation import Operation

R = TypeVar("R")


class Caller:
    """Carries out the calls of one session."""

    async def call(
        self,
        operation: Operation[R],
        arguments: Mapping[str, object] | Sequence[object] | None = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Send the arguments and return the decoded answer."""
        raise NotImplementedError
