"""Types that several packages share."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import msgspec
import pytest

from cloudtower_async import models
from cloudtower_async.types import Aggregate, Connection, Entity, OpenEnum, WithTask


class Status(OpenEnum):
    """An enum like the generated ones."""

    RUNNING = "RUNNING"


def test_a_known_value_is_the_member() -> None:
    assert msgspec.json.decode(b'"RUNNING"', type=Status) is Status.RUNNING


def test_an_unknown_value_is_a_member_equal_to_its_text() -> None:
    status = msgspec.json.decode(b'"NEW"', type=Status)
    assert isinstance(status, Status)
    assert status == "NEW"
    assert {status: 1}["NEW"] == 1  # type: ignore[index]
    assert (status.name, status.value, f"{status}") == ("NEW", "NEW", "NEW")
    assert msgspec.json.encode(status) == b'"NEW"'


def test_an_unknown_value_survives_copying_and_pickling() -> None:
    status = Status("NEW")
    assert pickle.loads(pickle.dumps(status)) == copy.deepcopy(status) == "NEW"  # noqa: S301


def test_unknown_values_are_not_stored() -> None:
    before = len(Status.__members__)
    Status("ONE")
    assert len(Status.__members__) == before
    assert "ONE" not in Status._value2member_map_


@pytest.mark.parametrize("body", [b"5", b"null", b"[]"])
def test_values_that_are_not_strings_are_rejected(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=Status)
    with pytest.raises(ValueError, match="5"):
        Status(5)  # type: ignore[arg-type]


def test_with_task_holds_the_resource_and_the_task() -> None:
    body = b'[{"data": {"count": 1}, "task_id": null}, {"data": {"count": 2}, "task_id": "t"}]'
    done, running = msgspec.json.decode(body, type=list[WithTask[Aggregate]])
    assert (done.data.count, done.task_id) == (1, None)
    assert (running.data.count, running.task_id) == (2, "t")


def test_connection_counts() -> None:
    assert msgspec.json.decode(b'{"aggregate":{"count":3}}', type=Connection).aggregate.count == 3


STRUCTS = [
    kind
    for kind in (getattr(models, name) for name in dir(models))
    if issubclass(kind, msgspec.Struct)
]


def _made(kind: Any, **values: object) -> Any:  # noqa: ANN401
    return kind(**{**dict.fromkeys(kind.__struct_fields__), **values})


def test_answers_with_an_id_hash_by_it_and_are_equal_by_value() -> None:
    kinds = [kind for kind in STRUCTS if "id" in kind.__struct_fields__]
    assert len(kinds) > 250
    for kind in kinds:
        one, same, changed = (_made(kind, id="a") for _ in range(3))
        if other := [name for name in kind.__struct_fields__ if name != "id"]:
            changed = msgspec.structs.replace(changed, **{other[0]: ["unhashable"]})
            assert one != changed
        assert hash(one) == hash(same) == hash(changed) == hash("a")
        assert one == same
        assert len({one, same}) == 1
        assert not hasattr(one, "__dict__")
    assert [kind for kind in STRUCTS if issubclass(kind, Entity)] == kinds


def test_the_repr_of_a_large_answer_is_short() -> None:
    cluster = models.NestedCluster(id="c", name="prod")
    values = {"id": "a", "name": "x\x1b[1m", "status": models.VmStatus.RUNNING, "cluster": cluster}
    vm = _made(models.Vm, **values)
    more = len(models.Vm.__struct_fields__) - 3
    assert repr(vm) == f"Vm(id='a', name='x\\x1b[1m', status='RUNNING', and {more} more fields)"
    assert repr(cluster) == "NestedCluster(id='c', name='prod')"
    for kind in STRUCTS:
        row = _made(kind)
        shown = "more fields" in repr(row)
        assert shown == (len(kind.__struct_fields__) > 30 and "id" in kind.__struct_fields__)


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_every_answer_has_a_json_schema(kind: Any) -> None:  # noqa: ANN401
    schema = msgspec.json.schema(kind)
    found = schema["$defs"][kind.__name__]["properties"]
    assert list(found) == list(kind.__struct_encode_fields__)
