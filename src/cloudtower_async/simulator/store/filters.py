"""Compile `where` filters to predicates, without access to the store.

Filters follow the rules of Prisma 1 on PostgreSQL, with the three-valued logic of SQL. A comparison
with a null field is unknown: it is not true and not false. The negation of unknown is also unknown.
Therefore, each condition is compiled with an argument `want`. With ``want=True``, the predicate
tests whether the condition is true. With ``want=False``, the predicate tests whether the condition
is false. If the condition is unknown, both predicates return False.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ...spelling import did_you_mean
from ..http_errors import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Document: TypeAlias = dict[str, Any]
"""Resource in the store: values by the API names of the fields. Relations contain ids."""

Predicate: TypeAlias = "Callable[[Document], bool]"


@dataclass(frozen=True, slots=True)
class Condition:
    """Meaning of one key of a filter.

    Args:
        field: Field that the key compares.
        operator: Operator of the key: ``""`` for equality, ``not_in``, ``lt`` and so on. For
            relations, the operator is ``one``, ``every``, ``some`` or ``none``.
        check: Function that converts the value in the filter to the value to compare. For an
            invalid value, the function raises ValueError with the expected type as the message.
        target: Target resource type of a relation, or None for plain fields.
    """

    field: str
    operator: str
    check: Callable[[object], object] | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Functions that the compiler of filters calls to look up conditions and documents.

    Args:
        shape: Function that takes a resource type, and returns the conditions of its filters by
            key. For example, the key ``name_in`` is a condition on the field ``name``.
        table: Function that returns the documents of a resource type by id.
    """

    shape: Callable[[str], Mapping[str, Condition]]
    table: Callable[[str], Mapping[str, Document]]


def compile_where(where: object, resource: str, sources: Sources, path: str = "where") -> Predicate:
    """Return a predicate that tests whether a document matches a filter.

    The predicate caches results for related documents. Compile the filter again after documents
    have changed.

    Raises:
        BadRequestError: The filter contains an unknown key or a value of the wrong type.
    """
    return _compile(where, resource, sources, path, want=True)


def pinned_ids(where: object) -> list[str] | None:
    """Return the ids in the key ``id`` or ``id_in`` of a filter, or None without such a key.

    Only documents with these ids can match. The caller must still test the rest of the filter.
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
            raise BadRequestError(f"{here}: {resource} has no such key{did_you_mean(key, shape)}")
        if condition.target is None:
            tests.append(_comparison(condition, value, here, want=want))
        else:
            tests.append(_relation(condition, condition.target, value, sources, here, want=want))
    return _all(tests) if want else _any(tests)


def _combination(
    key: str, value: object, resource: str, sources: Sources, path: str, *, want: bool
) -> Predicate:
    if isinstance(value, dict):
        value = [cast("object", value)]  # GraphQL servers accept one object in place of a list
    if not isinstance(value, list):
        raise BadRequestError(f"{path}: expected a list, got {_name(value)}")
    if not value:  # in Prisma 1, AND, OR and NOT with an empty list are always true
        return _always if want else _never
    # NOT is true if all of its filters are false.
    inner = want if key != "NOT" else not want
    tests = [
        _compile(part, resource, sources, f"{path}[{place}]", want=inner)
        for place, part in enumerate(cast("list[object]", value))
    ]
    return _all(tests) if (key != "OR") == want else _any(tests)


def _comparison(condition: Condition, value: object, path: str, *, want: bool) -> Predicate:
    field, how = condition.field, condition.operator
    # `not`, `not_in` and `not_contains` are negations of the operators without "not".
    if how.startswith("not"):
        how, want = how[4:], not want
    if value is None:
        # A filter for equality with null matches null fields. Other comparisons are unknown.
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
    if not chosen:  # an empty list contains no value, not even null
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
    # `every` is true if the filter is false for no related document. Unknown results are ignored.
    inner = _compile(value, target, sources, path, want=how != "every")
    test = _remembering(inner, sources.table(target))
    if how == "one":
        return lambda doc: ((one := doc.get(field)) is not None and test(one)) is want
    if how != "some":
        want = not want
    return lambda doc: any(map(test, doc.get(field) or ())) is want


def _remembering(test: Predicate, table: Mapping[str, Document]) -> Callable[[str], bool]:
    """Return a function that takes an id and tests the document with this id.

    The function caches its results, because thousands of VMs can refer to the same host.
    """
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
