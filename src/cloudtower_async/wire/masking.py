"""Keeps what must stay secret out of everything that is shown."""

from __future__ import annotations

import json
import re
from collections import deque
from functools import cache
from typing import cast

import msgspec

from ..types import CODEC_ERRORS
from .secret_fields import PLAIN_FIELDS, SECRET_FIELDS, SUSPICIOUS

_SHORTEST = 3  # characters; to mask a shorter secret would only make texts unreadable
_MOST_PASSING = 100  # tickets of consoles: a portal that runs for weeks must not grow for them
_LARGEST = 2**16  # bytes; what is larger is not read just to be shown in part
_LONGEST = 2000  # characters
_STARS = "***"

_SUSPICIOUS = re.compile(SUSPICIOUS, re.IGNORECASE)
# A key of JSON, in a text of JSON perhaps, where backslashes stand before the quotes.
_KEY = re.compile(r'(\\{0,7}")([^"\\]{1,80})\1\s*:\s*')


class Mask:
    """Blots out secrets in what is shown of requests and answers: those it knows, wherever they
    are, and whatever is in a field for secrets.

    A server or a proxy may echo the credentials it was sent. Known secrets are masked in texts
    only, after JSON was read: a password such as ``message`` is also a word of the JSON itself.
    """

    def __init__(self, *secrets: str | None) -> None:
        self._secrets: list[str] = []
        self._lasting: set[str] = set()
        self._passing: deque[set[str]] = deque(maxlen=_MOST_PASSING)
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | None, *, passing: bool = False) -> None:
        """From now on mask this one as well.

        Args:
            secret: What to mask; None: nothing.
            passing: It is good for a short time only: it is forgotten when many more have come.
        """
        if secret is None or len(secret) < _SHORTEST:
            return
        spellings = _spellings(secret)
        if passing:
            self._passing.append(spellings)
        else:
            self._lasting |= spellings
        # Longest first, so that one secret that holds another goes as a whole.
        self._secrets = sorted(self._lasting.union(*self._passing), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        if text.lstrip().startswith(("{", "[")):
            try:
                value = self.within(msgspec.json.decode(text))
                return json.dumps(value, ensure_ascii=False)
            except CODEC_ERRORS:
                pass
        for secret in self._secrets:
            text = text.replace(secret, _STARS)
        return without_secret_members(text)

    def within(self, value: object) -> object:
        """Mask every text in what was decoded from JSON."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, list):
            return [self.within(item) for item in cast("list[object]", value)]
        if isinstance(value, dict):
            members = cast("dict[str, object]", value)
            return {
                name: _STARS if member and is_secret(name) else self.within(member)
                for name, member in members.items()
            }
        return value

    def body(self, content: bytes) -> str:
        """Spell what was sent or answered, for a log: masked, and the start of it only."""
        size = f"<{len(content)} bytes>"
        if len(content) > _LARGEST:
            return size
        try:
            text = self(content.decode())
        except UnicodeDecodeError:
            return size
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

    def __repr__(self) -> str:
        return f"<Mask of {len(self._secrets)} spellings>"


def is_secret(field: str) -> bool:
    """Whether a field of arguments or answers holds a secret, going by its name."""
    return field in SECRET_FIELDS or (
        field not in PLAIN_FIELDS and _SUSPICIOUS.search(field) is not None
    )


def without_secret_members(text: str) -> str:
    """Mask the values of fields for secrets in JSON that is cut off, or within some other text."""
    pieces: list[str] = []
    end = 0
    for key in _KEY.finditer(text):
        # An API key comes as "key"; in the fields of the schema that is a harmless name.
        if key.start() < end or not (is_secret(key[2]) or key[2] == "key"):
            continue
        value = _value(key[1]).match(text, key.end())
        if value is not None:
            pieces += [text[end : key.end()], f"{key[1]}{_STARS}{key[1]}"]
            end = value.end()
    return "".join([*pieces, text[end:]])


@cache
def _value(quote: str) -> re.Pattern[str]:
    # Of a list or an object the end is not looked for: nothing after it is shown.
    quote = re.escape(quote)
    return re.compile(rf"{quote}.*?(?:(?<!\\){quote}|\Z)|[\[{{].*|[^\s,\]}}]+", re.DOTALL)


def _spellings(secret: str) -> set[str]:
    # Twice, as what cannot be read as JSON may hold the JSON that was sent as a text of its own.
    once = {secret, *_in_json(secret)}
    return once.union(*map(_in_json, once))


def _in_json(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
