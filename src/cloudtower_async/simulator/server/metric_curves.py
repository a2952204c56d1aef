"""Curves: values of metrics over time. All queries return values from the same curves.

A curve oscillates around a level with daily and weekly cycles and some noise. For usage metrics,
the level is the current usage in the fleet. For other metrics, the level is random. Related metrics
are consistent: the values of reads and writes add up to the total, and used bytes match the usage
in percent.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..store.filters import Document

_DAY = 86_400
_BUSIEST = 14 * 3_600  # second of the day with the highest load, in UTC
_KB, _MB, _GB = 1024, 1024**2, 1024**3
_SWAP = 8 * _GB
_TOTAL = re.compile(r"_uptime_seconds$|_network_(receive|transmit)_(bytes|packets)$")
"""Metrics that never decrease: totals since the start of the host."""
_DAYS_UP = 400  # maximum number of days between the start of a host and the year 2025
_YEAR_2025 = 1_735_689_600


@dataclass(frozen=True, slots=True)
class CurveSpec:
    """Parameters that the curves of several metrics share.

    Args:
        unit: Unit of the metrics, as named in the schema.
        low: Minimum of the random level.
        high: Maximum of the random level.
        swing: Maximum deviation from the level: 0.1 means 10% of the level.
    """

    unit: str
    low: float
    high: float
    swing: float


_KINDS: tuple[tuple[str, CurveSpec], ...] = (
    (r"_(errors|drop|dropped_packets|smart_test_failed)$", CurveSpec("COUNT", 0, 0, 0)),
    (r"_loss_rate$", CurveSpec("RATIO", 0, 0, 0)),
    (r"_packet_loss_percent$", CurveSpec("PERCENT", 0, 0, 0)),
    (r"_(is_running|health|is_on)$", CurveSpec("COUNT", 1, 1, 0)),
    (r"_swap_usage_percent$", CurveSpec("PERCENT", 0.5, 4, 0.1)),
    (r"_swap_size_bytes$", CurveSpec("DATA_SIZE", _SWAP, _SWAP, 0)),
    (r"_swap_\w+_bps$", CurveSpec("STORAGE_BAND_WIDTH", 0, 0, 0)),
    (r"_life_percent$", CurveSpec("PERCENT", 80, 99, 0)),
    (r"_queue_length$", CurveSpec("COUNT", 0.1, 4, 0.5)),
    (r"nic_bandwidth_usage(_percent)?$", CurveSpec("PERCENT", 0.1, 15, 0.6)),
    (r"_uptime_seconds$", CurveSpec("TIME", 1, 1, 0)),
    (r"_network_\w+_bytes$", CurveSpec("DATA_SIZE", 20 * _KB, 20 * _MB, 0)),
    (r"_network_\w+_packets$", CurveSpec("COUNT", 20, 20_000, 0)),
    (r"_percent$", CurveSpec("PERCENT", 5, 60, 0.5)),
    (r"_network_\w+_bps$", CurveSpec("DATA_RATE_BYTE", 20 * _KB, 20 * _MB, 0.6)),
    (r"_bitps$", CurveSpec("DATA_RATE_BIT", 0, 0, 0)),
    (r"_bps$", CurveSpec("STORAGE_BAND_WIDTH", 100 * _KB, 80 * _MB, 0.6)),
    (r"_iops$", CurveSpec("COUNT", 5, 2_000, 0.6)),
    (r"_ns$", CurveSpec("TIME", 200_000, 3_000_000, 0.3)),
    (r"_(read|write|readwrite)_size_bytes$", CurveSpec("DATA_SIZE", 4 * _KB, 128 * _KB, 0.1)),
    (r"_bytes$", CurveSpec("DATA_SIZE", 10 * _GB, 400 * _GB, 0.01)),
    (r"_hz$", CurveSpec("FREQUENCY", 0, 0, 0)),
    (r"_load$", CurveSpec("LOAD", 0.5, 12, 0.5)),
    (r"_celsius$", CurveSpec("TEMPERATURE", 30, 55, 0.1)),
    (r"_ratio$", CurveSpec("RATIO", 1, 2, 0.01)),
    (r"", CurveSpec("COUNT", 1, 200, 0)),
)


def _part(of: str, whole: str) -> Callable[[Document], float | None]:
    def percent(document: Document) -> float | None:
        part, all_of_it = document[of], document[whole]
        return part / all_of_it * 100 if part is not None and all_of_it else None

    return percent


_LEVELS: dict[str, Callable[[Document], float | None]] = {
    "elf_vm_cpu_overall_usage_percent": lambda vm: vm["cpu_usage"],
    "elf_vm_memory_usage_percent": lambda vm: vm["memory_usage"],
    "host_cpu_overall_usage_percent": _part("used_cpu_hz", "total_cpu_hz"),
    "host_memory_usage_percent": _part("used_memory_bytes", "total_memory_bytes"),
    "cluster_cpu_usage_percent": _part("used_cpu_hz", "total_cpu_hz"),
    "cluster_memory_usage_percent": _part("used_memory_bytes", "total_memory_bytes"),
    "zbs_cluster_used_data_space_bytes": lambda cluster: cluster["used_data_space"],
}
"""Functions that return the level of a metric from a document, or None for an unknown level."""

_CONSTANTS: dict[str, str] = {
    "cluster_cpu_total_hz": "total_cpu_hz",
    "cluster_memory_total_bytes": "total_memory_bytes",
    "zbs_cluster_data_capacity_bytes": "total_data_capacity",
    "elf_host_vcpus_provisioned": "provisioned_cpu_cores",
}
"""Metrics that are constant over time, with the field of the document that contains the value."""

_FOLLOWS: dict[str, tuple[str, Callable[[Document], float]]] = {
    "elf_vm_cpu_overall_used_hz": (
        "elf_vm_cpu_overall_usage_percent",
        lambda vm: vm["vcpu"] * 2_400_000_000 / 100,
    ),
    "elf_vm_memory_used_bytes": ("elf_vm_memory_usage_percent", lambda vm: vm["memory"] / 100),
    "host_cpu_overall_used_hz": (
        "host_cpu_overall_usage_percent",
        lambda host: host["total_cpu_hz"] / 100,
    ),
    "host_memory_used_bytes": (
        "host_memory_usage_percent",
        lambda host: host["total_memory_bytes"] / 100,
    ),
    "host_memory_swap_used_bytes": ("host_memory_swap_usage_percent", lambda _: _SWAP / 100),
    "cluster_cpu_used_hz": (
        "cluster_cpu_usage_percent",
        lambda cluster: cluster["total_cpu_hz"] / 100,
    ),
    "cluster_memory_used_bytes": (
        "cluster_memory_usage_percent",
        lambda cluster: cluster["total_memory_bytes"] / 100,
    ),
}
"""Metrics that are calculated from a percentage.

Each value contains the name of the percentage metric, and a function that returns the factor for a
document.
"""


def unit_of(metric: str) -> str:
    """Return the unit of a metric, as named in the schema."""
    return _kind(metric).unit


def curve(metric: str, key: str, document: Document) -> Callable[[float], float] | None:
    """Return a function that returns the value of a metric at a time in seconds since 1970.

    Return None instead of a function if the metric has no values for the document.

    Args:
        metric: Name of the metric.
        key: Key of the series. For the same key, the curve is always the same.
        document: Document of the resource.
    """
    if follows := _FOLLOWS.get(metric):
        return _times(curve(follows[0], key, document), follows[1], document)
    if metric.endswith("_bitps"):
        return _times(curve(f"{metric[:-5]}bps", key, document), lambda _: 8, document)
    if field := _CONSTANTS.get(metric):
        constant = document[field]
        return None if constant is None else lambda _: float(constant)
    if "_readwrite_" in metric and not metric.endswith("_queue_length"):
        reads = curve(metric.replace("_readwrite_", "_read_"), key, document)
        writes = curve(metric.replace("_readwrite_", "_write_"), key, document)
        return _sum(reads, writes, 0.5 if "_avg_" in metric or metric.endswith("_ns") else 1.0)
    kind, digest = _kind(metric), hashlib.sha256(f"{metric} {key}".encode()).digest()
    level = kind.low * (kind.high / kind.low) ** (digest[0] / 255) if kind.low else 0.0
    if known := _LEVELS.get(metric):
        found = known(document)
        if found is None:
            return None
        level = found
    if _TOTAL.search(metric):
        started = _YEAR_2025 - digest[1] / 255 * _DAYS_UP * _DAY
        return lambda at: float(round(level * max(at - started, 0)))
    return _swinging(kind, level, digest)


def _swinging(kind: CurveSpec, level: float, digest: bytes) -> Callable[[float], float]:
    shift = digest[1] / 255 * 3 - 1.5  # shift of the daily cycle in hours
    restless = [1.3 + byte / 64 for byte in digest[2:5]]
    most = 100.0 if kind.unit == "PERCENT" else math.inf

    def value(at: float) -> float:
        day = math.cos(2 * math.pi * (at - _BUSIEST - shift * 3_600) / _DAY)
        week = 0.3 if at // _DAY % 7 in {2, 3} else 1.0  # 1970 began on a Thursday
        unrest = sum(math.sin(at / 60 / period) for period in restless) / 3
        swung = level * (1 + kind.swing * (0.6 * day * week + 0.4 * unrest))
        return round(min(max(swung, 0.0), most), 3)

    return value


def _times(
    base: Callable[[float], float] | None, factor: Callable[[Document], float], document: Document
) -> Callable[[float], float] | None:
    if base is None:
        return None
    by = factor(document)
    return lambda at: base(at) * by


def _sum(
    first: Callable[[float], float] | None, second: Callable[[float], float] | None, part: float
) -> Callable[[float], float] | None:
    if first is None or second is None:
        return None
    return lambda at: (first(at) + second(at)) * part


@functools.lru_cache(maxsize=1_000)
def _kind(metric: str) -> CurveSpec:
    return next(kind for pattern, kind in _KINDS if re.search(pattern, metric))
