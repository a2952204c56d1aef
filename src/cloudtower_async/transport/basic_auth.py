"""Header value for HTTP Basic credentials."""

from __future__ import annotations

from base64 import b64encode


def basic(username: str, password: str) -> str:
    """Return the value of an ``Authorization`` or ``Proxy-Authorization`` header: ``Basic …``."""
    return f"Basic {b64encode(f'{username}:{password}'.encode()).decode()}"
