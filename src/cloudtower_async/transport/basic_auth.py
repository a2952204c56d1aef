"""Header value for the credentials of HTTP Basic authentication."""

from __future__ import annotations

from base64 import b64encode


def basic(username: str, password: str) -> str:
    """Return ``Basic …``, the value of an ``Authorization`` or ``Proxy-Authorization`` header."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"
