"""Isolate tests of the command line from the profiles, caches and language of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloudtower_async.cli.language import choose_language

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for caches. Tests share it, because the table of commands takes a second."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def no_profiles(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("CLOUDTOWER_PROFILE", raising=False)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    choose_language()
