"""Columns of resources: which there are, and what stands in them."""

from __future__ import annotations

from datetime import datetime
from types import NoneType, UnionType
from typing import TYPE_CHECKING, TypeAlias, cast, get_args, get_origin

import msgspec

from ..spelling import did_you_mean
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msgspec.structs import FieldInfo

_TELLING = (
    *("id", "name", "username", "severity", "status", "type", "connect_state", "health_status"),
    *("version", "cluster.name", "host.name", "vm.name", "ip", "management_ip"),
    *("ips", "vlan_id", "vcpu", "memory", "size", "progress", "message", "description"),
)
"""What tells resources apart, the most telling first."""

_OWN = {"Label": ["id", "key", "value"]}
"""Of kinds where it is something else."""

_MOST, _LEAST = 8, 4

Path: TypeAlias = tuple[str, ...]


class Columns:
    """Columns of one kind of resource.

    Args:
        kind: Its struct.
        names: The columns; None: those that tell most.
        or_else: What to do about a column that is like none there is.

    Raises:
        UsageError: There is no such column.
    """

    def __init__(
        self, kind: type[msgspec.Struct], names: Sequence[str] | None = None, *, or_else: str = ""
    ) -> None:
        self.names: list[str] = _telling(kind) if names is None else list(names)
        self._paths = [_path(kind, name, or_else) for name in self.names]

    def values(self, row: object) -> list[object]:
        """What stands in the columns of a resource."""
        return [_value(row, path) for path in self._paths]

    def cells(self, row: object) -> list[str]:
        """The same as texts."""
        return [cell(value) for value in self.values(row)]

    def picked(self, row: object) -> dict[str, object]:
        """The same by the names of the columns."""
        return dict(zip(self.names, self.values(row), strict=True))


def every_column(kind: type[msgspec.Struct]) -> dict[str, object]:
    """The types of all columns, those of what a resource belongs to included."""
    columns: dict[str, object] = {}
    for one in msgspec.structs.fields(kind):
        inner = _struct(one.type)
        if inner is None:
            columns[one.name] = one.type
        else:
            fields = msgspec.structs.fields(inner)
            columns |= {f"{one.name}.{field.name}": field.type for field in fields}
    return columns


def cell(value: object) -> str:
    """What stands in a cell for a value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        items = cast("list[object]", value)
        if all(isinstance(item, str | int | float) for item in items):
            return ", ".join(map(cell, items))
    return msgspec.json.encode(value).decode()


def _telling(kind: type[msgspec.Struct]) -> list[str]:
    if own := _OWN.get(kind.__name__):
        return own
    names = [name for name in _TELLING if _has(kind, name)][:_MOST]
    for one in msgspec.structs.fields(kind):
        if len(names) >= _LEAST:
            break
        if one.name not in names and _struct(one.type) is None and get_origin(one.type) is not list:
            names.append(one.name)
    return names


def _has(kind: type[msgspec.Struct], name: str) -> bool:
    try:
        _path(kind, name)
    except UsageError:
        return False
    return True


def _path(kind: type[msgspec.Struct], name: str, or_else: str = "") -> Path:
    """The attributes that lead to a column."""
    path: list[str] = []
    inner: type[msgspec.Struct] | None = kind
    for part in name.split("."):
        if inner is None:
            where = ".".join(path)
            raise UsageError(f"--columns: {name!r}: nothing lies within {where}")
        found = _field(inner, part)
        if found is None:
            known = [one.name for one in msgspec.structs.fields(inner)]
            meant = did_you_mean(part, known) or or_else
            raise UsageError(f"--columns: {inner.__name__} has no {part!r}{meant}")
        path.append(found.name)
        inner = _struct(found.type)
    return tuple(path)


def _field(kind: type[msgspec.Struct], name: str) -> FieldInfo | None:
    """A field, by its name here or on the wire."""
    fields = msgspec.structs.fields(kind)
    return next((one for one in fields if name in (one.name, one.encode_name)), None)


def _struct(kind: object) -> type[msgspec.Struct] | None:
    """The struct that a field holds: itself, as an option, or in a list."""
    if isinstance(kind, UnionType):
        [kind] = [part for part in get_args(kind) if part is not NoneType][:1]
    if get_origin(kind) is list:
        return _struct(get_args(kind)[0])
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _value(row: object, path: Path) -> object:
    for place, name in enumerate(path):
        if isinstance(row, list):
            return [_value(item, path[place:]) for item in cast("list[object]", row)]
        if row is None:
            return None
        row = getattr(row, name)
    return row
