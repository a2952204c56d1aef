"""Replace control characters in texts from a server before the texts are printed or logged.

Escape sequences can rewrite a terminal, line breaks can forge log records, and bidirectional or
zero-width characters can hide what a text says. All code that prints or logs such texts uses these
functions.
"""

from __future__ import annotations

import json
import logging
import re
from unicodedata import category

_LONGEST_LINE = 500  # characters

# Unicode categories. Cc: C0, DEL and C1. Cf: bidirectional, zero-width and other format characters.
# Cs: lone surrogates, which cannot be encoded. Zl and Zp: line and paragraph separators.
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_EMOJI = "\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_CANDIDATE = re.compile(
    # Keep a zero-width joiner between two emoji, because it combines the emoji into one.
    rf"(?<=[{_EMOJI}\ufe0f])(?P<joiner>\u200d)(?=[{_EMOJI}])|[^\x20-\x7e]"
)


# JSON escapes of a backslash, of a pair of surrogates, or of a lone surrogate.
_ESCAPE = re.compile(
    rb"\\(?:\\|u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}"
    rb"|(u[dD][89a-fA-F][\da-fA-F]{2}))"
)


def printable(text: str) -> str:
    """Replace each control character with a space."""
    return text if text.isprintable() else _CANDIDATE.sub(_as_space, text)


def one_line(text: str) -> str:
    """Collapse white space, replace control characters and cut the text to 500 characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"


def escaped(text: str) -> str:
    r"""Return a text with control characters escaped as in JSON, such as ``\u001b``.

    If the text is JSON without line breaks, the result is JSON with the same meaning.
    """
    return text if text.isprintable() else _CANDIDATE.sub(_as_escape, text)


def replace_lone_surrogates(content: bytes) -> bytes:
    """Replace escapes of lone surrogates in JSON with U+FFFD.

    JavaScript writes a lone surrogate when a text was cut within an emoji. Lone surrogates are
    valid in JSON, but invalid in Unicode. Therefore decoders refuse them.
    """
    if b"\\" not in content:  # this check is much faster than the next two
        return content
    if b"\\ud" not in content and b"\\uD" not in content:
        return content
    return _ESCAPE.sub(_as_replacement, content)


def _as_replacement(found: re.Match[bytes]) -> bytes:
    return found[0] if found[1] is None else b"\\ufffd"


def _as_space(found: re.Match[str]) -> str:
    return " " if _is_control(found) else found[0]


def _as_escape(found: re.Match[str]) -> str:
    if not _is_control(found):
        return found[0]
    # JSON does not require DEL to be escaped.
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]


def _is_control(found: re.Match[str]) -> bool:
    return found.lastgroup != "joiner" and category(found[0]) in _CONTROLS


def _escape_arguments(record: logging.LogRecord) -> bool:
    """Escape the control characters in the arguments of a log record."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_escaped_argument, record.args))
    return True


def _escaped_argument(argument: object) -> object:
    """Return the escaped text of a log argument, or the argument itself if it needs no escapes.

    Formats such as ``%d`` need the original type of the argument.
    """
    if isinstance(argument, int | float):
        return argument
    text = str(argument)
    safe = escaped(text)
    return argument if safe == text else safe


# Install the filter here, because every module imports the errors, and the errors import this
# module.
logging.getLogger("cloudtower_async").addFilter(_escape_arguments)
