"""Folders for files of the user, according to the conventions of each platform."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def config_folder() -> Path:
    """Return the folder for configuration files, such as the profiles."""
    return _folder("APPDATA", "AppData/Roaming", "XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """Return the folder for state that outlives a program, such as interrupted uploads."""
    return _folder("LOCALAPPDATA", "AppData/Local", "XDG_STATE_HOME", ".local/state")


def cache_folder() -> Path:
    """Return the folder for data that can be recreated, such as names for shell completion."""
    return _folder("LOCALAPPDATA", "AppData/Local", "XDG_CACHE_HOME", ".cache", "Caches")


def _folder(
    windows: str,
    windows_default: str,
    xdg: str,
    xdg_default: str,
    mac: str = "Application Support",
) -> Path:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises if there is no home
    if sys.platform == "win32":
        base = Path(os.environ.get(windows) or home / windows_default)
    elif sys.platform == "darwin":
        base = home / "Library" / mac
    else:
        base = Path(os.environ.get(xdg) or home / xdg_default)
    return base / "cloudtower-async"
