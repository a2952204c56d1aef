"""Cascading deletes: documents that are deleted with a document, or prevent its deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .default_documents import required_relations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ...store.filters import Document
    from ...store.schema import Relation
    from ...store.store import Store

_GO_ALONG = frozenset(
    {
        ("BackupPlan", "BackupRestorePoint"),
        ("EntityFilter", "VmEntityFilterResult"),
        ("NfsExport", "NfsInode"),
        ("ReportTemplate", "ReportTask"),
        ("SnapshotPlan", "SnapshotPlanTask"),
        ("SnapshotPlanTask", "SnapshotGroup"),
        ("View", "Graph"),
    }
)
"""Pairs of resources; the second is deleted with the first. Other dependants prevent the
deletion."""

_STAY = frozenset({"Task", "UserAuditLog", "SystemAuditLog", "AlertNotifier", "Label"})
"""Types of records that stay when their cluster is deleted."""


def cascade_targets(
    store: Store, resource: str, identifier: str, asked: Collection[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """Return the documents that are deleted together with a document, the outermost first.

    Args:
        store: Store with the documents.
        resource: Resource type of the document.
        identifier: Id of the document.
        asked: Documents that are deleted in any case.

    Raises:
        LookupError: A document that stays needs the deleted document; the error names the document
            that stays.
    """
    found = dict.fromkeys(asked)
    inner: dict[str, set[str]] = {resource: {identifier}}
    for kind, one in asked:
        inner.setdefault(kind, set()).add(one)
    while inner:
        outer: dict[str, set[str]] = {}
        for target, kind, document in _dependants(store, inner):
            if (kind, document["id"]) in found:
                continue
            if resource != "Cluster" and (target, kind) not in _GO_ALONG:
                raise LookupError(f"{kind} {document.get('name') or document['id']}")
            found[kind, document["id"]] = None
            outer.setdefault(kind, set()).add(document["id"])
        inner = outer
    return list(reversed(found))


def _dependants(
    store: Store, needed: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str, Document]]:
    """Yield each document that needs one of the given ids, and the resource type that it needs."""
    for kind, described in store.resources.items():
        for relation in described.relations:
            ids = needed.get(relation.target)
            if not ids or relation.many or not _needs(kind, relation):
                continue
            for document in store.table(kind).values():
                if document.get(relation.field) in ids:
                    yield relation.target, kind, document


def _needs(resource: str, relation: Relation) -> bool:
    """Return whether a relation is required, or leads to the cluster of the resource."""
    if relation.target == "Cluster":
        return resource not in _STAY
    return relation in required_relations(resource)
