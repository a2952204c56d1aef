"""Encoder and decoder for JSON that behave like `JSON.stringify` and `JSON.parse` in JavaScript."""

from __future__ import annotations

import math
import re
from typing import cast

import msgspec

_encode = msgspec.json.Encoder().encode

# Matches the last digits of numbers that JavaScript writes in another form: ``5.0``, ``1e16``,
# ``1.5e-05``, and integers above 2**53. A match inside a string makes encoding slower, not wrong.
_ODD = re.compile(rb"(?:\.0|[0-9]e[+-]?[0-9]+|[0-9]{16,})(?:[,\]}]|\Z)")

_LARGEST_EXACT = 2**53  # JavaScript rounds larger integers to a float
_EXPONENT_FROM = 1e21  # JavaScript writes larger numbers with an exponent
_EXPONENT_BELOW = 1e-6  # JavaScript writes smaller fractions with an exponent


# Matches numbers with a fraction or an exponent, and integers that may be above 2**53.
_SPECIAL = re.compile(rb"[0-9](?:\.|[eE])[0-9+-]|[0-9]{16,}")


def decode(content: bytes) -> object:
    """Decode JSON as JavaScript does: ``5.0`` and ``5`` are the same number.

    Raises:
        ValueError: The content is not JSON.
        RecursionError: The JSON is nested too deeply.
    """
    value = cast("object", msgspec.json.decode(content))
    return _read(value) if _SPECIAL.search(content) else value


def encode(value: object) -> bytes:
    """Encode a value as compact JSON. Numbers are written as in JavaScript: ``5``, not ``5.0``."""
    encoded = _encode(value)
    if _ODD.search(encoded) is None:
        return encoded
    return _encode(_written(value))


def _read(value: object) -> object:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return int(float(value))
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {name: _read(member) for name, member in members.items()}
    if isinstance(value, list):
        return [_read(item) for item in cast("list[object]", value)]
    return value


def _written(value: object) -> object:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return _number(float(value))
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        return {name: _written(member) for name, member in members.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in cast("list[object]", value)]
    return value


def _number(value: float) -> object:
    size = abs(value)
    if value.is_integer() and size < _EXPONENT_FROM:
        # JavaScript writes the shortest digits that identify the float, padded with zeros.
        digits, _, exponent = repr(value).partition("e")
        if not exponent:
            return int(value)  # -0.0 becomes 0
        whole, _, fraction = digits.partition(".")
        return msgspec.Raw(f"{whole}{fraction}{'0' * (int(exponent) - len(fraction))}".encode())
    if not math.isfinite(value):
        return None  # JavaScript writes NaN and infinity as null
    if _EXPONENT_BELOW <= size < _EXPONENT_FROM:
        return msgspec.Raw(_plain(repr(value)).encode())
    digits, _, exponent = repr(value).partition("e")
    sign = "-" if exponent.startswith("-") else "+"
    return msgspec.Raw(f"{digits.removesuffix('.0')}e{sign}{exponent.lstrip('+-0')}".encode())


def _plain(text: str) -> str:
    """Remove the exponent from the text of a number: ``0.000015`` for ``1.5e-05``."""
    digits, _, exponent = text.partition("e-")
    if not exponent:
        return text
    sign = "-" if digits.startswith("-") else ""
    whole, _, fraction = digits.lstrip("-").partition(".")
    zeros = "0" * (int(exponent) - len(whole))
    return f"{sign}0.{zeros}{whole}{'' if fraction == '0' else fraction}"
