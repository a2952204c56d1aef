"""Any answer of a server raises only our errors: a small run of `benchmarks.fuzz`."""

from __future__ import annotations

from msgspec import json

from benchmarks.fuzz import fuzz, operations, right_answer
from cloudtower_async.calls.decoding import SlicedAnswer, decode
from cloudtower_async.transport.responses import Answer


def test_valid_answers_of_all_operations_decode_strictly() -> None:
    for operation in operations():
        answer = Answer(200, json.encode(right_answer(operation)), "r-1")
        found = decode(operation, answer, "https://tower.example", strict=True)
        assert not isinstance(found, SlicedAnswer)


def test_broken_answers_are_repaired_or_refused() -> None:
    counted = fuzz(3_000, seed=2)
    assert counted["refused"] + counted["decoded"] == 3_000
    assert not counted["of several lines"]
    assert min(counted["refused"], counted["decoded"]) > 100
