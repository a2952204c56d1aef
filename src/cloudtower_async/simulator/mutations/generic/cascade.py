"""Cascading deletes.

Some dependents of a document are deleted together with the document. All other dependents prevent
the deletion of the document.
"""

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
"""Pairs of resource types: deleting the first resource also deletes the second resource.

All other dependents of a resource prevent its deletion.
"""

_STAY = frozenset({"Task", "UserAuditLog", "SystemAuditLog", "AlertNotifier", "Label"})
"""Resource types whose documents stay when their cluster is deleted."""


def cascade_targets(
    store: Store, resource: str, identifier: str, asked: Collection[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """Return the resource types and ids of the documents to delete together with a document.

    Each document in the result comes before the documents on which it depends.

    Args:
        store: Store with the documents.
        resource: Resource type of the document to delete.
        identifier: Id of the document to delete.
        asked: Resource types and ids of other documents that the request deletes.

    Raises:
        LookupError: A document prevents the deletion. The message names this document.
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
    """Yield all documents that depend directly on one of the documents in `needed`.

    Each item is a tuple: the type of the document in `needed`, the type of the dependent document,
    and the dependent document.
    """
    for kind, described in store.resources.items():
        for relation in described.relations:
            ids = needed.get(relation.target)
            if not ids or relation.many or not _needs(kind, relation):
                continue
            for document in store.table(kind).values():
                if document.get(relation.field) in ids:
                    yield relation.target, kind, document


def _needs(resource: str, relation: Relation) -> bool:
    """Return whether a document cannot exist without the target of a relation.

    A document needs the targets of its required relations and, for most types, its cluster.
    """
    if relation.target == "Cluster":
        return resource not in _STAY
    return relation in required_relations(resource)
