"""The retry policy as data."""

from __future__ import annotations

import math

import pytest

from cloudtower_async import InvalidSettings, RetryPolicy


def test_the_bound_of_the_pauses_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(backoff=0.5, cap=3.0)
    assert [policy.pause(number, 1.0) for number in (1, 2, 3, 4, 10_000)] == [0.5, 1, 2, 3, 3]
    assert policy.pause(1, 0.0) == 0
    assert policy.pause(2, 0.5) == 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"attempts": 2.0}, {"budget": -1}, {"backoff": 0}, {"cap": math.inf}],
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidSettings, match=f"retry: {next(iter(wrong))}: expected") as info:
        RetryPolicy(**wrong)
    assert info.value.option == "retry"
