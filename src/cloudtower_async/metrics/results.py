"""Results of metrics: series, rows, rankings and Arrow tables."""

from __future__ import annotations

import importlib
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from ..control_characters import printable
from ..lazy_module import LazyModule
from ..models import MetricUnit

if TYPE_CHECKING:
    import pyarrow as pa
else:
    pa = LazyModule("pyarrow")

MetricsFault: TypeAlias = Literal["empty", "dropped", "range", "time", "owner"]


class MetricsWarning(UserWarning):
    """Warning: the server reported success, but the measurements are incomplete or uncertain.

    Attributes:
        fault: Kind of the problem. ``"empty"``: the metrics have no values, for example because a
            name is wrong. ``"dropped"``: the server truncated the values. ``"range"``: servers are
            known to return no values for this time range. ``"time"``: times were converted from
            seconds, or values with implausible times were left out. ``"owner"``: the resource of
            some series is unknown.
        metrics: Names of the affected metrics.
    """

    def __init__(self, message: str, *, fault: MetricsFault, metrics: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.fault: MetricsFault = fault
        self.metrics: tuple[str, ...] = tuple(metrics)

    def __str__(self) -> str:
        return printable(super().__str__())


class Subject(msgspec.Struct, frozen=True, gc=False):
    """Measured resource, such as a VM, a host or a disk."""

    id: str
    name: str


class MetricSeries(msgspec.Struct, kw_only=True, frozen=True):
    """One curve: values of a metric over time.

    Attributes:
        metric: Name of the metric.
        unit: Unit of the values.
        subject: Measured resource; None if the labels do not identify a requested resource.
        labels: Labels that the server sent, without the metric's name: ``{"_vm": …, "_device":
            …}``.
        times: Times in milliseconds since 1970.
        values: One value for each time; NaN if the server has no value for this time.
    """

    metric: str
    unit: MetricUnit
    subject: Subject | None
    labels: Mapping[str, str]
    times: Sequence[int]
    values: Sequence[float]

    def __repr__(self) -> str:
        return f"<MetricSeries: {len(self.times)} values of {self.metric}, {self.subject}>"


class MetricRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One value of a metric at one time.

    Attributes:
        time: Time in UTC.
        metric: Name of the metric.
        unit: Unit of the value.
        subject_id: Id of the measured resource; None if the labels do not identify a requested
            resource.
        subject_name: Name of the measured resource; None if ``subject_id`` is None.
        labels: As in `MetricSeries`.
        value: Value; None if the server has no value for this time.
    """

    time: datetime
    metric: str
    unit: MetricUnit
    subject_id: str | None
    subject_name: str | None
    labels: Mapping[str, str]
    value: float | None


class RankedMetric(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One position in a ranking.

    Attributes:
        rank: Position in the ranking; the first position is 1.
        metric: Name of the metric.
        unit: Unit of the value.
        subject_id: Id of the measured resource; None if the labels identify no known resource.
        subject_name: Name of the resource; None if ``subject_id`` is None.
        labels: As in `MetricSeries`.
        value: Value by which the resource is ranked. `Cloudtower.top_n` returns the server's value
            for the whole time range. `Measurements.to_ranking` returns the last value of the
            series.
    """

    rank: int
    metric: str
    unit: MetricUnit
    subject_id: str | None
    subject_name: str | None
    labels: Mapping[str, str]
    value: float


class Measurements:
    """Measurements that `Cloudtower.measure` has read.

    ``polars.DataFrame(measured)`` and similar constructors accept the measurements directly,
    through Arrow's PyCapsule protocol. These constructors need the extra ``arrow``.

    Attributes:
        series: The curves, in the order of the requested metrics. The curves of one metric are
            sorted by resource.
        warnings: Problems with the measurements. Each warning was also issued with `warnings.warn`.
        missing: Resources that match the filter but have no values, such as VMs that are powered
            off.
    """

    def __init__(
        self,
        series: Sequence[MetricSeries],
        warnings: Sequence[MetricsWarning],
        missing: Sequence[Subject],
    ) -> None:
        self.series: tuple[MetricSeries, ...] = tuple(series)
        self.warnings: tuple[MetricsWarning, ...] = tuple(warnings)
        self.missing: tuple[Subject, ...] = tuple(missing)

    def to_ranking(self, *, lowest: bool = False) -> list[RankedMetric]:
        """Rank the resources by the last values of their series, by default the highest first.

        Args:
            lowest: Whether the lowest value comes first.
        """
        last = [
            (one.values[-1], one)
            for one in self.series
            if one.times and one.values[-1] == one.values[-1]  # NaN is not equal to itself
        ]
        last.sort(key=lambda pair: pair[0], reverse=not lowest)
        return [
            RankedMetric(
                rank=rank,
                metric=one.metric,
                unit=one.unit,
                subject_id=one.subject.id if one.subject else None,
                subject_name=one.subject.name if one.subject else None,
                labels=one.labels,
                value=value,
            )
            for rank, (value, one) in enumerate(last, 1)
        ]

    def to_rows(self) -> list[MetricRow]:
        """Return one row for each value. The rows of a series are adjacent and sorted by time.

        A million rows take about a second. To avoid blocking the event loop, call this method in a
        thread, or use `to_arrow`.
        """
        moments = _Moments()
        return [
            MetricRow(
                time=moments[time],
                metric=one.metric,
                unit=one.unit,
                subject_id=one.subject.id if one.subject else None,
                subject_name=one.subject.name if one.subject else None,
                labels=one.labels,
                value=value if value == value else None,  # NaN is not equal to itself
            )
            for one in self.series
            for time, value in zip(one.times, one.values, strict=True)
        ]

    def to_arrow(self) -> pa.Table:
        """Return an Arrow table with the columns of `MetricRow`, and one column per label.

        Convert the table with ``table.to_pandas()`` or ``polars.from_arrow(table)``. Strings are
        dictionary-encoded, because the same strings occur in many rows.

        Raises:
            ModuleNotFoundError: The extra ``arrow`` is not installed.
        """
        try:
            arrow: Any = importlib.import_module("pyarrow")
            compute: Any = importlib.import_module("pyarrow.compute")
        except ModuleNotFoundError as exc:
            raise ModuleNotFoundError(
                'Arrow tables need an extra: pip install "cloudtower-async[arrow]"', name=exc.name
            ) from exc
        times, values, which = array("q"), array("d"), array("i")
        for place, one in enumerate(self.series):
            times.extend(one.times)
            values.extend(one.values)
            which.extend([place] * len(one.times))
        length, places = len(times), arrow.array(which, arrow.int32())

        def column(texts: Sequence[str | None]) -> object:
            return arrow.array(texts, arrow.string()).dictionary_encode().take(places)

        moments = [None, arrow.py_buffer(times)]
        figures = arrow.Array.from_buffers(arrow.float64(), length, [None, arrow.py_buffer(values)])
        subjects = [one.subject for one in self.series]
        labels = dict.fromkeys(label for one in self.series for label in one.labels)
        table: pa.Table = arrow.table(
            {
                "time": arrow.Array.from_buffers(arrow.timestamp("ms", tz="UTC"), length, moments),
                "metric": column([one.metric for one in self.series]),
                "unit": column([one.unit for one in self.series]),
                "subject_id": column([one.id if one else None for one in subjects]),
                "subject_name": column([one.name if one else None for one in subjects]),
                **{name: column([one.labels.get(name) for one in self.series]) for name in labels},
                "value": compute.if_else(
                    compute.is_nan(figures), arrow.scalar(None, arrow.float64()), figures
                ),
            }
        )
        return table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        table: Any = self.to_arrow()
        stream: object = table.__arrow_c_stream__(requested_schema)
        return stream

    def __repr__(self) -> str:
        values = sum(len(one.times) for one in self.series)
        return f"<Measurements: {values} values in {len(self.series)} series>"


class _Moments(dict[int, datetime]):
    """Cache of `datetime` objects by milliseconds since 1970. Many series have the same times."""

    def __missing__(self, milliseconds: int) -> datetime:
        moment = self[milliseconds] = datetime.fromtimestamp(milliseconds / 1000, UTC)
        return moment
