"""Dumps: the contents of a store as plain data, for saving a fleet or copying a real fleet.

A dump maps the paths of queries to their results: ``{"get-vms": [...], "get-clusters": [...]}``.
Results of queries to a real server can be collected in the same form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from ...api.catalogue import OPERATIONS
from .schema import resource_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .filters import Document
    from .store import Store

TRANSLATIONS = "zh-CN"
"""Key in dumps of the simulator. Its value maps English texts to their Chinese translations."""


def save(store: Store) -> dict[str, Any]:
    """Return a dump of the store: the results of all queries by path, and all translations.

    The translations of English texts into Chinese have the key `TRANSLATIONS`.
    """
    dump: dict[str, Any] = {
        path: [store.render(resource, document, "en-US") for document in store.select(resource)]
        for resource, path in queries().items()
    }
    return dump | {TRANSLATIONS: store.translations}


def load(
    store: Store, dump: Mapping[str, Any], make_up: Callable[[str], Mapping[str, Any]]
) -> None:
    """Fill an empty store with the documents of a dump.

    Fields that are not in the schema are ignored. A document of the dump can refer to a
    document that is not in the dump, for example to a host. If the dump contains no hosts at all,
    the host is generated. If the dump contains other hosts, the reference is ignored.

    Args:
        store: Store to fill.
        dump: Results of queries by path.
        make_up: Function that returns values for the plain fields of a generated document. Its
            argument is the resource type.

    Raises:
        ValueError: The dump contains a path that is not a query for resources, a document without
            an id, or the same document twice.
    """
    resources: dict[str, list[dict[str, Any]]] = {}
    for path, answer in dump.items():
        if path == TRANSLATIONS:
            store.translations |= answer
            continue
        name = re.sub(r"^/", "", path)
        asked = resource_query(f"/{name}") if f"/{name}" in OPERATIONS else None
        if asked is None or asked.counts or not isinstance(answer, list):
            raise ValueError(f"{path}: not the answer of a query that lists a resource")
        resources.setdefault(asked.resource, []).extend(_list(cast("object", answer)))
    for resource, documents in resources.items():
        for document in documents:
            _add(store, resource, document)
    made_up: list[tuple[str, str, Mapping[str, Any]]] = []
    for resource, documents in resources.items():
        for document in documents:
            for mentioned, nested in _mentioned(store, resource, document):
                if mentioned not in resources and nested["id"] not in store.table(mentioned):
                    _add(store, mentioned, {**make_up(mentioned), **nested})
                    made_up.append((mentioned, nested["id"], document))
    for resource, documents in resources.items():
        for document in documents:
            _tie(store, resource, document)
    for resource, identifier, mentioned_by in made_up:
        _complete(store, resource, identifier, mentioned_by)


def queries() -> dict[str, str]:
    """Return, for each resource type, the path of the query that returns its resources."""
    paths = sorted(OPERATIONS, key=len, reverse=True)
    found = {
        asked.resource: path
        for path in paths
        if (asked := resource_query(path)) and not asked.counts
    }
    return {resource: path.removeprefix("/") for resource, path in found.items()}


def _add(store: Store, resource: str, document: Mapping[str, Any]) -> Document:
    if not isinstance(document.get("id"), str):
        raise ValueError(f"{resource}: a document has no id")
    known = store.resources[resource].fields
    return store.add(resource, {name: document[name] for name in known if name in document})


def _mentioned(
    store: Store, resource: str, document: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the documents that are nested in a document, each with its resource type."""
    for relation in store.resources[resource].relations:
        for end in _list(document.get(relation.field)):
            yield relation.target, end


def _tie(store: Store, resource: str, document: Mapping[str, Any]) -> None:
    """Copy the relations of the dump's `document` to the stored document with the same id.

    If a stored list contains other ids, append them.
    """
    identifier = document["id"]
    for relation in store.resources[resource].relations:
        table = store.table(relation.target)
        ids = [one["id"] for one in _list(document.get(relation.field)) if one["id"] in table]
        kept: Any = store.get(resource, identifier).get(relation.field)
        if relation.many:
            # Keep the order of the dump. Append ids that only the related documents contain.
            ids = list(dict.fromkeys([*ids, *(kept or ())]))
            if ids != (kept or []):
                store.change(resource, identifier, **{relation.field: ids})
        elif ids and ids[0] != kept:
            store.change(resource, identifier, **{relation.field: ids[0]})


def _complete(
    store: Store, resource: str, identifier: str, mentioned_by: Mapping[str, Any]
) -> None:
    """Set the required relations of a generated document.

    For example, a generated host gets the ``cluster`` of the VM `mentioned_by`, which refers to the
    host. If the VM has no cluster, the host gets any cluster.
    """
    made_up = store.get(resource, identifier)
    for relation in store.resources[resource].relations:
        if not relation.needed or made_up.get(relation.field):
            continue
        table = store.table(relation.target)
        same = [one["id"] for one in _list(mentioned_by.get(relation.field)) if one["id"] in table]
        if ends := same or list(table)[:1]:
            store.change(resource, identifier, **{relation.field: ends[0]})


def _list(shown: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(shown, list):
        return cast("list[dict[str, Any]]", shown)
    return [shown] if shown else []
