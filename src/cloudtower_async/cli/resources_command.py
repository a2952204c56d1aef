"""The command ``resources``: list what ``get`` can show."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import cast, get_args, get_origin

from ..calls import registry
from .columns import every_column
from .formats import format_table
from .resource_names import query_for, resource_names
from .streams import write_output

_TYPE_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    datetime: "time",
}


def resources(resource: str | None = None, /) -> None:
    """List the resources that get can show, or the columns of one. No server is asked.

    Args:
        resource: Show the columns of this resource: vm, content-library-images. Without it: list
            all resources.
    """
    if resource is None:
        write_output(format_table(["resource"], [[name] for name in resource_names()]))
        return
    [struct] = get_args(registry.operation(query_for(resource)).answer())
    rows = [[name, _type_name(kind)] for name, kind in every_column(struct).items()]
    write_output(format_table(["column", "holds"], rows))


def _type_name(kind: object) -> str:
    """Name the type of a column; list the values of an enumeration."""
    if isinstance(kind, UnionType):
        return " or ".join(_type_name(part) for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is list:
        return f"list of {_type_name(get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(str(member.value) for member in kind)
    return _TYPE_NAMES.get(cast("type", kind), "object")
