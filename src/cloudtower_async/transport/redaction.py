"""Redact secrets in logs, errors and recorded exchanges.

Three rules decide which parts of JSON and other texts are redacted:

- A value is redacted if the name of its field is the name of a secret. The field can be in JSON, a
  form, a query string, a header or a dump of an object. A password in the address of a server is
  redacted, too.
- Tokens, API keys, tickets and ``Authorization`` headers of the session are redacted everywhere.
- A password is redacted everywhere if it cannot occur in ordinary text, such as a sentence, a name
  or a version. Other passwords are only redacted by the first rule, because a redacted text
  could reveal them: "the user name or the *** is wrong" would reveal the password "password".
"""

from __future__ import annotations

import html
import json
import re
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus
from weakref import WeakSet

import msgspec

from ..control_characters import escaped
from ..secret_fields import PLAIN_FIELDS, SUSPICIOUS
from ..secret_names import STARS, redacted, without_secret_members
from ..types import CODEC_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHORTEST = 8  # characters; a shorter secret may be an ordinary word
_LEAST_CHANGES = 5  # minimum number of alternations of letters, digits and symbols
_MOST_PASSING = 100  # short-lived secrets to remember, such as console tickets
_LARGEST = 2**16  # bytes; a larger body is not decoded for the log
_LONGEST = 2000  # characters

_SUSPICIOUS = re.compile(f"{SUSPICIOUS}|cookie", re.IGNORECASE)
# name=value, name:value, name: "value", 'name' => 'value'
_PAIR = re.compile(
    r"""(?<![\w.-])([A-Za-z_][\w.-]{0,80}+)(['"]?(?:=>|[=:]|\s*(?:=>|[=:])\s*(?=["'])))"""
    r"""("(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\s&;,"'<>(){}\[\]]+)""",
    re.DOTALL,
)
# A header or a line of YAML. Unlike a sentence, such a line has one word after the colon.
_LINE = re.compile(r"^([ \t]*)([A-Za-z_][\w.-]{0,80}+)(:[ \t]+)(\S[^\r\n]*)", re.MULTILINE)
_HEADER = re.compile(r"(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]+", re.IGNORECASE)
_USER_INFO = re.compile(
    r"""([a-z][a-z0-9+.-]{0,20}+://)([^\s/?#"'<>@:]{0,200})[^\s/?#"'<>]{0,500}@"""
)


CREDENTIAL_HEADER = re.compile("key|token|secret|auth|cookie|passw|credential")
"""Pattern that finds the names of headers, in lower case, whose values are credentials."""


class Secrets:
    """Secrets that a `Mask` redacts as long as this object exists; see `Mask.hold`."""

    def __init__(self, spellings: set[str]) -> None:
        self.spellings: set[str] = spellings


class Mask:
    """Redacts secrets in the logged parts of requests and responses.

    Redaction is needed, because a server or a proxy may echo the credentials that it received. In
    JSON, known secrets are redacted in values, but not in keys, because a token may be equal to a
    key, such as ``error_code``.

    Args:
        secrets: Tokens and other generated secrets. The value None is ignored.
    """

    def __init__(self, *secrets: str | None) -> None:
        self._secrets: list[str] = []
        self._lasting: set[str] = set()
        self._passing: deque[set[str]] = deque(maxlen=_MOST_PASSING)
        self._held: WeakSet[Secrets] = WeakSet()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | None, *, passing: bool = False) -> None:
        """Redact a generated secret, such as a token, wherever it appears.

        Args:
            secret: Secret to redact. None and strings of less than 8 characters are ignored.
            passing: Whether the secret is only valid for a short time. Such a secret is forgotten
                after 100 newer secrets of this kind have been added.
        """
        if secret is None or len(secret) < _SHORTEST:
            return
        spellings = _spellings(secret)
        if passing:
            if spellings in self._passing:
                return
            self._passing.append(spellings)
        else:
            self._lasting |= spellings
        self._sort()

    def hold(self, secrets: Iterable[str]) -> Secrets:
        """Redact secrets wherever they appear, as long as the returned object exists.

        Use this method for secrets of short-lived objects: the secrets are forgotten when the
        returned object is deleted.
        """
        long = (secret for secret in secrets if len(secret) >= _SHORTEST)
        held = Secrets({spelling for secret in long for spelling in _spellings(secret)})
        self._held.add(held)
        self._sort()
        return held

    def _sort(self) -> None:
        held = (secrets.spellings for secrets in self._held)
        # The longest secret comes first, so that a secret that contains another secret is redacted
        # as a whole.
        spellings = self._lasting.union(*self._passing, *held)
        self._secrets = sorted(spellings, key=len, reverse=True)

    def add_password(self, password: str | None, *, passing: bool = False) -> None:
        """Redact a password wherever it appears, if it is too irregular for an ordinary word.

        Args:
            password: Password to redact. The value None is ignored.
            passing: Whether the password is only valid for a short time; see `add`.
        """
        if password is not None and _is_distinctive(password):
            self.add(password, passing=passing)

    def __call__(self, text: str) -> str:
        if text.lstrip().startswith(("{", "[")):
            try:
                value = self.within(msgspec.json.decode(text))
                return json.dumps(value, ensure_ascii=False)
            except CODEC_ERRORS:
                pass
        return self.text(text)

    def text(self, text: str) -> str:
        """Return a text with secrets redacted, without decoding the text as JSON."""
        for secret in self._secrets:
            text = text.replace(secret, STARS)
        text = without_secret_members(text)
        # The text may have parts of addresses, headers, forms, query strings and dumps of objects.
        text = _USER_INFO.sub(_without_user_info, text)
        text = _LINE.sub(_without_line, text)
        return _PAIR.sub(_without_value, text)

    def within(self, value: object) -> object:
        """Return a decoded JSON value with the secrets in all of its strings redacted."""
        return redacted(value, self)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return redacted headers by lower-case name. Values of a repeated header are joined."""
        shown: dict[str, str] = {}
        for name, value in headers.items():
            lower = name.lower()
            text = STARS if CREDENTIAL_HEADER.search(lower) else self.text(value)
            shown[lower] = f"{shown[lower]}, {text}" if lower in shown else text
        return shown

    def body(self, content: bytes) -> str:
        """Return the start of a body for the log, redacted and on one line.

        If the body is larger than 64 KiB or is not text, return only its size.
        """
        size = f"<{len(content)} bytes>"
        if len(content) > _LARGEST:
            return size
        try:
            text = self(content.decode())
        except UnicodeDecodeError:
            return size
        return escaped(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")

    def __repr__(self) -> str:
        return f"<Mask of {len(self._secrets)} spellings>"


def _without_user_info(found: re.Match[str]) -> str:
    # If the address has no password, the user name may be a token.
    user = f"{found[2]}:" if found[0][found.end(2) - found.start()] == ":" else ""
    return f"{found[1]}{user}{STARS}@"


def _without_line(found: re.Match[str]) -> str:
    indent, name, colon, value = found.groups()
    if not _is_suspicious(name) or (" " in value.strip() and not _HEADER.fullmatch(name)):
        return found[0]
    return f"{indent}{name}{colon}{STARS}"


def _without_value(found: re.Match[str]) -> str:
    name, equals, value = found.groups()
    if not _is_suspicious(name):
        return found[0]
    mark = value[0] if value[0] in "\"'" else ""
    return f"{name}{equals}{mark}{STARS}{mark}"


def _is_suspicious(name: str) -> bool:
    # Do not use the secret fields of the schema, because outside of JSON, `url:` is an ordinary
    # word.
    return name not in PLAIN_FIELDS and _SUSPICIOUS.search(name) is not None


def _is_distinctive(password: str) -> bool:
    """Return whether a password is too irregular for a sentence, a name or a version.

    Its words then have at least five changes between letters, digits and symbols: ``a1b2c3``.
    """
    if any(map(str.isspace, password)):
        return False
    changes = sum(
        _kind(one) != _kind(other)
        for word in re.split(r"[-._/:]", password)
        for one, other in pairwise(word)
    )
    return changes >= _LEAST_CHANGES


def _kind(letter: str) -> int:
    return 0 if letter.isalpha() else 1 if letter.isdigit() else 2


def _spellings(secret: str) -> set[str]:
    # Escape twice, because invalid JSON may contain the sent JSON as an escaped string.
    once = {secret, *_in_json(secret), html.escape(secret)}
    once |= {quote(secret, safe=""), quote_plus(secret)}
    return once.union(*map(_in_json, once))


def _in_json(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
