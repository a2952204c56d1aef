"""Hooks for PyInstaller, which finds this folder by the entry point ``pyinstaller40``.

Most modules of ``cloudtower_async`` are imported at first use, by names that PyInstaller cannot
see.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folder of the hooks."""
    return [str(Path(__file__).parent)]
