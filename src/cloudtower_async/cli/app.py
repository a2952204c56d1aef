"""Run a command of the command line, and print its error if the command fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, UnknownCommandError, UnusedCliTokensError

from .._version import __version__
from .commands import COMMANDS
from .errors import OutputError, UsageError
from .exit_codes import MEANINGS, ExitCode, exit_code
from .language import is_translated, take_option, tr, use_environment
from .signals import sigterm_as_interrupt
from .streams import checked_streams, drop_output, print_error
from .terminal import make_console

# Imports that only some commands need are inside functions, to keep --help fast.

if TYPE_CHECKING:
    from collections.abc import Sequence


def _make_app(*, summaries: bool) -> App:
    """Return the cyclopts app with all commands. A module is imported when its command is needed.

    If `summaries` is True, each command has its one-line summary instead of its full help, so that
    the list of commands can be printed without imports.
    """
    made = App(
        name="cloudtower-async",
        help="Work with SmartX CloudTower from the command line.",
        help_format="markdown",
        version=__version__,
        suppress_keyboard_interrupt=False,
    )
    for command, summary in COMMANDS.items():
        made.command(f"{__package__}.{command}", help=summary if summaries else None)
    return made


app: App = _make_app(summaries=False)


def epilogue() -> str:
    """Return the text that ends every help page: the option ``--language`` and the exit codes."""
    language = tr(
        "Every command takes `--language en-US` or `--language zh-CN`: the language of help and "
        "messages, and of texts from the server. [default: LANG for help and messages, en-US for "
        "texts from the server]"
    )
    codes = "\n".join(f"- {code:d}: {tr(meaning)}" for code, meaning in MEANINGS.items())
    return f"{language}\n\n{tr('Exit status:')}\n\n{codes}"


def run(arguments: Sequence[str]) -> ExitCode:
    """Run a command and return its exit code."""
    signals: list[int] = []
    use_environment()
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
        arguments = take_option(arguments)
        _check_encoding(arguments)
        if not arguments or arguments[0] in app.help_flags:
            _print_overview()
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
        drop_output()  # the reader closed the pipe, or the disk is full
        return exit_code(exc) if isinstance(exc, BrokenPipeError) else _report(exc)
    return ExitCode.OK if arguments else ExitCode.USAGE


def _print_overview() -> None:
    overview = _make_app(summaries=True)
    _prepare_help(overview)
    overview.help_print([], console=make_console())


def _prepare_help(shown: App) -> None:
    """Set the language of the help pages, and the text at their end."""
    shown.help_epilogue = epilogue()
    if is_translated():
        from .translated_help import TranslatedHelp

        shown.help_formatter = TranslatedHelp()
    else:
        shown.help_formatter = None


def _run_command(arguments: Sequence[str]) -> None:
    from .messages import log_warnings_shown

    if not set(arguments).isdisjoint(app.help_flags):
        from .examples import add_examples

        _prepare_help(app)
        add_examples(app, arguments)
        app.console = make_console()
    with log_warnings_shown():
        app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")


def _report(exc: Exception) -> ExitCode:
    from .messages import error_line

    print_error(f"cloudtower-async: {error_line(exc)}")
    return exit_code(exc)


def _check_encoding(arguments: Sequence[str]) -> None:
    """Raise a `UsageError` if an argument is not valid UTF-8."""
    if all(map(str.isascii, arguments)):
        return
    from ..validators import encoding_fault

    for argument in arguments:
        if (fault := encoding_fault(argument)) is not None:
            name, equals, value = argument.partition("=")
            option = bool(equals) and name.startswith("--") and encoding_fault(name) is None
            # Escape characters that are not ASCII, because the terminal cannot show invalid bytes.
            shown = f"{name}: {value!a}" if option else f"{argument!a}"
            raise UsageError(
                tr(
                    "{shown}: {fault}; if this is a file name, rename the file",
                    shown=shown,
                    fault=fault,
                )
            )


def _usage_error(exc: CycloptsError, arguments: Sequence[str]) -> UsageError:
    """Convert an error of the argument parser to a usage error with advice."""
    if any(argument.partition("=")[0] == "--token" for argument in arguments):
        return UsageError(
            tr(
                "there is no option --token, because other users can see the arguments "
                "of a process: set CLOUDTOWER_TOKEN, pass --token-stdin, or log in once "
                "with `cloudtower-async login`"
            )
        )
    if isinstance(exc, UnknownCommandError) and exc.unused_tokens:
        from .suggestions import unknown_command

        return UsageError(unknown_command(exc.unused_tokens[0], exc.command_chain or ()))
    if not isinstance(exc, UnusedCliTokensError):
        return UsageError(_parser_error(exc))
    hint = ""
    if exc.command_chain == ("dashboard",):
        hint = tr("; to choose a cluster, pass --cluster NAME")
    elif exc.command_chain == ("get",):
        hint = tr("; to choose resources, pass --where, as in --where name=web-1")
    unexpected = " ".join(exc.unused_tokens or ())
    return UsageError(
        tr("unexpected argument {unexpected!r}{hint}", unexpected=unexpected, hint=hint)
    )


def _parser_error(exc: CycloptsError) -> str:
    if not is_translated():
        return str(exc)
    from .parser_errors import parser_error

    return parser_error(exc)
