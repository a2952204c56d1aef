"""Invariants that hold under all faults: a small run of `benchmarks.chaos`."""

from __future__ import annotations

import pytest

from benchmarks.chaos import ours

pytestmark = [pytest.mark.anyio, pytest.mark.subprocess]


async def test_no_mutation_is_executed_twice_or_reported_wrongly() -> None:
    tally = await ours(seed=7, calls=600, faults=0.2)
    assert tally.sound(), tally
    assert tally.queries_right
    assert tally.done
    assert tally.unknown
