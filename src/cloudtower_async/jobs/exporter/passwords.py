"""Password hashes of the metrics server.

A line of the password file is ``username:scrypt$N$R$P$SALT$KEY``, with salt and key in hexadecimal.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.to_thread

from ...errors import InvalidSettings
from ...validators import pair_fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_N, _R, _P = 2**14, 8, 1  # 16 MiB and some 50 ms for a check
_MAX_MEMORY = 2**26  # bytes
_MOST_WORK = 2**17  # largest product of n and p
_HASH = re.compile(r"scrypt\$(\d{1,7})\$(\d{1,2})\$(\d{1,2})\$([0-9a-f]{16,128})\$([0-9a-f]{64})")


class _Hash(NamedTuple):
    n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    def matches(self, password: bytes) -> bool:
        return hmac.compare_digest(self.key, _derive(password, self.salt, self.n, self.r, self.p))


def hash_password(username: str, password: str) -> str:
    """Return a line for the password file, with the user name and a hash of the password.

    Raises:
        InvalidSettings: The user name or the password is empty, or the user name holds a colon.
    """
    if (fault := pair_fault((username, password))) is not None:
        raise InvalidSettings(f"basic_auth: {fault}", option="basic_auth")
    salt = secrets.token_bytes(16)
    key = _derive(password.encode(), salt, _N, _R, _P)
    return f"{username}:scrypt${_N}${_R}${_P}${salt.hex()}${key.hex()}"


def read_password_file(path: Path) -> dict[str, str]:
    """Read a password file, and return a dict from user names to password hashes.

    Empty lines and lines that begin with ``#`` are skipped.

    Raises:
        InvalidSettings: The file cannot be read or has no user, or a line does not have the format
            of `hash_password`. The error does not quote the line, because the line may hold a
            password.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise _refused(f"{path}: {reason}") from None
    users: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        username, colon, text = line.strip().partition(":")
        if not (username and colon) or _parse(text) is None:
            raise _refused(
                f"{path}, line {number}: expected username:HASH, as "
                "`cloudtower-async exporter hash-password` prints it"
            )
        users[username] = text
    if not users:
        raise _refused(f"{path}: it has no user")
    return users


class Passwords:
    """Checks the ``Authorization`` header of requests.

    Hashing is slow on purpose, so it runs in a thread, one password at a time. Correct credentials
    are remembered as a keyed digest, and are then checked without the slow hash.

    Args:
        users: Password hashes by user name.

    Raises:
        InvalidSettings: No user is given, or a hash was not returned by `hash_password`.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users: dict[str, _Hash] = {}
        for username, text in users.items():
            parsed = _parse(text)
            if parsed is None:
                raise _refused(
                    "expected hashes as hash_password() returns them after the user name"
                )
            self._users[username] = parsed
        if not self._users:
            raise _refused("expected at least one user")
        # Checking an unknown user must take as long as checking a known user.
        self._unknown = _Hash(_N, _R, _P, secrets.token_bytes(16), secrets.token_bytes(32))
        self._key = secrets.token_bytes(32)
        self._verified: set[bytes] = set()
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def allow(self, header: str | None) -> bool:
        """Return whether an ``Authorization`` header has the name and the password of a user."""
        credentials = _credentials(header)
        if credentials is None:
            return False
        digest = hmac.digest(self._key, b":".join(credentials), "sha256")
        if any(hmac.compare_digest(digest, known) for known in self._verified):
            return True
        username, password = credentials
        stored = self._users.get(username.decode("utf-8", "replace"), self._unknown)
        if not await anyio.to_thread.run_sync(
            stored.matches, password, limiter=self._one_at_a_time
        ):
            return False
        self._verified.add(digest)  # at most one for each user
        return True


def _credentials(header: str | None) -> tuple[bytes, bytes] | None:
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (username, password) if colon else None


def _parse(text: str) -> _Hash | None:
    found = _HASH.fullmatch(text)
    if found is None or len(found[4]) % 2:
        return None
    n, r, p = map(int, found.groups()[:3])
    # scrypt requires that n is a power of two. The limits bound memory and time.
    if n < 2 or n & (n - 1) or not 1 <= r <= 16 or p < 1 or n * p > _MOST_WORK:
        return None
    if 128 * n * r >= _MAX_MEMORY:
        return None
    return _Hash(n, r, p, bytes.fromhex(found[4]), bytes.fromhex(found[5]))


def _derive(password: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


def _refused(why: str) -> InvalidSettings:
    return InvalidSettings(f"basic_auth: {why}", option="basic_auth")
