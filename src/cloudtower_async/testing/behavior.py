"""How the simulated server behaves where real servers differ, or where nobody published it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, get_args

NothingMatches: TypeAlias = Literal["empty", "404"]

_FRACTIONAL = ("unique_logical_size", "used_cpu_hz", "used_memory_bytes")
"""Fields that the vendor's Go SDK had to turn from integers into floats."""


class BehaviorOptions(TypedDict, total=False):
    """The fields of `Behavior` as keyword arguments of `Simulator`."""

    nothing_matches: NothingMatches
    fractions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """Choices between possible behaviors of a server. The defaults are the likelier ones.

    Args:
        nothing_matches: Answer of a mutation whose filter matches nothing: ``"empty"`` is status
            200 with an empty list, ``"404"`` is an error. Operations that the schema allows to
            answer 304 answer 304 either way.
        fractions: Send fractions in the sizes and frequencies in which real servers send some.

    Raises:
        ValueError: A value is none of the choices.
    """

    nothing_matches: NothingMatches = "empty"
    fractions: bool = False

    def __post_init__(self) -> None:
        choices = get_args(NothingMatches)
        if self.nothing_matches not in choices:
            raise ValueError(
                f"nothing_matches: expected one of {', '.join(choices)}; "
                f"got {self.nothing_matches!r}"
            )

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document as the server shows it, given it as the schema wants it."""
        if self.fractions:
            for field in _FRACTIONAL:
                if isinstance(document.get(field), int | float):
                    document[field] += 0.5
        return document
