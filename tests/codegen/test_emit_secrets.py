"""Fields that the generator recognizes as secrets."""

from __future__ import annotations

from typing import Any

import pytest

from codegen import emit_secrets
from codegen.schema import Api, Choice, Enum, FreeForm, ListOf, Node, Property, Record, Ref, Scalar


def fields(**properties: Node) -> dict[str, Any]:
    """Return the module that is generated from a record with these properties."""
    api = Api("1", "1")
    api.types["Strength"] = Enum("Strength", ("LOW", "HIGH"))
    api.types["Part"] = Record("Part", "Part", ())
    made = [Property(n, node, False, True, False) for n, node in properties.items()]
    api.types["Thing"] = Record("Thing", "Thing", tuple(made))
    said: dict[str, Any] = {}
    exec(emit_secrets.module(api), said)  # noqa: S102 - the generator's own text
    return said


@pytest.mark.parametrize(
    ("name", "node", "secret"),
    [
        ("root_password", Scalar("str"), True),
        ("fileSecret", Scalar("str"), True),
        ("api_key", Ref("Part"), True),
        ("tokens", ListOf(Scalar("str")), True),
        ("credentials", FreeForm(), True),
        ("password_complexity", Ref("Strength"), False),
        ("password_kind", Choice(("A", "B")), False),
        ("password_expired", Scalar("bool"), False),
        ("token_count", Scalar("int"), False),
        ("password_updated_at", Scalar("str"), False),
    ],
)
def test_a_field_is_secret_by_its_name_and_by_what_it_can_hold(
    name: str, node: Node, secret: bool
) -> None:
    said = fields(**{name: node})
    assert (name in said["SECRET_FIELDS"], name in said["PLAIN_FIELDS"]) == (secret, not secret)


def test_other_fields_are_in_neither_table() -> None:
    said = fields(name=Scalar("str"), key=Scalar("str"))
    assert not {"name", "key"} & (said["SECRET_FIELDS"] | said["PLAIN_FIELDS"])
    assert "direct" in said["SECRET_FIELDS"]
