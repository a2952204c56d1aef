"""Cascading deletes: what is deleted with a document, or prevents its deletion."""

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
"""Pairs of which the second is nothing without the first. Everything else is refused: in use."""

_STAY = frozenset({"Task", "UserAuditLog", "SystemAuditLog", "AlertNotifier", "Label"})
"""What tells of a cluster without being part of it."""


def cascade_targets(
    store: Store, resource: str, identifier: str, asked: Collection[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """What is deleted together with a document, the outermost first.

    Args:
        store: Where to look.
        resource: What is deleted.
        identifier: Which one.
        asked: What is deleted anyway.

    Raises:
        LookupError: Something that would stay needs it; the text says what.
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
    """The documents that cannot be without one of these, each with the kind that it needs."""
    for kind, described in store.resources.items():
        for relation in described.relations:
            ids = needed.get(relation.target)
            if not ids or relation.many or not _needs(kind, relation):
                continue
            for document in store.table(kind).values():
                if document.get(relation.field) in ids:
                    yield relation.target, kind, document


def _needs(resource: str, relation: Relation) -> bool:
    """Whether a relation is required, or to a cluster, with which its resources leave the Tower."""
    if relation.target == "Cluster":
        return resource not in _STAY
    return relation in required_relations(resource)
