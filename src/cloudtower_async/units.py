"""Format and parse figures with units: ``1.50TiB``, ``2.40GHz``, ``43.21%``.

In all functions, None stands for an unknown figure, which is formatted as ``unknown``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction

BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
HERTZ_UNITS = ("Hz", "KHz", "MHz", "GHz", "THz")

UNKNOWN = "unknown"

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgtp]i?)?b)?\s*", re.ASCII | re.IGNORECASE)
_PREFIXES = ("", "k", "m", "g", "t", "p")


def format_unit(figure: float | None, units: Sequence[str], step: float) -> str:
    """Format a figure with two decimals in the unit that suits its size.

    Zero and negative figures are formatted as ``0`` with the first unit. Very large
    figures are formatted with the last unit.

    Args:
        figure: The figure, measured in the first unit. None means that the figure is unknown.
        units: Names of the units, in ascending order.
        step: Factor between each unit and the next larger unit.

    Raises:
        ValueError: `units` is empty, or `step` is not above 1.

    Example:
        ::

            format_unit(1536, ("B", "KiB"), 1024)  # "1.50KiB"
    """
    if not units:
        raise ValueError("units: expected at least one")
    if not step > 1:
        raise ValueError(f"step: expected a number above 1, got {step!r}")
    if figure is None or math.isnan(figure):
        return UNKNOWN
    if figure <= 0:
        return f"0{units[0]}"
    for unit in units[:-1]:
        # Round first, because 1023.999 must become 1.00 of the next unit instead of 1024.00 of this
        # unit.
        if round(figure, 2) < step:
            return f"{figure:.2f}{unit}"
        figure /= step
    return f"{figure:.2f}{units[-1]}"


def format_bytes(figure: float | None) -> str:
    """Format a number of bytes with units in steps of 1024: ``1.50TiB``.

    None and NaN are formatted as ``unknown``.
    """
    return format_unit(figure, BYTE_UNITS, 1024)


def parse_bytes(text: str) -> int:
    """Parse a size such as ``1.5 GiB``, and return the number of bytes as an integer.

    The units ``KiB`` to ``PiB`` are steps of 1024, and ``kB`` to ``PB`` are steps of 1000. Units
    are not case-sensitive. A number without a unit is in bytes. The result is rounded to whole
    bytes. The function also parses the output of `format_bytes`. This output has only two decimals,
    so the result is not exact.

    Raises:
        ValueError: The text is not a size.

    Example:
        ::

            parse_bytes("1.5 GiB")  # 1610612736
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a size such as '10 GiB' or '512', got {text!r:.80}")
    number, prefix = found.groups(default="")
    step = Fraction(1024 if prefix[1:] else 1000)
    return round(Fraction(number) * step ** _PREFIXES.index(prefix[:1].lower()))


def format_hertz(figure: float | None) -> str:
    """Format a frequency in Hz with units in steps of 1000: ``2.40GHz``."""
    return format_unit(figure, HERTZ_UNITS, 1000)


def format_percent(figure: float | None) -> str:
    """Format a percentage: ``43.21%``."""
    return UNKNOWN if figure is None or math.isnan(figure) else f"{figure:.2f}%"


def format_cores(figure: float | None) -> str:
    """Format a number of CPU cores: ``96 cores``."""
    if figure is None or math.isnan(figure):
        return UNKNOWN
    return f"{figure:.0f} core" if figure == 1 else f"{figure:.0f} cores"
