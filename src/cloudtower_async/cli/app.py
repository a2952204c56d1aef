"""Entry point of the command line: run a command, and report its error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, UnknownCommandError, UnusedCliTokensError

from .._version import __version__
from .commands import COMMANDS
from .errors import OutputError, UsageError
from .exit_codes import MEANINGS, ExitCode, exit_code
from .signals import sigterm_as_interrupt
from .streams import checked_streams, drop_output, print_error
from .terminal import make_console

# Imports that only some commands need are inside functions, to keep --help fast.

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXIT_CODES = "Exit status:\n\n" + "\n".join(
    f"- {code:d}: {meaning}" for code, meaning in MEANINGS.items()
)


def _make_app(*, summaries: bool) -> App:
    """Return the app with all commands; the module of a command is imported when it runs.

    Args:
        summaries: Give each command its one-line summary, so that the list of commands needs no
            imports. A summary would replace the full help of a command.
    """
    made = App(
        name="cloudtower-async",
        help="Work with SmartX CloudTower from the command line.",
        help_epilogue=_EXIT_CODES,
        help_format="markdown",
        version=__version__,
        suppress_keyboard_interrupt=False,
    )
    for command, summary in COMMANDS.items():
        made.command(f"{__package__}.{command}", help=summary if summaries else None)
    return made


app: App = _make_app(summaries=False)


def run(arguments: Sequence[str]) -> ExitCode:
    """Run a command and return its exit code."""
    signals: list[int] = []
    try:
        with checked_streams(), sigterm_as_interrupt() as signals:
            code = _run(arguments)
    except KeyboardInterrupt as exc:
        code = exit_code(exc)
    except OutputError as exc:
        code = _report(exc)
    return ExitCode.TERMINATED if signals else code


def _run(arguments: Sequence[str]) -> ExitCode:
    try:
        _check_encoding(arguments)
        if not arguments or arguments[0] in app.help_flags:
            _make_app(summaries=True).help_print([], console=make_console())
        else:
            _run_command(arguments)
        sys.stdout.flush()
    except CycloptsError as exc:
        return _report(_usage_error(exc, arguments))
    except UsageError as exc:
        return _report(exc)
    except Exception as exc:
        from ..errors import CloudtowerError

        if isinstance(exc, CloudtowerError):
            return _report(exc)
        if not isinstance(exc, OSError):
            raise
        drop_output()  # the reader is gone, or the disk is full
        return exit_code(exc) if isinstance(exc, BrokenPipeError) else _report(exc)
    return ExitCode.OK if arguments else ExitCode.USAGE


def _run_command(arguments: Sequence[str]) -> None:
    from .messages import log_warnings_shown

    if not set(arguments).isdisjoint(app.help_flags):
        from .examples import add_examples

        add_examples(app, arguments)
        app.console = make_console()
    with log_warnings_shown():
        app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")


def _report(exc: Exception) -> ExitCode:
    from .messages import error_line

    print_error(f"cloudtower-async: {error_line(exc)}")
    return exit_code(exc)


def _check_encoding(arguments: Sequence[str]) -> None:
    """Reject arguments that are not valid UTF-8; Python keeps such bytes as lone surrogates."""
    if all(map(str.isascii, arguments)):
        return
    from ..validators import encoding_fault

    for argument in arguments:
        if (fault := encoding_fault(argument)) is not None:
            name, equals, value = argument.partition("=")
            option = bool(equals) and name.startswith("--") and encoding_fault(name) is None
            # The value is shown with an escape for each byte.
            shown = f"{name}: {value!a}" if option else f"{argument!a}"
            raise UsageError(f"{shown}: {fault}; if this is a file name, rename the file")


def _usage_error(exc: CycloptsError, arguments: Sequence[str]) -> UsageError:
    """Turn an error of the parser into a usage error with advice."""
    if any(argument.partition("=")[0] == "--token" for argument in arguments):
        return UsageError(
            "there is no option --token, because other users can see the arguments of a process: "
            "set CLOUDTOWER_TOKEN, pass --token-stdin, or log in once with `cloudtower-async login`"
        )
    if isinstance(exc, UnknownCommandError) and exc.unused_tokens:
        from .suggestions import unknown_command

        return UsageError(unknown_command(exc.unused_tokens[0], exc.command_chain or ()))
    if not isinstance(exc, UnusedCliTokensError):
        return UsageError(str(exc))
    hint = ""
    if exc.command_chain == ("dashboard",):
        hint = "; to choose a cluster, pass --cluster NAME"
    elif exc.command_chain == ("get",):
        hint = "; to choose resources, pass --where, as in --where name=web-1"
    unexpected = " ".join(exc.unused_tokens or ())
    return UsageError(f"unexpected argument {unexpected!r}{hint}")
