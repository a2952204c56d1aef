"""Recognize and redact fields that hold secrets, by their names."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, cast

from .secret_fields import PLAIN_FIELDS, SECRET_FIELDS, SUSPICIOUS

if TYPE_CHECKING:
    from collections.abc import Callable

STARS = "***"
"""Replacement for a secret."""

_MAX_DEPTH = 100  # levels of nested lists and objects to keep; Python limits recursion
_SUSPICIOUS = re.compile(SUSPICIOUS, re.IGNORECASE)
# A key in JSON. In a JSON string that contains JSON, backslashes precede the quotes.
_KEY = re.compile(r'(\\{0,7}")([^"\\]{1,80})\1\s*:\s*')


def is_secret(field: str) -> bool:
    """Return whether a field of arguments or answers holds a secret, according to its name."""
    return field in SECRET_FIELDS or (
        field not in PLAIN_FIELDS and _SUSPICIOUS.search(field) is not None
    )


def redacted(value: object, redact_text: Callable[[str], str], levels: int = _MAX_DEPTH) -> object:
    """Return a copy of a decoded JSON value without secrets. Secret fields become `STARS`.

    Args:
        value: The decoded value.
        redact_text: Function that redacts the secrets in the text of any other field.
        levels: Number of levels of nested lists and objects to keep. Deeper levels are redacted.
    """
    if isinstance(value, str):
        return redact_text(value)
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        return STARS
    if isinstance(value, list):
        return [redacted(item, redact_text, levels - 1) for item in cast("list[object]", value)]
    members = cast("dict[str, object]", value)
    return {
        name: STARS if member and is_secret(name) else redacted(member, redact_text, levels - 1)
        for name, member in members.items()
    }


def without_secret_members(text: str) -> str:
    """Return a text with the secret fields in its JSON redacted, even if the JSON is truncated."""
    pieces: list[str] = []
    end = 0
    for key in _KEY.finditer(text):
        # The server sends API keys in a field "key". Other fields named "key" are harmless, but
        # they are redacted, too.
        if key.start() < end or not (is_secret(key[2]) or key[2] == "key"):
            continue
        value = _value(key[1]).match(text, key.end())
        if value is not None:
            pieces += [text[end : key.end()], f"{key[1]}{STARS}{key[1]}"]
            end = value.end()
    return "".join([*pieces, text[end:]])


@cache
def _value(quote: str) -> re.Pattern[str]:
    # If the value is a list or an object, drop the rest of the text, because the end is unknown.
    quote = re.escape(quote)
    return re.compile(rf"{quote}.*?(?:(?<!\\){quote}|\Z)|[\[{{].*|[^\s,\]}}]+", re.DOTALL)
