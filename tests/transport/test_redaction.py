"""Secrets are redacted, and words of prose are not."""

from __future__ import annotations

import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async.transport.redaction import Mask


def test_tokens_are_redacted_however_a_text_spells_them() -> None:
    mask = Mask('tö"ken-1', None)
    assert mask('raw tö"ken-1') == "raw ***"
    assert mask('{"echo": "t\\u00f6\\"ken-1"}') == '{"echo": "***"}'
    assert mask('{"echo": "tö\\"ken-1"}') == '{"echo": "***"}'
    assert mask("/x?a=t%C3%B6%22ken-1") == "/x?a=***"
    assert mask("<p>tö&quot;ken-1</p>") == "<p>***</p>"


def test_a_secret_within_another_leaves_no_rest() -> None:
    assert Mask("abcdefgh", "abcdefghij")("abcdefghij abcdefgh") == "*** ***"


def test_short_secrets_are_left_as_they_may_be_words() -> None:
    assert Mask("ab", "message")("a message about it") == "a message about it"


def test_a_secret_can_be_added_later() -> None:
    mask = Mask()
    mask.add("a-token-of-many")
    assert mask("a a-token-of-many") == "a ***"
    assert "token" not in repr(mask)


PROSE = [
    "the user name or the password is wrong",
    "HTTP/1.1 401: CloudTower/4.8.0 at tower-01.example:443 refused root (attempt 2 of 5)",
    "[VM_SCHEDULE_FAILED]EmptyCandidateHostsException::PlacementGroupMustFilter",
    "no password, no token and no secret given; the password must have 8 to 32 characters",
    "Content-Type: text/html; charset=utf-8",
    "please log in at https://tower.example/login?next=/v2/api",
    "1.234.567,89 of 10.0.0.21/24 on 2024-02-30T12:34:56.789Z is 50%",
]


@pytest.mark.parametrize("text", PROSE)
def test_no_password_can_be_read_from_the_gaps_in_a_message(text: str) -> None:
    mask = Mask()
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            mask.add_password(text[start:end])
    assert mask(text) == text
    assert mask(json.dumps({"message": text})) == json.dumps({"message": text})


@pytest.mark.parametrize("weak", ["P@ssw0rd", "Admin123!", "root1234", "qwerty", "HC!r0cks"])
def test_a_weak_password_in_prose_is_not_redacted(weak: str) -> None:
    mask = Mask()
    mask.add_password(weak)
    assert mask(f"{weak} is too weak") == f"{weak} is too weak"


@pytest.mark.parametrize("password", ["Tr0ub4dor&3", "Xk9$mQ2!pL", "a3f9c2d1e8", "G7#kd92k"])
def test_a_password_that_no_sentence_contains_is_redacted_anywhere(password: str) -> None:
    mask = Mask()
    mask.add_password(password)
    assert mask(f"no user with {password}!") == "no user with ***!"


@pytest.mark.parametrize(
    ("echo", "shown"),
    [
        ('{"username": "root", "password": "root"}', '{"username": "root", "password": "***"}'),
        ('refused: {"password":"root', 'refused: {"password":"***"'),
        ("username=root&password=root&x=1", "username=root&password=***&x=1"),
        ("GET /x?token=root HTTP/1.1", "GET /x?token=*** HTTP/1.1"),
        ("https://root:root@tower.example/x", "https://root:***@tower.example/x"),
        ("at https://root@tower.example:80/x", "at https://***@tower.example:80/x"),
        ("ftp://a:b/c@d", "ftp://a:b/c@d"),
        ("X-Auth-Token: root\r\nHost: root\r\n", "X-Auth-Token: ***\r\nHost: root\r\n"),
        ("Authorization: Basic cm9vdA==\nx", "Authorization: ***\nx"),
        ("Cookie: a=1; b=2\nx", "Cookie: ***\nx"),
        ("username: root\npassword: root\n", "username: root\npassword: ***\n"),
        ("{ username: 'root', password: 'root' }", "{ username: 'root', password: '***' }"),
        ("{'username': 'root', 'password': 'ro\\'ot'}", "{'username': 'root', 'password': '***'}"),
        ("map[password:root username:root]", "map[password:*** username:root]"),
        (':password=>"root", :x=>1', ':password=>"***", :x=>1'),
        ("password: too short", "password: too short"),
        ("invalid token: expired", "invalid token: expired"),
        ("password_expired=true", "password_expired=true"),
    ],
)
def test_echoes_of_a_request_are_redacted_whatever_the_secret(echo: str, shown: str) -> None:
    mask = Mask()
    mask.add_password("root")
    assert mask(echo) == shown


def test_long_texts_are_redacted_in_linear_time() -> None:
    # A quadratic search of 64 KiB would exceed the time-out of the test run.
    for piece in ("a", "a:", "a=", "password", "'", '"', "x://", "a.", " ", "\n", "password='"):
        text = piece * (2**16 // len(piece))
        assert Mask().body(text.encode())


def test_only_the_latest_temporary_secrets_are_kept_and_all_lasting_ones() -> None:
    mask = Mask("the-token")
    for number in range(150):
        mask.add(f"ticket-{number:03}", passing=True)
    assert mask("the-token, ticket-149, ticket-050") == "***, ***, ***"
    assert mask("ticket-049") == "ticket-049"


def test_every_text_within_json_is_masked_and_its_keys_stay() -> None:
    value = {"known-one": ["a known-one", 1, None, {"x": "known-one"}]}
    assert Mask("known-one").within(value) == {"known-one": ["a ***", 1, None, {"x": "***"}]}


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


def test_values_nested_too_deeply_are_masked_as_a_whole() -> None:
    value: object = "known-one"
    for _ in range(101):
        value = [value]
    masked = Mask().within(value)
    for _ in range(100):
        assert isinstance(masked, list)
        [masked] = cast("list[object]", masked)
    assert masked == "***"


def test_json_that_is_a_text_in_json_is_masked_too() -> None:
    value = {"new_value": '{"id": "1", "args": "{\\"password\\": \\"s3cret\\"}"}'}
    shown = Mask().within(value)
    assert shown == {"new_value": '{"id": "1", "args": "{\\"password\\": \\"***\\"}"}'}


def test_a_body_is_shown_in_part() -> None:
    mask = Mask("known-one")
    assert (
        mask.body(b'{"name": "known-one", "password": "s3cret"}')
        == '{"name": "***", "password": "***"}'
    )
    assert mask.body(b"[" * 5000).startswith("[[[")
    assert len(mask.body(b"[" * 5000)) == 2001
    assert mask.body(b"\xff\xfe") == "<2 bytes>"
    assert mask.body("\x1b[2J\n\u202e é".encode()) == r"\u001b[2J\n\u202e é"
    assert mask.body(b'{"a": "\\u001b\\u202e\x7f"}') == r'{"a": "\u001b\u202e\u007f"}'
    assert mask.body(b" " * 70_000) == "<70000 bytes>"


@given(st.text(), st.sampled_from(["", "note: ", "[1, "]), st.integers(0, 2))
def test_no_part_of_a_secret_stays(secret: str, before: str, depth: int) -> None:
    inner = json.dumps({"password": f"<{secret}>", "x": "shown"})
    for _ in range(depth):
        inner = json.dumps(inner)
    assert "<" not in Mask()(before + inner)
    assert "<" not in Mask().body((before + inner).encode())
    assert "<" not in Mask()(before + inner[:-3])
