"""Reject mutations whose filter matches more than was meant, unless that is said explicitly.

A filter that matches every resource is rejected, and so is one that compares a field that is never
null with None: there a value was lost, and the rest of the filter would match too much.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ..errors import EmptyFilter, InvalidInput
from ..types import CODEC_ERRORS, Everything
from .arg_types import ArgType, Record, arguments_of, member, place
from .operation import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .operation import Operation

R = TypeVar("R")

COMBINATIONS = ("AND", "OR", "NOT")
"""Keys of a filter that take a list of filters."""

LISTS = (list, tuple, set, frozenset)
"""Types that are sent as lists."""

_TEXT = ("_contains", "_starts_with", "_ends_with", "_gte")  # what each text does to an empty one
_NOT = ("_not_contains", "_not_starts_with", "_not_ends_with", "_not_in")
_SUFFIX = re.compile(
    r"(_not)?(_in|_contains|_starts_with|_ends_with)?(_lte?|_gte?|_every|_some|_none)?$"
)


def is_guarded(operation: Operation[R]) -> bool:
    """Whether it matters that a filter of this call matches everything.

    That is where resources are changed, and where metrics are read: those of all resources keep a
    server busy for long.
    """
    return operation.kind is not Kind.QUERY or operation.name.startswith("metrics.")


def refuse_wide(operation: Operation[R], arguments: object) -> None:
    """Refuse arguments of such a call with a filter that matches more than was meant.

    Raises:
        EmptyFilter: A filter may match everything.
        InvalidInput: A field that is never null is compared with None.
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


def _holds(key: object, value: object, *, everywhere: bool) -> bool:
    """Whether a condition may hold of everything, or with `everywhere=False` of nothing."""
    if value is None:
        return True
    if not isinstance(key, str):  # no field: nothing is known of what it does
        return False
    if key in COMBINATIONS:
        return _combination(key, value, everywhere=everywhere)
    if _is_object(value):  # a relation
        flipped = key.endswith("_none")
        return matches_all(value) if everywhere is not flipped else _matches_none(value)
    negated = key.endswith(_NOT)
    if isinstance(value, LISTS):
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
    parts = _parts(value)
    if not parts:  # of nothing everything holds, to the server also in an OR
        return everywhere
    judge = matches_all if everywhere is (key != "NOT") else _matches_none
    return (all if (key == "OR") is not everywhere else any)(map(judge, parts))


def _parts(value: object) -> list[object]:
    """Return the filters in a combination; a single one may stand without a list."""
    return list(cast("Iterable[object]", value)) if isinstance(value, LISTS) else [value]


def _walk(wanted: ArgType, value: object, operation: str, path: str) -> None:
    """Look for filters where the types say that they stand."""
    if wanted.is_filter:
        _judge(wanted, value, operation, path)
    elif wanted.item is not None:
        if isinstance(value, LISTS) and wanted.item.kind in (list, dict):
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
        found = cast(ArgType, member(record, key))
        if found.is_filter:
            _judge(found, fields.get(key), operation, f"{path}.{key}")


def refuse_lost_values(asker: str, record: Record, where: object, path: str) -> None:
    """Refuse a filter that compares a field that is never null with None.

    Args:
        asker: Method that the filter is an argument of, for the error.
        record: TypedDict of the filter.
        where: The filter.
        path: Place of the filter in the arguments.

    Raises:
        InvalidInput: It compares such a field with None; the message names the place.
    """
    for key, value in cast("dict[str, object]", where).items() if isinstance(where, dict) else ():
        here = f"{path}.{key}"
        if value is None:
            if _is_never_null(record, key):
                raise InvalidInput(
                    f"{asker}: {place(here)}: got None, but the field is never null, so its value "
                    "was probably lost; give it a value, or leave the key out"
                )
        elif key in COMBINATIONS:
            for index, part in enumerate(_parts(value)):
                refuse_lost_values(asker, record, part, f"{here}[{index}]")
        elif isinstance(value, dict):
            found = member(record, key)
            if found is not None and found.record is not None:
                refuse_lost_values(asker, found.record, cast("object", value), here)


@functools.lru_cache(maxsize=1024)
def _is_never_null(record: Record, key: str) -> bool:
    """Whether every server sends the field that a condition is about, and never as null."""
    from .. import models  # only now, as importing the session must load nothing generated

    name = record.__name__.removesuffix("WhereInput").removesuffix("WhereUniqueInput")
    model: Any = getattr(models, name, None)
    never_null = {"id"}
    if model is not None:
        never_null |= {
            field.encode_name for field in msgspec.structs.fields(model) if field.required
        }
    return member(record, key) is not None and not never_null.isdisjoint(
        (key, _SUFFIX.sub("", key))
    )


def _judge(wanted: ArgType, where: object, operation: str, path: str) -> None:
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
    refuse_lost_values(operation, wanted.record, where, path)
