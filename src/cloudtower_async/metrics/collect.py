"""Collect metrics of many resources, and assign each series to its resource."""

from __future__ import annotations

import inspect
import re
import warnings
from array import array
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import msgspec
from msgspec.structs import replace

from ..api.metrics import MetricsNamespace
from ..calls import registry
from ..calls.validation import check
from ..concurrency import map_concurrently
from ..errors import InvalidInput
from ..models import MetricLabel
from ..queries.batches import IDS_AT_ONCE
from ..queries.pages import PagedQuery, iter_pages
from ..types import Everything
from ..validators import no_method, positive_number, reject_positional
from .results import Measurements, MetricSeries, MetricsWarning, Subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from ..calls.executor import Executor
    from ..inputs import ClusterWhereInput
    from ..models import DataPoint, Metric
    from ..queries.batches import Resource
    from ..types import WithTask
    from .results import RankedMetric

Ask: TypeAlias = "Callable[..., Awaitable[list[WithTask[Metric]]]]"

_RANGE = re.compile(r"[1-9]\d*[smhdw]")
_SEEN_EMPTY = ("72h", "168h")
_OPTIONS = ("content_language", "external_cloudtower_id", "timeout")
_EXAMPLE = 'tower.metrics.get_vm_metrics, vms={…}, metrics=[…], range="24h"'
_NAN = float("nan")
_LATEST = 253_402_300_799_999  # end of the year 9999 in milliseconds, the limit of `datetime`
# A time in this range is in seconds (years 2001 to 2286), because the same number of milliseconds
# would be a time in early 1970.
_LEAST_SECONDS, _MOST_SECONDS = 1e9, 1e10
_LABELS = [
    (field.name, field.encode_name)
    for field in msgspec.structs.fields(MetricLabel)
    if field.name not in ("typename", "metric_name")
]


class MetricSubjects(NamedTuple):
    """Resources that an operation measures, and the label of a series that identifies the resource.

    Args:
        argument: Name of the operation's argument that filters the resources: ``"vms"``.
        resource: Type of the resources: ``"Vm"``.
        label: Label whose value identifies the resource: ``"_vm"``.
        field: Field of the resource with the same value as the label: ``"local_id"``.
        alone: Whether each resource needs a separate request, because the labels do not identify
            the resource.
    """

    argument: str
    resource: str
    label: str
    field: str
    alone: bool = False


_VMS = MetricSubjects("vms", "Vm", "_vm", "local_id")
_HOSTS = MetricSubjects("hosts", "Host", "_host", "local_id")
_SCVMS = MetricSubjects("hosts", "Host", "_scvm", "local_id")
_DISKS = MetricSubjects("disks", "Disk", "serial_number", "serial")
_WITHIN = MetricSubjects("clusters", "Cluster", "_cluster", "local_id", alone=True)

FAMILIES: dict[str, MetricSubjects] = {
    "metrics.get_cluster_metrics": MetricSubjects("clusters", "Cluster", "_cluster", "local_id"),
    "metrics.get_disk_metrics": _DISKS,
    "metrics.get_host_metrics": _HOSTS,
    "metrics.get_host_network_metrics": _HOSTS,
    "metrics.get_host_servicek_metrics": _HOSTS,
    "metrics.get_lun_metrics": MetricSubjects("luns", "IscsiLun", "_volume", "zbs_volume_id"),
    "metrics.get_nvmf_namespace_metrics": MetricSubjects(
        "nvmf_namespaces", "NvmfNamespace", "_volume", "zbs_volume_id"
    ),
    "metrics.get_scvm_disk_metrics": _DISKS,
    "metrics.get_scvm_metrics": _SCVMS,
    "metrics.get_scvm_network_metrics": _SCVMS,
    "metrics.get_scvm_servicek_metrics": _SCVMS,
    "metrics.get_vm_metrics": _VMS,
    "metrics.get_vm_net_work_metrics": _VMS,
    "metrics.get_vm_volume_metrics": MetricSubjects(
        "vm_volumes", "VmVolume", "_volume", "local_id"
    ),
    "metrics.get_witness_metrics": _WITHIN,
    "metrics.get_zone_metrics": _WITHIN,
}
_TOP = "metrics.get_top_nvm_volume_metrics"

_NAMED = (
    ("serial_number", "Disk", "serial"),
    ("_volume", "VmVolume", "local_id"),
    ("_volume", "IscsiLun", "zbs_volume_id"),
    ("_volume", "NvmfNamespace", "zbs_volume_id"),
    ("_vm", "Vm", "local_id"),
    ("_scvm", "Host", "local_id"),
    ("_host", "Host", "local_id"),
    ("_cluster", "Cluster", "local_id"),
)
"""Label, type of the resource, and field with the label's value. The most specific labels come
first, because the labels of a disk also name its host."""


async def measure(
    executor: Executor,
    method: Ask,
    chunk_size: int,
    concurrency: int,
    args: tuple[object, ...],
    query: dict[str, Any],
) -> Measurements:
    """See `Cloudtower.measure`."""
    reject_positional("measure", _EXAMPLE, args, chunk_size, concurrency)
    return _warned(await _measure(executor, method, chunk_size, concurrency, query))


async def top_n(
    executor: Executor,
    metric: str,
    n: int,
    clusters: ClusterWhereInput | Everything,
    span: str,
    *,
    lowest: bool,
) -> list[RankedMetric]:
    """See `Cloudtower.top_n`."""
    if not isinstance(metric, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInput(f"top_n: metric: expected the name of a metric, got {metric!r}")
    n = positive_number("top_n", "n", n)
    query = {
        "clusters": clusters,
        "metrics": [metric],
        "n": n,
        "range": span,
        "type": "bottom" if lowest else "top",
    }
    method = MetricsNamespace(executor).get_top_nvm_volume_metrics
    measured = _warned(await _measure(executor, method, 1, 1, query))
    return measured.to_ranking(lowest=lowest)[:n]


def _warned(measured: Measurements) -> Measurements:
    """Issue the warnings of measurements, and return the measurements."""
    for warning in measured.warnings:
        warnings.warn(warning, stacklevel=4)
    return measured


async def _measure(
    executor: Executor, method: Ask, chunk_size: int, concurrency: int, query: Mapping[str, Any]
) -> Measurements:
    operation = registry.operation_of(method)
    if operation is None or operation.name not in (*FAMILIES, _TOP):
        raise InvalidInput(
            "measure: expected a method of tower.metrics, such as tower.metrics.get_vm_metrics; "
            f"got {no_method(method)}"
        )
    chunk_size = positive_number("measure", "chunk_size", chunk_size)
    concurrency = positive_number("measure", "concurrency", concurrency)
    inspect.signature(method).bind(**query)  # the TypeError names a missing argument
    options = {name: value for name, value in query.items() if name in _OPTIONS}
    given = {_on_the_wire(name): value for name, value in query.items() if name not in options}
    given = cast("dict[str, object]", check(operation, given, validate=executor.validate))
    _check_range(operation.name, query["range"])
    if not query["metrics"]:
        raise InvalidInput(f"{operation.name}: metrics: name at least one")
    query = {**query, "metrics": list(dict.fromkeys(query["metrics"]))}
    family = FAMILIES.get(operation.name)
    reading = _Reading(operation.name, query)
    if family is None:
        reading.take(await method(**query), lambda _: None)
        await reading.look_up(executor, options)
        return reading.measurements()
    keys: dict[Subject, object] = {}
    async for one in _matching(
        executor, family.resource, given[_on_the_wire(family.argument)], options
    ):
        keys[_subject(one)] = getattr(one, family.field)
    subjects = list(keys)
    owners = _Owners(family, keys)
    size = 1 if family.alone else chunk_size

    async def ask(chunk: Sequence[Subject]) -> None:
        where = {"id_in": [one.id for one in chunk]}
        answers = await method(**{**query, family.argument: where})
        only = chunk[0] if len(chunk) == 1 else None
        reading.take(answers, lambda labels: owners.of(labels, only), chunk)

    chunks = [subjects[start : start + size] for start in range(0, len(subjects), size)]
    await map_concurrently(ask, chunks, concurrency)
    return reading.measurements(family.argument, subjects)


def _check_range(operation: str, span: str) -> None:
    if not _RANGE.fullmatch(span):
        raise InvalidInput(
            f"{operation}: range: expected a number and its unit, s, m, h, d or w, such as "
            f'"24h" or "7d"; got {span!r}'
        )


def _on_the_wire(argument: str) -> str:
    first, *others = argument.split("_")
    return first + "".join(map(str.capitalize, others))


def _matching(
    executor: Executor, resource: str, where: object, options: Mapping[str, Any]
) -> AsyncIterator[Resource]:
    """Read the resources that match a filter."""
    method = registry.bound_method(registry.reader(resource), executor)
    where = None if isinstance(where, Everything) else where
    return iter_pages(PagedQuery("measure", method, {**options, "where": where}), IDS_AT_ONCE)


def _subject(resource: Resource) -> Subject:
    # Some resources have no name, depending on the type and the server version.
    return Subject(resource.id, getattr(resource, "name", None) or resource.id)


class _Owners:
    """Finds the resource of a series by the labels of the series.

    Args:
        family: Kind of the measured resources.
        keys: For each resource, the value of the label `family.label` in its series.
    """

    def __init__(self, family: MetricSubjects, keys: Mapping[Subject, object]) -> None:
        self._family = family
        self._keys = keys
        self._owners: dict[object, Subject | None] = {}
        for subject, key in keys.items():
            # Resources with the same key cannot be distinguished.
            self._owners[key] = None if key in self._owners else subject

    def of(self, labels: Mapping[str, str], only: Subject | None) -> Subject | None:
        """Return the resource of a series, or None if the resource is unknown.

        Args:
            labels: Labels of the series.
            only: The requested resource, if only one resource was requested; otherwise None.
        """
        named = labels.get(self._family.label)
        if self._family.alone or not named:
            return only
        if named in self._owners:
            return self._owners[named]
        # On some servers, the label of a volume's curve contains another value than the volume's
        # id.
        return only if self._family.label == "_volume" else None


class _Reading:
    """Collects the series from all responses to one call of `measure` or `top_n`.

    Args:
        operation: Name of the operation, for warnings.
        query: Arguments of the operation.
    """

    def __init__(self, operation: str, query: Mapping[str, Any]) -> None:
        self._operation = operation
        self._names: list[str] = query["metrics"]
        self._range: str = query["range"]
        self._series: dict[str, list[MetricSeries]] = {name: [] for name in self._names}
        self._dropped: dict[str, bool] = {}  # for each truncated metric: whether to ask for fewer
        self._times = _Times()

    def take(
        self,
        answers: Sequence[WithTask[Metric]],
        owner: Callable[[Mapping[str, str]], Subject | None],
        subjects: Sequence[Subject] = (),
    ) -> None:
        """Collect the series in one response.

        Args:
            answers: The items of the response, one item per metric.
            owner: Function that takes the labels of a series, and returns its resource or None.
            subjects: Resources that were requested. `top_n` passes none.
        """
        for place, answer in enumerate(answers):
            metric = cast("Metric | None", answer.data)  # the server may violate the schema
            if metric is None:
                continue
            # If items are missing, the position of an item does not identify its metric.
            asked = self._names[place] if len(answers) == len(self._names) else ""
            measured: set[Subject | None] = set()
            streams = [(one.labels, one.points) for one in metric.sample_streams or ()]
            if not streams:
                streams = [
                    (one.labels, [one.point] if one.point else None) for one in metric.samples or ()
                ]
            for named, points in streams:
                name = (named and named.metric_name) or asked
                labels = _labels(named)
                times, values = self._times.curve(name, points or ())
                subject = owner(labels)
                self._series.setdefault(name, []).append(
                    MetricSeries(
                        metric=name,
                        unit=metric.unit,
                        subject=subject,
                        labels=labels,
                        times=times,
                        values=values,
                    )
                )
                if times:
                    measured.add(subject)
            if metric.dropped and subjects:
                # If every requested resource has values, only points are missing. A request for
                # fewer resources does not help in this case.
                fewer_help = len(subjects) > 1 and not measured.issuperset(subjects)
                for one in [asked] if asked else self._names:
                    self._dropped[one] = fewer_help or self._dropped.get(one, False)

    async def look_up(self, executor: Executor, options: Mapping[str, Any]) -> None:
        """Find the resources of series whose `subject` is None, by the labels of the series."""
        for label, resource, field in _NAMED:
            unknown = [one for one in chain(*self._series.values()) if one.subject is None]
            named = sorted({one.labels[label] for one in unknown if label in one.labels})
            if not named:
                continue
            found: dict[str, Subject | None] = {}
            async for one in _matching(executor, resource, {f"{field}_in": named}, options):
                key = getattr(one, field)
                found[key] = None if key in found else _subject(one)
            for series in self._series.values():
                series[:] = [
                    one
                    if one.subject
                    else replace(one, subject=found.get(one.labels.get(label, "")))
                    for one in series
                ]

    def measurements(self, argument: str = "", subjects: Sequence[Subject] = ()) -> Measurements:
        """Return all collected measurements, with warnings.

        Args:
            argument: Name of the argument that filters the resources.
            subjects: Resources that match the filter.
        """
        # Sort the series, because concurrent answers arrive in any order.
        places: dict[Subject | None, int] = {one: place for place, one in enumerate(subjects)}
        for curves in self._series.values():
            curves.sort(key=lambda one: places.get(one.subject, len(places)))
        series = list(chain(*self._series.values()))
        measured = {one.subject for one in series if one.times}
        missing = [one for one in subjects if one not in measured]
        return Measurements(series, self._warnings(argument, bool(subjects)), missing)

    def _warnings(self, argument: str, any_subject: bool) -> list[MetricsWarning]:
        warnings: list[MetricsWarning] = []
        if self._range in _SEEN_EMPTY:
            warnings.append(
                MetricsWarning(
                    f"{self._operation}: range: servers were seen to answer "
                    f"{' and '.join(_SEEN_EMPTY)} with empty results; 24h and 7d are known to work",
                    fault="range",
                    metrics=self._names,
                )
            )
        empty = [name for name in self._names if not any(one.times for one in self._series[name])]
        if empty and argument and not any_subject:
            why = f"nothing matches {argument}"
        else:
            why = "check the names, the range, and that the measured resources are running"
        if empty:
            warnings.append(
                MetricsWarning(
                    f"{self._operation}: no values of {', '.join(empty)}: {why}",
                    fault="empty",
                    metrics=empty,
                )
            )
        if foreign := [
            name
            for name, curves in self._series.items()
            if any(one.times and one.subject is None for one in curves)
        ]:
            warnings.append(
                MetricsWarning(
                    f"{self._operation}: the resource of some curves of {', '.join(foreign)} is "
                    "unknown: their labels name no requested resource, or several",
                    fault="owner",
                    metrics=foreign,
                )
            )
        warnings += self._times.warnings(self._operation)
        for fewer_help, advice in (
            (True, "request fewer resources at once with chunk_size=, or a shorter range"),
            (False, "request a shorter range"),
        ):
            cut = [name for name, helped in self._dropped.items() if helped is fewer_help]
            if cut:
                told = f"{self._operation}: the server has truncated {', '.join(cut)}: {advice}"
                warnings.append(MetricsWarning(told, fault="dropped", metrics=cut))
        return warnings


def _labels(labels: MetricLabel | None) -> dict[str, str]:
    given = ((name, getattr(labels, field, None)) for field, name in _LABELS)
    return {name: text for name, text in given if text is not None}


class _Times:
    """Converts points to arrays, and records the metrics with implausible times."""

    def __init__(self) -> None:
        self._seconds: dict[str, None] = {}
        self._absurd: dict[str, None] = {}

    def curve(self, metric: str, points: Sequence[DataPoint]) -> tuple[array[int], array[float]]:
        """Return the times and values of a series as arrays, which need less memory than lists."""
        # A time may be missing if the server violates the schema.
        timed = [one for one in points if isinstance(one.t, float)]  # pyright: ignore[reportUnnecessaryIsInstance]
        known = [one for one in timed if 0 <= one.t <= _LATEST]
        if len(known) < len(points):
            self._absurd[metric] = None
        factor = 1
        if known and all(_LEAST_SECONDS <= one.t <= _MOST_SECONDS for one in known):
            self._seconds[metric] = None
            factor = 1000
        times = array("q", [int(one.t * factor) for one in known])
        return times, array("d", [_NAN if one.v is None else one.v for one in known])

    def warnings(self, operation: str) -> list[MetricsWarning]:
        """Return warnings about times in seconds (not milliseconds) and implausible times."""
        told = (
            (self._seconds, "the times of {} are in seconds and were converted"),
            (
                self._absurd,
                "values of {} were left out, because their times are missing or implausible",
            ),
        )
        return [
            MetricsWarning(
                f"{operation}: {text.format(', '.join(metrics))}", fault="time", metrics=[*metrics]
            )
            for metrics, text in told
            if metrics
        ]
