"""The retry budget and ``Retry-After``."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cloudtower_async.retry.backoff import Budget, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
