"""``cloudtower-async profile …``, and which profile commands use."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async import Cloudtower, InvalidSettings
from cloudtower_async.cli import main
from cloudtower_async.cli.connect import ConnectOptions, gather_options
from cloudtower_async.profiles import (
    Profile,
    current_profile,
    profiles_file,
    read_profiles,
    remove_profile,
    save_profile,
    use_profile,
)
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("east", "west"):
        profile = Profile(endpoint=f"https://{name}.example", username="root", mutations="refuse")
        save_profile(name, profile, f"token-of-{name}")


def shown(capsys: pytest.CaptureFixture[str], *command: str) -> list[str]:
    assert main(command) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err


def test_the_current_profile_is_used_until_another_one_or_an_endpoint_is_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(capsys, "profile", "use", "west") == [
        "The current profile is 'west', for https://west.example"
    ]
    assert stat.S_IMODE(profiles_file().with_name("current-profile").stat().st_mode) == 0o600
    found = gather_options(ConnectOptions())
    assert (found["endpoint"], found["token"]) == (["https://west.example"], "token-of-west")
    assert gather_options(ConnectOptions(profile="east"))["token"] == "token-of-east"
    assert shown(capsys, "profile", "current") == ["west"]
    monkeypatch.setenv("CLOUDTOWER_PROFILE", "east")
    assert shown(capsys, "profile", "current") == ["east"]
    assert gather_options(ConnectOptions())["token"] == "token-of-east"
    monkeypatch.delenv("CLOUDTOWER_PROFILE")
    monkeypatch.setenv("CLOUDTOWER_TOKEN", "t")
    other = gather_options(ConnectOptions(endpoint="https://other.example"))
    assert other["token"] == "t"  # nothing of the profile is used


def test_profiles_are_listed_with_a_mark_at_the_current_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_profile("west")
    head, *lines = shown(capsys, "profile", "list")
    assert head.split() == ["CURRENT", "NAME", "ENDPOINT", "USERNAME", "TOKEN"]
    assert [line.split() for line in lines] == [
        ["-", "east", "https://east.example", "root", "file"],
        ["*", "west", "https://west.example", "root", "file"],
    ]


def test_a_profile_is_shown_without_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    path = profiles_file()
    path.write_text(f'{path.read_text()}proxy = "http://me:s3cret@proxy.example:3128"\n')
    lines = shown(capsys, "profile", "show", "west")
    assert [line.split() for line in lines[1:]] == [
        ["name", "west"],
        ["endpoint", "https://west.example"],
        ["username", "root"],
        ["mutations", "refuse"],
        ["proxy", "http://proxy.example:3128"],
        ["token", "file"],
    ]


def test_names_that_are_not_stored_are_refused_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "there is no profile 'wets'" in refused(capsys, "profile", "use", "wets")
    for command in (["profile", "current"], ["profile", "show"]):
        assert "`cloudtower-async profile use NAME`" in refused(capsys, *command)
    assert "profile use` (east, west)" in refused(capsys, "get", "vms")
    use_profile("west")
    path = profiles_file()
    path.write_text(path.read_text().replace("[west]", "[north]"))
    gone = refused(capsys, "get", "vms")
    assert "the current profile 'west' is not in" in gone
    assert "`cloudtower-async profile use NAME`" in gone
    assert len(shown(capsys, "profile", "list")) == 3  # profiles to choose from


@pytest.mark.parametrize("content", [b"", b"two words\n", b"\xff\n", b"a" * 300 + b"!"])
def test_a_broken_choice_is_refused_instead_of_using_another_server(
    capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    use_profile("west")
    profiles_file().with_name("current-profile").write_bytes(content)
    assert "expected the name of a profile" in refused(capsys, "get", "vms")
    with pytest.raises(InvalidSettings, match=r"no endpoint: [^;]*$"):
        Cloudtower.from_env()


def test_a_deleted_profile_is_no_longer_the_current_one() -> None:
    use_profile("west")
    remove_profile("east")
    assert current_profile() == "west"
    remove_profile("west")
    assert current_profile() is None


def test_without_an_endpoint_from_env_names_the_current_profile() -> None:
    with pytest.raises(InvalidSettings, match=r"no endpoint: [^;]*$"):
        Cloudtower.from_env()
    use_profile("west")
    with pytest.raises(InvalidSettings) as info:
        Cloudtower.from_env()
    assert "pass profile='west' or set CLOUDTOWER_PROFILE=west" in str(info.value)
    assert "west" in repr(Cloudtower.from_env(profile="west"))


@pytest.mark.anyio
async def test_login_renews_the_current_profile_and_names_the_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Simulator(clusters=1, vms=1) as sim:
        monkeypatch.setenv("CLOUDTOWER_PASSWORD", sim.password)

        def check() -> None:
            lab = ("--endpoint", sim.url, "--username", sim.username)
            server = f"Logged in to {sim.url} as {sim.username}. The token of profile"
            [told] = shown(capsys, "login", *lab, "--profile", "lab")
            assert told.startswith(f"{server} 'lab' is stored in ")
            use_profile("lab")
            old = read_profiles()["lab"].token
            [told] = shown(capsys, "login")
            assert told.startswith(f"{server} 'lab' is stored in ")
            assert read_profiles()["lab"].token != old
            # A login to another server does not change the current profile.
            use_profile("west")
            [told] = shown(capsys, "login", *lab)
            assert told.startswith(f"{server} 'default' is stored in ")
            assert read_profiles()["west"].endpoint == "https://west.example"
            assert shown(capsys, "logout") == ["Deleted profile 'west'."]
            assert list(read_profiles()) == ["east", "lab", "default"]

        await anyio.to_thread.run_sync(check)
