"""How the simulated server behaves where real servers differ, or where nobody published it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, get_args

NothingMatches: TypeAlias = Literal["empty", "404"]
LongMetrics: TypeAlias = Literal["cut", "whole"]

_CHOICES = {
    "nothing_matches": get_args(NothingMatches),
    "long_metrics": get_args(LongMetrics),
}

_FRACTIONAL = ("unique_logical_size", "used_cpu_hz", "used_memory_bytes")
"""Fields that the vendor's Go SDK had to turn from integers into floats."""


_DELAYS = ("guest_tools_delay", "guest_address_delay", "guest_shutdown_delay")


class BehaviorOptions(TypedDict, total=False):
    """The fields of `Behavior` as keyword arguments of `Simulator`."""

    nothing_matches: NothingMatches
    fractions: bool
    long_metrics: LongMetrics
    guest_tools: bool
    guest_tools_delay: float
    guest_address_delay: float
    guest_shutdown_delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """Choices between possible behaviors of a server. The defaults are the likelier ones.

    Args:
        nothing_matches: Answer of a mutation whose filter matches nothing: ``"empty"`` is status
            200 with an empty list, ``"404"`` is an error. Operations that the schema allows to
            answer 304 answer 304 either way.
        fractions: Send fractions in the sizes and frequencies in which real servers send some.
        long_metrics: Metrics of 10 VMs or more over a day or more: ``"cut"`` leaves out the older
            half of the points and sets ``dropped``, ``"whole"`` sends them all.
        guest_tools: Whether the guests of VMs that start have VM tools. Without these the server
            learns no address.
        guest_tools_delay: Seconds from the start of a VM until its VM tools are running.
        guest_address_delay: Seconds from then until the address of the first NIC is known; each
            further NIC takes half of that more.
        guest_shutdown_delay: Seconds until a VM is shown as stopped whose guest has shut itself
            down; see `Simulator.shut_down_guest`.

    Raises:
        ValueError: A value is none of the choices.
    """

    nothing_matches: NothingMatches = "empty"
    fractions: bool = False
    long_metrics: LongMetrics = "cut"
    guest_tools: bool = True
    guest_tools_delay: float = 0.1
    guest_address_delay: float = 0.1
    guest_shutdown_delay: float = 0.1

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            chosen = getattr(self, name)
            if chosen not in choices:
                raise ValueError(f"{name}: expected one of {', '.join(choices)}; got {chosen!r}")
        for name in _DELAYS:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected seconds from 0; got {getattr(self, name)!r}")

    def shown(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a document as the server shows it, given it as the schema wants it."""
        if self.fractions:
            for field in _FRACTIONAL:
                if isinstance(document.get(field), int | float):
                    document[field] += 0.5
        return document
