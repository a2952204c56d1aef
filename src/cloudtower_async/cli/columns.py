"""Columns of resources: names, types and values of the columns."""

from __future__ import annotations

from datetime import datetime
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args, get_origin

import msgspec

from .errors import UsageError
from .language import tr
from .similar_names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from msgspec.structs import FieldInfo

DEFAULT_COLUMNS = (
    *("id", "name", "username", "severity", "status", "type", "connect_state", "health_status"),
    *("version", "cluster.name", "host.name", "vm.name", "ip", "management_ip"),
    *("ips", "vlan_id", "vcpu", "memory", "size", "progress", "message", "description"),
)
"""Default columns of a resource, if the resource has them. The most useful columns come first."""

_SPECIAL_COLUMNS = {
    "Label": ["id", "key", "value"],
    "Orphan": ["kind", "name", "id", "cluster_name", "size", "unique_size", "created_at", "reason"],
    "RankedMetric": ["rank", "subject_name", "subject_id", "value", "unit"],
    "NicErrors": [
        *("host_name", "nic", "total", "receive_errors", "transmit_errors"),
        *("receive_dropped", "transmit_dropped"),
    ],
    "CapacityForecast": [
        *("cluster_name", "outlook", "days_until_full", "growth_per_day"),
        *("capacity", "used", "free"),
    ],
    "Expiration": ["kind", "resource", "name", "expires_at", "days_left", "problem"],
}
"""Default columns of the structs for which `DEFAULT_COLUMNS` is not suitable."""

_MAX_COLUMNS, _MIN_COLUMNS = 8, 4

TOWER = "tower"
"""Name of the column that holds the profile of the server, in lists of several servers."""

Path: TypeAlias = tuple[str, ...]
"""Attribute names that lead from a resource to a value: ``("cluster", "name")``."""


class Columns:
    """Columns of one kind of resource.

    Args:
        kind: Struct of the resource.
        names: Names of the columns. None means the default columns.
        or_else: End of the message about an unknown column, if no known column has a similar name.

    Raises:
        UsageError: A column is unknown.
    """

    def __init__(
        self, kind: type[msgspec.Struct], names: Sequence[str] | None = None, *, or_else: str = ""
    ) -> None:
        self.names: list[str] = default_columns(kind) if names is None else list(names)
        self.paths: list[Path] = [field_path(kind, name, or_else) for name in self.names]

    def values(self, row: object) -> list[object]:
        """Return the values of the resource `row`, one for each column."""
        return [value_at(row, path) for path in self.paths]

    def cells(self, row: object) -> list[str]:
        """Return the values of the resource `row` as texts, one for each column."""
        return [cell(value) for value in self.values(row)]

    def picked(self, row: object) -> dict[str, object]:
        """Return the values of the resource `row` as a dict by column name."""
        return dict(zip(self.names, self.values(row), strict=True))


def every_column(kind: type[msgspec.Struct]) -> dict[str, object]:
    """Return a dict from the names to the types of all columns.

    The columns include the fields of related resources: ``cluster.name``.
    """
    columns: dict[str, object] = {}
    for one in msgspec.structs.fields(kind):
        inner = struct_in(one.type)
        if inner is None:
            columns[one.name] = one.type
        else:
            fields = msgspec.structs.fields(inner)
            columns |= {f"{one.name}.{field.name}": field.type for field in fields}
    return columns


def cell(value: object) -> str:
    """Return the text of a table cell for a value."""
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


def default_columns(kind: type[msgspec.Struct]) -> list[str]:
    """Return the names of the columns that CSV output has by default."""
    if has_column(kind, TOWER):
        return [TOWER, *default_columns(without_tower(kind))]
    if own := _SPECIAL_COLUMNS.get(kind.__name__):
        return own
    names = [name for name in DEFAULT_COLUMNS if has_column(kind, name)][:_MAX_COLUMNS]
    for one in msgspec.structs.fields(kind):
        if len(names) >= _MIN_COLUMNS:
            break
        if (
            one.name not in names
            and struct_in(one.type) is None
            and get_origin(one.type) is not list
        ):
            names.append(one.name)
    return names


def has_column(kind: type[msgspec.Struct], name: str) -> bool:
    """Return whether the struct `kind` has a column with this name."""
    try:
        field_path(kind, name)
    except UsageError:
        return False
    return True


def field_path(kind: type[msgspec.Struct], name: str, or_else: str = "") -> Path:
    """Return the path of attribute names from a resource to the value of a column.

    Raises:
        UsageError: The column is unknown. If no known column has a similar name, the message
            ends with the text `or_else`.
    """
    path: list[str] = []
    inner: type[msgspec.Struct] | None = kind
    for part in name.split("."):
        if inner is None:
            where = ".".join(path)
            raise UsageError(
                tr("--columns: {name!r}: {where} has no fields", name=name, where=where)
            )
        found = find_field(inner, part)
        if found is None:
            known = [one.name for one in msgspec.structs.fields(inner)]
            meant = did_you_mean(part, known) or or_else
            raise UsageError(
                tr(
                    "--columns: {name} has no {part!r}{meant}",
                    name=inner.__name__,
                    part=part,
                    meant=meant,
                )
            )
        path.append(found.name)
        inner = struct_in(found.type)
    return tuple(path)


def is_number(kind: type[msgspec.Struct], path: Path) -> bool:
    """Return whether the field at the end of a path holds a number."""
    *outer, name = path
    inner: type[msgspec.Struct] | None = kind
    for part in outer:
        found = None if inner is None else find_field(inner, part)
        inner = None if found is None else struct_in(found.type)
    last = None if inner is None else find_field(inner, name)
    return last is not None and {int, float} & {last.type, *get_args(last.type)} != set()


def find_field(kind: type[msgspec.Struct], name: str) -> FieldInfo | None:
    """Return the field with this Python name or API name, or None if no field has the name."""
    fields = msgspec.structs.fields(kind)
    return next((one for one in fields if name in (one.name, one.encode_name)), None)


def struct_in(kind: object) -> type[msgspec.Struct] | None:
    """Return the struct ``X`` of a type ``X``, ``X | None`` or ``list[X]``.

    Return None if ``X`` is not a struct.
    """
    if isinstance(kind, UnionType):
        [kind] = [part for part in get_args(kind) if part is not NoneType][:1]
    if get_origin(kind) is list:
        return struct_in(get_args(kind)[0])
    return kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def with_tower(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a copy of the struct with the field `TOWER` before all other fields."""
    return _defined(kind, [(TOWER, str), *_definitions(kind)])


def without_tower(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a copy of the struct without the field `TOWER`, which servers do not send."""
    return _defined(kind, [one for one in _definitions(kind) if one[0] != TOWER])


def _definitions(kind: type[msgspec.Struct]) -> list[Any]:
    return [
        (one.name, one.type, msgspec.field(default=one.default, name=one.encode_name))
        for one in msgspec.structs.fields(kind)
    ]


def _defined(kind: type[msgspec.Struct], fields: list[Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct(kind.__name__, fields, kw_only=True, frozen=True, gc=False)


def narrowed(kind: type[msgspec.Struct], paths: Sequence[Path]) -> type[msgspec.Struct]:
    """Return a struct type like `kind`, with only the fields that these paths contain."""
    rests: dict[str, list[Path]] = {}
    for name, *rest in paths:
        rests.setdefault(name, []).append(tuple(rest))
    return msgspec.defstruct(
        kind.__name__,
        [
            (
                one.name,
                one.type if () in rests[one.name] else _narrowed_type(one.type, rests[one.name]),
                msgspec.field(default=one.default, name=one.encode_name),
            )
            for one in msgspec.structs.fields(kind)
            if one.name in rests
        ],
        kw_only=True,
        frozen=True,
        gc=False,
    )


def _narrowed_type(kind: Any, paths: Sequence[Path]) -> Any:  # noqa: ANN401 - a type of any form
    """Return the field type `kind` with its struct ``X`` replaced by ``narrowed(X, paths)``.

    `kind` is ``X``, ``X | None`` or ``list[X]``.
    """
    if isinstance(kind, UnionType):
        [inner] = [part for part in get_args(kind) if part is not NoneType]
        return _narrowed_type(inner, paths) | None
    if get_origin(kind) is list:
        return list[_narrowed_type(get_args(kind)[0], paths)]  # type: ignore[misc]
    return narrowed(kind, paths)


def value_at(row: object, path: Path) -> object:
    """Return the value at the end of a path of attribute names, starting from `row`.

    If a value on the path is None, return None. If a value on the path is a list, return a list
    with the result for each item.
    """
    for place, name in enumerate(path):
        if isinstance(row, list):
            return [value_at(item, path[place:]) for item in cast("list[object]", row)]
        if row is None:
            return None
        row = getattr(row, name)
    return row
