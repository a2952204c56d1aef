"""Compile `where` filters to predicates, without access to the store.

The rules are those of Prisma 1 on PostgreSQL, with SQL's three-valued logic: a comparison with a
null field is neither true nor false, and NOT does not change this result. Therefore, each condition
is compiled for one of two answers: with `want=True`, the predicate means "certainly true"; with
`want=False`, "certainly false". A null satisfies neither predicate.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..http_errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Document: TypeAlias = dict[str, Any]
"""Resource in the store: every field by its API name, with relations as ids."""

Predicate: TypeAlias = "Callable[[Document], bool]"


@dataclass(frozen=True, slots=True)
class Condition:
    """Condition of one key of a filter.

    Args:
        field: Field that the condition checks.
        operator: ``""`` is equality; ``not_in``, ``lt``, …; for relations ``one``, ``every``,
            ``some``, ``none``.
        check: Function that returns the value to compare, or raises ValueError with the expected
            type.
        target: Target resource of a relation; None for plain fields.
    """

    field: str
    operator: str
    check: Callable[[object], object] | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Functions with which a filter looks up fields and documents.

    Args:
        shape: Function that returns the filter keys of a resource.
        table: Function that returns the documents of a resource by id.
    """

    shape: Callable[[str], Mapping[str, Condition]]
    table: Callable[[str], Mapping[str, Document]]


def compile_where(where: object, resource: str, sources: Sources, path: str = "where") -> Predicate:
    """Return the predicate of a filter.

    The predicate caches related documents, so compile the filter again after a change.

    Raises:
        BadRequestError: An unknown key or a value of the wrong type.
    """
    return _compile(where, resource, sources, path, want=True)


def pinned_ids(where: object) -> list[str] | None:
    """Return the ids that a filter is limited to, or None if it may match any document.

    The predicate still has to be applied: the ids only limit the search.
    """
    if not isinstance(where, dict):
        return None
    conditions = cast("dict[str, object]", where)
    one, several = conditions.get("id"), conditions.get("id_in")
    if isinstance(one, str):
        return [one]
    if isinstance(several, list):
        ids = (one for one in cast("list[object]", several) if isinstance(one, str))
        return list(dict.fromkeys(ids))
    return None


def _compile(where: object, resource: str, sources: Sources, path: str, *, want: bool) -> Predicate:
    if not isinstance(where, dict):
        raise BadRequestError(f"{path}: expected an object, got {_name(where)}")
    shape = sources.shape(resource)
    tests: list[Predicate] = []
    for key, value in cast("dict[str, object]", where).items():
        here = f"{path}.{key}"
        if key in {"AND", "OR", "NOT"}:
            if value is not None:
                tests.append(_combination(key, value, resource, sources, here, want=want))
            continue
        condition = shape.get(key)
        if condition is None:
            raise BadRequestError(f"{here}: {resource} has no such key{_hint(key, shape)}")
        if condition.target is None:
            tests.append(_comparison(condition, value, here, want=want))
        else:
            tests.append(_relation(condition, condition.target, value, sources, here, want=want))
    return _all(tests) if want else _any(tests)


def _combination(
    key: str, value: object, resource: str, sources: Sources, path: str, *, want: bool
) -> Predicate:
    if isinstance(value, dict):
        value = [cast("object", value)]  # GraphQL servers accept a single item instead of a list
    if not isinstance(value, list):
        raise BadRequestError(f"{path}: expected a list, got {_name(value)}")
    if not value:  # an empty list is always true, in Prisma 1 even for OR
        return _always if want else _never
    # NOT holds if all of its filters are false.
    inner = want if key != "NOT" else not want
    tests = [
        _compile(part, resource, sources, f"{path}[{place}]", want=inner)
        for place, part in enumerate(cast("list[object]", value))
    ]
    return _all(tests) if (key != "OR") == want else _any(tests)


def _comparison(condition: Condition, value: object, path: str, *, want: bool) -> Predicate:
    field, how = condition.field, condition.operator
    # Not, not_in, not_contains: the negation of the operator without "not".
    if how.startswith("not"):
        how, want = how[4:], not want
    if value is None:
        # Equality finds nulls; any other comparison with null is neither true nor false.
        if how not in {"", "in"}:
            return _never
        return (lambda doc: doc[field] is None) if want else (lambda doc: doc[field] is not None)
    if how == "in":
        return _membership(condition, value, path, want=want)
    expected = _checked(condition, value, path)
    if how == "" and want:
        return lambda doc: doc[field] == expected
    compare = _COMPARISONS[how]
    return lambda doc: (found := doc[field]) is not None and compare(found, expected) is want


def _membership(condition: Condition, value: object, path: str, *, want: bool) -> Predicate:
    if isinstance(value, dict):
        raise BadRequestError(f"{path}: expected a list, got {_name(cast('object', value))}")
    several = cast("list[object]", value) if isinstance(value, list) else [value]
    chosen = frozenset(
        _checked(condition, one, f"{path}[{place}]") for place, one in enumerate(several)
    )
    field = condition.field
    if not chosen:  # even a null is not in an empty list
        return _never if want else _always
    if want:
        return lambda doc: doc[field] in chosen
    return lambda doc: (found := doc[field]) is not None and found not in chosen


def _relation(
    condition: Condition, target: str, value: object, sources: Sources, path: str, *, want: bool
) -> Predicate:
    field, how = condition.field, condition.operator
    if value is None:
        if how != "one":
            raise BadRequestError(f"{path}: a relation to many cannot be compared with null")
        return lambda doc: (doc.get(field) is None) is want
    # `every` means that no document certainly fails to match; unknown results do not count.
    inner = _compile(value, target, sources, path, want=how != "every")
    test = _remembering(inner, sources.table(target))
    if how == "one":
        return lambda doc: ((one := doc.get(field)) is not None and test(one)) is want
    if how != "some":
        want = not want
    return lambda doc: any(map(test, doc.get(field) or ())) is want


def _remembering(test: Predicate, table: Mapping[str, Document]) -> Callable[[str], bool]:
    """Return a test by id that caches its results, because thousands of VMs share a host."""
    known: dict[str, bool] = {}

    def ask(identifier: str) -> bool:
        answer = known.get(identifier)
        if answer is None:
            document = table.get(identifier)
            answer = known[identifier] = document is not None and test(document)
        return answer

    return ask


def _all(tests: list[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]
    return (lambda doc: all(test(doc) for test in tests)) if tests else _always


def _any(tests: list[Predicate]) -> Predicate:
    if len(tests) == 1:
        return tests[0]
    return (lambda doc: any(test(doc) for test in tests)) if tests else _never


def _always(_: Document) -> bool:
    return True


def _never(_: Document) -> bool:
    return False


def _checked(condition: Condition, value: object, path: str) -> object:
    if condition.check is None:
        return value
    try:
        return condition.check(value)
    except ValueError as exc:
        raise BadRequestError(f"{path}: expected {exc}, got {_name(value)}") from None


def _name(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", bool: "a boolean", str: "a string"}
    return "null" if value is None else f"{names.get(type(value), 'a number')}: {value!r:.60}"


def _hint(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key, known, 3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "contains": operator.contains,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
}
