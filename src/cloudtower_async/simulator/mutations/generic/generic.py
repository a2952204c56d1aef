"""Creating, updating and deleting by the schema's own shapes.

What an operation is about and what its body sets is read off the generated code: the answer names
the resource, keys of the body are fields, relations, or ids of these. Where the schema cannot be
read so, ``exceptions`` says how, and why.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, cast

from ....api.catalogue import OPERATIONS
from ...http_errors import RefusedError
from ...tasks import Failure, Work
from ..body_validation import check_body
from ..dependents import going_along
from ..mutation import GONE, differs, has_status, meant, merged, mutation_at, start, to_each
from ..resource_names import noun, title
from ..storage.volume_snapshots import removed_with
from ..unique_names import check_name
from . import schema_overrides
from .default_documents import new_document, required_relations
from .fields import to_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Body, Fields
    from ..mutation import Mutation
    from ..world import Effect, Outcome, Outcomes, Shown, World

_PATH = re.compile(r"/((create|update|delete)-.+)")


def effect(path: str) -> Effect:
    """What the create, update or delete operation at a path does."""
    return functools.partial(_run, path)


def _run(path: str, world: World, body: Any) -> Outcomes:  # noqa: ANN401 - any JSON
    mutation = mutation_at(path)
    check_body(mutation.path, body)
    return _VERBS[mutation.verb](world, mutation, body)


def _create(world: World, mutation: Mutation, body: Any) -> Outcomes:  # noqa: ANN401
    items = cast("list[Body]", body if mutation.body.item else [body.get("data", body)])
    made = [_document(world, mutation.resource, item) for item in items]
    failures = _name_failures(world, mutation.resource, made)
    added = zip(made, items, failures, strict=True)
    return mutation.reply([add(world, mutation, *one) for one in added])


def _name_failures(
    world: World, resource: str, documents: Sequence[Document]
) -> list[Failure | None]:
    """Return for each new document how its task fails because of its name, or None."""
    failures: list[Failure | None] = []
    names: set[str] = set()
    for document in documents:
        name = document.get("name") or ""
        failures.append(check_name(world, resource, name, others=names))
        names.add(name)
    return failures


def _document(world: World, resource: str, data: Body) -> Document:
    """A new document, from what the body says and what follows from that."""
    return complete(world, resource, to_fields(world, resource, data, schema_overrides.RULES))


def complete(world: World, resource: str, values: Fields) -> Document:
    """A new document with these fields, and all others that it has to have."""
    store = world.maker.store
    document = new_document(world.maker, resource) | values
    document |= schema_overrides.defaults(store, resource, document, values)
    for relation in required_relations(resource):
        if document.get(relation.field) is None:
            document[relation.field] = _inherited(world, resource, document, relation.target)
    return {name: document[name] for name in document if name in _names(store, resource)}


def _inherited(world: World, resource: str, document: Document, target: str) -> str:
    """What it belongs to by way of that which it is said to belong to."""
    store = world.maker.store
    for relation in store.resources[resource].relations:
        if relation.many or not (end := document.get(relation.field)):
            continue
        other = store.get(relation.target, end)
        for onward in store.resources[relation.target].relations:
            if onward.target == target and not onward.many and other.get(onward.field):
                return cast("str", other[onward.field])
    raise RefusedError(400, f"{noun(target)} of the {noun(resource)}: not given")


def add(
    world: World,
    mutation: Mutation,
    document: Document,
    data: Body,
    failure: Failure | None = None,
) -> Outcome | Shown:
    """Put in a new document; a task lets it come into being, unless it is known to fail."""
    store, resource = world.maker.store, mutation.resource
    asynchronous = has_status(resource) and not mutation.at_once
    status = {"entityAsyncStatus": "CREATING"} if asynchronous else {}
    added = store.add(resource, document | status)

    def succeed() -> Failure | None:
        if added["id"] not in store.table(resource):
            return GONE
        if failure is not None:
            return failure
        schema_overrides.follow(world, mutation.path, resource, added, data)
        return None

    def fail() -> None:
        if added["id"] in store.table(resource):
            store.remove(resource, added["id"])

    return start(world, mutation, [added], Work(succeed, fail))


def _update(world: World, mutation: Mutation, body: Any) -> Outcomes:  # noqa: ANN401
    store, resource = world.maker.store, mutation.resource
    said: Body = body.get("data") or {} if mutation.has_key("data") else body
    documents = meant(world, mutation, body, said)
    # A few have no data apart from these.
    data = {key: value for key, value in said.items() if key not in {"where", "id"}}
    values = to_fields(world, resource, data, schema_overrides.RULES)
    if mutation.not_modified:
        documents = [one for one in documents if differs(one, values)]
        if not documents:
            raise RefusedError(304, "nothing to change")

    failures = {
        one["id"]: check_name(world, resource, values["name"], own=one["id"])
        for one in documents
        if "name" in values
    }

    def update(document: Document) -> Failure | None:
        if failure := failures.get(document["id"]):
            return failure
        store.change(resource, document["id"], **merged(document, values))
        schema_overrides.follow(world, mutation.path, resource, document, data)
        return None

    return to_each(world, mutation, documents, update)


def _delete(world: World, mutation: Mutation, body: Any) -> Outcomes:  # noqa: ANN401
    store, resource = world.maker.store, mutation.resource
    documents = meant(world, mutation, body, {})
    for document in documents:
        schema_overrides.refuse(world, resource, document)
        if resource not in schema_overrides.REFUSED_BY_TASK:
            _along(world, resource, document, body)

    def delete(document: Document) -> None:
        for kind, identifier in _along(world, resource, document, body):
            store.remove(kind, identifier)
        store.remove(resource, document["id"])

    return to_each(world, mutation, documents, delete)


_VERBS = {"create": _create, "update": _update, "delete": _delete}


def _along(world: World, resource: str, document: Document, body: Body) -> list[tuple[str, str]]:
    """What goes when a document goes."""
    asked = removed_with(world.maker.store, resource, document, body)
    try:
        return going_along(world.maker.store, resource, document["id"], asked)
    except LookupError as exc:
        message = f"{noun(resource)} {title(document)} is in use by {exc}"
        raise RefusedError(400, message) from None


def _names(store: Store, resource: str) -> set[str]:
    described = store.resources[resource]
    return {*described.fields, *(relation.field for relation in described.relations)}


EFFECTS: dict[str, Effect] = {
    _found[1]: effect(_found[1])
    for path, name in OPERATIONS.items()
    if (_found := _PATH.fullmatch(path))
    and not name.startswith("vm.")
    and _found[1] not in schema_overrides.NOT_GENERIC
}
