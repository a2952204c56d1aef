"""Readable names of the types of fields and arguments."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, cast, get_args, get_origin

from .language import mark, tr

if TYPE_CHECKING:
    from ..calls.arg_types import ArgType

_TYPE_NAMES = {
    str: mark("text"),
    int: mark("whole number"),
    float: mark("number"),
    bool: mark("true or false"),
    datetime: mark("time"),
    bytes: mark("file"),
    dict: mark("object"),
    object: mark("anything"),
}


def struct_type_name(kind: object) -> str:
    """Return a readable name for the type of a struct field: ``list of text``.

    For an enumeration, return its values.
    """
    if isinstance(kind, UnionType):
        return tr(" or ").join(
            struct_type_name(part) for part in get_args(kind) if part is not NoneType
        )
    if get_origin(kind) is list:
        return tr("list of {kind}", kind=struct_type_name(get_args(kind)[0]))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(str(member.value) for member in kind)
    return tr(_TYPE_NAMES.get(cast("type", kind), "object"))


def argument_type_name(found: ArgType) -> str:
    """Return a readable name for the type of an argument: ``list of text``.

    For an enumeration, return its values.
    """
    if found.is_filter:
        return tr("filter of {resource}", resource=found.filtered_resource)
    if found.item is not None:
        return tr("list of {kind}", kind=argument_type_name(found.item))
    if found.is_date:
        return tr("time")
    return ", ".join(sorted(found.choices)) or tr(_TYPE_NAMES.get(found.kind, "object"))
