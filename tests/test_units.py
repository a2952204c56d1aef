"""Formatted figures, and sums with unknown parts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async.recipes.amounts import amount, total, usage
from cloudtower_async.units import (
    BYTE_UNITS,
    HERTZ_UNITS,
    format_bytes,
    format_cores,
    format_hertz,
    format_percent,
    format_unit,
    parse_bytes,
)

known = st.floats(min_value=0, max_value=1e18) | st.integers(min_value=0, max_value=2**63)
figures = st.none() | known


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (None, "unknown"),
        (math.nan, "unknown"),
        (-1, "0B"),
        (0, "0B"),
        (1, "1.00B"),
        (0.5, "0.50B"),
        (1023, "1023.00B"),
        (1023.99, "1023.99B"),
        (1023.999, "1.00KiB"),
        (1024, "1.00KiB"),
        (1536, "1.50KiB"),
        (1024**2 - 1, "1.00MiB"),
        (1024**2, "1.00MiB"),
        (1024**3, "1.00GiB"),
        (1024**4, "1.00TiB"),
        (1024**5, "1.00PiB"),
        (1024**6, "1024.00PiB"),
        (5 * 1024**7, "5242880.00PiB"),
    ],
)
def test_bytes_take_steps_of_1024(figure: float | None, text: str) -> None:
    assert format_bytes(figure) == text


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (None, "unknown"),
        (0, "0Hz"),
        (999, "999.00Hz"),
        (999.999, "1.00KHz"),
        (1000, "1.00KHz"),
        (2_400_000_000, "2.40GHz"),
        (10**12, "1.00THz"),
        (10**16, "10000.00THz"),
    ],
)
def test_frequencies_take_steps_of_1000(figure: float | None, text: str) -> None:
    assert format_hertz(figure) == text


def test_percentages_and_cores() -> None:
    assert [format_percent(each) for each in (None, 0, 12.345, 100)] == [
        *("unknown", "0.00%", "12.35%", "100.00%")
    ]
    assert [format_cores(each) for each in (None, 0, 1, 96)] == [
        *("unknown", "0 cores", "1 core", "96 cores")
    ]


def test_a_format_needs_units_and_a_step() -> None:
    assert format_unit(7, ["apples"], 12) == "7.00apples"
    with pytest.raises(ValueError, match="units"):
        format_unit(1, [], 1000)
    with pytest.raises(ValueError, match="step"):
        format_unit(1, ["B", "KiB"], 1)


@given(known, st.sampled_from([(BYTE_UNITS, 1024), (HERTZ_UNITS, 1000)]))
def test_a_text_is_near_the_figure_and_below_the_next_step(
    figure: float, units: tuple[tuple[str, ...], int]
) -> None:
    names, step = units
    text = format_unit(figure, names, step)
    number = text.rstrip("".join(names))
    unit = text[len(number) :]
    assert float(number) < step or unit == names[-1]
    scale = step ** names.index(unit)
    assert float(number) * scale == pytest.approx(figure, abs=0.006 * scale, rel=1e-9)


@given(st.lists(figures))
def test_a_sum_covers_what_is_known(parts: list[float | None]) -> None:
    found = total(parts, "B")
    there = [part for part in parts if part is not None]
    assert found.unknown == len(parts) - len(there)
    if parts and not there:
        assert found.value is None
        assert found.text == "unknown"
    else:
        assert found.value == sum(there)
        assert found.text.startswith("≥ ") == (found.unknown > 0)


@given(st.lists(st.tuples(figures, figures)))
def test_usage_is_a_percentage_or_unknown(parts: list[tuple[float | None, float | None]]) -> None:
    found = usage(parts)
    assert found.unit == "%"
    there = sum(whole for used, whole in parts if used is not None and whole is not None)
    if there > 0:
        assert found.value is not None
        assert 0 <= found.value <= 100
    else:
        assert found.value is None


def test_usage_leaves_out_parts_of_which_a_figure_is_missing() -> None:
    assert usage([(25, 100), (None, 900), (900, None)]) == amount(25, "%", unknown=2)
    assert usage([(25, 100), (None, 900)]).text == "≈ 25.00%"


def test_an_amount_reads_as_its_text() -> None:
    assert str(amount(1536, "B")) == f"{amount(1536, 'B')}" == "1.50KiB"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512 B", 512),
        ("1KiB", 1024),
        ("1.5 GiB", 1610612736),
        (" 2 tib ", 2 * 1024**4),
        ("1.50PiB", 3 * 1024**5 // 2),
        ("1kB", 1000),
        ("4.7 GB", 4_700_000_000),
        ("0.3 B", 0),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_a_text_is_read_as_a_number_of_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "GiB", "-1 GiB", "1e3", "1 G", "1 iB", "1,5 GiB", "1 GiB/s", "nan", "\u0661"],
)
def test_a_text_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as '10 GiB' or '512', got "):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**60))
def test_a_formatted_size_is_read_back_to_its_decimals(size: int) -> None:
    assert abs(parse_bytes(format_bytes(size)) - size) <= max(0.0051 * size, 1)
