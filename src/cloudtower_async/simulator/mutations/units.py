"""What bodies hold: amounts as a number and a unit, and objects that may be left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .body_types import Body
    from .generic.fields import Fields

_BYTES = {unit: 1024**power for power, unit in enumerate(("B", "KB", "MB", "GB", "TB", "PB"))}
_BYTES_PER_SECOND = {f"{unit}ps": factor for unit, factor in _BYTES.items()}
_BITS = {unit: 1000**power for power, unit in enumerate(("bit", "Kb", "Mb", "Gb", "Tb", "Pb"))}
_BITS_PER_SECOND = {
    unit: 1000**power for power, unit in enumerate(("bps", "Kbps", "Mbps", "Gbps", "Tbps"))
}
FACTORS = {**_BYTES, **_BYTES_PER_SECOND, **_BITS, **_BITS_PER_SECOND}


def amount(body: Body, name: str) -> int | None:
    """The number of this name, by the unit that is given beside it; None when it is not given."""
    number = body.get(name)
    unit = body.get(f"{name}_unit")
    return None if number is None else int(number * (FACTORS[unit] if unit else 1))


def part(body: Body, name: str) -> Body:
    """An object inside a body; an empty one when it is not given."""
    given: Body | None = body.get(name)
    return given or {}


def limits(body: Body) -> Fields:
    """How much may be read and written, of what was given."""
    same = ("max_bandwidth_policy", "max_iops", "max_iops_policy")
    given = {name: body[name] for name in same if name in body}
    bandwidth = amount(body, "max_bandwidth")
    return given if bandwidth is None else {**given, "max_bandwidth": bandwidth}
