"""The command line; it requires the extra ``cli``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED = {"cyclopts", "rich"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: Arguments after the name of the program; None: those of this process.
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
        return ExitCode.USAGE
    return run(sys.argv[1:] if arguments is None else arguments)
