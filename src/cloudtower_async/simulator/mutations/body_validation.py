"""Validate request bodies against the schema and against limits documented by the vendor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from ...calls.arg_types import arguments_of, newest_member
from ...calls.registry import operation_at
from ..http_errors import BadRequestError
from ..store.schema import JSON_TYPES
from .body import UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...calls.arg_types import ArgType


def check_body(path: str, body: object) -> None:
    """Reject a body that does not match the schema of an operation.

    Filters in the body are not checked by this function.

    Args:
        path: Path of the operation: ``"create-label"``.
        body: Decoded body of the request.

    Raises:
        BadRequestError: A value does not match the schema. The message names the invalid value.
    """
    _check(arguments_of(operation_at(f"/{path}")), body, "body")


def _check(wanted: ArgType, value: object, path: str) -> None:
    if wanted.kind not in JSON_TYPES or (value is None and wanted.nullable):
        return
    expected, types = JSON_TYPES[wanted.kind]
    if wanted.choices:
        expected = f"one of {', '.join(sorted(wanted.choices))}"
    if type(value) not in types or (wanted.choices and value not in wanted.choices):
        raise BadRequestError(f"{path}: expected {expected}, got {value!r:.60}")
    if wanted.item is not None:
        for place, item in enumerate(cast("list[object]", value)):
            _check(wanted.item, item, f"{path}[{place}]")
    elif wanted.record is not None and not wanted.is_filter:
        _check_members(wanted.record, cast("dict[str, object]", value), path)


def _check_members(record: Any, value: dict[str, object], path: str) -> None:  # noqa: ANN401
    if missing := sorted(record.__required_keys__ - value.keys()):
        raise BadRequestError(f"{path}.{missing[0]}: required")
    for name, part in value.items():
        found = newest_member(record, name)
        if found is None:
            raise BadRequestError(f"{path}.{name}: there is no such key")
        _check(found, part, f"{path}.{name}")
    _check_limits(value, path)


def _check_limits(values: Mapping[str, Any], path: str) -> None:
    """Reject the object `values` if one of its values violates a limit in `_LIMITS`."""
    for name in _LIMITS.keys() & values.keys():
        value = values[name]
        if value is None:
            continue
        if unit := values.get(f"{name}_unit"):
            value *= UNITS[unit]
        expected, holds = _LIMITS[name]
        if not holds(value):
            raise BadRequestError(f"{path}.{name}: expected {expected}")


_KIB = 1024
_STRIPE_SIZES = frozenset(4 * _KIB << power for power in range(7))
_CHAP_SECRET = re.compile("[A-Za-z0-9]{12,16}")

_LIMITS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "vlan_id": ("a number from 0 to 4095", lambda number: 0 <= number <= 4095),
    "stripe_size": ("a power of two from 4 KiB to 256 KiB", lambda size: size in _STRIPE_SIZES),
    "chap_secret": (
        "12 to 16 letters or digits",
        lambda secret: _CHAP_SECRET.fullmatch(secret) is not None,
    ),
    "nameservers": ("at most 3 name servers", lambda servers: len(servers) <= 3),
    "public_keys": ("at most 10 public keys", lambda keys: len(keys) <= 10),
    "user_data": ("at most 32 KiB", lambda text: len(text.encode()) <= 32 * _KIB),
}
