"""Sessions from options and environment variables."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from cloudtower_async import InvalidSettings
from cloudtower_async.addresses import Proxy
from cloudtower_async.cli.connect import ConnectOptions, connect
from cloudtower_async.cli.errors import UsageError
from cloudtower_async.profiles import Profile, save_profile

if TYPE_CHECKING:
    from cloudtower_async.options import Settings


def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_VERIFY_TLS", "perhaps")
    with pytest.raises(InvalidSettings, match="CLOUDTOWER_VERIFY_TLS: expected true or false"):
        connect(ConnectOptions(endpoint="tower.example", username="root"))


def test_a_given_user_wins_over_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_TOKEN", "t")
    monkeypatch.setenv("CLOUDTOWER_PASSWORD", "p")
    options = ConnectOptions(endpoint="tower.example", username="root")
    assert "as 'root'" in repr(connect(options))


@pytest.mark.parametrize(
    ("username", "told"),
    [
        ("me", "the token of profile 'lab' is not used because --username is passed"),
        (None, "is not used because CLOUDTOWER_USERNAME is set: to use the token, run `unset"),
    ],
)
def test_the_error_names_the_setting_that_overrides_the_token_of_a_profile(
    username: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    save_profile("lab", Profile(endpoint="https://tower.example"), "t")
    connect(ConnectOptions(profile="lab"))
    monkeypatch.setenv("CLOUDTOWER_USERNAME", "root")
    with pytest.raises(UsageError, match=r"no password: set CLOUDTOWER_PASSWORD.*; the") as info:
        connect(ConnectOptions(profile="lab", username=username))
    assert told in str(info.value)
    with pytest.raises(UsageError, match=r"terminal$"):
        connect(ConnectOptions(endpoint="tower.example", username="me"))


def settings_within(options: ConnectOptions) -> Settings:
    return connect(options)._transport.settings  # pyright: ignore[reportPrivateUsage]


def test_a_proxy_is_an_option_but_its_credentials_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_TOKEN", "t")
    options = ConnectOptions(endpoint="tower.example", proxy="proxy.example:3128")
    assert settings_within(options).via == Proxy("http://proxy.example:3128")
    options = ConnectOptions(endpoint="tower.example", proxy="http://me:pw@proxy.example")
    with pytest.raises(
        UsageError, match=r"--proxy: other users can see .* CLOUDTOWER_PROXY"
    ) as info:
        connect(options)
    assert "pw" not in str(info.value)


def test_the_proxy_of_the_environment_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_TOKEN", "t")
    monkeypatch.setenv("CLOUDTOWER_PROXY", "http://me:pw@proxy.example:3128")
    options = ConnectOptions(endpoint="tower.example", trust_env=True)
    settings = settings_within(options)
    assert settings.via == Proxy("http://proxy.example:3128", "me", "pw")
    assert settings.trust_env
