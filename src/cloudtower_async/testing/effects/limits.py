"""Limits of values as the vendor's documentation states them, wherever a body has such a key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..refusals import QueryError
from .units import FACTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KIB = 1024
_STRIPE_SIZES = frozenset(4 * _KIB << power for power in range(7))
_CHAP_SECRET = re.compile("[A-Za-z0-9]{12,16}")


class _Limit(NamedTuple):
    expected: str
    holds: Callable[[Any], bool]


_LIMITS: Mapping[str, _Limit] = {
    "vlan_id": _Limit("a number from 0 to 4095", lambda number: 0 <= number <= 4095),
    "stripe_size": _Limit("a power of two from 4 KiB to 256 KiB", _STRIPE_SIZES.__contains__),
    "chap_secret": _Limit(
        "12 to 16 letters or digits", lambda secret: _CHAP_SECRET.fullmatch(secret) is not None
    ),
    "nameservers": _Limit("at most 3 name servers", lambda servers: len(servers) <= 3),
    "public_keys": _Limit("at most 10 public keys", lambda keys: len(keys) <= 10),
    "user_data": _Limit("at most 32 KiB", lambda text: len(text.encode()) <= 32 * _KIB),
}


def check_limits(values: Mapping[str, Any], path: str) -> None:
    """Refuse values beyond the limits in an object of a body that fits the schema otherwise.

    Raises:
        QueryError: The text names the place.
    """
    for name in _LIMITS.keys() & values.keys():
        value = values[name]
        if value is None:
            continue
        if unit := values.get(f"{name}_unit"):
            value *= FACTORS[unit]
        if not _LIMITS[name].holds(value):
            raise QueryError(f"{path}.{name}: expected {_LIMITS[name].expected}")
