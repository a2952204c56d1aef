"""Creating, updating and deleting by the schema's own shapes.

What an operation is about and what its body sets is read off the generated code: the answer names
the resource, keys of the body are fields, relations, or ids of these. Where the schema cannot be
read so, ``exceptions`` says how, and why.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

from ...api.catalogue import OPERATIONS
from ...types import WithTask
from ..store.schema import describe, operation
from ..tasks import Failure, Work
from . import exceptions
from .blanks import new_document, required_relations
from .bodies import body_of
from .dependants import going_along
from .nouns import noun, texts, title
from .values import Values, linked, values_of
from .world import Outcome, RefusedError, Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..store.filters import Document
    from ..store.store import Store
    from .bodies import Shape
    from .world import Effect, Outcomes, World

_PATH = re.compile(r"/((create|update|delete)-.+)")
_GONE = Failure("it does not exist any more", "RESOURCE_NOT_FOUND", "NOT_FOUND")


@dataclass(frozen=True, slots=True)
class Change:
    """What an operation does: to which resource, and how its answer looks.

    Args:
        path: Of the operation, without the slash.
        verb: ``create``, ``update`` or ``delete``.
        resource: What it is about.
        body: What it takes.
        many: Whether it answers with a list.
        together: Whether one task is about all of them.
        tasks: Whether it answers with tasks; without these it is done at once.
        not_modified: Whether it says when there is nothing to do.
    """

    path: str
    verb: str
    resource: str
    body: Shape
    many: bool
    together: bool
    tasks: bool
    not_modified: bool

    @property
    def at_once(self) -> bool:
        """Whether it is done when it is answered."""
        return not self.tasks or self.resource in exceptions.AT_ONCE

    def reply(self, found: Sequence[Outcome | Shown]) -> Outcomes:
        """The answer in the form that the schema gives it."""
        return cast("Outcomes", list(found) if self.many else found[0])


def effect(path: str) -> Effect:
    """What the create, update or delete operation at a path does."""
    return functools.partial(_run, path)


@functools.cache
def change_at(path: str) -> Change:
    """Read an operation."""
    asked = operation(f"/{path}")
    answer: Any = asked.answer()
    many = get_origin(answer) is list
    item = get_args(answer)[0] if many else answer
    tasks = get_origin(item) is WithTask
    item = get_args(item)[0] if tasks else item
    together = get_origin(item) is list
    struct = get_args(item)[0] if together else item
    body = body_of(path)
    verb = exceptions.VERBS.get(path) or path.partition("-")[0]
    resource = struct.__name__
    if verb == "delete":
        resource = _members(body)["where"].where or resource
    return Change(path, verb, resource, body, many, together, tasks, asked.not_modified)


def _run(path: str, world: World, body: Any) -> Outcomes:  # noqa: ANN401 - any JSON
    change = change_at(path)
    change.body.check(body, "body")
    if change.resource not in world.maker.store.resources:
        raise RefusedError(501, f"the simulator does not model {change.resource}")
    return _VERBS[change.verb](world, change, body)


def _create(world: World, change: Change, body: Any) -> Outcomes:  # noqa: ANN401
    items = cast("list[Values]", body if change.body.item else [body.get("data", body)])
    made = [_document(world, change.resource, item) for item in items]
    return change.reply([_add(world, change, *one) for one in zip(made, items, strict=True)])


def _document(world: World, resource: str, data: Values) -> Document:
    """A new document, from what the body says and what follows from that."""
    store = world.maker.store
    values = values_of(world, resource, data, exceptions.RULES)
    document = new_document(world.maker, resource) | values
    document |= exceptions.defaults(resource, document, values)
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


def _add(world: World, change: Change, document: Document, data: Values) -> Outcome | Shown:
    store, resource = world.maker.store, change.resource
    asynchronous = _has_status(resource) and not change.at_once
    status = {"entityAsyncStatus": "CREATING"} if asynchronous else {}
    added = store.add(resource, document | status)

    def succeed() -> Failure | None:
        if added["id"] not in store.table(resource):
            return _GONE
        exceptions.follow(world, change.path, resource, added, data)
        return None

    def fail() -> None:
        if added["id"] in store.table(resource):
            store.remove(resource, added["id"])

    work = Work(succeed, fail, lambda: _settle(world, resource, [added]))
    return _start(world, change, [added], work)


def _update(world: World, change: Change, body: Any) -> Outcomes:  # noqa: ANN401
    store, resource = world.maker.store, change.resource
    data: Values = dict(body.get("data") or {}) if "data" in _members(change.body) else dict(body)
    documents = _meant(world, change, body, data)
    for key in ("where", "id"):  # a few have no data apart from these
        data.pop(key, None)
    values = values_of(world, resource, data, exceptions.RULES)
    if change.not_modified:
        documents = [one for one in documents if _differs(one, values)]
        if not documents:
            raise RefusedError(304, "nothing to change")
    _refuse_busy(world, resource, documents)

    def work_on(some: list[Document]) -> Work:
        def succeed() -> Failure | None:
            for document in some:
                if document["id"] not in store.table(resource):
                    return _GONE
                merged = _merged(document, values)
                store.change(resource, document["id"], **merged)
                exceptions.follow(world, change.path, resource, document, data)
            return None

        return Work(succeed, settle=lambda: _settle(world, resource, some))

    return _on_each(world, change, documents, work_on, "UPDATING")


def _delete(world: World, change: Change, body: Any) -> Outcomes:  # noqa: ANN401
    store, resource = world.maker.store, change.resource
    documents = _meant(world, change, body, {})
    _refuse_busy(world, resource, documents)
    for document in documents:
        exceptions.refuse(world, resource, document)
        _along(world, resource, document, body)

    def work_on(some: list[Document]) -> Work:
        def succeed() -> Failure | None:
            for document in some:
                if document["id"] not in store.table(resource):
                    return _GONE
                for kind, identifier in _along(world, resource, document, body):
                    store.remove(kind, identifier)
                store.remove(resource, document["id"])
            return None

        return Work(succeed, settle=lambda: _settle(world, resource, some))

    return _on_each(world, change, documents, work_on, "DELETING")


_VERBS = {"create": _create, "update": _update, "delete": _delete}


def _along(world: World, resource: str, document: Document, body: Values) -> list[tuple[str, str]]:
    """What goes when a document goes."""
    asked = exceptions.removed_with(world.maker.store, resource, document, body)
    try:
        return going_along(world.maker.store, resource, document["id"], asked)
    except LookupError as exc:
        message = f"{noun(resource)} {title(document)} is in use by {exc}"
        raise RefusedError(400, message) from None


def _on_each(
    world: World,
    change: Change,
    documents: list[Document],
    work_on: Callable[[list[Document]], Work],
    status: str,
) -> Outcomes:
    groups = [documents] if change.together else [[document] for document in documents]
    found: list[Any] = []
    for group in groups:
        if _has_status(change.resource) and not change.at_once:
            for document in group:
                identifier = document["id"]
                world.maker.store.change(change.resource, identifier, entityAsyncStatus=status)
        found.append(_start(world, change, group, work_on(group)))
    return change.reply(found)


def _start(world: World, change: Change, documents: list[Document], work: Work) -> Outcome | Shown:
    """Let the work be done by a task, or at once where the schema has none."""
    first = documents[0]
    shown = None if change.verb == "delete" else change.resource
    if change.at_once:
        work.succeed()
        return Outcome(shown, first["id"], None) if change.tasks else Shown(shown, first["id"])
    subject = {"id": first["id"], "name": title(first), "cluster": _cluster(first)}
    task = world.start(
        mutation_of(change.path),
        change.resource,
        subject,
        work,
        texts=texts(change.verb, change.resource),
    )
    ids = tuple(document["id"] for document in documents) if change.together else first["id"]
    return Outcome(shown, ids, task)


def mutation_of(path: str) -> str:
    """``create-vm-volume`` as tasks call it: ``createVmVolume``."""
    first, *rest = path.split("-")
    return first + "".join(word.capitalize() for word in rest)


def _meant(world: World, change: Change, body: Values, data: Values) -> list[Document]:
    """The documents that an operation is about.

    Raises:
        RefusedError: There are none.
    """
    store, resource = world.maker.store, change.resource
    where = body.get("where")
    target = _members(change.body)["where"].where if where is not None else resource
    if where is None and "id" in data:
        where = {"id": data["id"]}
    if target is None or target == resource:
        found = store.select(resource, where)
    else:  # settings are found by their cluster
        ends = set(linked(world, target, where))
        relation = next(one for one in describe(resource).relations if one.target == target)
        found = [one for one in store.table(resource).values() if one[relation.field] in ends]
    if not found:
        status = 304 if change.not_modified else 404
        raise RefusedError(status, f"no {noun(resource)} matches the where")
    return found


def _refuse_busy(world: World, resource: str, documents: list[Document]) -> None:
    """Volumes are locked while something is done to them, as VMs are."""
    del world
    busy = [one for one in documents if resource == "VmVolume" and one["entityAsyncStatus"]]
    if busy:
        locked = [{"id": document["id"], "type": "VM_VOLUME"} for document in busy]
        names = ", ".join(document["name"] for document in busy)
        message = f"locked by another task: {names}"
        props = {"locked_resources": locked}
        raise RefusedError(400, message, code="ResourceLocked", props=props)


def _settle(world: World, resource: str, documents: list[Document]) -> None:
    store = world.maker.store
    for document in documents:
        if document.get("entityAsyncStatus") and document["id"] in store.table(resource):
            store.change(resource, document["id"], entityAsyncStatus=None)


def _merged(document: Document, values: Values) -> Values:
    """Objects within a document are changed by their members."""
    merged = dict(values)
    for name, value in values.items():
        before = document.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            said = {key: part for key, part in cast("Values", value).items() if part is not None}
            merged[name] = {**before, **said}
    return merged


def _differs(document: Document, values: Values) -> bool:
    return any(document.get(name) != value for name, value in _merged(document, values).items())


@functools.cache
def _has_status(resource: str) -> bool:
    return "entityAsyncStatus" in describe(resource).fields


def _cluster(document: Document) -> str | None:
    found = document.get("cluster")
    return found if isinstance(found, str) else None


def _members(body: Shape) -> dict[str, Shape]:
    return dict(body.members or {})


def _names(store: Store, resource: str) -> set[str]:
    described = store.resources[resource]
    return {*described.fields, *(relation.field for relation in described.relations)}


EFFECTS: dict[str, Effect] = {
    found[1]: effect(found[1])
    for path, name in OPERATIONS.items()
    if (found := _PATH.fullmatch(path))
    and not name.startswith("vm.")
    and found[1] not in exceptions.NOT_GENERIC
}
