"""Read amounts with units, nested objects and I/O limits from request bodies."""

from __future__ import annotations

from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]
"""Body of a request, or an object inside a body."""

Fields: TypeAlias = "dict[str, Any]"
"""New values for fields of a document, as for ``Store.change``. Relations contain ids."""

_BYTES = {unit: 1024**power for power, unit in enumerate(("B", "KB", "MB", "GB", "TB", "PB"))}
_BYTES_PER_SECOND = {f"{unit}ps": factor for unit, factor in _BYTES.items()}
_BITS = {unit: 1000**power for power, unit in enumerate(("bit", "Kb", "Mb", "Gb", "Tb", "Pb"))}
_BITS_PER_SECOND = {
    unit: 1000**power for power, unit in enumerate(("bps", "Kbps", "Mbps", "Gbps", "Tbps"))
}
UNITS = {**_BYTES, **_BYTES_PER_SECOND, **_BITS, **_BITS_PER_SECOND}
"""Factors that convert each unit to its base unit: bytes, bytes/s, bits or bits/s."""


def amount(body: Body, name: str) -> int | None:
    """Return the number in the member `name` of a body in its base unit, such as bytes.

    For example, ``{"memory": 2, "memory_unit": "KB"}`` results in 2048. If the body does not
    contain the number, return None.
    """
    number = body.get(name)
    unit = body.get(f"{name}_unit")
    return None if number is None else int(number * (UNITS[unit] if unit else 1))


def part(body: Body, name: str) -> Body:
    """Return an object inside a body, or an empty dict if the body has no such object."""
    given: Body | None = body.get(name)
    return given or {}


def io_limits(body: Body) -> Fields:
    """Return the bandwidth and IOPS limits in a body, as values for fields of a document."""
    same = ("max_bandwidth_policy", "max_iops", "max_iops_policy")
    given = {name: body[name] for name in same if name in body}
    bandwidth = amount(body, "max_bandwidth")
    return given if bandwidth is None else {**given, "max_bandwidth": bandwidth}
