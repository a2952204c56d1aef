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
        spelled = (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        known = {*self._secrets, *(text.encode(errors="replace") for text in spelled)}
        # Longest first, so that one secret that holds another goes as a whole.
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = body.replace(secret, b"***")
        return body

    def __repr__(self) -> str:
        return f"<Mask of {len(self._secrets)} spellings>"
