"""Dates in answers and arguments as `datetime`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import parse_time
from cloudtower_async.dates import date_fault, date_text

MOMENT = datetime(2026, 11, 29, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-29T10:00:00.000Z",
        "2026-11-29T10:00:00Z",
        "2026-11-29T10:00Z",
        "2026-11-29T18:00:00.000+08:00",
        "2026-11-29T04:30:00-0530",
        "2026-11-29 10:00:00+00:00",
        "2026-11-29T10:00:00.000000000Z",
        "2026-11-29T10:00:00",
    ],
)
def test_a_date_of_a_server_is_a_moment_in_utc(text: str) -> None:
    found = parse_time(text)
    assert (found, found and found.tzinfo) == (MOMENT, UTC)


def test_a_date_without_time_of_day_is_midnight_in_utc() -> None:
    assert parse_time("2026-11-29") == datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", None])
def test_parse_time_of_an_empty_text_or_none_is_none(text: str | None) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize(
    "text",
    [
        " ",
        "never",
        "1767225600000",
        "20261129",
        "2026-W48-7",
        "2026-13-01T00:00:00Z",
        "2026-11-29T25:00:00Z",
        "2026-11-29T10:00:00.000Z ",
        "0001-01-01T00:00:00+14:00",
        "+275760-09-13T00:00:00.000Z",
        "2026-11-29\x1b[31m",
    ],
)
def test_an_unreadable_date_is_rejected_and_shown_without_control_characters(text: str) -> None:
    with pytest.raises(ValueError, match="expected a date in ISO 8601, got '") as caught:
        parse_time(text)
    assert str(caught.value).isprintable()


@given(st.datetimes(timezones=st.timezones()))
def test_a_moment_is_read_back_to_the_millisecond(moment: datetime) -> None:
    if date_fault(moment) is None:
        text = date_text(moment)
        assert len(text) == len("2026-11-29T10:00:00.000Z")
        read = parse_time(text)
        assert read is not None
        assert timedelta(0) <= moment.astimezone(UTC) - read < timedelta(milliseconds=1)


class _Lost(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str | None:
        return None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (datetime(2026, 11, 29), "without a time zone"),  # noqa: DTZ001 - that is the fault
        (datetime(2026, 11, 29, tzinfo=_Lost()), "without a time zone"),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "no date in UTC"),
        (date(2026, 11, 29), "got date; the server wants the time of day and the time zone, too"),
        (time(10, tzinfo=UTC), "got time; the server wants"),
        (timedelta(hours=1), "got timedelta; the server wants"),
    ],
)
def test_an_invalid_time_raises_an_error_with_a_remedy(
    value: date | time | timedelta, why: str
) -> None:
    assert why in (date_fault(value) or "")


def test_a_moment_is_spelled_as_the_server_does() -> None:
    east = timezone(timedelta(hours=8))
    assert date_fault(MOMENT) is None
    assert date_text(datetime(2026, 11, 29, 18, 0, 0, 1999, east)) == "2026-11-29T10:00:00.001Z"
    assert date_text(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000Z"
