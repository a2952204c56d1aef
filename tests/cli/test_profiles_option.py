"""Lists of profiles, and the sessions created from them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async import InvalidSettings, SessionOptions
from cloudtower_async.cli.errors import UsageError
from cloudtower_async.cli.profiles_option import parse_profiles, profile_sessions
from cloudtower_async.profiles import profiles_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = profiles_file()
    path.parent.mkdir(parents=True)
    path.write_text(
        "".join(
            f'[{name}]\nendpoint = "https://{name}.example"\n{token}\n'
            for name, token in {
                "east": 'token = "token-of-east"',
                "west": 'token = "token-of-west"\nmutations = "allow"',
                "bare": 'username = "root"',
            }.items()
        ),
        encoding="utf-8",
    )
    path.chmod(0o600)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("east", ["east"]),
        ("west,east", ["west", "east"]),
        (" west , east,west,", ["west", "east"]),
        ("all", ["east", "west", "bare"]),
    ],
)
def test_profiles_are_named_or_all_each_once(text: str, names: list[str]) -> None:
    assert parse_profiles(text) == names


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("eats", "no profile 'eats' in .*; did you mean east?"),
        ("east,nowhere", "no profile 'nowhere' in .*; expected one of bare, east, west"),
        (",", "expected all, or names with commas between them"),
        ("", "expected all, or names with commas between them"),
    ],
)
def test_a_list_without_known_profiles_is_refused(text: str, fault: str) -> None:
    with pytest.raises(UsageError, match=f"^--profiles: {fault}"):
        parse_profiles(text)


def test_without_a_stored_profile_the_error_says_how_to_store_one() -> None:
    with pytest.raises(UsageError, match=re.escape("`cloudtower-async login --profile NAME`")):
        parse_profiles("all")


@pytest.mark.usefixtures("stored")
@pytest.mark.anyio
async def test_sessions_take_nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_ENDPOINT", "https://other.example")
    monkeypatch.setenv("CLOUDTOWER_TOKEN", "token-of-another")
    options: SessionOptions = {"mutations": "refuse"}
    sessions = await anyio.to_thread.run_sync(profile_sessions, "east,west", options)
    assert {name: tower.endpoint for name, tower in sessions.items()} == {
        "east": "https://east.example",
        "west": "https://west.example",
    }
    assert await sessions["west"].get_token() == "token-of-west"
    assert sessions["west"].mutations == "refuse"
    for tower in sessions.values():
        await tower.close()


@pytest.mark.usefixtures("stored")
def test_a_profile_without_a_token_is_named() -> None:
    with pytest.raises(InvalidSettings, match="profile bare: it stores no token"):
        profile_sessions("east,bare")
