"""Backoff delays, the retry budget and ``Retry-After``."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from cloudtower_async.retry.backoff import Budget, backoff_delay, poll_delays, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_delays_double_up_to_the_cap() -> None:
    assert [backoff_delay(number, 0.5, 3.0) for number in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert backoff_delay(10_000, 0.5, 3.0) == 3.0


@pytest.mark.parametrize(
    ("interval", "delays"),
    [(5.0, [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]), (0.1, [0.1, 0.1])],
)
def test_the_first_polls_are_quick(interval: float, delays: list[float]) -> None:
    assert list(islice(poll_delays(interval), len(delays))) == delays


@pytest.mark.parametrize(
    ("jitter", "chance", "seconds"),
    [(0.0, 0.3, 4.0), (1.0, 0.0, 0.0), (1.0, 1.0, 4.0), (0.5, 0.0, 2.0), (0.5, 0.5, 3.0)],
)
def test_jitter_is_the_share_of_a_delay_that_chance_decides(
    jitter: float, chance: float, seconds: float
) -> None:
    assert backoff_delay(3, 1.0, 10.0, jitter=jitter, chance=chance) == seconds


def test_delays_that_chance_decides_differ_and_stay_in_bounds() -> None:
    delays = [backoff_delay(1, 1.0, 1.0, jitter=0.5) for _ in range(50)]
    assert len(set(delays)) > 1
    assert all(0.5 <= delay <= 1.0 for delay in delays)


def test_two_successes_earn_one_retry_and_never_more_than_there_were() -> None:
    budget = Budget(2)
    budget.earn()
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.earn()
    assert not budget.take()
    budget.earn()
    assert budget.take()
    assert not budget.take()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 0 ", 0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 00:01:00", None),
        ("soon", None),
        ("-1", None),
        ("Thu, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 10000 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds
