"""The command line; needs the extra ``cli``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED = {"cyclopts", "rich"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: What was typed after the name of the command; None: those of the process.
    """
    try:
        from .app import run
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _NEEDED:
            raise
        print(
            'The command line needs an extra: pip install "cloudtower-async[cli]"; from a clone of '
            'the repository: pip install ".[cli]"',
            file=sys.stderr,
        )
        return 2
    return run(sys.argv[1:] if arguments is None else arguments)
