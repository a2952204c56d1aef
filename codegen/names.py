"""Conversion of names in the schema to Python names."""

from __future__ import annotations

import keyword
import os.path
import re
from collections.abc import Sequence

from . import corrections

_LAST_OF_CAPITALS = re.compile(r"([A-Z]+)([A-Z][a-z])")
_LOWER_THEN_CAPITAL = re.compile(r"([a-z\d])([A-Z])")
_NOT_IN_IDENTIFIERS = re.compile(r"\W+")

# Names of types. A field with such a name would shadow the type in the annotations of the next
# fields.
_IN_FIELDS = frozenset({"str", "int", "float", "bool", "bytes", "list", "dict"})
_IN_KEYS = _IN_FIELDS | {"Literal", "Mapping", "Required", "Sequence", "Texts"}


def snake(name: str) -> str:
    """Convert to snake case: `entityAsyncStatus` -> `entity_async_status`, `class` -> `class_`."""
    corrected = corrections.NAMES.get(name)
    if corrected is not None:
        return corrected
    spaced = _LAST_OF_CAPITALS.sub(r"\1_\2", name)
    spaced = _LOWER_THEN_CAPITAL.sub(r"\1_\2", spaced)
    plain = _NOT_IN_IDENTIFIERS.sub("_", spaced).strip("_").lower()
    return f"{plain}_" if keyword.iskeyword(plain) or plain in _IN_FIELDS else plain


def pascal(name: str) -> str:
    """Convert the name of a property to a class name: `vmVolumes` -> `VmVolumes`."""
    parts = _NOT_IN_IDENTIFIERS.sub("_", name).split("_")
    return "".join(part[:1].upper() + part[1:] for part in parts)


def member(value: str) -> str:
    """Return the name of the enum member for a value: `Tcp` -> `Tcp`, `2-way` -> `VALUE_2_WAY`."""
    corrected = corrections.MEMBERS.get(value)
    if corrected is not None:
        return corrected
    if value.isidentifier() and not keyword.iskeyword(value):
        return value
    plain = _NOT_IN_IDENTIFIERS.sub("_", value).strip("_").upper()
    if not plain:
        raise ValueError(f"the enum value {value!r} needs a name in corrections.MEMBERS")
    return f"VALUE_{plain}" if plain[0].isdigit() else plain


def aliases(enum: str, values: Sequence[str]) -> dict[str, str]:
    """Return, for each alias of an enum member, the name of the member.

    Aliases are the names in the vendor's SDK, if they differ from the results of `member`. The
    vendor's SDK uses upper-case names, and leaves out a prefix that all values share.
    """
    common = os.path.commonprefix(values) if len(values) > 1 else ""  # noqa: RUF071 - of letters
    prefix = corrections.MEMBER_PREFIXES.get(enum, common[: common.rfind("_") + 1])
    taken = {member(value) for value in values}
    found: dict[str, str] = {}
    for value in values:
        short = value.removeprefix(prefix)
        plain = _NOT_IN_IDENTIFIERS.sub("_", short).strip("_").upper()
        name = f"_{plain}" if plain[:1].isdigit() else plain
        if name.isidentifier() and name not in taken:
            found[name] = member(value)
            taken.add(name)
    return found


def is_key(name: str) -> bool:
    """Return whether a class body can declare a field with this name.

    Keywords, names that Python would mangle, and names of types are not possible.
    """
    usable = name.isidentifier() and not keyword.iskeyword(name) and name not in _IN_KEYS
    return usable and not name.startswith("__")
