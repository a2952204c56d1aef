"""What the body of an operation may hold, read off the generated TypedDicts, and its check."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import (
    Any,
    ForwardRef,
    Literal,
    Required,
    TypeAlias,
    cast,
    get_args,
    get_origin,
    is_typeddict,
)

from ... import inputs
from ...calls.registry import operation_at
from ..http_errors import QueryError
from .limits import check_limits

# The digit: a variant for type checkers only.
_WHERE = re.compile(r"(\w+?)Where(?:Unique)?Input\d?")

Body: TypeAlias = dict[str, Any]
"""What a request asks for, and any object inside of it."""

_SIMPLE: dict[object, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("a text", (str,)),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value may be.

    Args:
        expected: In words.
        types: The JSON types it may have; empty where anything goes.
        nullable: Whether it may be null.
        choices: Of a text: which ones; empty where any will do.
        item: Of a list: what its items may be.
        members: Of an object: what its members may be; None where anything goes.
        required: Of an object: the members that it must have.
        where: The resource that a filter is about.
    """

    expected: str
    types: tuple[type, ...] = ()
    nullable: bool = False
    choices: frozenset[str] = frozenset()
    item: Shape | None = None
    members: Mapping[str, Shape] | None = None
    required: frozenset[str] = frozenset()
    where: str | None = None

    def check(self, value: object, path: str) -> None:
        """Refuse what the schema does not allow. Filters are looked into when they are used.

        Raises:
            QueryError: The text names the place.
        """
        if value is None and self.nullable:
            return
        wrong = self.types and (
            not isinstance(value, self.types)
            or (isinstance(value, bool) and bool not in self.types)
        )
        if wrong or (self.choices and value not in self.choices):
            raise QueryError(f"{path}: expected {self.expected}, got {value!r:.60}")
        if self.item is not None:
            for place, item in enumerate(cast("list[object]", value)):
                self.item.check(item, f"{path}[{place}]")
        if self.members is not None:
            self._check_members(cast("dict[str, object]", value), self.members, path)

    def _check_members(
        self, value: dict[str, object], members: Mapping[str, Shape], path: str
    ) -> None:
        if missing := sorted(self.required - value.keys()):
            raise QueryError(f"{path}.{missing[0]}: required")
        for name, part in value.items():
            if name not in members:
                raise QueryError(f"{path}.{name}: there is no such key")
            members[name].check(part, f"{path}.{name}")
        check_limits(value, path)


@functools.cache
def body_of(path: str) -> Shape:
    """The body of the operation at a path (``"create-label"``)."""
    body = operation_at(f"/{path}").body
    return _shape(None if body is None else body())


@functools.cache
def _named(name: str) -> Shape:
    if found := _WHERE.fullmatch(name):
        return Shape("an object", (dict,), where=found[1])
    return _shape(getattr(inputs, name))


def _shape(annotation: object) -> Shape:
    origin = get_origin(annotation)
    if isinstance(annotation, ForwardRef | str):
        return _text(annotation if isinstance(annotation, str) else annotation.__forward_arg__)
    if annotation in _SIMPLE:
        return Shape(*_SIMPLE[annotation])
    if is_typeddict(annotation):
        typed = cast("Any", annotation)
        members = {name: _shape(part) for name, part in typed.__annotations__.items()}
        return Shape("an object", (dict,), members=members, required=typed.__required_keys__)
    if origin is Required:
        return _shape(get_args(annotation)[0])
    if origin in {list, Sequence}:
        return Shape("a list", (list,), item=_shape(get_args(annotation)[0]))
    if origin is Literal:
        return _choice(get_args(annotation))
    if origin is Mapping:
        return Shape("an object", (dict,))
    if get_args(annotation):
        return _union(annotation)
    return Shape("anything")


def _text(annotation: str) -> Shape:
    """An annotation in quotes: a name, a list of these, either of them or null."""
    inner = annotation.removesuffix(" | None")
    if inner.startswith("Sequence["):
        shape = Shape("a list", (list,), item=_text(inner[len("Sequence[") : -1]))
    else:
        shape = _named(inner)
    return replace(shape, nullable=inner != annotation)


def _union(annotation: object) -> Shape:
    parts = [part for part in get_args(annotation) if part is not type(None)]
    texts = [text for part in parts for text in get_args(part) if get_origin(part) is Literal]
    # Of the kinds of list that go in, one is enough: JSON has but one. An enum is a Literal first.
    shape = _choice(texts) if texts else _shape(parts[0])
    return replace(shape, nullable=type(None) in get_args(annotation))


def _choice(texts: Sequence[str]) -> Shape:
    return Shape(f"one of {', '.join(sorted(texts))}", (str,), choices=frozenset(texts))
