"""Generator of reproducible ids in the format of the server."""

from __future__ import annotations

import random
import re
import string
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGITS = string.digits + string.ascii_lowercase
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_COUNTER = 36**4
_CUID = re.compile(rb'"c([0-9a-z]{8})[0-9a-z]{16}"')


class Ids:
    """Generator of ids: cuids for resources, and UUIDs for ids that clusters assign.

    Later cuids sort after earlier cuids, as on a real server.

    Args:
        seed: Seed of the generator. The same seed generates the same ids.
        epoch_ms: Time that the first cuid contains, in milliseconds since 1970.
    """

    def __init__(self, seed: int, *, epoch_ms: int = 1_700_000_000_000) -> None:
        self._random = random.Random(f"ids {seed} {epoch_ms}")  # noqa: S311 - made up, not secret
        self._epoch_ms = epoch_ms
        self._made = 0
        self._time = ""
        self._fingerprint = _base36(self._random.randrange(_COUNTER), 4)

    @classmethod
    def behind(cls, seed: int, documents: Iterable[object]) -> Ids:
        """Return a generator whose cuids do not occur anywhere in these documents."""
        found = (time for one in documents for time in _CUID.findall(msgspec.json.encode(one)))
        if latest := max(found, default=b""):
            return cls(seed, epoch_ms=int(latest, 36) + 1)
        return cls(seed)

    def cuid(self) -> str:
        """Return the next cuid: 25 letters and digits."""
        milliseconds, counter = divmod(self._made, _COUNTER)
        self._made += 1
        if counter == 0:
            self._time = _base36(self._epoch_ms + milliseconds, 8)
        high, low = divmod(counter, len(_PAIRS))
        tail = self._random.getrandbits(32)
        return f"c{self._time}{_PAIRS[high]}{_PAIRS[low]}{self._fingerprint}{tail:08x}"

    def uuid(self) -> str:
        """Return the next random UUID (version 4)."""
        digits = f"{self._random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        return (
            f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
        )


def _base36(number: int, width: int) -> str:
    pairs: list[str] = []
    for _ in range(width // 2):
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))
