"""Answers with secrets do not show them when they are printed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rich.console import Console
from rich.pretty import Pretty

from cloudtower_async import models
from cloudtower_async.secret_fields import SECRET_FIELDS
from cloudtower_async.secret_names import is_secret
from cloudtower_async.types import HoldsSecrets, WithTask

STRUCTS: list[type[msgspec.Struct]] = [
    found
    for name in dir(models)
    if isinstance(found := getattr(models, name), type) and issubclass(found, msgspec.Struct)
]
MARK = "planted"


def filled(kind: type[msgspec.Struct]) -> msgspec.Struct:
    """Build a struct with a string in every field, unchecked."""
    return kind(**{name: f"{MARK}-{name}" for name in kind.__struct_fields__})


def encoded(kind: type[msgspec.Struct]) -> dict[str, str]:
    return dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))


def test_no_generated_answer_shows_a_field_for_secrets() -> None:
    seen: set[str] = set()
    for kind in STRUCTS:
        shown = repr(filled(kind))
        short = "more fields" in shown
        for name, wire in encoded(kind).items():
            hidden = is_secret(wire)
            if short:
                assert not hidden or f"{MARK}-{name}'" not in shown, (kind, name)
                continue
            assert (f"{MARK}-{name}'" in shown) is not hidden, (kind, name)
            assert f"{name}='***'" in shown or not hidden
            seen |= {wire} if hidden else set()
    assert {"token", "chap_secret", "community", "direct", "terminal", "fileSecret"} <= seen
    assert seen <= SECRET_FIELDS


def test_the_repr_of_other_answers_is_that_of_structs() -> None:
    plain = [kind for kind in STRUCTS if not issubclass(kind, HoldsSecrets)]
    assert len(plain) > 300
    for kind in plain:
        if len(kind.__struct_fields__) <= 30:
            assert repr(filled(kind)) == msgspec.Struct.__repr__(filled(kind))


def test_rich_shows_no_secret_either() -> None:
    console = Console(width=200)
    for kind in STRUCTS:
        with console.capture() as captured:
            console.print(Pretty(filled(kind)))
        for name, wire in encoded(kind).items():
            if is_secret(wire):
                assert f"{MARK}-{name}'" not in captured.get()


def test_secrets_within_other_answers_are_hidden_too() -> None:
    answer = WithTask(data=models.LoginResponse(token=MARK), task_id="t")
    assert repr(answer) == "WithTask(data=LoginResponse(token='***'), task_id='t')"
    assert repr([answer.data]) == "[LoginResponse(token='***')]"
    assert answer.data.token == MARK


def test_a_missing_secret_is_shown_as_missing() -> None:
    empty: Any = models.NestedInitiator(**dict.fromkeys(models.NestedInitiator.__struct_fields__))
    assert "chap_secret=None" in repr(empty)


@pytest.mark.parametrize("field", ["args"])
def test_the_arguments_of_a_task_are_shown_without_secrets(field: str) -> None:
    values = dict.fromkeys(models.Task.__struct_fields__, None)
    cloud_init = {"user_data": MARK, "hostname": "shown"}
    arguments = {"data": [{"cloud_init": cloud_init, "note": json.dumps(cloud_init)}]}
    task: Any = models.Task(**{**values, field: arguments})  # type: ignore[arg-type]
    assert MARK not in repr(task)
    assert "shown" in repr(task)
    assert task.args == arguments


@pytest.mark.parametrize("cut", [0, 3])
def test_the_values_of_a_change_are_shown_without_secrets(cut: int) -> None:
    value = json.dumps({"id": "shown", "password": MARK, "args": json.dumps({"token": MARK})})
    values: Any = dict.fromkeys(models.ResourceChangeEvent.__struct_fields__)
    values |= {"new_value": value[: len(value) - cut], "old_value": "plain"}
    change = models.ResourceChangeEvent(**values)
    assert MARK not in repr(change)
    assert "shown" in repr(change)
    assert "old_value='plain'" in repr(change)


def test_answers_with_secrets_decode_and_compare_as_others() -> None:
    data = b'{"token": "t"}'
    one = msgspec.json.decode(data, type=models.LoginResponse)
    assert one == msgspec.json.decode(data, type=models.LoginResponse)
    assert one.__struct_fields__ == ("token",)
    assert msgspec.json.encode(one) == b'{"token":"t"}'
