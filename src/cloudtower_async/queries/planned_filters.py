"""Matching of filters against placeholders. A placeholder is a resource that a plan creates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from collections.abc import Set as AbstractSet

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "_not_in": lambda value, given: value not in given,
    "_in": lambda value, given: value in given,
    "_not_contains": lambda value, given: given not in value,
    "_contains": lambda value, given: given in value,
    "_not_starts_with": lambda value, given: not value.startswith(given),
    "_starts_with": lambda value, given: value.startswith(given),
    "_not_ends_with": lambda value, given: not value.endswith(given),
    "_ends_with": lambda value, given: value.endswith(given),
    "_lte": lambda value, given: value <= given,
    "_lt": lambda value, given: value < given,
    "_gte": lambda value, given: value >= given,
    "_gt": lambda value, given: value > given,
    "_not": lambda value, given: value != given,
    "": lambda value, given: value == given,
}
"""Test for each condition suffix. ``_not_in`` comes before ``_in``, because ``_in`` is its
ending."""


def texts_in(value: object) -> Iterator[str]:
    """Yield every string in a value, including strings in nested lists and dicts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in cast("dict[object, object]", value).values():
            yield from texts_in(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in cast("Collection[object]", value):
            yield from texts_in(part)


def matches(where: object, fields: Mapping[str, object]) -> bool:
    """Return whether a filter matches a resource of which only some fields are known.

    If the known fields do not decide, return True only if the filter contains the id of the
    resource.
    """
    decided = _holds_all(where, fields)
    return fields["id"] in set(texts_in(where)) if decided is None else decided


def without_ids(where: object, ids: AbstractSet[str]) -> object:
    """Return a filter without placeholder ids, or None if no existing resource can match.

    Args:
        where: Filter; None matches everything.
        ids: Ids of placeholders. The server does not know these ids.
    """
    if where is None:
        return {}
    if ids.isdisjoint(texts_in(where)):
        return where
    kept: dict[str, object] = {}
    for key, value in cast("dict[str, object]", where).items():
        if key == "id" and value in ids:
            return None
        if key in ("id_in", "id_not_in"):
            rest = [one for one in cast("list[str]", value) if one not in ids]
            if key == "id_in" and not rest:
                return None
            kept[key] = rest
        elif key in ("AND", "OR"):
            parts = [without_ids(part, ids) for part in cast("list[object]", value)]
            known = [part for part in parts if part is not None]
            if not known or (key == "AND" and len(known) < len(parts)):
                return None
            kept[key] = known
        elif key != "id_not" or value not in ids:
            kept[key] = value
    return kept


def _holds_all(where: object, fields: Mapping[str, object]) -> bool | None:
    """Return whether a filter matches a resource with these fields, or None if unknown."""
    conditions = cast("dict[str, object]", where) if isinstance(where, dict) else {}
    return _all(_holds(key, value, fields) for key, value in conditions.items())


def _holds(key: str, value: object, fields: Mapping[str, object]) -> bool | None:
    if key in ("AND", "OR", "NOT"):
        parts = (_holds_all(part, fields) for part in cast("list[object]", value))
        if key == "AND":
            return _all(parts)
        none = _all(None if held is None else not held for held in parts)
        return none if key == "NOT" or none is None else not none
    if isinstance(value, dict) and (related := fields.get(f"{key}_id")) is not None:
        return _holds_all(cast("object", value), {"id": related})
    for suffix, test in _TESTS.items():
        name = key.removesuffix(suffix)
        if key.endswith(suffix) and name in fields:
            try:
                return test(fields[name], value)
            except (TypeError, AttributeError):
                return None
    return None


def _all(answers: Iterator[bool | None]) -> bool | None:
    unknown = False
    for answer in answers:
        if answer is False:
            return False
        unknown = unknown or answer is None
    return None if unknown else True
