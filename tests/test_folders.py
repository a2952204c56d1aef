"""Folders for files of the user."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from cloudtower_async.folders import config_folder, state_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="the variables are those of other platforms"
)


def test_the_variables_of_the_platform_choose_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert config_folder() == tmp_path / "config" / "cloudtower-async"
    assert state_folder() == tmp_path / "state" / "cloudtower-async"


def test_an_empty_variable_counts_as_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert config_folder() == tmp_path / ".config" / "cloudtower-async"
    assert state_folder() == tmp_path / ".local" / "state" / "cloudtower-async"
