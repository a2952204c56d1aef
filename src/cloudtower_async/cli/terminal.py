"""The terminal that standard output may be."""

from __future__ import annotations

import os

from rich.console import Console


def make_console() -> Console:
    """Return a console for standard output.

    ``NO_COLOR`` turns colors off. ``CLICOLOR_FORCE`` turns them on where there is no terminal.
    """
    if forced_color():
        return Console(highlight=False, color_system="standard")
    return Console(highlight=False)


def forced_color() -> bool:
    """Return whether the environment asks for colors also where there is no terminal."""
    return os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
