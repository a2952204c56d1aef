"""Formatting of values for people: ``8 GiB``, ``3d``, ``2026-01-31 08:00``, ``42%``.

The unit of a value is derived from the name of the field.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from ..units import BYTE_UNITS, HERTZ_UNITS
from .language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Text: TypeAlias = "Callable[[object], str]"

_BYTES = re.compile(
    r"(?:^|_)(?:size|memory|capacity|space|bytes)(?:_for_active_vm|_per_node|_of_[a-z_]+)?$"
    r"|^(?:growth_per_day|used|free)$"
)
_NOT_BYTES = frozenset({"io_size", "scvm_memory"})  # the API does not document their units
_BYTES_PER_SECOND = re.compile(r"(?:^|_)(?:bps(?:_rd|_wr)?(?:_max)?|(?:max|min)_bandwidth)$")
_HERTZ = re.compile(r"_hz(?:_per_core)?$")
_TIMES = re.compile(r"(?:_at|_time|_timestamp|_date)$")
_PERCENT, _SHARES = frozenset({"remaining_life_percent"}), frozenset({"progress"})

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def text_for(field: str) -> tuple[Text, bool]:
    """Return the function that formats a field, and whether the values are numbers with a unit."""
    if _BYTES.search(field) and field not in _NOT_BYTES:
        return size, True
    if _HERTZ.search(field):
        return hertz, True
    if _BYTES_PER_SECOND.search(field):
        return rate, True
    if field in _PERCENT:
        return percent, True
    if field in _SHARES:
        return share, True
    if _TIMES.search(field):
        return moment, False
    return plain, False


def size(value: object) -> str:
    """Format a number of bytes in steps of 1024: ``1.5 TiB``."""
    return _scaled(value, BYTE_UNITS, 1024)


def hertz(value: object) -> str:
    """Format a frequency in Hz in steps of 1000: ``2.4 GHz``."""
    return _scaled(value, HERTZ_UNITS, 1000)


def rate(value: object) -> str:
    """Format a number of bytes per second: ``1.5 MiB/s``."""
    text = size(value)
    return f"{text}/s" if text else ""


def percent(value: object) -> str:
    """Format a percentage: ``42%``."""
    return f"{value:.0f}%" if _is_number(value) else plain(value)


def share(value: object) -> str:
    """Format a number from 0 to 1 as a percentage."""
    return percent(value * 100) if _is_number(value) else plain(value)  # type: ignore[operator]


def moment(value: object) -> str:
    """Format a time in the time zone of this machine: ``2026-01-31 08:00``."""
    found = _parsed(value)
    return plain(value) if found is None else f"{found.astimezone():%Y-%m-%d %H:%M}"


def age(value: object) -> str:
    """Format the time that has passed since a time: ``5m``, ``3d``."""
    found = timestamp(value)
    return plain(value) if found is None else span(time.time() - found)


def duration(start: object, end: object) -> str:
    """Format the time between two times. If `end` is None, the current time is used."""
    seconds = seconds_between(start, end)
    return "" if seconds is None else span(seconds)


def seconds_between(start: object, end: object) -> float | None:
    """Return the seconds between two times, or None if `start` is not a time.

    If `end` is None, the current time is used.
    """
    begun = timestamp(start)
    if begun is None:
        return None
    ended = timestamp(end)
    return (time.time() if ended is None else ended) - begun


def span(seconds: float) -> str:
    """Format a number of seconds with one or two units: ``42s``, ``3h5m``, ``2y40d``."""
    left = max(0, int(seconds))
    for limit, unit, one, smaller, other in (
        (2 * _MINUTE, 1, "s", 0, ""),
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if left < limit:
            rest = left % unit // smaller if smaller else 0
            return f"{left // unit}{one}" + (f"{rest}{other}" if rest else "")
    return f"{left // _YEAR}y"


def usage(used: object, total: object) -> str:
    """Format `used` as a percentage of `total`, or as an empty text if either is unknown."""
    found = ratio(used, total)
    return "" if found is None else share(found)


def ratio(used: object, total: object) -> float | None:
    """Return `used` divided by `total`, or None if either is unknown or `total` is 0."""
    if not (_is_number(used) and _is_number(total)) or not total:
        return None
    return cast("float", used) / cast("float", total)


def timestamp(value: object) -> float | None:
    """Return a time in seconds since 1970, or None if the value is not a time."""
    found = _parsed(value)
    return None if found is None else found.timestamp()


def plain(value: object) -> str:
    """Return the text of a value. The text of a related resource is its name."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, list):
        return ", ".join(map(plain, cast("list[object]", value)))
    if isinstance(name := getattr(value, "name", None), str):
        return name
    if isinstance(identity := getattr(value, "id", None), str):
        return identity
    return msgspec.json.encode(value).decode()


def _scaled(value: object, units: Sequence[str], step: int) -> str:
    if not _is_number(value):
        return plain(value)
    figure = cast("float", value)
    place = 0
    while abs(round(figure, 1)) >= step and place < len(units) - 1:  # rounded as it is printed
        figure /= step
        place += 1
    return f"{figure:.1f}".removesuffix(".0") + f" {units[place]}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parsed(value: object) -> datetime | None:
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and value:
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return None
    else:
        return None
    # Times in the API without an offset are in UTC.
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
