"""Figures that may be unknown, and sums of such figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from ..units import format_bytes, format_cores, format_hertz, format_percent

Unit: TypeAlias = Literal["B", "Hz", "cores", "%"]

_FORMATS = {"B": format_bytes, "Hz": format_hertz, "cores": format_cores, "%": format_percent}


class Amount(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A figure as a number and as formatted text. ``str()`` returns the text.

    Attributes:
        value: The figure in `unit`, or None if the figure is unknown. A figure for several clusters
            or hosts leaves out clusters and hosts with unknown values.
        unit: ``"B"``, ``"Hz"``, ``"cores"`` or ``"%"``.
        text: The figure with a unit that suits its size, such as ``1.50TiB``. If the figure leaves
            out a cluster or host, a sum begins with ``≥``, and a percentage with ``≈``. If `value`
            is None, the text is the word ``unknown``.
        unknown: Number of clusters or hosts that the figure leaves out.
    """

    value: int | float | None
    unit: Unit
    text: str
    unknown: int = 0

    def __str__(self) -> str:
        return self.text


def amount(value: float | None, unit: Unit, *, unknown: int = 0) -> Amount:
    """Return an `Amount` with a number and its formatted text.

    Args:
        value: The number, or None if it is unknown.
        unit: Unit of the number.
        unknown: Number of clusters or hosts that the number leaves out.
    """
    text = _FORMATS[unit](value)
    if unknown and value is not None:
        text = f"{'≈' if unit == '%' else '≥'} {text}"
    return Amount(value=value, unit=unit, text=text, unknown=unknown)


def total(parts: Iterable[float | None], unit: Unit) -> Amount:
    """Return the sum of the known parts as an `Amount`, with the number of unknown parts.

    If all parts are unknown, the sum is None. If `parts` is empty, the sum is 0.
    """
    all_parts = list(parts)
    known = [part for part in all_parts if part is not None]
    value = sum(known) if known or not all_parts else None
    return amount(value, unit, unknown=len(all_parts) - len(known))


def usage(parts: Iterable[tuple[float | None, float | None]]) -> Amount:
    """Return the usage of all parts together in percent, from 0 to 100.

    For example, the parts (1, 10) and (3, 10) give 20 percent. A part with None is left out. If
    the sum of the totals is 0, `value` is None.

    Args:
        parts: Used amount and total of each part.
    """
    used_sum = total_sum = 0.0
    unknown = 0
    for used, available in parts:
        if used is None or available is None:
            unknown += 1
        else:
            used_sum += used
            total_sum += available
    value = min(max(100 * used_sum / total_sum, 0.0), 100.0) if total_sum > 0 else None
    return amount(value, "%", unknown=unknown)
