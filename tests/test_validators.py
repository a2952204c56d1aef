"""Argument checks that several parts of the package share."""

from __future__ import annotations

import math

import pytest

from cloudtower_async import InvalidInput
from cloudtower_async.validators import check_seconds, check_wait


@pytest.mark.parametrize("given", [5e-324, 1, 2.5, 1.7e308])
def test_numbers_of_seconds_are_accepted(given: float) -> None:
    check_seconds("wait", "interval", given)


@pytest.mark.parametrize("given", [0, -0.0, -1, math.inf, math.nan, True, "5", None])
def test_invalid_seconds_are_rejected(given: object) -> None:
    with pytest.raises(InvalidInput, match="wait: interval: expected a number of seconds above 0"):
        check_seconds("wait", "interval", given)


def test_zero_and_none_are_accepted_where_they_mean_something() -> None:
    check_wait("wait", timeout=None, interval=5, grace=0)
    for wrong in ({"timeout": 0}, {"interval": None}, {"grace": None}, {"grace": -1}):
        arguments: dict[str, object] = {"timeout": 1, "interval": 1, "grace": 1, **wrong}
        with pytest.raises(InvalidInput, match=f"^wait: {next(iter(wrong))}: expected a number"):
            check_wait("wait", **arguments)
