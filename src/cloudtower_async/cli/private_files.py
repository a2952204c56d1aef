"""Small private files. Writes are atomic, and reads check the owner and the permissions."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MAX_SIZE = 1 << 20  # bytes


def read_private(path: Path) -> str | None:
    """Return the text of a file that only this user can read and change.

    Returns:
        The text, or None if the file is missing, not private, larger than 1 MiB, or not text.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o077):
                return None
            data = file.read(_MAX_SIZE + 1)
        return None if len(data) > _MAX_SIZE else data.decode()
    except (OSError, UnicodeDecodeError):
        return None


def write_private(path: Path, text: str) -> None:
    """Create or replace a file that only this user can read. Ignore errors."""
    data = text.encode()
    if len(data) > _MAX_SIZE:
        return
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 600
        try:
            with open(handle, "wb") as file:  # noqa: PTH123 - it is open already
                file.write(data)
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
