"""Fast repair equals its simple definition, and decoding in slices equals decoding as a whole."""

# ruff: noqa: ANN401 - types found at run time have no narrower type
from __future__ import annotations

import random
import types
from typing import Any, Union, cast, get_args, get_origin

import msgspec
import pytest

from benchmarks.fuzz import broken_value, operations, right_answer
from cloudtower_async.calls.decoding import SlicedAnswer
from cloudtower_async.calls.lenient import ROOT, WRONG, Repair, Slices
from cloudtower_async.calls.operation import Kind, Operation
from cloudtower_async.errors import ResponseDecodeError
from cloudtower_async.models import Vm
from cloudtower_async.transport.responses import Answer
from cloudtower_async.types import CODEC_ERRORS
from tests.calls.test_decoding import decoded, run

BODIES = 600


class Sparse(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    id: str
    power_state: str = "RUNNING"
    tags: list[str] = msgspec.field(default_factory=lambda: ["none"])
    extra: msgspec.Raw | None = None
    owner: Sparse | None = None


SPARSE = Operation("vm.get_vms", "/get-vms", Kind.QUERY, lambda: list[Sparse])
VMS = Operation("vm.get_vms", "/get-vms", Kind.QUERY, lambda: list[Vm])


def plain_repair(value: object, wanted: Any, strict: bool) -> tuple[Any, int]:
    """Repair a value member by member; return the kept parts and the number of mismatches."""
    if wanted is int and type(value) is float and (not strict or value.is_integer()):
        return round(value), 0
    try:
        return msgspec.convert(value, wanted), 0
    except CODEC_ERRORS:
        pass
    origin = get_origin(wanted) or wanted
    if origin in (Union, types.UnionType):
        for member in get_args(wanted):
            kept, wrong = plain_repair(value, member, strict)
            if kept is not WRONG:
                return kept, wrong
    elif origin is list and isinstance(value, list):
        items = cast("list[object]", value)
        pairs = [plain_repair(item, get_args(wanted)[0], strict) for item in items]
        kept = [item for item, _ in pairs if item is not WRONG]
        return kept, sum(wrong for _, wrong in pairs)
    elif origin is dict and isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        found = {key: plain_repair(item, get_args(wanted)[1], strict) for key, item in entries}
        kept = {key: none_if_wrong(item) for key, (item, _) in found.items()}
        return kept, sum(wrong for _, wrong in found.values())
    elif issubclass(origin, msgspec.Struct) and isinstance(value, dict):
        return plain_struct(cast("dict[str, object]", value), wanted, strict)
    return WRONG, 1


def plain_struct(members: dict[str, object], wanted: Any, strict: bool) -> tuple[Any, int]:
    declared = {field.encode_name: field for field in msgspec.structs.fields(wanted)}
    if not declared.keys() & members.keys():
        return WRONG, 1
    fields: dict[str, Any] = {}
    wrong = 0
    for key, field in declared.items():
        if key in members:
            kept, more = plain_repair(members[key], field.type, strict)
            fields[field.name] = none_if_wrong(kept)
            wrong += more
        elif field.required:
            fields[field.name] = None
            wrong += 1
    return (get_origin(wanted) or wanted)(**fields), wrong


def none_if_wrong(value: Any) -> Any:
    return None if value is WRONG else value


def broken_answers(seed: int) -> list[tuple[Operation[Any], Any]]:
    """Generate valid answers of operations, each with one to ten faults."""
    chance = random.Random(seed)  # noqa: S311 - the same seed makes the same answers
    asked = operations()
    answers: list[tuple[Operation[Any], Any]] = []
    for _ in range(BODIES):
        operation = chance.choice(asked)
        value = right_answer(operation)
        for _ in range(chance.choice((1, 1, 2, 10))):
            value = broken_value(value, chance)
        answers.append((operation, msgspec.json.decode(msgspec.json.encode(value))))
    return answers


def test_repairing_equals_its_plain_definition() -> None:
    kept = 0
    for number, (operation, value) in enumerate(broken_answers(1)):
        strict = number % 3 == 0
        repair = Repair(Slices(), strict=strict)
        repaired = run(repair.convert(value, operation.answer(), ROOT))
        expected, wrong = plain_repair(value, operation.answer(), strict)
        assert (repaired is WRONG) == (expected is WRONG), (operation, value)
        assert repaired == expected, (operation, value)
        assert repair.mismatches.count == wrong, (operation, value)
        kept += repaired is not WRONG and wrong > 0
    assert kept > BODIES / 10


def test_decoding_in_slices_equals_repairing_the_complete_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    compared = 0
    for operation, value in broken_answers(2):
        if get_origin(operation.answer()) is not list or not value:
            continue
        repair = Repair(Slices(), strict=False)
        expected = run(repair.convert(value, operation.answer(), ROOT))
        caplog.clear()
        answer = Answer(200, msgspec.json.encode(value), "r-1")
        try:
            found = run(SlicedAnswer(operation, answer, "https://t", strict=False).read())
        except ResponseDecodeError as exc:
            assert expected is WRONG or expected == []
            assert exc.place == repair.mismatches.first[0].place  # noqa: PT017
            continue
        assert found == expected
        places = ", ".join(mismatch.place for mismatch in repair.mismatches.first)
        assert bool(caplog.messages) == bool(places)
        assert all(f"breaks the API schema at {places}" in text for text in caplog.messages)
        compared += bool(places)
    assert compared > BODIES / 10


def test_absent_members_of_a_broken_row_keep_the_default_of_the_struct() -> None:
    [found] = decoded(SPARSE, [{"id": 5, "owner": {"id": "o", "powerState": 7}}])
    assert (found.id, found.power_state, found.extra) == (None, "RUNNING", None)
    assert found.tags == ["none"]
    assert found.owner == Sparse(id="o", power_state=None)  # type: ignore[arg-type]


def test_raw_members_of_a_broken_row_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    [found] = decoded(SPARSE, [{"id": 5, "extra": {"a": [1, None]}}])
    assert bytes(found.extra) == b'{"a":[1,null]}'
    assert "at $[0].id;" in caplog.messages[0]


@pytest.mark.parametrize("wrong", [1, 5, 30])
def test_any_number_of_members_of_a_row_may_be_wrong(
    wrong: int, caplog: pytest.LogCaptureFixture
) -> None:
    [right] = right_answer(VMS)[:1]
    keys = [key for key, value in right.items() if not isinstance(value, list)][:wrong]
    [intact] = decoded(VMS, [right])
    [found] = decoded(VMS, [right | {key: [[1]] for key in keys}])
    names = {field.encode_name: field.name for field in msgspec.structs.fields(Vm)}
    assert found == msgspec.structs.replace(intact, **{names[key]: None for key in keys})
    assert len(keys) == wrong
    assert len(caplog.messages) == 1
