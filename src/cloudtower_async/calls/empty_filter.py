"""Detect filters that match too many resources. `validation` rejects such filters in mutations.

A filter that matches every resource is rejected, unless it is `EVERYTHING`. A filter is also
rejected if it compares None with a field that is never null, as in ``{"id": None}``. Such a None is
probably a mistake of the caller. If the server ignored the comparison, the rest of the filter would
match too many resources.
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
"""Filter keys whose values are lists of filters."""

LISTS = (list, tuple, set, frozenset)
"""Python types that are sent as JSON lists."""

# Conditions that every string meets if the compared value is an empty string.
_TEXT = ("_contains", "_starts_with", "_ends_with", "_gte")
_NOT = ("_not_contains", "_not_starts_with", "_not_ends_with", "_not_in")
_SUFFIX = re.compile(
    r"(_not)?(_in|_contains|_starts_with|_ends_with)?(_lte?|_gte?|_every|_some|_none)?$"
)


def is_guarded(operation: Operation[R]) -> bool:
    """Return whether a filter that matches everything is rejected for this operation.

    Such filters are rejected for mutations, uploads and metrics. Reading the metrics of all
    resources keeps a server busy for a long time.
    """
    return operation.kind is not Kind.QUERY or operation.name.startswith("metrics.")


def matches_all(where: object) -> bool:
    """Return whether a filter matches every possible resource, such as ``{"name_contains": ""}``.

    ``{"name": None}`` counts as such a filter, because the server may ignore the null.
    """
    if isinstance(where, dict):
        conditions = cast("dict[str, object]", where)
        return all(_holds(key, value, everywhere=True) for key, value in conditions.items())
    return where is None or type(where) is Everything


def _matches_none(where: object) -> bool:
    """Return whether a filter can never match a resource, such as ``{"id_in": []}``.

    ``{"name": None}`` counts as such a filter, too.
    """
    if isinstance(where, dict):
        conditions = cast("dict[str, object]", where)
        return any(_holds(key, value, everywhere=False) for key, value in conditions.items())
    return where is None


def _holds(key: object, value: object, *, everywhere: bool) -> bool:
    """Return whether the condition `key: value` is true for every possible resource.

    If `everywhere` is False, return whether the condition is false for every possible resource. A
    condition with the value None counts as both.
    """
    if value is None:
        return True
    if not isinstance(key, str):  # such a key has an unknown meaning
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
    if key in ("id_gt", "id_not"):  # ids are never empty
        return everywhere
    if key.endswith("_lt"):
        return not everywhere
    return key.endswith(_TEXT) and everywhere is not negated


def _is_object(value: object) -> bool:
    return isinstance(value, dict | Everything)


def _combination(key: str, value: object, *, everywhere: bool) -> bool:
    parts = _parts(value)
    if not parts:  # the server treats an empty list as true, even an empty OR
        return everywhere
    judge = matches_all if everywhere is (key != "NOT") else _matches_none
    return (all if (key == "OR") is not everywhere else any)(map(judge, parts))


def _parts(value: object) -> list[object]:
    """Return the value of AND, OR or NOT as a list. The value may be a list or a single filter."""
    return list(cast("Iterable[object]", value)) if isinstance(value, LISTS) else [value]


@functools.lru_cache(maxsize=1024)
def is_never_null(record: Record, key: str) -> bool:
    """Return whether a filter key, such as ``id_in``, refers to a field that is never null."""
    from .. import models  # load generated code only when it is needed

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
