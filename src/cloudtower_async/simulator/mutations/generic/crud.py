"""Mutations that create, update and delete resources as the schema describes.

The response type of an operation names the resource type. The keys of the body are names of fields
and relations. `schema_overrides` lists the exceptions.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, cast

from ....api.catalogue import OPERATIONS
from ...http_errors import HttpError
from ...tasks import Failure, Work
from ..body_validation import check_body
from ..duplicate_names import check_name
from ..mutation import (
    GONE,
    differs,
    has_status,
    merged,
    mutation_at,
    select_documents,
    start,
    start_for_each,
)
from ..resource_names import noun, title
from ..storage.volume_snapshots import removed_with
from . import schema_overrides
from .cascade import cascade_targets
from .default_documents import new_document, required_relations
from .field_rules import to_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Body, Fields
    from ..context import Context, Handler, PlainResult, Result, Results
    from ..mutation import Mutation

_PATH = re.compile(r"/((create|update|delete)-.+)")


def effect(path: str) -> Handler:
    """Return the handler of the create, update or delete operation with the given path."""
    return functools.partial(_run, path)


def _run(path: str, context: Context, body: Any) -> Results:  # noqa: ANN401 - any JSON
    mutation = mutation_at(path)
    check_body(mutation.path, body)
    return _VERBS[mutation.verb](context, mutation, body)


def _create(context: Context, mutation: Mutation, body: Any) -> Results:  # noqa: ANN401
    items = cast("list[Body]", body if mutation.body.item else [body.get("data", body)])
    made = [_document(context, mutation.resource, item) for item in items]
    failures = _name_failures(context, mutation.resource, made)
    added = zip(made, items, failures, strict=True)
    return mutation.reply([add(context, mutation, *one) for one in added])


def _name_failures(
    context: Context, resource: str, documents: Sequence[Document]
) -> list[Failure | None]:
    """Check the names of new documents, and return one item for each document.

    If the name is in use, the item is the failure of the task for the document, otherwise None.
    """
    failures: list[Failure | None] = []
    names: set[str] = set()
    for document in documents:
        name = document.get("name") or ""
        failures.append(check_name(context, resource, name, others=names))
        names.add(name)
    return failures


def _document(context: Context, resource: str, data: Body) -> Document:
    """Return a new document with the fields in the body and with defaults for other fields."""
    return complete(context, resource, to_fields(context, resource, data, schema_overrides.RULES))


def complete(context: Context, resource: str, values: Fields) -> Document:
    """Return a new document with these field values and with defaults for all required fields."""
    store = context.store
    document = new_document(context.factory, resource) | values
    document |= schema_overrides.defaults(store, resource, document, values)
    for relation in required_relations(resource):
        if document.get(relation.field) is None:
            document[relation.field] = _inherited(context, resource, document, relation.target)
    return {name: document[name] for name in document if name in _names(store, resource)}


def _inherited(context: Context, resource: str, document: Document, target: str) -> str:
    """Return the id for a required relation to `target` that the request does not set.

    The id is copied from another document to which the new document refers. For example, the
    cluster of a new LUN is the cluster of its iSCSI target.

    Raises:
        HttpError: No document to which the new document refers has a relation to `target`.
    """
    store = context.store
    for relation in store.resources[resource].relations:
        if relation.many or not (end := document.get(relation.field)):
            continue
        other = store.get(relation.target, end)
        for onward in store.resources[relation.target].relations:
            if onward.target == target and not onward.many and other.get(onward.field):
                return cast("str", other[onward.field])
    raise HttpError(400, f"{noun(target)} of the {noun(resource)}: not given")


def add(
    context: Context,
    mutation: Mutation,
    document: Document,
    data: Body,
    failure: Failure | None = None,
) -> Result | PlainResult:
    """Add a new document, and start the task of its creation.

    If `failure` is not None, the task fails and removes the document.
    """
    store, resource = context.store, mutation.resource
    asynchronous = has_status(resource) and not mutation.at_once
    status = {"entityAsyncStatus": "CREATING"} if asynchronous else {}
    added = store.add(resource, document | status)

    def succeed() -> Failure | None:
        if added["id"] not in store.table(resource):
            return GONE
        if failure is not None:
            return failure
        schema_overrides.follow(context, mutation.path, resource, added, data)
        return None

    def fail() -> None:
        if added["id"] in store.table(resource):
            store.remove(resource, added["id"])

    return start(context, mutation, [added], Work(succeed, fail))


def _update(context: Context, mutation: Mutation, body: Any) -> Results:  # noqa: ANN401
    store, resource = context.store, mutation.resource
    said: Body = body.get("data") or {} if mutation.has_key("data") else body
    documents = select_documents(context, mutation, body, said)
    # In the bodies of a few operations, the fields to change are next to the filter.
    data = {key: value for key, value in said.items() if key not in {"where", "id"}}
    values = to_fields(context, resource, data, schema_overrides.RULES)
    if mutation.not_modified:
        documents = [one for one in documents if differs(one, values)]
        if not documents:
            raise HttpError(304, "nothing to change")

    failures = {
        one["id"]: check_name(context, resource, values["name"], own=one["id"])
        for one in documents
        if "name" in values
    }

    def update(document: Document) -> Failure | None:
        if failure := failures.get(document["id"]):
            return failure
        store.change(resource, document["id"], **merged(document, values))
        schema_overrides.follow(context, mutation.path, resource, document, data)
        return None

    return start_for_each(context, mutation, documents, update)


def _delete(context: Context, mutation: Mutation, body: Any) -> Results:  # noqa: ANN401
    store, resource = context.store, mutation.resource
    documents = select_documents(context, mutation, body, {})
    for document in documents:
        schema_overrides.refuse(context, resource, document)
        if resource not in schema_overrides.REFUSED_BY_TASK:
            _along(context, resource, document, body)

    def delete(document: Document) -> None:
        for kind, identifier in _along(context, resource, document, body):
            if identifier in store.table(kind):  # not yet removed with another document
                store.remove(kind, identifier)
        store.remove(resource, document["id"])

    return start_for_each(context, mutation, documents, delete)


_VERBS = {"create": _create, "update": _update, "delete": _delete}


def _along(
    context: Context, resource: str, document: Document, body: Body
) -> list[tuple[str, str]]:
    """Return the other documents to remove with a document, as pairs of resource type and id.

    Raises:
        HttpError: Another document depends on the document and prevents its deletion.
    """
    asked = removed_with(context.store, resource, document, body)
    try:
        return cascade_targets(context.store, resource, document["id"], asked)
    except LookupError as exc:
        message = f"{noun(resource)} {title(document)} is in use by {exc}"
        raise HttpError(400, message) from None


def _names(store: Store, resource: str) -> set[str]:
    described = store.resources[resource]
    return {*described.fields, *(relation.field for relation in described.relations)}


MUTATIONS: dict[str, Handler] = {
    _found[1]: effect(_found[1])
    for path, name in OPERATIONS.items()
    if (_found := _PATH.fullmatch(path))
    and not name.startswith("vm.")
    and _found[1] not in schema_overrides.NOT_GENERIC
}
