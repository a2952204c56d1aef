"""Generator of resources. Specifications define the number and the relations of the resources."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from ... import models
from .field_values import FieldValues, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..factory import Factory
    from ..store.filters import Document
    from ..store.schema import Relation
    from ..store.store import Store

_LOOKED_AT = 64  # maximum number of candidates for the target of a relation
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Spec:
    """Specification of resources to generate.

    Args:
        resource: Resource type of the generated documents.
        per: Resource type of the parents. The generator adds `times` documents for each parent and
            relates the documents to the parent. If `per` is empty, the generator adds `times`
            documents for the whole fleet.
        times: Number of documents for each parent.
        most: Maximum number of documents in the whole fleet.
        only: Name and required value of a field. Parents with another value are skipped. If a
            parent has no such field, the field of the parent's cluster is compared.
        values: Fixed values for fields. Other fields get plausible values. In strings, ``{n}``
            stands for the number of the document, and ``{home}`` for the name of the parent.
        rows: Fixed values for the first document, for the second document, and so on.
        many: For each to-many relation, the number of documents to which a new document refers.
            0 means all candidates. With -1, the documents of one parent share the candidates.
            Candidates are documents that are consistent with the new document, for example
            documents of the same cluster.
        without: To-one relations that stay null.
    """

    resource: str
    per: str = ""
    times: int = 1
    most: int = 10**9
    only: tuple[str, object] | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    rows: tuple[Mapping[str, Any], ...] = ()
    many: Mapping[str, int] = field(default_factory=dict[str, int])
    without: tuple[str, ...] = ()


class ResourceGenerator:
    """Generator of resources from their specifications.

    Args:
        factory: Factory whose store already contains clusters, hosts and VMs.
    """

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._store = factory.store

    def make(self, spec: Spec) -> None:
        """Add all documents of a specification to the store."""
        made = 0
        for home in self._homes(spec):
            for place in range(spec.times):
                if made < spec.most and self.add(spec, made, place, home) is not None:
                    made += 1

    def add(self, spec: Spec, number: int, place: int, home: Document | None) -> Document | None:
        """Add one document to the store, and return the document.

        Return None if the target of a required relation is missing. Then no document is added.

        Args:
            spec: Specification of the document.
            number: Number of the document in the fleet, counted from 0.
            place: Number of the document within its parent, counted from 0.
            home: Parent of the document, or None without a parent.
        """
        store, resource = self._store, spec.resource
        default = f"{_WORD.sub('-', resource).lower()}-{number + 1}"
        near = _Near(store, [] if home is None else [(spec.per, home["id"])])
        texts = {"n": place + 1, "home": "" if home is None else home.get("name", "")}
        chosen = dict(spec.values)
        if spec.rows:
            chosen |= spec.rows[place % len(spec.rows)]
        special = {
            name: value.format(**texts) if isinstance(value, str) else value
            for name, value in chosen.items()
        }
        values = FieldValues(self._factory, special.get("name", default), number)
        document = plain_fields(resource, values) | special
        for relation in store.resources[resource].relations:
            if relation.field in special or relation.field in spec.without:
                continue
            if not relation.many:
                if (end := self._one(relation, near, home, spec.per, place)) is not None:
                    document[relation.field] = end
                    near.add(relation.target, end)
                elif relation.needed:
                    return None
        for name, most in spec.many.items():
            ends = [one["id"] for one in near.of(store.relation(resource, name).target)]
            start = place * most % len(ends) if most and ends else 0
            if most < 0:  # distribute the documents
                document[name] = ends[place :: spec.times]
            else:
                document[name] = ends[start : start + most] if most else ends
        document |= {
            name: value
            for name, value in near.names().items()
            if name in document and name not in special
        }
        return store.add(resource, document)

    def _homes(self, spec: Spec) -> Iterator[Document | None]:
        if not spec.per:
            yield None
            return
        for home in list(self._store.table(spec.per).values()):
            if spec.only is None:
                yield home
                continue
            name, wanted = spec.only
            place = home if name in home else self._store.get("Cluster", home["cluster"])
            if place[name] == wanted:
                yield home

    def _one(
        self, relation: Relation, near: _Near, home: Document | None, per: str, place: int
    ) -> str | None:
        """Return the id of the target of a to-one relation, or None if there is no candidate.

        If the relation points to the resource type `per`, return the id of the parent `home`.
        Otherwise, choose one of the documents that ``near.of`` returns.
        """
        if home is not None and relation.target == per:
            return str(home["id"])
        ends = near.of(relation.target)
        back = relation.inverse and self._store.relation(relation.target, relation.inverse)
        if back and not back.many:
            ends = [end for end in ends if end.get(back.field) is None]
        if not ends:
            return None
        # A target with the same name as the parent represents the same object.
        same = (end for end in ends if home is not None and end.get("name") == home.get("name"))
        return str(next(same, ends[place % len(ends)])["id"])


class _Near:
    """Documents to which a new document refers, directly or through other documents.

    When the new document gets another relation, the target of the relation must be consistent with
    these documents. For example, the target must belong to the same cluster.
    """

    def __init__(self, store: Store, ends: Iterable[tuple[str, str]]) -> None:
        self._store = store
        self._above: dict[str, str] = {}
        for resource, identifier in ends:
            self.add(resource, identifier)

    def add(self, resource: str, identifier: str) -> None:
        """Add a document, the targets of its to-one relations, their targets, and so on."""
        if resource in self._above:
            return
        self._above[resource] = identifier
        document = self._store.get(resource, identifier)
        for relation in self._store.resources[resource].relations:
            if not relation.many and document.get(relation.field):
                self.add(relation.target, document[relation.field])

    def of(self, resource: str) -> list[Document]:
        """Return up to 64 documents of a resource type to which the new document can refer."""
        if found := self._above.get(resource):
            return [self._store.get(resource, found)]
        anchored = self._anchored(resource)
        every = self._store.table(resource).values()
        return list(islice(every if anchored is None else anchored, _LOOKED_AT))

    def names(self) -> dict[str, Any]:
        """Return names and local ids of related documents by field: ``{"vm_name": "web-1"}``."""
        found: dict[str, Any] = {}
        for resource in ("Vm", "Cluster", "Host"):
            if identifier := self._above.get(resource):
                document = self._store.get(resource, identifier)
                for part in ("name", "local_id"):
                    for prefix in ("", "origin_", "origin_vm_"):
                        found[f"{prefix}{resource.lower()}_{part}"] = document[part]
        return found

    def _anchored(self, resource: str, *, deep: bool = True) -> Iterable[Document] | None:
        store = self._store
        relations = store.resources[resource].relations
        for relation in sorted(relations, key=lambda one: (one.many, one.target != "Host")):
            end = self._above.get(relation.target)
            if end is not None and relation.inverse:
                ids = store.get(relation.target, end).get(relation.inverse) or ()
                if ids or not relation.many:
                    return [store.get(resource, one) for one in islice(ids, _LOOKED_AT)]
            elif end is not None and not relation.many:
                field = relation.field
                return (one for one in store.table(resource).values() if one.get(field) == end)
        for relation in relations if deep else ():
            if relation.inverse and not relation.many:
                parents = self._anchored(relation.target, deep=False)
                if parents is not None:
                    # Prefer later documents, because the first documents are internal.
                    later = reversed(list(islice(parents, _LOOKED_AT)))
                    ids = [one for up in later for one in up.get(relation.inverse) or ()]
                    return [store.get(resource, one) for one in ids]
        return None


def plain_fields(resource: str, values: FieldValues) -> dict[str, Any]:
    """Return plausible values for all fields of a resource type, except for its relations."""
    struct = getattr(models, resource, None)
    if struct is None:
        return {"id": values.factory.ids.cuid()}
    described = values.factory.store.resources[resource]
    counts = {relation.count: 0 for relation in described.relations if relation.count}
    if "total_num" in described.fields:
        counts["total_num"] = 0
    return {
        name: values.of(name, annotation)
        for name, annotation in fields_of(struct)
        if name in described.fields
    } | counts
