"""What an argument may hold, read off the generated TypedDicts, one key at a time.

A filter leads to filters of everything else: only what is asked for is read, and loaded.
"""

from __future__ import annotations

import functools
import keyword
import re
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

from ..types import FileContent

if TYPE_CHECKING:
    from .operation import Operation

Record: TypeAlias = Any
"""A TypedDict: what it has beside a class, `__required_keys__` and such, no type tells."""

_VARIANTS = ("WhereInput2", "WhereInput3")  # of filters, which only type checkers know
_SIMPLE = (str, int, float, bool, object)
_LISTS = (list, tuple, set, frozenset, Sequence)
# Filters that travel as JSON in a text, of which the schema says no more than that.
_AS_TEXT = {("CreateContentLibraryImageForm", "clusters"): "ClusterWhereInput"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be.

    Args:
        kind: The type of the value; of objects `dict`, of files `bytes`, `object`: anything.
        nullable: Whether it may be null.
        item: Of a list: what its items may be.
        record: Of an object: its TypedDict; None: any keys.
        choices: Of a text: the known values; empty: any.
    """

    kind: type
    nullable: bool = False
    item: Shape | None = None
    record: Record = None
    choices: frozenset[str] = frozenset()

    @property
    def is_filter(self) -> bool:
        """Whether it says which resources are meant; several, or one by its id."""
        return self.record is not None and self.record.__name__.endswith(
            ("WhereInput", "WhereUniqueInput")
        )


@functools.cache
def arguments_of(operation: Operation[Any]) -> Shape:
    """The shape of what an operation of the API takes."""
    return shape(operation.body()) if operation.body else Shape(object)


@functools.cache
def member(record: Record, key: str) -> Shape | None:
    """The shape of a key's value; None: there is no such key."""
    from ..inputs.older import OLDER  # nothing generated is loaded before it is needed

    if key in OLDER.get(record.__name__, ()):
        return Shape(object)
    annotation = record.__annotations__.get(key)
    if annotation is None:
        return None
    if name := _AS_TEXT.get((record.__name__, key)):
        return Shape(str, record=_named(name))
    return shape(annotation)


def key_since(record: Record, key: str) -> str | None:
    """Since which server a key is there, where the object it is in was there before it."""
    from ..inputs.newer import NEWER

    versions = NEWER.get(record.__name__, {})
    return next((since for since, keys in versions.items() if key in keys.split()), None)


def shape(annotation: object) -> Shape:
    """The shape that an annotation describes."""
    if isinstance(annotation, ForwardRef):
        return _quoted(annotation.__forward_arg__)
    if annotation == FileContent:
        return Shape(bytes)
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return Shape(annotation)
    if is_typeddict(annotation):
        return Shape(dict, record=annotation)
    parts = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Required:
        return shape(parts[0])
    if origin is Mapping:
        return Shape(dict)
    if origin is Literal:
        return Shape(str, choices=frozenset(parts))
    if origin in _LISTS:
        return Shape(list, item=shape(parts[0]))
    # A union: of the kinds of list that go in, one is enough, and an enum's texts say it all.
    return replace(shape(parts[0]), nullable=type(None) in parts)


def _quoted(text: str) -> Shape:
    """An annotation in quotes: a name, a list of these, either of them or null."""
    inner = text.removesuffix(" | None")
    if inner.startswith("Sequence["):
        return Shape(list, inner != text, item=_quoted(inner[len("Sequence[") : -1]))
    name = inner[:-1] if inner.endswith(_VARIANTS) else inner
    return replace(shape(_named(name)), nullable=inner != text)


def _named(name: str) -> Any:  # noqa: ANN401 - a TypedDict, or the literals of an enum
    from .. import inputs  # only now, as importing the session must load nothing generated

    return getattr(inputs, name)


def place(path: str) -> str:
    """Name a place (``".orderBy"``, ``"[2].name"``) as the caller wrote it."""
    if not path.startswith("."):
        return f"items{path}"
    first = path[1:].partition(".")[0].partition("[")[0]
    name = _HUMP.sub(r"_\1", first).lower()
    return (f"{name}_" if keyword.iskeyword(name) else name) + path[1 + len(first) :]


_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
