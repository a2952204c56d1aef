"""Known secrets are blotted out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async.wire.masking import Mask


def test_secrets_are_blotted_out_however_json_spells_them() -> None:
    mask = Mask('pä"ss', None)
    assert mask('raw pä"ss') == "raw ***"
    assert mask('{"echo": "p\\u00e4\\"ss"}') == '{"echo": "***"}'
    assert mask('{"echo": "pä\\"ss"}') == '{"echo": "***"}'


def test_a_secret_within_another_leaves_no_rest() -> None:
    assert Mask("abc", "abcdef")("abcdef abc") == "*** ***"


def test_very_short_secrets_are_left_as_they_would_mask_everything() -> None:
    assert Mask("ab")("about") == "about"


def test_a_secret_can_be_added_later() -> None:
    mask = Mask()
    mask.add("token")
    assert mask("a token") == "a ***"
    assert "token" not in repr(mask)


def test_passing_secrets_are_forgotten_when_many_more_have_come_and_lasting_ones_never() -> None:
    mask = Mask("password")
    for number in range(150):
        mask.add(f"ticket-{number:03}", passing=True)
    assert mask("password, ticket-149, ticket-050") == "***, ***, ***"
    assert mask("ticket-049") == "ticket-049"


def test_every_text_within_json_is_masked_and_its_keys_stay() -> None:
    value = {"known": ["a known", 1, None, {"x": "known"}]}
    assert Mask("known").within(value) == {"known": ["a ***", 1, None, {"x": "***"}]}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"password": "s3cret", "name": "n"', '{"password": "***", "name": "n"'),
        ('refused: {"user_data": "a \\"b\\" c", "x": 1}', 'refused: {"user_data": "***", "x": 1}'),
        ('cut off: {"token" : "s3cr', 'cut off: {"token" : "***"'),
        (
            r"said {\"password\":\"s\\\"3\", \"x\":\"y\"}",
            r"said {\"password\":\"***\", \"x\":\"y\"}",
        ),
        ('{"env": [{"name": "a", "value": "s3cret"}], "x": ', '{"env": "***"'),
        ('{"token": 12345, "x": ', '{"token": "***", "x": '),
        (
            '{"new_token": "s3cret", "password_expired": true, ',
            '{"new_token": "***", "password_expired": true, ',
        ),
        ('{"data": {"x": {"password": "s3cret"}, ', '{"data": {"x": {"password": "***"}, '),
        ('{"token"', '{"token"'),
    ],
)
def test_fields_for_secrets_are_masked_in_any_text(text: str, masked: str) -> None:
    assert Mask()(text) == masked


def test_fields_for_secrets_are_masked_whatever_they_hold() -> None:
    value = {"items": [{"password": "a", "token": ["b"], "env": {"c": 1}, "user_data": None}]}
    masked = {"password": "***", "token": "***", "env": "***", "user_data": None}
    assert Mask().within(value) == {"items": [masked]}


def test_json_that_is_a_text_in_json_is_masked_too() -> None:
    value = {"new_value": '{"id": "1", "args": "{\\"password\\": \\"s3cret\\"}"}'}
    shown = Mask().within(value)
    assert shown == {"new_value": '{"id": "1", "args": "{\\"password\\": \\"***\\"}"}'}


def test_a_body_is_shown_in_part() -> None:
    mask = Mask("known")
    assert (
        mask.body(b'{"name": "known", "password": "s3cret"}')
        == '{"name": "***", "password": "***"}'
    )
    assert mask.body(b"[" * 5000).startswith("[[[")
    assert len(mask.body(b"[" * 5000)) == 2001
    assert mask.body(b"\xff\xfe") == "<2 bytes>"
    assert mask.body(b" " * 70_000) == "<70000 bytes>"


@given(st.text(), st.sampled_from(["", "note: ", "[1, "]), st.integers(0, 2))
def test_no_part_of_a_secret_stays(secret: str, before: str, depth: int) -> None:
    inner = json.dumps({"password": f"<{secret}>", "x": "shown"})
    for _ in range(depth):
        inner = json.dumps(inner)
    assert "<" not in Mask()(before + inner)
    assert "<" not in Mask().body((before + inner).encode())
    assert "<" not in Mask()(before + inner[:-3])
