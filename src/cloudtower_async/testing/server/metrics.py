"""The metrics operations: which series there are, and the part of them that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from ..refusals import QueryError, member
from .curves import curve, unit_of
from .series import FAMILIES, Family, Series, family_of, within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .answers import Answer, Asked

_RANGE = re.compile(r"([1-9]\d{0,5})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST_HOURS = 24  # a server answers 72h and 168h with nothing, and 7d properly
_POINTS = 240
_FINEST = 30  # seconds


class Metrics:
    """How much of the load curves is shown."""

    def __init__(self) -> None:
        self.most_streams = 200
        """Series in the answer for one metric; what is more is left out, and ``dropped`` is set."""


@dataclass(frozen=True, slots=True)
class _Span:
    """The time that is asked about, in seconds since 1970. Empty where servers have nothing."""

    times: range

    @property
    def step(self) -> int:
        return self.times.step


_Curve: TypeAlias = "tuple[dict[str, str], Callable[[float], float]]"


def _metrics(family: Family) -> Answer:
    def answer(asked: Asked) -> object:
        span = _span(asked)
        found = list(family.find(asked.maker.store, asked.request.body))
        enough = asked.services.metrics.most_streams + 1  # to see that some are left out
        return [
            _streams(asked, name, [*islice(_curves(name, found), enough)], span)
            if name in family.names
            else _streams(asked, name, [], span)
            for name in _names(asked)
        ]

    return answer


def _top(asked: Asked) -> object:
    """The series that are highest, or lowest, now: of one kind of thing in some clusters."""
    body, store = asked.request.body, asked.maker.store
    count = member(body, "n", int)
    where = member(body, "clusters", dict[str, Any])
    way = member(body, "type", str)
    if way not in {"top", "bottom"}:
        raise QueryError("type: top or bottom")
    span = _span(asked)
    clusters = {cluster["id"] for cluster in store.select("Cluster", where)}
    answers: list[object] = []
    for name in _names(asked):
        family = family_of(name)
        curves = [*_curves(name, within(store, family, clusters))] if family else []
        last = span.times[-1] if span.times else 0
        curves.sort(key=lambda one: one[1](last), reverse=way == "top")
        shown = curves[: max(count, 0)] if span.times else []
        metric = _streams(asked, name, shown, span)
        metric["data"]["samples"] = [
            {"labels": stream["labels"], "point": stream["points"][-1]}
            for stream in metric["data"]["sample_streams"]
        ]
        answers.append(metric)
    return answers


def _names(asked: Asked) -> list[str]:
    return member(asked.request.body, "metrics", list[str])


def _span(asked: Asked) -> _Span:
    text = member(asked.request.body, "range", str)
    known = _RANGE.fullmatch(text)
    if known is None:
        raise QueryError(f'range: {text!r} is no range such as "24h" or "7d"')
    number = int(known[1])
    seconds = number * _SECONDS[known[2]]
    step = max(_FINEST, seconds // _POINTS // _FINEST * _FINEST)
    clock = asked.maker.clock
    now = int((clock.started_at + timedelta(seconds=clock.now())).timestamp())
    last = now // step * step
    # The steps lie at the same times whenever it is asked, as Prometheus does it.
    first = last if known[2] == "h" and number > _MOST_HOURS else last - seconds
    return _Span(range(first + step, last + 1, step))


def _curves(name: str, found: Iterable[Series]) -> Iterator[_Curve]:
    for one in found:
        value = curve(name, one.key, one.document)
        if value is not None:
            yield one.labels, value


def _streams(asked: Asked, name: str, curves: list[_Curve], span: _Span) -> dict[str, Any]:
    most = asked.services.metrics.most_streams
    streams = [
        {
            "labels": labels | {"metric_name": name},
            "points": [{"t": at * 1000, "v": value(at)} for at in span.times],
        }
        for labels, value in curves[:most]
        if span.times
    ]
    data = {
        "unit": unit_of(name),
        "step": span.step,
        "dropped": len(curves) > most,
        "sample_streams": streams,
        "samples": None,
    }
    return {"task_id": None, "data": data}


ANSWERS: dict[str, Answer] = {
    **{path: _metrics(family) for path, family in FAMILIES.items()},
    "get-top-n-metrics-in-clusters": _top,
}
