"""A second, slow implementation of filters.

The value of a condition is True, False or None. None stands for the value "unknown" of SQL.
"""

# ruff: noqa: ANN401 - a where is made of anything

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cloudtower_async.simulator.store.filters import Document


@dataclass(frozen=True, slots=True)
class Reference:
    """Evaluates documents one by one, interpreting each key of the filter as a string.

    Args:
        fields: Names of a resource's plain fields.
        relations: A resource's relations by name: their targets, and whether they are to-many.
        table: Documents of a resource by id.
    """

    fields: Callable[[str], Iterable[str]]
    relations: Callable[[str], Mapping[str, tuple[str, bool]]]
    table: Callable[[str], Mapping[str, Document]]

    def judge(self, where: Mapping[str, Any], document: Document, resource: str) -> bool | None:
        """Return whether a document matches a filter."""
        return conjunction(
            [self._key(key, value, document, resource) for key, value in where.items()]
        )

    def matching(self, where: Mapping[str, Any], resource: str) -> list[str]:
        """Return the sorted ids of the documents that certainly match a filter."""
        table = self.table(resource)
        return sorted(one for one in table if self.judge(where, table[one], resource) is True)

    def _key(self, key: str, value: Any, document: Document, resource: str) -> bool | None:
        if key in {"AND", "OR", "NOT"}:
            if not value:
                return True
            answers = [self.judge(part, document, resource) for part in value]
            if key == "AND":
                return conjunction(answers)
            negated = [negation(answer) for answer in answers]
            return conjunction(negated) if key == "NOT" else negation(conjunction(negated))
        relations = self.relations(resource)
        names = (*self.fields(resource), *relations)
        field = max((name for name in names if begins(key, name)), key=len)
        how = key[len(field) + 1 :]
        if field not in relations:
            return judge_field(how, value, document[field])
        target, many = relations[field]
        ends = document.get(field)
        if many:
            return self._many(how, value, ends or [], target)
        if value is None:
            return ends is None
        return ends is not None and self.judge(value, self.table(target)[ends], target) is True

    def _many(self, how: str, where: Any, ends: list[str], target: str) -> bool:
        answers = [self.judge(where, self.table(target)[end], target) for end in ends]
        if how == "every":
            return False not in answers
        return (True in answers) == (how == "some")


def begins(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}_")


def conjunction(answers: list[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True


def negation(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def judge_field(how: str, value: Any, found: Any) -> bool | None:
    if how.startswith("not"):
        return negation(judge_field(how[3:].removeprefix("_"), value, found))
    if how in {"", "in"} and value is None:
        return found is None
    if how == "in" and not value:
        return False
    if found is None or value is None:
        return None
    match how:
        case "":
            return bool(found == value)
        case "in":
            return found in value
        case "lt":
            return bool(found < value)
        case "lte":
            return bool(found <= value)
        case "gt":
            return bool(found > value)
        case "gte":
            return bool(found >= value)
        case "contains":
            return value in found
        case "starts_with":
            return bool(found.startswith(value))
        case "ends_with":
            return bool(found.endswith(value))
        case _:
            raise AssertionError(how)
