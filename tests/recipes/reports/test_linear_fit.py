"""The fit of a line, compared with exact lines and with the standard library."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async.recipes.reports.linear_fit import fit_line

DAYS = st.lists(
    st.integers(20_000_000, 21_000_000).map(lambda minute: minute / 1440),
    min_size=2,
    max_size=50,
    unique=True,
)
VALUES = st.integers(-(10**9), 10**9).map(lambda value: value / 1000)
BYTES = st.integers(0, 2**60).map(float)


@given(DAYS, st.integers(-(2**45), 2**45), st.integers(0, 2**55))
def test_points_on_a_line_give_that_line(days: list[float], slope: int, start: int) -> None:
    line = fit_line(days, [start + slope * (day - days[0]) for day in days])
    assert line is not None
    # A slope that is tiny compared with the start is lost in rounding.
    rounding = 2**-50 * (abs(start) + abs(slope) * 700) / (max(days) - min(days)) * len(days)
    assert line.slope == pytest.approx(slope, rel=1e-6, abs=rounding)


@given(DAYS, st.data())
def test_any_points_give_the_line_of_the_standard_library(
    days: list[float], data: st.DataObject
) -> None:
    values = data.draw(st.lists(BYTES, min_size=len(days), max_size=len(days)))
    line = fit_line(days, values)
    assert line is not None
    expected = statistics.linear_regression(days, values)
    tolerance = max(values) * 1e-9 / (max(days) - min(days))
    assert line.slope == pytest.approx(expected.slope, rel=1e-6, abs=tolerance)
    assert 0 <= line.r_squared <= 1
    if 0 < line.r_squared < 1:
        correlation = statistics.correlation(days, values)
        assert line.r_squared == pytest.approx(correlation**2, rel=1e-6, abs=1e-6)


@given(st.lists(VALUES, min_size=3, max_size=30), VALUES)
def test_neither_the_place_nor_the_order_of_the_points_changes_the_slope(
    values: list[float], shift: float
) -> None:
    days = [float(day) for day in range(len(values))]
    plain = fit_line(days, values)
    moved = fit_line([day + 1000 for day in days], [value + shift for value in values])
    turned = fit_line(days[::-1], values[::-1])
    assert plain is not None
    assert moved is not None
    assert turned is not None
    assert moved.slope == pytest.approx(plain.slope, abs=1e-6)
    assert turned.slope == pytest.approx(plain.slope, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e15 + 0.3, 2.0**60])
def test_a_constant_has_no_slope_at_all(value: float) -> None:
    assert fit_line([day / 7 for day in range(100)], [value] * 100) == (0.0, 1.0)


@pytest.mark.parametrize("days", [[], [5.0], [5.0] * 10])
def test_points_of_one_moment_have_no_line(days: list[float]) -> None:
    assert fit_line(days, [float(place) for place in range(len(days))]) is None
