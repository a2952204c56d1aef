"""Limits of values as the vendor's documentation states them, wherever a body has such a key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..http_errors import QueryError
from .units import FACTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KIB = 1024
_STRIPE_SIZES = frozenset(4 * _KIB << power for power in range(7))
_CHAP_SECRET = re.compile("[A-Za-z0-9]{12,16}")


def _is_vlan_id(number: int) -> bool:
    return 0 <= number <= 4095


def _is_chap_secret(secret: str) -> bool:
    return _CHAP_SECRET.fullmatch(secret) is not None


def _is_stripe_size(size: int) -> bool:
    return size in _STRIPE_SIZES


def _are_name_servers(servers: list[str]) -> bool:
    return len(servers) <= 3


def _are_public_keys(keys: list[str]) -> bool:
    return len(keys) <= 10


def _is_user_data(text: str) -> bool:
    return len(text.encode()) <= 32 * _KIB


_LIMITS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "vlan_id": ("a number from 0 to 4095", _is_vlan_id),
    "stripe_size": ("a power of two from 4 KiB to 256 KiB", _is_stripe_size),
    "chap_secret": ("12 to 16 letters or digits", _is_chap_secret),
    "nameservers": ("at most 3 name servers", _are_name_servers),
    "public_keys": ("at most 10 public keys", _are_public_keys),
    "user_data": ("at most 32 KiB", _is_user_data),
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
        expected, holds = _LIMITS[name]
        if not holds(value):
            raise QueryError(f"{path}.{name}: expected {expected}")
