"""Filters that match more than was meant: what `validation` rejects in mutations.

A filter that matches every resource is rejected, unless that is said explicitly, and so is one that
compares a field that is never null with None: there a value was lost, and the rest of the filter
would match too much.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ..types import Everything
from .arg_types import Record, member
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
    """Return whether a filter of this call must not match everything.

    That holds where resources are changed, and where metrics are read: the metrics of all resources
    keep a server busy for long.
    """
    return operation.kind is not Kind.QUERY or operation.name.startswith("metrics.")


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


@functools.lru_cache(maxsize=1024)
def is_never_null(record: Record, key: str) -> bool:
    """Return whether every server sends the field that a condition is about, and never null."""
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
