"""Profiles: private files, overridden by arguments and environment variables."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import keyring
import keyring.backends.fail
import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.errors import InvalidSettings
from cloudtower_async.options import from_environment
from cloudtower_async.profiles import (
    Profile,
    profiles_file,
    read_profiles,
    remove_profile,
    save_profile,
)
from tests.cli.keyring_file import FileKeyring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere the file is not moved that easily"
)

STORED = Profile(
    endpoint="profile.example",
    username="profile-user",
    source="LDAP",
    content_language="zh-CN",
    mutations="refuse",
    verify_tls=False,
    ca_file="/profile/ca.pem",
    proxy="http://profile-proxy.example:3128",
    trust_env=True,
)


def use(kind: Any) -> None:  # noqa: ANN401 - keyring's classes are not typed
    """Install a keyring of this kind."""
    keyring.set_keyring(kind())


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a path for the file, on a system without a keyring."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("KEYRING_FILE", str(tmp_path / "keyring.json"))
    before = keyring.get_keyring()
    use(keyring.backends.fail.Keyring)
    yield tmp_path
    keyring.set_keyring(before)


PROFILE: dict[str, object] = {
    "endpoint": ["profile.example"],
    "username": "profile-user",
    "source": "LDAP",
    "content_language": "zh-CN",
    "mutations": "refuse",
    "verify_tls": False,
    "ca_file": "/profile/ca.pem",
    "proxy": "http://profile-proxy.example:3128",
    "trust_env": True,
    "token": "profile-token",
}


def without(*options: str) -> dict[str, object]:
    return {option: value for option, value in PROFILE.items() if option not in options}


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        ({}, {}, PROFILE),
        ({}, {"SOURCE": "LOCAL"}, {**PROFILE, "source": "LOCAL"}),
        ({}, {"VERIFY_TLS": "true"}, {**PROFILE, "verify_tls": True}),
        ({}, {"CA_FILE": "/env.pem"}, {**PROFILE, "ca_file": "/env.pem"}),
        ({}, {"PROXY": "env.example"}, {**PROFILE, "proxy": "env.example"}),
        ({"proxy": ""}, {}, {**PROFILE, "proxy": ""}),
        ({"trust_env": False}, {}, {**PROFILE, "trust_env": False}),
        ({"source": "SSO"}, {"SOURCE": "LOCAL"}, {**PROFILE, "source": "SSO"}),
        ({"content_language": "*"}, {}, {**PROFILE, "content_language": "*"}),
        ({}, {"MUTATIONS": "allow"}, {**PROFILE, "mutations": "allow"}),
        ({"timeout": 5.0}, {}, {**PROFILE, "timeout": 5.0}),
        # The same server, written differently.
        (
            {"endpoint": "https://Profile.Example/"},
            {},
            {**PROFILE, "endpoint": "https://Profile.Example/"},
        ),
        ({}, {"ENDPOINT": "profile.example"}, {**PROFILE, "endpoint": "profile.example"}),
        # The token does not belong to a user who is named elsewhere.
        ({"username": "a"}, {}, {**without("token"), "username": "a"}),
        ({}, {"USERNAME": "e"}, {**without("token"), "username": "e"}),
        ({}, {"PASSWORD": "p"}, {**without("token"), "password": "p"}),
        ({"token": "t"}, {}, {**without("username"), "token": "t"}),
        ({}, {"TOKEN": "t"}, {**without("username"), "token": "t"}),
        ({"credentials": print}, {}, {**without("username", "token"), "credentials": print}),
    ],
)
def test_arguments_win_over_the_environment_and_that_over_the_profile(
    arguments: dict[str, object],
    variables: dict[str, str],
    expected: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_profile("prod", STORED, "profile-token")
    for name, text in variables.items():
        monkeypatch.setenv(f"CLOUDTOWER_{name}", text)
    assert from_environment(arguments, "prod") == expected
    monkeypatch.setenv("CLOUDTOWER_PROFILE", "prod")
    assert from_environment(arguments) == expected


def test_a_session_can_be_made_from_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    save_profile("prod", STORED, "profile-token")
    save_profile("lab", Profile(endpoint="a.example,b.example", username="root"), "lab-token")
    assert "https://profile.example by token" in repr(
        Cloudtower.from_env(profile="prod", ca_file="")
    )
    monkeypatch.setenv("CLOUDTOWER_PROFILE", "prod")
    found = Cloudtower.from_env(profile="lab", password="p")
    assert "as 'root'" in repr(found)
    with pytest.raises(InvalidSettings, match="no endpoint"):
        Cloudtower.from_env(profile="")


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_profile_gives_nothing_away_to_another_server(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_profile("prod", STORED, "profile-token")
    given: dict[str, Any] = {"endpoint": "other.example"} if how == "argument" else {}
    if how == "variable":
        monkeypatch.setenv("CLOUDTOWER_ENDPOINT", "other.example")
    with pytest.raises(InvalidSettings, match=r"profile prod: it is for profile\.example") as info:
        from_environment(given, "prod")
    assert "profile-token" not in str(info.value)


def test_a_saved_profile_is_readable_by_its_owner_only() -> None:
    tricky = Profile(endpoint="tower.example", username='a"b\\c\x7f中', verify_tls=True)
    assert save_profile("a-1", tricky, "token-1") == "file"
    assert save_profile("b_2", STORED, "token-2") == "file"
    found = read_profiles()
    assert list(found) == ["a-1", "b_2"]
    assert (found["a-1"].username, found["a-1"].token) == (tricky.username, "token-1")
    assert found["a-1"].verify_tls is True
    assert "token-1" not in repr(found)
    assert stat.S_IMODE(profiles_file().stat().st_mode) == 0o600
    assert list(profiles_file().parent.iterdir()) == [profiles_file()]  # no other file remains
    remove_profile("a-1")
    assert list(read_profiles()) == ["b_2"]


def test_no_profile_is_lost_when_many_are_changed_at_once() -> None:
    names = [f"p{number}" for number in range(20)]

    def save(name: str) -> None:
        save_profile(name, STORED, f"token-{name}")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(save, names))
        assert {name: one.token for name, one in read_profiles().items()} == {
            name: f"token-{name}" for name in names
        }
        list(pool.map(remove_profile, names[1:]))
    assert list(read_profiles()) == ["p0"]


@pytest.mark.subprocess
def test_no_profile_is_lost_between_processes() -> None:
    text = (
        "import sys; from cloudtower_async.profiles import Profile, save_profile, remove_profile\n"
        "for n in range(20):\n"
        "    save_profile(f'{sys.argv[1]}-{n}', Profile(endpoint='tower.example'), 'token')\n"
        "    n % 2 and remove_profile(f'{sys.argv[1]}-{n}')\n"
    )
    environment = {**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    programs = [
        subprocess.Popen([sys.executable, "-c", text, name], env=environment)  # noqa: S603
        for name in ("a", "b", "c")
    ]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    assert set(read_profiles()) == {f"{name}-{n}" for name in "abc" for n in range(0, 20, 2)}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_the_file_stays_a_link(home: Path, there: bool) -> None:
    kept = home / "dotfiles" / "profiles.toml"
    kept.parent.mkdir()
    if there:
        kept.touch(mode=0o600)
    profiles_file().parent.mkdir()
    profiles_file().symlink_to(kept)
    save_profile("a", STORED, "token-a")
    save_profile("b", STORED, "token-b")
    remove_profile("a")
    assert profiles_file().is_symlink()
    assert "token-b" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert list(kept.parent.iterdir()) == [kept]


def test_a_keyring_has_the_token_where_there_is_one(home: Path) -> None:
    use(FileKeyring)
    assert save_profile("prod", STORED, "profile-token") == "keyring"
    assert "profile-token" not in profiles_file().read_text()
    assert from_environment({}, "prod") == PROFILE
    assert "profile-user@https://profile.example" in (home / "keyring.json").read_text()
    # Editing the file cannot make the token be sent to another server.
    text = profiles_file().read_text().replace("profile.example", "other.example")
    profiles_file().write_text(text)
    with pytest.raises(InvalidSettings, match="profile prod: its token is not in the keyring any"):
        from_environment({}, "prod")
    profiles_file().write_text(text.replace("other.example", "profile.example"))
    remove_profile("prod")
    assert (home / "keyring.json").read_text() == "{}"


def test_profiles_of_one_user_share_a_token_until_the_last_is_forgotten(home: Path) -> None:
    use(FileKeyring)
    save_profile("one", STORED, "t")
    save_profile("two", STORED, "t")
    remove_profile("one")
    assert from_environment({}, "two")["token"] == "t"
    remove_profile("two")
    assert (home / "keyring.json").read_text() == "{}"


def test_a_keyring_that_fails_is_reported(home: Path) -> None:
    use(FileKeyring)
    save_profile("prod", STORED, "profile-token")
    use(keyring.backends.fail.Keyring)
    with pytest.raises(InvalidSettings, match="in the keyring: this machine has no keyring"):
        from_environment({}, "prod")
    with pytest.raises(
        InvalidSettings, match="profile prod: the token cannot be deleted from the keyring"
    ):
        remove_profile("prod")


class Broken(FileKeyring):
    """A keyring whose backend raises an unexpected error that contains all its arguments."""

    def get_password(self, service: str, username: str) -> str | None:
        raise OSError(f"no bus for {service}\n\x1b[31m{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"cannot\nstore {password} {'x' * 500}")

    def delete_password(self, service: str, username: str) -> None:
        raise OSError(5, "the bus is gone")


class Forgetful(FileKeyring):
    """A keyring that accepts a secret and loses it."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "told"),
    [(Broken, "RuntimeError: cannot store ***"), (Forgetful, "does not return the stored token")],
)
def test_a_broken_keyring_is_reported_and_the_token_is_in_the_file(
    kind: Any,  # noqa: ANN401
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    use(kind)
    assert save_profile("prod", STORED, "profile-token") == "file"
    (record,) = caplog.records
    line = record.getMessage()
    assert told in line
    assert "profile-token" not in line
    assert len(line.splitlines()) == 1
    assert len(line) < 700
    assert from_environment({}, "prod") == PROFILE
    remove_profile("prod")


def test_errors_of_a_keyring_are_one_line_without_control_characters() -> None:
    use(FileKeyring)
    save_profile("prod", STORED, "profile-token")
    use(Broken)
    for act in (lambda: from_environment({}, "prod"), lambda: remove_profile("prod")):
        with pytest.raises(InvalidSettings, match=r"prod: .*keyring.*OSError: no bus") as info:
            act()
        assert str(info.value).isprintable()
    # With another credential, the keyring is not used.
    assert from_environment({"token": "t"}, "prod")["token"] == "t"


def test_a_token_that_is_missing_from_the_keyring_says_so(home: Path) -> None:
    use(FileKeyring)
    save_profile("prod", STORED, "profile-token")
    (home / "keyring.json").write_text("{}")
    with pytest.raises(InvalidSettings, match=r"not in the keyring any more: log in again with `c"):
        from_environment({}, "prod")
    remove_profile("prod")
    assert read_profiles() == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[prod", "profiles.toml: "),
        ("[prod]\n", "missing required field `endpoint`"),
        ('[prod]\nendpoint = "a"\npassword = "p"\n', "unknown field `password`"),
        ("[prod]\nendpoint = 3\n", "Expected `str`"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(text: str, told: str) -> None:
    save_profile("prod", STORED, "t")
    profiles_file().write_text(text)
    with pytest.raises(InvalidSettings) as info:
        from_environment({}, "prod")
    assert str(profiles_file()) in str(info.value)
    assert told in str(info.value)


def test_tokens_that_others_may_read_are_refused() -> None:
    save_profile("prod", STORED, "t")
    profiles_file().chmod(0o644)
    with pytest.raises(InvalidSettings, match=r"other users can read the tokens .* chmod 600"):
        read_profiles()
    profiles_file().chmod(0o600)
    assert "prod" in read_profiles()


def test_credentials_of_a_proxy_that_others_may_read_are_refused() -> None:
    path = profiles_file()
    path.parent.mkdir()
    text = '[prod]\nendpoint = "tower.example"\nproxy = "http://me:pw@proxy.example"\n'
    path.write_text(text)
    path.chmod(0o644)
    with pytest.raises(InvalidSettings, match="chmod 600"):
        read_profiles()
    path.chmod(0o600)
    assert from_environment({"token": "t"}, "prod")["proxy"] == "http://me:pw@proxy.example"


def test_a_proxy_of_a_profile_that_cannot_be_used_is_named() -> None:
    save_profile("prod", Profile(endpoint="tower.example", proxy="socks5://me:pw@x"), "t")
    with pytest.raises(InvalidSettings, match="profile prod: proxy: a SOCKS proxy") as info:
        from_environment({}, "prod")
    assert "pw" not in str(info.value)


def test_a_profile_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InvalidSettings, match=r"no profile 'prod' .*; there are: none"):
        from_environment({}, "prod")
    save_profile("lab", STORED, "t")
    with pytest.raises(InvalidSettings, match=r"no profile 'prod' .*; there are: lab"):
        remove_profile("prod")


def test_a_name_is_one_word() -> None:
    with pytest.raises(InvalidSettings, match="a name has letters, digits, - and _"):
        save_profile("a]b", STORED, "t")


def test_a_folder_that_cannot_be_created_is_named(home: Path) -> None:
    (home / "cloudtower-async").write_text("a file")
    with pytest.raises(InvalidSettings, match="cloudtower-async"):
        save_profile("prod", STORED, "t")
