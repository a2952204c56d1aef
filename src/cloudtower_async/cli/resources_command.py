"""The command ``resources``: what ``get`` can show."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import cast, get_args, get_origin

from ..calls import registry
from .columns import every_column
from .outputs import table, write
from .resource_names import query_for, resource_names

_NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    datetime: "time",
}


def resources(resource: str | None = None, /) -> None:
    """List the resources that get can show, or the columns of one. No server is asked.

    Args:
        resource: Which one's columns: vm, content-library-images. Without it: all resources.
    """
    if resource is None:
        write(table(["resource"], [[name] for name in resource_names()]))
        return
    [kind] = get_args(registry.operation(query_for(resource)).answer())
    columns = every_column(kind)
    write(table(["column", "holds"], [[name, _said(held)] for name, held in columns.items()]))


def _said(kind: object) -> str:
    """What a column holds: of an enumeration the values that it may be."""
    if isinstance(kind, UnionType):
        return " or ".join(_said(part) for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is list:
        return f"list of {_said(get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(str(one.value) for one in kind)
    return _NAMES.get(cast("type", kind), "object")
