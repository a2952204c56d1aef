"""Hooks for PyInstaller, which finds this folder through the entry point ``pyinstaller40``.

Most modules of ``cloudtower_async`` are imported when they are first used. Without hooks,
PyInstaller does not find these modules.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the path of the folder with the hooks."""
    return [str(Path(__file__).parent)]
