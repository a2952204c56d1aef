"""Indexes: they return the candidates for a filter without scanning all documents.

The candidates include all matching documents, and can include other documents. Later, the predicate
of the filter is applied to the candidates and removes the other documents.

An index is built when it is first used. Documents that have changed since then are always
candidates. When too many documents have changed, the index is rebuilt.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

from .filters import pinned_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .change_tracker import ChangeTracker
    from .filters import Condition, Document
    from .schema import ResourceSchema

_FEW = 256  # with fewer documents, a scan is faster than an index


class Indexes:
    """Indexes of documents by field values and by related documents.

    Args:
        resources: Schemas of all resource types.
        tables: For each resource type, the documents by id.
        tracker: Tracker that supplies the ids of changed documents.
    """

    def __init__(
        self,
        resources: Mapping[str, ResourceSchema],
        tables: Mapping[str, Mapping[str, Document]],
        tracker: ChangeTracker,
    ) -> None:
        self._relations = {
            name: {relation.field: relation for relation in resource.relations}
            for name, resource in resources.items()
        }
        self._tables = tables
        self._tracker = tracker
        self._made: dict[str, dict[str, Mapping[object, list[str]]]] = {}

    def narrow(
        self, resource: str, where: object, shape: Mapping[str, Condition]
    ) -> list[str] | None:
        """Return the ids of the documents that may match a filter.

        `shape` has the condition of each filter key. If no index applies, return None.
        """
        if (ids := pinned_ids(where)) is not None:
            return ids
        if not isinstance(where, dict) or len(self._tables[resource]) < _FEW:
            return None
        for key, value in cast("dict[str, object]", where).items():
            condition = shape.get(key)
            if condition is None:
                continue
            if condition.target is not None:
                ids = self._tied(resource, condition, value)
            elif condition.operator == "":
                ids = self._having(resource, condition.field, [value])
            elif condition.operator == "in" and isinstance(value, list):
                ids = self._having(resource, condition.field, cast("list[object]", value))
            if ids is not None:
                return ids
        return None

    def _tied(self, resource: str, condition: Condition, where: object) -> list[str] | None:
        """Return the ids of the documents that may match a condition on related documents.

        Return None if the condition does not name related documents by id.
        """
        relation = self._relations[resource][condition.field]
        ends = pinned_ids(where)
        if ends is None or relation.inverse is None or condition.operator not in {"one", "some"}:
            return None
        table = self._tables[relation.target]
        found: dict[str, None] = {}
        for end in ends:
            back: Any = table[end].get(relation.inverse) if end in table else None
            ids: list[str] = [back] if isinstance(back, str) else back or []
            found |= dict.fromkeys(ids)
        return list(found)

    def _having(self, resource: str, field: str, values: Iterable[object]) -> list[str] | None:
        """Return the ids of the documents whose `field` may have one of the values.

        Return None if a value is not a string, because only strings are indexed.
        """
        wanted = list(values)
        if not all(isinstance(value, str) for value in wanted):
            return None
        made = self._made.setdefault(resource, {})
        touched = self._tracker.follow(resource)
        if len(touched) >= _FEW:
            made.clear()
            touched.clear()
        if field not in made:
            made[field] = self._index(resource, field)
        index = made[field]
        found = dict.fromkeys(one for value in wanted for one in index.get(value, ()))
        return list(found | dict.fromkeys(touched))

    def _index(self, resource: str, field: str) -> Mapping[object, list[str]]:
        index: defaultdict[object, list[str]] = defaultdict(list)
        for identifier, document in self._tables[resource].items():
            index[document[field]].append(identifier)
        return index
