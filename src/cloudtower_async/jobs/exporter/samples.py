"""Samples of metrics, and their lines on a page."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ...control_characters import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client import Metric

    from .families import Family


class Samples:
    """Samples of Towers. A new sample replaces a sample with the same metric and labels.

    Attributes:
        tower: Value of the label ``tower`` for the samples that are added next.
    """

    def __init__(self, tower: str = "") -> None:
        self.tower = tower
        self._values: defaultdict[Family, dict[tuple[str, ...], float]] = defaultdict(dict)

    def add(self, family: Family, value: float | None, *labels: object) -> None:
        """Add a sample, unless its value is unknown.

        Args:
            family: Metric of the sample.
            value: Value of the sample. None counts as unknown, and so does a value that is not a
                finite number.
            labels: Values of the labels after ``tower``. Control characters become spaces, long
                texts are cut, and None becomes an empty text.
        """
        known = _number(value)
        if known is not None:
            self._values[family][self._key(labels)] = known

    def increase(self, family: Family, *labels: object) -> None:
        """Add 1 to the sample with these labels. A new sample starts at 0."""
        values, key = self._values[family], self._key(labels)
        values[key] = values.get(key, 0.0) + 1.0

    def _key(self, labels: tuple[object, ...]) -> tuple[str, ...]:
        return self.tower, *map(_label, labels)

    def __len__(self) -> int:
        return sum(map(len, self._values.values()))

    def render(self) -> dict[Family, bytes]:
        """Return the lines of each metric, without the lines ``# HELP`` and ``# TYPE``."""
        return {
            family: rendered(_metric(family, values)).split(b"\n", 2)[2]
            for family, values in self._values.items()
        }


def heading(family: Family) -> bytes:
    """Return the lines ``# HELP`` and ``# TYPE`` of a metric."""
    return rendered(_metric(family, {}))


def rendered(*metrics: Metric) -> bytes:
    """Return metrics in the text format of Prometheus."""
    return generate_latest(_Ready(metrics))


class _Ready(Collector):
    """Collector of the Prometheus client that returns the metrics passed to the constructor."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _metric(family: Family, values: Mapping[tuple[str, ...], float]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=["tower", *family.labels])
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def _number(value: object) -> float | None:
    # A server that breaks its schema may send anything.
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _label(value: object) -> str:
    return "" if value is None else one_line(str(value))
