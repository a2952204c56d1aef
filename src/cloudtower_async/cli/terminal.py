"""Properties of standard output: whether it is a terminal, and whether it supports colors."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_RICH_VARIABLES = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def make_console() -> Console:
    """Return a console for standard output.

    ``NO_COLOR`` turns colors off. ``CLICOLOR_FORCE`` turns colors on even without a terminal.
    """
    from rich.console import Console

    if _is_color_forced():
        return Console(highlight=False, color_system="standard")
    return Console(highlight=False)


def is_plain() -> bool:
    """Return whether standard output needs only plain text, without styles.

    Plain tables need no slow import of rich.
    """
    variables = any(os.environ.get(name) for name in _RICH_VARIABLES)
    return not (sys.stdout.isatty() or variables or _is_color_forced())


def _is_color_forced() -> bool:
    return os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
