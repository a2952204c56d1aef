"""Read request bodies: amounts with their units, optional objects and I/O limits."""

from __future__ import annotations

from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]
"""Body of a request, or any object inside it."""

Fields: TypeAlias = "dict[str, Any]"
"""Fields of a document, with relations as ids, for ``Store.change``."""

_BYTES = {unit: 1024**power for power, unit in enumerate(("B", "KB", "MB", "GB", "TB", "PB"))}
_BYTES_PER_SECOND = {f"{unit}ps": factor for unit, factor in _BYTES.items()}
_BITS = {unit: 1000**power for power, unit in enumerate(("bit", "Kb", "Mb", "Gb", "Tb", "Pb"))}
_BITS_PER_SECOND = {
    unit: 1000**power for power, unit in enumerate(("bps", "Kbps", "Mbps", "Gbps", "Tbps"))
}
UNITS = {**_BYTES, **_BYTES_PER_SECOND, **_BITS, **_BITS_PER_SECOND}
"""Factor from each unit to its base unit."""


def amount(body: Body, name: str) -> int | None:
    """Return an amount in its base unit, or None if the body leaves out the amount."""
    number = body.get(name)
    unit = body.get(f"{name}_unit")
    return None if number is None else int(number * (UNITS[unit] if unit else 1))


def part(body: Body, name: str) -> Body:
    """Return an object inside a body, or an empty dict if the body leaves it out."""
    given: Body | None = body.get(name)
    return given or {}


def io_limits(body: Body) -> Fields:
    """Return the bandwidth and IOPS limits that a body sets."""
    same = ("max_bandwidth_policy", "max_iops", "max_iops_policy")
    given = {name: body[name] for name in same if name in body}
    bandwidth = amount(body, "max_bandwidth")
    return given if bandwidth is None else {**given, "max_bandwidth": bandwidth}
