"""Exit codes of the command line, their meanings, and the exit code of each error."""

from __future__ import annotations

import signal
from enum import IntEnum

from .errors import UsageError
from .language import mark


class ExitCode(IntEnum):
    """Exit code that a command returns to the shell."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 128 + signal.SIGINT  # the way shells report a signal
    TERMINATED = 128 + signal.SIGTERM


MEANINGS = {
    ExitCode.OK: mark(
        "The command succeeded. The status is also 0 if Ctrl-C ends `--watch`, if Ctrl-C or "
        "SIGTERM ends `simulate` or `exporter`, or if a dry run can plan only the first steps."
    ),
    ExitCode.FAILED: mark(
        "A call or a task failed, a task was still running after the time-out, or the output could "
        "not be written."
    ),
    ExitCode.USAGE: mark(
        "The arguments or settings are wrong, a change was not confirmed, or the session is "
        "read-only. Nothing was changed."
    ),
    ExitCode.INTERRUPTED: mark("Ctrl-C ended the command."),
    ExitCode.TERMINATED: mark("SIGTERM ended the command. The terminal is restored."),
}
"""Meanings of the exit codes, for ``--help`` and docs/command-line.md."""


def exit_code(error: BaseException) -> ExitCode:
    """Return the exit code of a command that ended with this error."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    from ..errors import (  # not needed by --help
        InvalidInput,
        InvalidSettings,
        MutationRefused,
        PlanEnded,
    )

    if isinstance(error, PlanEnded) and len(error.plan) > 0:
        return ExitCode.OK
    if isinstance(error, UsageError | InvalidInput | InvalidSettings | MutationRefused):
        return ExitCode.USAGE
    return ExitCode.FAILED
