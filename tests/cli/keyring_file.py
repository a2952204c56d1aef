"""Keyring for test processes, in a file that KEYRING_FILE names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FileKeyring(KeyringBackend):
    """An insecure keyring."""

    priority = 5.0  # pyright: ignore[reportAssignmentType] - a constant is no classproperty

    def get_password(self, service: str, username: str) -> str | None:
        return _read().get(f"{service}: {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        _write({**_read(), f"{service}: {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        kept = _read()
        if kept.pop(f"{service}: {username}", None) is None:
            raise PasswordDeleteError(username)
        _write(kept)


def _file() -> Path:
    return Path(os.environ["KEYRING_FILE"])


def _read() -> dict[str, str]:
    kept: dict[str, str] = json.loads(_file().read_text()) if _file().exists() else {}
    return kept


def _write(kept: dict[str, str]) -> None:
    _file().write_text(json.dumps(kept))
