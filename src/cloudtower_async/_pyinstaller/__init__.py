"""Hooks for PyInstaller, which finds them by the entry point ``pyinstaller40``.

Most modules of this package are imported at their first use, by names that PyInstaller cannot see.
"""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Return the folder of the hooks."""
    return [str(Path(__file__).parent)]
