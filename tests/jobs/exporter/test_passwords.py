"""Password hashes of the metrics server: creation, parsing and verification."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import anyio
import pytest

from cloudtower_async import InvalidSettings
from cloudtower_async.jobs.exporter import hash_password, read_password_file
from cloudtower_async.jobs.exporter.passwords import Passwords

if TYPE_CHECKING:
    from pathlib import Path

LINE = hash_password("prometheus", "s3cret:with colon")
USERS = dict([LINE.split(":", 1)])


def basic(credentials: bytes) -> str:
    return f"Basic {base64.b64encode(credentials).decode()}"


@pytest.mark.anyio
async def test_only_the_right_password_of_a_user_is_allowed() -> None:
    passwords = Passwords({**USERS, **dict([hash_password("other", "another").split(":", 1)])})
    right = basic(b"prometheus:s3cret:with colon")
    for _ in range(2):  # the second check uses the cache
        assert await passwords.allow(right)
        assert await passwords.allow(right.replace("Basic", "bAsIc"))
    for wrong in (
        None,
        "",
        "Basic",
        "Basic !!!",
        right.replace("Basic", "Bearer"),
        basic(b"prometheus"),
        basic(b"prometheus:"),
        basic(b"prometheus:another"),
        basic(b"other:s3cret:with colon"),
        basic(b"nobody:s3cret:with colon"),
        basic(b"\xff\xfe:s3cret:with colon"),
        basic(b":s3cret:with colon"),
    ):
        assert not await passwords.allow(wrong), wrong
    assert await passwords.allow(basic(b"other:another"))


def test_passwords_may_be_made_outside_the_event_loop() -> None:
    passwords = Passwords(USERS)
    assert anyio.run(passwords.allow, basic(b"prometheus:s3cret:with colon"))


def test_a_hash_does_not_contain_the_password_and_differs_each_time() -> None:
    assert "s3cret" not in LINE
    assert hash_password("prometheus", "s3cret:with colon") != LINE


@pytest.mark.parametrize(
    ("username", "password"), [("", "x"), ("u", ""), ("a:b", "x"), ("u", "\ud800")]
)
def test_a_user_that_http_basic_cannot_carry_is_refused(username: str, password: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^basic_auth: "):
        hash_password(username, password)


def test_a_file_holds_users_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "users"
    other = hash_password("other", "x")
    file.write_text(f"# who may read\n\n{LINE}\n{other}\n", encoding="utf-8")
    assert read_password_file(file) == {**USERS, "other": other.partition(":")[2]}


@pytest.mark.parametrize(
    "content",
    [
        b"prometheus:hunter2\n",
        b"prometheus\n",
        b":" + LINE.partition(":")[2].encode(),
        LINE.replace("$8$", "$99$").encode(),
        LINE.replace("16384", "16385").encode(),
        LINE.replace("16384", "9437184").encode(),
        b"# nobody\n",
        b"\xff\n",
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_quoting_it(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "users"
    file.write_bytes(content)
    with pytest.raises(InvalidSettings, match=re.escape(f"basic_auth: {file}")) as caught:
        read_password_file(file)
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        read_password_file(tmp_path / "none")


@pytest.mark.parametrize("users", [{}, {"u": "plain"}])
def test_users_without_a_hash_are_refused(users: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match=r"^basic_auth: expected"):
        Passwords(users)
