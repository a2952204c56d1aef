"""Plots of metrics on a terminal."""

from __future__ import annotations

import importlib
import math
import statistics
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..control_characters import printable
from .errors import UsageError
from .language import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..metrics.results import MetricSeries

_HEIGHT = 18  # lines
_TICK = 16  # columns between two labels on the time axis
_DAY = 86_400_000


def plot(series: Sequence[MetricSeries], width: int, *, color: bool) -> str:
    """Return a plot of the series of one metric as text.

    Args:
        series: One or more series that have values.
        width: Width in columns.
        color: Whether the terminal supports colors.

    Raises:
        UsageError: The package plotext is not installed.
    """
    try:
        plotext: Any = importlib.import_module("plotext")
    except ModuleNotFoundError:
        raise UsageError(
            tr('plots need an extra: pip install "cloudtower-async[cli]"; or pass --output csv')
        ) from None
    figure = plotext.figure
    figure.clear()
    figure.theme("simple" if color else "colorless")
    figure.plot_size(width, _HEIGHT)
    figure.title(f"{printable(series[0].metric)} ({printable(str(series[0].unit))})")
    for one in series:
        known = [
            (at, value)
            for at, value in zip(one.times, one.values, strict=True)
            if not math.isnan(value)
        ]
        curve = figure.signal([at for at, _ in known], [value for _, value in known])
        curve.lines()
        for place in _gaps([at for at, _ in known]):
            curve.line(place, active=False)
        if len(series) > 1:
            curve.label(_name(one, series))
        figure.draw(curve)
    times = [at for one in series for at in one.times]
    places = _ticks(min(times), max(times), max(2, width // _TICK))
    figure.ruler("x").ticks(places, [_moment(at, max(times) - min(times)) for at in places])
    text = str(figure.build())
    return text if color else str(plotext.uncolorize(text))


def _gaps(times: Sequence[int]) -> list[int]:
    """Return the index of each time after a gap: a step of more than twice the median step."""
    steps = [after - before for before, after in pairwise(times)]
    usual = statistics.median(steps) if steps else 0
    return [place for place, step in enumerate(steps, 1) if step > 2 * usual]


def _ticks(first: int, last: int, number: int) -> list[int]:
    return [first + (last - first) * place // (number - 1) for place in range(number)]


def _moment(milliseconds: int, span: int) -> str:
    local = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    return f"{local:%H:%M}" if span <= _DAY else f"{local:%m-%d %H:%M}"


def _name(one: MetricSeries, series: Sequence[MetricSeries]) -> str:
    """Return the resource of a series, and the labels that differ within this resource's series."""
    owner = one.subject.name if one.subject else ""
    same = [other for other in series if other.subject == one.subject]
    differing = [
        text
        for label, text in one.labels.items()
        if any(other.labels.get(label) != text for other in same)
    ]
    return printable(" ".join([owner, *differing]))
