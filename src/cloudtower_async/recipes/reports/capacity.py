"""Forecast when the storage of clusters will be full."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal, TypeAlias

import msgspec

from ... import inputs
from ...client import Cloudtower
from ...queries.projection import select_fields
from ...types import EVERYTHING, OMITTED, Everything
from .linear_fit import fit_line

CapacityOutlook: TypeAlias = Literal[
    "full", "filling", "not_growing", "noise", "too_few_points", "unknown_capacity"
]
"""Outlook of the storage of a cluster; see `CapacityForecast`."""

_USED = "zbs_cluster_used_data_space_bytes"
_DAY = 86_400_000  # milliseconds
_MIN_POINTS = 12
_MIN_SPAN = 20 / 24
"""Days that the points must cover, so that daily variations do not count as a trend."""
_MIN_R_SQUARED = 0.5


class CapacityForecast(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Storage of one cluster, and a forecast of the time when it will be full.

    Attributes:
        cluster_id: Id of the cluster.
        cluster_name: Name of the cluster.
        outlook: ``filling``: `days_until_full` is known. ``full``: no space is left.
            ``not_growing``: the used space stays the same or shrinks. The other values mean that no
            forecast is possible. ``noise``: a straight line explains less than half of the variance
            of the used space, so there is no clear trend. ``too_few_points``: fewer than 12 values,
            or values that span less than 20 hours. ``unknown_capacity``: the cluster reports no
            capacity, or no used space.
        capacity: Usable space in bytes: the total, without space that has failed. None if unknown.
        used: Used space in bytes; None if unknown.
        free: Space in bytes that is left; None if unknown.
        growth_per_day: Bytes per day by which the used space grew; negative if it shrank. None if
            there are too few values, or no clear trend.
        days_until_full: Days until the storage is full. 0 if the outlook is ``full``. None if there
            is no forecast, or if the used space does not grow.
        points: Number of values of the used space that the forecast is based on.
    """

    cluster_id: str
    cluster_name: str
    outlook: CapacityOutlook
    capacity: int | float | None
    used: int | float | None
    free: int | float | None
    growth_per_day: float | None
    days_until_full: float | None
    points: int


class _ClusterCapacity(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    id: str
    name: str
    total_data_capacity: int | float | None = None
    used_data_space: int | float | None = None
    failure_data_space: int | float | None = None


async def forecast_capacity(
    tower: Cloudtower,
    clusters: inputs.ClusterWhereInput | Everything = EVERYTHING,
    *,
    range: str = "7d",  # noqa: A002 - the API's name
) -> list[CapacityForecast]:
    """Forecast in how many days the storage of each cluster will be full.

    A line is fitted to the used space over the range (least squares). If no forecast is possible,
    `CapacityForecast.outlook` says why. The forecast cannot take planned changes into account.

    Args:
        tower: Session to read with.
        clusters: Filter for the clusters.
        range: Time range until now: a number with the unit s, m, h, d or w. For ``72h`` and
            ``168h``, some servers return no values; use ``7d``.

    Returns:
        A row for each cluster, sorted by `days_until_full`; clusters without a forecast come last,
        by name.

    Raises:
        InvalidInput: An argument cannot be used.
        EmptyFilter: ``clusters`` could match every cluster, for example because it is empty. To
            measure all clusters, pass `EVERYTHING`.
        CallError: Clusters or metrics cannot be read.

    Warns:
        MetricsWarning: The server returned no values of a metric, or only some.

    Example:
        ::

            for cluster in await forecast_capacity(tower):
                if cluster.days_until_full is not None and cluster.days_until_full < 30:
                    print(cluster.cluster_name, cluster.days_until_full)
    """
    chosen: Any = clusters  # to type checkers, EVERYTHING is no filter
    measured = await tower.measure(
        tower.metrics.get_cluster_metrics, clusters=chosen, metrics=[_USED], range=range
    )
    listing = select_fields(tower.cluster.get_clusters, _ClusterCapacity)
    where = OMITTED if isinstance(clusters, Everything) else clusters
    rows = [row async for row in tower.iterate(listing, where=where)]
    curves = {one.subject.id: one for one in measured.series if one.subject and one.times}
    forecasts = [
        _forecast(row, curve.times, curve.values)
        if (curve := curves.get(row.id))
        else _forecast(row, (), ())
        for row in rows
    ]
    return sorted(forecasts, key=_first_to_be_full)


def _forecast(
    cluster: _ClusterCapacity, times: Sequence[int], values: Sequence[float]
) -> CapacityForecast:
    """Return the forecast of a cluster.

    Args:
        cluster: The cluster, with its current figures.
        times: Times of the measurements, in milliseconds since 1970.
        values: Used space in bytes; NaN for a missing value.
    """
    pairs = [(at / _DAY, used) for at, used in zip(times, values, strict=True) if isfinite(used)]
    trend, growth = _trend([at for at, _ in pairs], [used for _, used in pairs])
    capacity, used = cluster.total_data_capacity, cluster.used_data_space
    if capacity is not None:
        capacity = max(capacity - (cluster.failure_data_space or 0), 0)
    free = None if capacity is None or used is None else max(capacity - used, 0)
    days: float | None = None
    outlook: CapacityOutlook = trend
    # A compute-only cluster has no storage that could fill up.
    if free is None or not cluster.total_data_capacity:
        outlook = "unknown_capacity"
    elif not free:
        outlook, days = "full", 0.0
    elif trend == "filling" and growth:
        days = free / growth
    return CapacityForecast(
        cluster_id=cluster.id,
        cluster_name=cluster.name or cluster.id,  # a server that breaks its schema may send null
        outlook=outlook,
        capacity=capacity,
        used=used,
        free=free,
        growth_per_day=growth,
        days_until_full=days,
        points=len(pairs),
    )


def _trend(days: Sequence[float], used: Sequence[float]) -> tuple[CapacityOutlook, float | None]:
    """Return the outlook (see `CapacityForecast`), and the growth in bytes per day.

    The growth is None if the outlook is ``"too_few_points"`` or ``"noise"``.

    Args:
        days: Times of the measurements, in days since 1970.
        used: Used space in bytes at each of these times.
    """
    if len(days) < _MIN_POINTS or max(days) - min(days) < _MIN_SPAN:
        return "too_few_points", None
    line = fit_line(days, used)
    if line is None or line.r_squared < _MIN_R_SQUARED:
        return "noise", None
    return "filling" if line.slope > 0 else "not_growing", line.slope


def _first_to_be_full(row: CapacityForecast) -> tuple[bool, float, str]:
    days = row.days_until_full
    return (days is None, days or 0.0, row.cluster_name)
