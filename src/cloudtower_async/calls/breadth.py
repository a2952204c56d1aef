"""Filters that match everything: no mutation leaves with one unless that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ..errors import EmptyFilter
from ..types import CODEC_ERRORS, Everything
from .operation import Kind
from .shapes import Record, Shape, arguments_of, member, place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .operation import Operation

R = TypeVar("R")

_LISTS = (list, tuple, set, frozenset)
_TEXT = ("_contains", "_starts_with", "_ends_with", "_gte")  # what each text does to an empty one
_NOT = ("_not_contains", "_not_starts_with", "_not_ends_with", "_not_in")


def is_guarded(operation: Operation[R]) -> bool:
    """Whether it matters that a filter of this call matches everything.

    That is where resources are changed, and where metrics are read: those of all resources keep a
    server busy for long.
    """
    return operation.kind is not Kind.QUERY or operation.name.startswith("metrics.")


def refuse_wide(operation: Operation[R], arguments: object) -> None:
    """Refuse arguments of such a call with a filter that matches everything.

    Raises:
        EmptyFilter: There is one.
    """
    if operation.kind is not Kind.QUERY:
        _walk(arguments_of(operation), arguments, operation.name, "")
    elif isinstance(arguments, dict):
        fields = cast("dict[str, object]", arguments)
        _require(arguments_of(operation).record, fields, operation.name, "")


def matches_all(where: object) -> bool:
    """Whether a filter may match everything, whatever there is.

    None may: what a server makes of a comparison with null depends on the field.
    """
    if isinstance(where, dict):
        conditions = cast("dict[str, object]", where)
        return all(_holds(key, value, everywhere=True) for key, value in conditions.items())
    return where is None or type(where) is Everything


def _matches_none(where: object) -> bool:
    """Whether a filter may match nothing, whatever there is."""
    if isinstance(where, dict):
        conditions = cast("dict[str, object]", where)
        return any(_holds(key, value, everywhere=False) for key, value in conditions.items())
    return where is None


def _holds(key: str, value: object, *, everywhere: bool) -> bool:
    """Whether a condition may hold of everything, or with `everywhere=False` of nothing."""
    if value is None:
        return True
    if key in ("AND", "OR", "NOT"):
        return _combination(key, value, everywhere=everywhere)
    if _is_object(value):  # a relation
        flipped = key.endswith("_none")
        return matches_all(value) if everywhere is not flipped else _matches_none(value)
    negated = key.endswith(_NOT)
    if isinstance(value, _LISTS):
        return not value and key.endswith("_in") and everywhere is negated
    if value != "":
        return False
    if key in ("id_gt", "id_not"):  # no id is empty
        return everywhere
    if key.endswith("_lt"):
        return not everywhere
    return key.endswith(_TEXT) and everywhere is not negated


def _is_object(value: object) -> bool:
    return isinstance(value, dict | Everything)


def _combination(key: str, value: object, *, everywhere: bool) -> bool:
    parts: list[object] = list(cast("Any", value)) if isinstance(value, _LISTS) else [value]
    if not parts:  # of nothing everything holds, to the server also in an OR
        return everywhere
    judge = matches_all if everywhere is (key != "NOT") else _matches_none
    return (all if (key == "OR") is not everywhere else any)(map(judge, parts))


def _walk(wanted: Shape, value: object, operation: str, path: str) -> None:
    """Look for filters where the types say that they stand."""
    if wanted.is_filter:
        _judge(wanted, value, operation, path)
    elif wanted.item is not None:
        if isinstance(value, _LISTS) and wanted.item.kind in (list, dict):
            for index, item in enumerate(cast("Iterable[object]", value)):
                _walk(wanted.item, item, operation, f"{path}[{index}]")
    elif wanted.record is not None and isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        _require(wanted.record, fields, operation, path)
        for key, field in fields.items():
            found = member(wanted.record, key)
            if found is not None and found.kind in (list, dict, str):
                _walk(found, field, operation, f"{path}.{key}")


def _require(record: Record, fields: dict[str, object], operation: str, path: str) -> None:
    """Judge the filters that must be there."""
    for key in record.__required_keys__:
        found = cast(Shape, member(record, key))
        if found.is_filter:
            _judge(found, fields.get(key), operation, f"{path}.{key}")


def _judge(wanted: Shape, where: object, operation: str, path: str) -> None:
    if type(where) is Everything:
        return
    if wanted.kind is str and isinstance(where, str):
        try:
            where = msgspec.json.decode(where) if where else None
        except CODEC_ERRORS:
            return
    if matches_all(where):
        raise EmptyFilter(
            f"{operation}: {place(path)}: this may match everything: it is missing, or empty, or "
            "all in it is None or empty; say which resources are meant, or pass EVERYTHING"
        )
