"""From options and environment to a session."""

from __future__ import annotations

import pytest

from cloudtower_async import InvalidSettings
from cloudtower_async.cli.connect import ConnectOptions, connect


def test_a_variable_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_VERIFY_TLS", "perhaps")
    with pytest.raises(InvalidSettings, match="CLOUDTOWER_VERIFY_TLS: expected true or false"):
        connect(ConnectOptions(endpoint="tower.example", token="t"), language=None)


def test_a_given_user_wins_over_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_TOKEN", "t")
    monkeypatch.setenv("CLOUDTOWER_PASSWORD", "p")
    options = ConnectOptions(endpoint="tower.example", username="root")
    assert "as 'root'" in repr(connect(options, language=None))
