"""Command line of the SDK. It requires the extra ``cli``."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from .errors import UsageError
from .language import choose_language, tr

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEEDED = {"cyclopts", "rich"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: Arguments after the name of the program. None means the arguments of this
            process.
    """
    typed = sys.argv[1:] if arguments is None else list(arguments)
    if typed[:1] == ["__complete"]:
        from . import complete  # imports only what completion needs

        return complete.main(typed[1:])
    try:
        from .app import run
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _NEEDED:
            raise
        with suppress(UsageError):
            choose_language(typed)
        print(
            tr(
                'The command line needs an extra: pip install "cloudtower-async[cli]"; '
                'from a clone of the repository: pip install ".[cli]"'
            ),
            file=sys.stderr,
        )
        return 2  # `ExitCode.USAGE`; importing it would slow down completion
    return run(typed)
