"""Handlers of queries for metrics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..http_errors import BadRequestError, require_member
from .metric_curves import curve, unit_of
from .metric_series import METRIC_GROUPS, LabeledSeries, MetricGroup, group_of, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .context import Handler, RequestContext

_RANGE = re.compile(r"([1-9]\d{0,5})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST_HOURS = 24  # real servers return no values for 72h and 168h, but values for 7d
_POINTS = 240
_FINEST = 30  # minimum interval between points in seconds
_AVERAGED = 12  # minimum number of points for an average
_CUTS = "get-vm-metrics"  # real servers truncated the result for 10 VMs over 24 hours
_MANY = 10
_LONG = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class _Span:
    """Times of the requested points in seconds since 1970.

    Real servers send no values for some ranges, such as 72h. Then `times` is empty.
    """

    times: range

    @property
    def step(self) -> int:
        return self.times.step

    @property
    def is_long(self) -> bool:
        return len(self.times) * self.step >= _LONG

    def latest_half(self) -> _Span:
        return _Span(self.times[len(self.times) // 2 :])


class _Stream(NamedTuple):
    labels: dict[str, str]
    points: list[dict[str, float]]


_Curve: TypeAlias = "tuple[dict[str, str], Callable[[float], float]]"


def _metrics(group: MetricGroup, *, cuts: bool = False) -> Handler:
    """Return the handler of a metrics operation.

    `group` contains the names of the metrics, and the resources that the operation measures.
    If `cuts` is set, the handler may truncate long series, depending on `Behavior.long_metrics`.
    """

    def answer(context: RequestContext) -> object:
        span = _span(context)
        found = list(group.find(context.store, context.request.body))
        cuts_long = cuts and context.factory.behavior.long_metrics == "cut"
        return [
            _of_metric(context, group, name, found, span, cuts_long) for name in _names(context)
        ]

    return answer


def _of_metric(
    context: RequestContext,
    group: MetricGroup,
    name: str,
    found: list[LabeledSeries],
    span: _Span,
    cuts_long: bool,
) -> dict[str, Any]:
    if name in group.names:
        # One curve more than the maximum, to detect that series are omitted.
        enough = context.state.metrics.most_streams + 1
        curves = [*islice(_curves(name, found), enough)]
        if cuts_long and span.is_long and len(curves) >= _MANY:
            return _streams(context, name, curves, span.latest_half(), cut=True)
        return _streams(context, name, curves, span)
    if group.has_empty_series(name):
        empty = [_Stream(one.labels | {"metric_name": name}, []) for one in found]
        return _metric(name, span, streams=empty if span.times else [])
    return _metric(name, span, streams=None if group_of(name) is None else [])


def _top(context: RequestContext) -> object:
    """Return, for each metric, the resources with the highest or lowest average values."""
    body, store = context.request.body, context.store
    count = require_member(body, "n", int)
    where = require_member(body, "clusters", dict[str, Any])
    way = require_member(body, "type", str)
    if way not in {"top", "bottom"}:
        raise BadRequestError("type: top or bottom")
    span = _span(context)
    clusters = {cluster["id"] for cluster in store.select("Cluster", where)}
    times = span.times[:: max(1, len(span.times) // _AVERAGED)]
    answers: list[object] = []
    for name in _names(context):
        group = group_of(name)
        curves = _curves(name, within(store, group, clusters)) if group and times else ()
        averages = [
            (sum(map(value, times)) / len(times), labels | {"metric_name": name})
            for labels, value in curves
        ]
        averages.sort(key=lambda one: one[0], reverse=way == "top")
        shown = averages[: max(count, 0)]
        at = span.times[-1] * 1000 if times else 0
        samples = [{"labels": labels, "point": {"t": at, "v": value}} for value, labels in shown]
        dropped = len(averages) > len(shown)
        answers.append(_metric(name, span, streams=None, samples=samples, dropped=dropped))
    return answers


def _names(context: RequestContext) -> list[str]:
    return require_member(context.request.body, "metrics", list[str])


def _span(context: RequestContext) -> _Span:
    text = require_member(context.request.body, "range", str)
    known = _RANGE.fullmatch(text)
    if known is None:
        raise BadRequestError(f'range: {text!r} is no range such as "24h" or "7d"')
    number = int(known[1])
    seconds = number * _SECONDS[known[2]]
    step = max(_FINEST, seconds // _POINTS // _FINEST * _FINEST)
    clock = context.factory.clock
    now = int((clock.started_at + timedelta(seconds=clock.now())).timestamp())
    last = now // step * step
    # All requests with the same interval get points at the same times, as in Prometheus.
    first = last if known[2] == "h" and number > _MOST_HOURS else last - seconds
    return _Span(range(first + step, last + 1, step))


def _curves(name: str, found: Iterable[LabeledSeries]) -> Iterator[_Curve]:
    for one in found:
        value = curve(name, one.key, one.document)
        if value is not None:
            yield one.labels, value


def _streams(
    context: RequestContext, name: str, curves: list[_Curve], span: _Span, *, cut: bool = False
) -> dict[str, Any]:
    most = context.state.metrics.most_streams
    streams = [
        _Stream(
            labels | {"metric_name": name},
            [{"t": at * 1000, "v": value(at)} for at in span.times],
        )
        for labels, value in curves[:most]
        if span.times
    ]
    return _metric(name, span, streams=streams, dropped=cut or len(curves) > most)


def _metric(
    name: str,
    span: _Span,
    *,
    streams: list[_Stream] | None,
    samples: list[dict[str, Any]] | None = None,
    dropped: bool = False,
) -> dict[str, Any]:
    """Return the item for one metric in a response.

    `streams` are the values over time, `samples` the ranked resources. `dropped`: some are omitted.
    """
    data = {
        "unit": unit_of(name),
        "step": span.step,
        "dropped": dropped,
        "sample_streams": None if streams is None else [one._asdict() for one in streams],
        "samples": [] if streams is None and samples is None else samples,
    }
    return {"task_id": None, "data": data}


HANDLERS: dict[str, Handler] = {
    **{path: _metrics(group, cuts=path == _CUTS) for path, group in METRIC_GROUPS.items()},
    "get-top-n-metrics-in-clusters": _top,
}
