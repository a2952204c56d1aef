"""Keeps what must stay secret out of everything that is shown."""

from __future__ import annotations

import json

_SHORTEST = 3  # characters; to mask a shorter secret would only make texts unreadable


class Mask:
    """Blots out known secrets in bodies of errors, before anything else reads them.

    A server or a proxy may echo the credentials it was sent.
    """

    def __init__(self, *secrets: str | None) -> None:
        self._secrets: list[bytes] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str | None) -> None:
        """From now on mask this one as well."""
        if secret is None or len(secret) < _SHORTEST:
            return
        known = {*self._secrets, *(text.encode(errors="replace") for text in _spellings(secret))}
        # Longest first, so that one secret that holds another goes as a whole.
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = body.replace(secret, b"***")
        return body

    def __repr__(self) -> str:
        return f"<Mask of {len(self._secrets)} spellings>"


def _spellings(secret: str) -> set[str]:
    # Twice, as an error message may hold the JSON that was sent as a text within its own JSON.
    once = {secret, *_in_json(secret)}
    return once.union(*map(_in_json, once))


def _in_json(text: str) -> set[str]:
    return {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
