"""What was measured: series as they came, rows, and Arrow tables."""

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
    """Measurements are not what was asked for, though the server calls them a success.

    Attributes:
        fault: ``"empty"``: there is nothing of these metrics; a wrong name looks so, too.
            ``"dropped"``: the server has cut these short. ``"range"``: a range that servers were
            seen to answer with nothing. ``"time"``: times that were read as seconds, or left out as
            they cannot be right. ``"owner"``: what these curves belong to cannot be told.
        metrics: The names that it is about.
    """

    def __init__(self, message: str, *, fault: MetricsFault, metrics: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.fault: MetricsFault = fault
        self.metrics: tuple[str, ...] = tuple(metrics)

    def __str__(self) -> str:
        return printable(super().__str__())


class Subject(msgspec.Struct, frozen=True, gc=False):
    """What was measured: a VM, a host, a disk, …"""

    id: str
    name: str


class MetricSeries(msgspec.Struct, kw_only=True, frozen=True):
    """One curve: a metric of one thing.

    Attributes:
        metric: Name of the metric.
        unit: Unit of the values.
        subject: Measured resource; None if the labels name none of those asked about.
        labels: Labels of the server, without the metric's name: ``{"_vm": …, "_device": …}``.
        times: Times in milliseconds since 1970.
        values: One value per time; NaN where the server has no value.
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
    """One value.

    Attributes:
        time: In UTC.
        metric: Name of the metric.
        unit: Unit of the value.
        subject_id: Id of the measured resource; None if the labels name none of those asked about.
        subject_name: Name of the measured resource; None as for the id.
        labels: As in `MetricSeries`.
        value: Value; None if the server has no value.
    """

    time: datetime
    metric: str
    unit: MetricUnit
    subject_id: str | None
    subject_name: str | None
    labels: Mapping[str, str]
    value: float | None


class RankedMetric(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One place of a ranking.

    Attributes:
        rank: Place; 1 is the first.
        metric: Name of the metric.
        unit: Unit of the value.
        subject_id: Id of the measured resource; None if the labels name no known resource.
        subject_name: Name of that resource; None likewise.
        labels: As in `MetricSeries`.
        value: Value that the server aggregated over the whole range.
    """

    rank: int
    metric: str
    unit: MetricUnit
    subject_id: str | None
    subject_name: str | None
    labels: Mapping[str, str]
    value: float


class Measurements:
    """What `Cloudtower.measure` has read.

    It speaks Arrow's PyCapsule protocol, so ``polars.DataFrame(measured)`` and others that know it
    take it as it is; that needs the extra ``arrow``.

    Attributes:
        series: The curves, in the order of the metrics; of one metric in that of the subjects' ids.
        warnings: What is not as it was asked for. Each has also been given to `warnings.warn`.
        missing: Things that match and have not a single point, such as VMs that are off.
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
        """Rank the last values of all series, the highest first.

        Args:
            lowest: Rank the lowest first.
        """
        last = [
            (one.values[-1], one)
            for one in self.series
            if one.times and one.values[-1] == one.values[-1]  # NaN is not itself
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
        """Make a row of each value, series by series in the order of time.

        A million take about a second: then rather in a thread, or `to_arrow`.
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
                value=value if value == value else None,  # NaN is not itself
            )
            for one in self.series
            for time, value in zip(one.times, one.values, strict=True)
        ]

    def to_arrow(self) -> pa.Table:
        """Make an Arrow table with the columns of `MetricRow`, and one for each label.

        Continue with ``table.to_pandas()`` or ``polars.from_arrow(table)``. Texts are
        dictionaries, as they repeat from row to row.

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
    """Times by their milliseconds: series have the same ones."""

    def __missing__(self, milliseconds: int) -> datetime:
        moment = self[milliseconds] = datetime.fromtimestamp(milliseconds / 1000, UTC)
        return moment
