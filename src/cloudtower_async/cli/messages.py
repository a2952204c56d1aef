"""Errors and warnings of the package, with command-line options in place of Python arguments.

Messages of the package mention Python arguments, such as ``timeout=``. On the command line, each
argument is replaced by an option or an environment variable. If neither exists, the hint about the
argument is removed.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..control_characters import printable
from ..errors import CloudtowerError
from .language import tr
from .streams import print_error

if TYPE_CHECKING:
    from collections.abc import Generator

OPTIONS = {
    "auth_config_id": "--auth-config-id",
    "ca_file": "--ca-file",
    "clusters": "--cluster",
    "password": "CLOUDTOWER_PASSWORD",
    "proxy": "--proxy",
    "resume": "--resume",
    "tls_cert": "--tls-cert",
    "token": "CLOUDTOWER_TOKEN",
    "username": "--username",
}
"""Options and environment variables that replace Python arguments in messages: ``proxy=``."""

PHRASES = {
    # Arguments with a value.
    "verify_tls=False": "--no-verify-tls",
    "trust_env=True": "--trust-env",
    "missing_ok=True": "--missing-ok",
    "force_after= to power off": "--force-after to power off",
    "stop_vms=True": "--stop-vms",
    "pass EVERYTHING": "pass --everything",
    "proxy='http://user:password@host:port'": ("CLOUDTOWER_PROXY=http://user:password@host:port"),
    # Phrases in which the verb changes too, or whose option exists only in some commands.
    "pass token=": "set CLOUDTOWER_TOKEN",
    "pass a new token=": "set a new CLOUDTOWER_TOKEN",
    "pass the same target": "pass the same --kind",
    "resume=error.state to wait on, and a longer timeout=": (
        "--resume to wait on, and a longer --timeout"
    ),
    "resume=error.state": "--resume",
    "wait again, with a longer timeout= if needed": (
        "wait again with `task wait`, and a longer --timeout if needed"
    ),
    "open a new session, or": "log in with `cloudtower-async login`, or",
    "the session logs in again by itself": "a command logs in by itself",
    # Arguments for which no command has an option.
    "Pass a longer timeout= if the call is slow.": "Try again later, or ask for less.",
    "Pass a longer read_timeout= if the server is slow.": ("Try again later, or ask for less."),
    "Pass a longer timeout=, send fewer calls at once, or": "Try again later, or",
    "Pass a certificate that the server accepts, with its key, as client_cert=.": (
        "The command line has no option for one; use the package from Python."
    ),
    "pass a smaller chunk_size=, or raise": "raise",
    "(first= or page_size=, a narrower where=), or pass a larger max_response_bytes=": "",
    "(max_connections=, max_in_flight=, rate_limit=)": "",
    "; connect_timeout= is the time-out": "",
    ", and client_cert=": "",
    ", and the certificate passed as client_cert=": "",
    ", and a session with validate=False sends the call without it": "",
    "If the server requires a client certificate, pass client_cert=.": "",
    "The server may have refused the client certificate (client_cert=).": "",
    "; until then pass an ssl_context= with a lower minimum_version": "",
    "; for a stream, check size=": "",
    "with chunk_size=": "",
    "; for an upload, pass a smaller chunk_size=": "",
}
"""Replacements of phrases. An empty replacement removes the phrase."""

# If a value follows an argument, the text comes from the user or the server.
_NO_VALUE = r"(?![\w'\"])"
_LONGEST_FIRST = sorted(PHRASES, key=len, reverse=True)
_PHRASE = re.compile(rf"( ?)(?:\b|(?=\W))({'|'.join(map(re.escape, _LONGEST_FIRST))}){_NO_VALUE}")
_OPTION = re.compile(rf"\b({'|'.join(OPTIONS)})={_NO_VALUE}")
_QUERY = re.compile(r"\btower\.\w+\.get_(\w+)")


def for_the_command(text: str) -> str:
    """Return the text of an error or a warning, with options in place of Python arguments."""
    text = _PHRASE.sub(_rephrased, text)
    text = _OPTION.sub(lambda found: OPTIONS[found[1]], text)
    return _QUERY.sub(r"`get \1`", text)


def _rephrased(found: re.Match[str]) -> str:
    phrase = PHRASES[found[2]]
    return found[1] + phrase if phrase else ""


def error_line(error: Exception) -> str:
    """Return the text of an error as one line without control characters."""
    text = str(error)
    # Errors of the command line already name options.
    return _on_one_line(for_the_command(text) if isinstance(error, CloudtowerError) else text)


def _on_one_line(text: str) -> str:
    return printable(" ".join(line.strip() for line in text.splitlines()))


def warn(text: str) -> None:
    """Print a warning to standard error."""
    print_error(f"cloudtower-async: warning: {_on_one_line(for_the_command(text))}")


class _LogHandler(logging.Handler):
    """Log handler that prints warnings. After `show_exchanges`, it prints lower levels, too."""

    verbosity = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            warn(record.getMessage())
        elif self.verbosity > 1:
            request_id = getattr(record, "request_id", None)
            shown = tr("; request id {id}", id=request_id) if request_id else ""
            _print_log(record.getMessage() + shown)
        elif hasattr(record, "duration"):
            _print_log(_exchange(record))
        elif record.levelno >= logging.INFO:
            _print_log(record.getMessage())


def _print_log(text: str) -> None:
    print_error(f"cloudtower-async: {_on_one_line(text)}")


def _exchange(record: Any) -> str:  # noqa: ANN401 - its attributes are those of an exchange
    """Return the operation, outcome, duration and endpoint of a logged request as one line."""
    parts = [
        tr(
            "{operation}: {outcome} in {seconds:.3f} s from {endpoint}",
            operation=record.operation,
            outcome=f"HTTP {record.status}" if record.error is None else record.error,
            seconds=record.duration,
            endpoint=record.endpoint,
        )
    ]
    if record.attempt > 1:
        parts.append(tr("attempt {number}", number=record.attempt))
    if record.request_id:
        parts.append(tr("request id {id}", id=record.request_id))
    return ", ".join(parts)


_log = logging.getLogger("cloudtower_async")


@contextmanager
def log_warnings_shown() -> Generator[None]:
    """Print the warnings that the package logs during a ``with`` block."""
    handler, level = _LogHandler(), _log.level
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        _log.setLevel(level)


def show_exchanges(verbosity: int) -> None:
    """From now on, print exchanges (requests and their responses) to standard error.

    Call this function within a `log_warnings_shown` block.

    Args:
        verbosity: 0 prints nothing. 1 prints a line with the request id for each exchange. 2 also
            prints requests and responses, without secrets.
    """
    if verbosity:
        for handler in _log.handlers:
            if isinstance(handler, _LogHandler):
                handler.verbosity = verbosity
                _log.setLevel(logging.DEBUG)
