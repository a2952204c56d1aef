"""Types of arguments, read from the generated TypedDicts one key at a time.

A filter refers to the filters of most other types, so types are only loaded when they are needed.
The simulator checks request bodies with the same types.
"""

from __future__ import annotations

import functools
import keyword
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import (
    TYPE_CHECKING,
    Any,
    ForwardRef,
    Literal,
    Required,
    TypeAlias,
    get_args,
    get_origin,
    is_typeddict,
)

from ..date_fields import DATE_FIELDS

if TYPE_CHECKING:
    from .operation import Operation

Record: TypeAlias = Any
"""A TypedDict class: no static type describes attributes such as `__required_keys__`."""

_FILTER = re.compile(r"(\w+?)Where(?:Unique)?Input")
_SIMPLE = (str, int, float, bool, bytes)
_LISTS = (list, Sequence)
# Filters that are sent as JSON in a string. The API schema declares them as strings.
_AS_TEXT = {("CreateContentLibraryImageForm", "clusters"): "ClusterWhereInput"}
_COMPARISON = re.compile(r"_(not_in|not|in|lte?|gte?)$")


@dataclass(frozen=True, slots=True)
class ArgType:
    """Type of a value in the arguments of an operation.

    Args:
        kind: Type of the value; `dict` for objects, `bytes` for files, `object` for anything.
        nullable: Whether the value may be null.
        item: Type of the items of a list.
        record: TypedDict of an object; None if it may have any keys.
        choices: Known values of a string; empty if any is allowed.
        is_date: Whether the value, or each item of it, is a string with a date.
    """

    kind: type
    nullable: bool = False
    item: ArgType | None = None
    record: Record = None
    choices: frozenset[str] = frozenset()
    is_date: bool = False

    @property
    def is_free(self) -> bool:
        """Whether the value may be any JSON, or an object with any keys."""
        return self.kind is object or (self.kind is dict and self.record is None)

    @property
    def is_filter(self) -> bool:
        """Whether the value selects resources, or a single resource by its id."""
        return self.record is not None and self.record.__name__.endswith(
            ("WhereInput", "WhereUniqueInput")
        )

    @property
    def filtered_resource(self) -> str | None:
        """Type of the resources that the value selects, or None if the value is not a filter."""
        found = None if self.record is None else _FILTER.fullmatch(self.record.__name__)
        return None if found is None else found[1]


@functools.cache
def arguments_of(operation: Operation[Any]) -> ArgType:
    """Return the type of the arguments of an operation."""
    return arg_type(operation.body()) if operation.body else ArgType(object)


@functools.cache
def member(record: Record, key: str) -> ArgType | None:
    """Return the type of a key's value, or None if the key does not exist.

    Any value is accepted for a key that only older servers have, or whose type differs on older
    servers.
    """
    from ..inputs.older import OLDER  # nothing generated is loaded before it is needed

    if key in OLDER.get(record.__name__, ()):
        return ArgType(object)
    return newest_member(record, key)


@functools.cache
def newest_member(record: Record, key: str) -> ArgType | None:
    """Return the newest schema's type of a key's value, or None if the schema lacks the key."""
    annotation = record.__annotations__.get(key)
    if annotation is None:
        return None
    if name := _AS_TEXT.get((record.__name__, key)):
        from .. import inputs  # nothing generated is loaded before it is needed

        return ArgType(str, record=getattr(inputs, name))
    found = arg_type(annotation, vars(sys.modules[record.__module__]))
    if record.__name__.endswith("WhereInput"):
        # Every key of a filter may be null, although annotations of nested filters do not say so.
        found = replace(found, nullable=True)
    return _as_date(found) if _is_date(record, key) else found


def _is_date(record: Record, key: str) -> bool:
    fields = DATE_FIELDS.get(record.__name__)
    return fields is not None and _COMPARISON.sub("", key) in fields.split()


def _as_date(found: ArgType) -> ArgType:
    return replace(found, is_date=True, item=found.item and _as_date(found.item))


@functools.cache
def keys_of_answers(record: Record) -> Mapping[str, str]:
    """Return the filter keys whose struct attribute has another name, by the name of the attribute.

    For example, ``entity_async_status`` maps to ``entityAsyncStatus``.
    """
    keys: dict[str, str] = {}
    if ArgType(dict, record=record).is_filter:
        keys = {snake_case(key): key for key in record.__annotations__ if not key.isupper()}
    return {name: key for name, key in keys.items() if name not in record.__annotations__}


def key_since(record: Record, key: str) -> str | None:
    """Return the first server version with a key, or None if the TypedDict always had it."""
    from ..inputs.newer import NEWER

    versions = NEWER.get(record.__name__, {})
    return next((since for since, keys in versions.items() if key in keys.split()), None)


def arg_type(annotation: object, names: dict[str, Any] | None = None) -> ArgType:
    """Return the type that an annotation of a TypedDict describes.

    `names` is the namespace of the annotation's module. Pass None if the annotation contains no
    strings.
    """
    if isinstance(annotation, ForwardRef):
        # Safe to evaluate: the string is generated code that an import would evaluate, too.
        annotation = eval(annotation.__forward_arg__, names or {})  # noqa: S307
    if annotation is Any:
        return ArgType(object)
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return ArgType(annotation)
    if is_typeddict(annotation):
        return ArgType(dict, record=annotation)
    parts = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Required:
        return arg_type(parts[0], names)
    if origin is Mapping:
        return ArgType(dict)
    if origin is Literal:
        return ArgType(str, choices=frozenset(parts))
    if origin in _LISTS:
        return ArgType(list, item=arg_type(parts[0], names))
    # The only remaining case is a union with None.
    return replace(arg_type(parts[0], names), nullable=type(None) in parts)


def place(path: str) -> str:
    """Format a place in the arguments, such as ``"[2].orderBy"``, as the caller wrote the place."""
    if not path.startswith("."):
        return f"items{path}"
    first = path[1:].partition(".")[0].partition("[")[0]
    name = snake_case(first)
    return (f"{name}_" if keyword.iskeyword(name) else name) + path[1 + len(first) :]


def snake_case(name: str) -> str:
    """Convert a name of the API to snake_case."""
    return _HUMP.sub(r"_\1", name).lower()


_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
