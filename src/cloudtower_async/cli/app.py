"""What can be typed, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, UnusedCliTokensError

from .._version import __version__
from ..errors import CloudtowerError, InvalidInput, InvalidSettings
from ..options import encoding_fault
from .exit_codes import (
    EXPLAINED,
    FAILED,
    INTERRUPTED,
    OK,
    TERMINATED,
    USAGE,
    UsageError,
    one_line,
    terminable,
    warnings_told,
)
from .streams import OutputError, checked_streams, drop_output, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

app: App = App(
    name="cloudtower-async",
    help="Work with SmartX CloudTower from the command line.",
    help_epilogue=EXPLAINED,
    help_format="markdown",
    version=__version__,
    suppress_keyboard_interrupt=False,
)


# Each is imported when it is called for; a list of them imports all.
for _command in (
    "backup:backup",
    "call:call",
    "completion:completion",
    "dashboard:dashboard",
    "get:get",
    "resources_command:resources",
    "login:login",
    "login:logout",
    "login:profiles",
    "metrics:metrics",
    "simulate:simulate",
    "tasks:tasks",
    "upload:upload",
):
    app.command(f"{__package__}.{_command}")


def run(arguments: Sequence[str]) -> int:
    """Carry out what was typed and return the exit status."""
    came: list[int] = []
    try:
        with checked_streams(), warnings_told(), terminable() as came:
            status = _carry_out(arguments)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except OutputError as exc:
        status = _fail(exc, FAILED)
    return TERMINATED if came else status


def _carry_out(arguments: Sequence[str]) -> int:
    try:
        _check_encoding(arguments)
        if not arguments or arguments[0] in app.help_flags:
            app.resolved_commands()
        if not arguments:
            app.help_print([])
            sys.stdout.flush()
            return USAGE
        app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except UnusedCliTokensError as exc:
        return _fail(_NO_TOKEN if _names_token(arguments) else _unexpected(exc), USAGE)
    except CycloptsError as exc:
        return _fail(_NO_TOKEN if _names_token(arguments) else exc, USAGE)
    except (UsageError, InvalidInput, InvalidSettings) as exc:
        return _fail(exc, USAGE)
    except CloudtowerError as exc:
        return _fail(exc, FAILED)
    except OSError as exc:
        drop_output()  # nobody reads it, or its disk is full
        return FAILED if isinstance(exc, BrokenPipeError) else _fail(exc, FAILED)
    return OK


_NO_TOKEN = UsageError(
    "--token is no option, as others can see what a process was started with: set "
    "CLOUDTOWER_TOKEN, pass --token-stdin, or log in once with `cloudtower-async login`"
)


def _names_token(arguments: Sequence[str]) -> bool:
    return any(argument.partition("=")[0] == "--token" for argument in arguments)


def _check_encoding(arguments: Sequence[str]) -> None:
    """Refuse arguments with bytes that are no text, which Python keeps as lone surrogates."""
    for argument in arguments:
        if (fault := encoding_fault(argument)) is not None:
            name, equals, value = argument.partition("=")
            option = bool(equals) and name.startswith("--") and encoding_fault(name) is None
            # A value is quoted as it is: with an escape for each byte.
            shown = f"{name}: {value!a}" if option else f"{argument!a}"
            raise UsageError(f"{shown}: {fault}; a file with such a name must be renamed")


def _unexpected(exc: UnusedCliTokensError) -> UsageError:
    hint = ""
    if exc.command_chain == ("dashboard",):
        hint = "; a cluster is given with --cluster"
    elif exc.command_chain == ("get",):
        hint = "; which ones to show is said with --where, as in --where name=web-1"
    unexpected = " ".join(exc.unused_tokens or ())
    return UsageError(f"unexpected argument {unexpected!r}{hint}")


def _fail(exc: Exception, status: int) -> int:
    tell(f"cloudtower-async: {one_line(exc)}")
    return status
