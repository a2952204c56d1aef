"""Shared shapes."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from cloudtower_async.types import Aggregate, Connection, OpenEnum, WithTask


class Status(OpenEnum):
    """An enum as the generator writes them."""

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


def test_unknown_values_do_not_pile_up() -> None:
    before = len(Status.__members__)
    Status("ONE")
    assert len(Status.__members__) == before
    assert "ONE" not in Status._value2member_map_


@pytest.mark.parametrize("body", [b"5", b"null", b"[]"])
def test_what_is_no_text_is_refused(body: bytes) -> None:
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
