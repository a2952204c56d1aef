"""Keeps what must stay secret out of everything that is shown."""

from __future__ import annotations

import json
from typing import cast

_SHORTEST = 3  # characters; to mask a shorter secret would only make texts unreadable


class Mask:
    """Blots out known secrets in what servers say about errors.

    A server or a proxy may echo the credentials it was sent. Only texts are masked, after JSON was
    read: a password such as ``message`` is also a word of the JSON itself.
    """

    def __init__(self, *secrets: str | None) -> None:
        self._secrets: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | None) -> None:
        """From now on mask this one as well."""
        if secret is None or len(secret) < _SHORTEST:
            return
        known = {*self._secrets, *_spellings(secret)}
        # Longest first, so that one secret that holds another goes as a whole.
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def within(self, value: object) -> object:
        """Mask every text in what was decoded from JSON."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, list):
            return [self.within(item) for item in cast("list[object]", value)]
        if isinstance(value, dict):
            members = cast("dict[str, object]", value)
            return {name: self.within(member) for name, member in members.items()}
        return value

    def __repr__(self) -> str:
        return f"<Mask of {len(self._secrets)} spellings>"


def _spellings(secret: str) -> set[str]:
    # Twice, as what cannot be read as JSON may hold the JSON that was sent as a text of its own.
    once = {secret, *_in_json(secret)}
    return once.union(*map(_in_json, once))


def _in_json(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
