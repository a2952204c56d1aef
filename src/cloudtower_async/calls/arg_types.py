"""Types of arguments, read from the generated TypedDicts one key at a time.

The type of a key is loaded when a call first uses the key. Filters refer to each other, so loading
all keys of one filter would load most other filters, too. The simulator checks request bodies with
the same types.
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
"""A TypedDict class. The alias is `Any`, because no static type has attributes such as
`__required_keys__`."""

_FILTER = re.compile(r"(\w+?)Where(?:Unique)?Input")
_SIMPLE = (str, int, float, bool, bytes)
_LISTS = (list, Sequence)
# Filters that are sent as strings of JSON. The API schema declares these filters as strings.
_AS_TEXT = {("CreateContentLibraryImageForm", "clusters"): "ClusterWhereInput"}
_COMPARISON = re.compile(r"_(not_in|not|in|lte?|gte?)$")


@dataclass(frozen=True, slots=True)
class ArgType:
    """Type of a value in the arguments of an operation.

    Args:
        kind: Python type of the value: `dict` for a JSON object, `bytes` for a file, `object` for
            any value.
        nullable: Whether the value may be null.
        item: Type of the items of a list.
        record: TypedDict that describes the keys of a JSON object. None if any key is allowed.
        choices: Known values of a string. Empty if any string is allowed.
        is_date: Whether the value is a date in a string, or a list of such dates.
    """

    kind: type
    nullable: bool = False
    item: ArgType | None = None
    record: Record = None
    choices: frozenset[str] = frozenset()
    is_date: bool = False

    @property
    def is_free(self) -> bool:
        """Whether all JSON values are valid, or at least all JSON objects."""
        return self.kind is object or (self.kind is dict and self.record is None)

    @property
    def is_filter(self) -> bool:
        """Whether the value is a filter of one or more resources."""
        return self.record is not None and self.record.__name__.endswith(
            ("WhereInput", "WhereUniqueInput")
        )

    @property
    def filtered_resource(self) -> str | None:
        """Resource type that the filter selects, or None if the value is not a filter."""
        found = None if self.record is None else _FILTER.fullmatch(self.record.__name__)
        return None if found is None else found[1]


@functools.cache
def arguments_of(operation: Operation[Any]) -> ArgType:
    """Return the type of the arguments of an operation."""
    return arg_type(operation.body()) if operation.body else ArgType(object)


@functools.cache
def member(record: Record, key: str) -> ArgType | None:
    """Return the type of a key's value, or None if the key does not exist.

    If a newer server version has removed or changed the key, the returned type accepts any value.
    """
    from ..inputs.older import OLDER  # load generated code only when it is needed

    if key in OLDER.get(record.__name__, ()):
        return ArgType(object)
    return newest_member(record, key)


@functools.cache
def newest_member(record: Record, key: str) -> ArgType | None:
    """Return the type of a key's value in the newest schema, or None if the key is not in it."""
    annotation = record.__annotations__.get(key)
    if annotation is None:
        return None
    if name := _AS_TEXT.get((record.__name__, key)):
        from .. import inputs  # load generated code only when it is needed

        return ArgType(str, record=getattr(inputs, name))
    found = arg_type(annotation, vars(sys.modules[record.__module__]))
    if record.__name__.endswith("WhereInput"):
        # Every key of a filter may be null, although the annotations of nested filters omit None.
        found = replace(found, nullable=True)
    return _as_date(found) if _is_date(record, key) else found


def _is_date(record: Record, key: str) -> bool:
    fields = DATE_FIELDS.get(record.__name__)
    return fields is not None and _COMPARISON.sub("", key) in fields.split()


def _as_date(found: ArgType) -> ArgType:
    return replace(found, is_date=True, item=found.item and _as_date(found.item))


@functools.cache
def keys_of_answers(record: Record) -> Mapping[str, str]:
    """Return the keys of a filter that are not in snake_case, by their names in snake_case.

    For example, the dict maps ``entity_async_status`` to ``entityAsyncStatus``. The dict is empty
    if `record` is not a filter.
    """
    keys: dict[str, str] = {}
    if ArgType(dict, record=record).is_filter:
        keys = {snake_case(key): key for key in record.__annotations__ if not key.isupper()}
    return {name: key for name, key in keys.items() if name not in record.__annotations__}


def key_since(record: Record, key: str) -> str | None:
    """Return the first server version that knows a key, or None if every version knows the key."""
    from ..inputs.newer import NEWER

    versions = NEWER.get(record.__name__, {})
    return next((since for since, keys in versions.items() if key in keys.split()), None)


def arg_type(annotation: object, names: dict[str, Any] | None = None) -> ArgType:
    """Return the type that an annotation of a TypedDict describes.

    `names` is the namespace of the module that has the annotation. Pass None if the annotation
    contains no forward references.
    """
    if isinstance(annotation, ForwardRef):
        # The evaluation is safe, because the string is generated code of this package.
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
    """Format a place in the arguments in the caller's spelling.

    For example, ``".orderBy"`` becomes ``"order_by"``, and ``"[2].orderBy"`` becomes
    ``"items[2].orderBy"``.
    """
    if not path.startswith("."):
        return f"items{path}"
    first = path[1:].partition(".")[0].partition("[")[0]
    name = snake_case(first)
    return (f"{name}_" if keyword.iskeyword(name) else name) + path[1 + len(first) :]


def snake_case(name: str) -> str:
    """Convert a name of the API to snake_case."""
    return _HUMP.sub(r"_\1", name).lower()


_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
