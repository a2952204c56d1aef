"""HTTP Basic credentials → the value of a header."""

from __future__ import annotations

from base64 import b64encode


def basic(username: str, password: str) -> str:
    """Return ``Basic …``, as ``Authorization`` and ``Proxy-Authorization`` carry it."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"
