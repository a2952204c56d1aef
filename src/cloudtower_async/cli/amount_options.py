"""Parsers for durations and sizes in options: ``2m``, ``40GiB``."""

from __future__ import annotations

import re

from ..units import parse_bytes
from .errors import UsageError
from .language import tr

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d+)?[smhd])+|\d{1,9}(?:\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def parse_duration(option: str, text: str) -> float:
    """Parse a duration, such as ``90``, ``90s``, ``2m`` or ``1h30m``, and return it in seconds.

    Raises:
        UsageError: The text is not a duration. The error message names `option`.
    """
    if not _DURATION.fullmatch(text):
        raise UsageError(
            tr(
                "{option}: {text!r} is not a duration; write 90s, 2m or 1h30m",
                option=option,
                text=text,
            )
        )
    return sum(float(number) * _SECONDS[unit or "s"] for number, unit in _PART.findall(text))


def parse_size(option: str, text: str) -> int:
    """Parse a size, such as ``40GiB`` or ``1.5 TiB``, and return it in bytes.

    Raises:
        UsageError: The text is not a size above 0. The error message names `option`.
    """
    try:
        size = parse_bytes(text)
    except ValueError as exc:
        raise UsageError(f"{option}: {exc}") from None
    if size < 1:
        raise UsageError(
            tr("{option}: expected a size above 0, got {text!r}", option=option, text=text)
        )
    return size
