"""Forecasts of full storage from curves with a known outcome."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloudtower_async import EmptyFilter, MetricsWarning
from cloudtower_async.recipes import CapacityForecast, forecast_capacity
from tests.recipes.towers import simulated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloudtower_async import Cloudtower
    from cloudtower_async.testing import Simulator

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::cloudtower_async.MetricsWarning"),
]

TIB = 2**40
WEEK = [hour / 24 for hour in range(24 * 7)]  # in days


def answer(sim: Simulator, curves: dict[str, Sequence[tuple[float, float | None]]]) -> None:
    """Let the simulator answer requests for metrics of clusters with these curves.

    `curves` contains the curve of each cluster by cluster id. A point of a curve is a time in days
    and a number of bytes.
    """
    streams = [
        {
            "labels": {"_cluster": sim.store.get("Cluster", cluster)["local_id"]},
            "points": [{"t": 1.7e12 + day * 86_400_000, "v": used} for day, used in points],
        }
        for cluster, points in curves.items()
    ]
    data = {"unit": "DATA_SIZE", "step": 3600, "dropped": False, "sample_streams": streams}
    body = msgspec.json.encode([{"task_id": None, "data": {**data, "samples": None}}])
    sim.faults.answer("get-cluster-metrics", body, times=None)


async def forecast(
    tower: Cloudtower,
    sim: Simulator,
    points: Sequence[tuple[float, float | None]],
    **figures: Any,  # noqa: ANN401
) -> CapacityForecast:
    """Forecast the one cluster of a simulator."""
    [cluster] = sim.store.table("Cluster")
    chosen = {"total_data_capacity": 11 * TIB, "used_data_space": 6 * TIB}
    sim.store.change("Cluster", cluster, **{**chosen, "failure_data_space": TIB, **figures})
    answer(sim, {cluster: points})
    [row] = await forecast_capacity(tower)
    return row


async def test_days_until_full_follow_from_the_growth() -> None:
    def busy_by_day(day: float) -> float:
        return 5 * TIB + day * TIB / 7 + 0.05 * TIB * math.sin(2 * math.pi * day)

    async with simulated(clusters=1) as (sim, tower):
        points = [(day, busy_by_day(day)) for day in WEEK]
        row = await forecast(tower, sim, points)
    assert row.outlook == "filling"
    assert (row.capacity, row.used, row.free) == (10 * TIB, 6 * TIB, 4 * TIB)
    assert row.growth_per_day == pytest.approx(TIB / 7, rel=0.05)
    assert row.days_until_full == pytest.approx(28, rel=0.05)
    assert row.points == len(points)


async def test_a_forecast_can_be_unknown() -> None:
    growing = [(day, TIB * (5 + day)) for day in WEEK]
    shrinking = [(day, TIB * (5 - day / 7)) for day in WEEK]
    constant = [(day, TIB) for day in WEEK]
    wavy = [(day, TIB * (5 + math.sin(2 * math.pi * day))) for day in WEEK]
    no_values = [(day, None) for day in WEEK]
    async with simulated(clusters=1) as (sim, tower):
        cases: list[tuple[Any, dict[str, Any], str]] = [
            (shrinking, {}, "not_growing"),
            (constant, {}, "not_growing"),
            (wavy, {}, "noise"),
            (growing[:11], {}, "too_few_points"),
            (growing[:20], {}, "too_few_points"),  # 19 hours
            (growing[::48], {}, "too_few_points"),  # 4 values
            ([], {}, "too_few_points"),
            (no_values, {}, "too_few_points"),
            ([(1.0, TIB)] * 100, {}, "too_few_points"),
            (growing, {"total_data_capacity": None}, "unknown_capacity"),
            (growing, {"total_data_capacity": 0}, "unknown_capacity"),
            (growing, {"used_data_space": None}, "unknown_capacity"),
        ]
        rows = [await forecast(tower, sim, points, **figures) for points, figures, _ in cases]
    assert [row.outlook for row in rows] == [outlook for _, _, outlook in cases]
    assert [row.days_until_full for row in rows] == [None] * len(cases)
    shrunk, constantly, noise, few, *_ = rows
    assert shrunk.growth_per_day == pytest.approx(-TIB / 7)
    assert constantly.growth_per_day == 0
    assert (noise.growth_per_day, few.growth_per_day) == (None, None)


async def test_a_full_cluster_is_full_even_if_nothing_was_measured() -> None:
    async with simulated(clusters=1) as (sim, tower):
        row = await forecast(tower, sim, [], used_data_space=12 * TIB)
        unknown_failure = await forecast(tower, sim, [], failure_data_space=None)
    assert (row.outlook, row.free, row.days_until_full) == ("full", 0, 0)
    assert unknown_failure.free == 5 * TIB


async def test_the_first_to_be_full_comes_first() -> None:
    async with simulated(clusters=3) as (sim, tower):
        slow, fast, unknown = sim.store.table("Cluster")
        answer(
            sim,
            {
                slow: [(day, TIB + day * 1e6) for day in WEEK],
                fast: [(day, TIB + day * 1e9) for day in WEEK],
            },
        )
        rows = await forecast_capacity(tower)
        only = await forecast_capacity(tower, {"id": slow})
    assert [row.cluster_id for row in rows] == [fast, slow, unknown]
    assert [row.cluster_id for row in only] == [slow]


async def test_metrics_of_the_simulator_are_read() -> None:
    async with simulated() as (_, tower):
        rows = await forecast_capacity(tower)
    assert all(row.points > 200 for row in rows)


async def test_an_empty_filter_is_an_error_and_an_empty_range_is_reported() -> None:
    async with simulated() as (_, tower):
        with pytest.raises(EmptyFilter):
            await forecast_capacity(tower, {})
        with pytest.warns(MetricsWarning, match="168h"):
            rows = await forecast_capacity(tower, range="168h")
    assert {row.outlook for row in rows} == {"too_few_points"}
