"""Effects of mutations, read from the schema, and their tasks."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

from ...calls.arg_types import arguments_of, newest_member
from ...calls.registry import operation_at
from ...types import WithTask
from ..http_errors import HttpError, NoMatchError
from ..store.schema import describe
from ..tasks import Failure, Work
from .context import PlainResult, Result, reject_locked
from .generic import schema_overrides
from .generic.field_rules import resolve_ids
from .resource_names import noun, texts, title

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...calls.arg_types import ArgType
    from ..store.filters import Document
    from .body import Body, Fields
    from .context import Context, Results

GONE = Failure("it no longer exists", "RESOURCE_NOT_FOUND", "NOT_FOUND")


@dataclass(frozen=True, slots=True)
class Mutation:
    """Effect of an operation: its resource, and the form of its answer.

    Args:
        path: Path of the operation, without the slash.
        verb: ``create``, ``update`` or ``delete``.
        resource: Resource type.
        body: Type of the body.
        many: Whether the answer is a list.
        together: Whether one task changes all documents.
        tasks: Whether the answer has tasks; otherwise the mutation is done at once.
        not_modified: Whether the operation answers 304 if there is nothing to change.
    """

    path: str
    verb: str
    resource: str
    body: ArgType
    many: bool
    together: bool
    tasks: bool
    not_modified: bool

    @property
    def at_once(self) -> bool:
        """Whether the mutation is done when it is answered."""
        return not self.tasks or self.resource in schema_overrides.AT_ONCE

    def has_key(self, key: str) -> bool:
        """Return whether the schema of the body, or of its items, has this key."""
        return key in (self.body.item or self.body).record.__annotations__

    def about(self, resource: str) -> Mutation:
        """Return the same mutation for another resource, if answer and filter have different
        types."""
        return replace(self, resource=resource)

    def reply(self, found: Sequence[Result | PlainResult]) -> Results:
        """Return the results in the form that the schema declares: a list, or a single result."""
        return cast("Results", list(found) if self.many else found[0])


@functools.cache
def mutation_at(path: str) -> Mutation:
    """Return the mutation at a path."""
    asked = operation_at(f"/{path}")
    answer: Any = asked.answer()
    many = get_origin(answer) is list
    item = get_args(answer)[0] if many else answer
    tasks = get_origin(item) is WithTask
    item = get_args(item)[0] if tasks else item
    together = get_origin(item) is list
    struct = get_args(item)[0] if together else item
    body = arguments_of(asked)
    verb = schema_overrides.VERBS.get(path) or path.partition("-")[0]
    resource = struct.__name__
    if verb == "delete":
        resource = _filtered_resource(body) or resource
    return Mutation(path, verb, resource, body, many, together, tasks, asked.not_modified)


def _filtered_resource(body: ArgType) -> str | None:
    """Return the type of the resources that ``where`` selects, or None without ``where``."""
    where = newest_member((body.item or body).record, "where")
    return None if where is None else where.filtered_resource


def select_documents(
    context: Context, mutation: Mutation, body: Body, data: Body
) -> list[Document]:
    """Return the documents that an operation changes.

    Raises:
        HttpError: No document matches.
    """
    store, resource = context.store, mutation.resource
    where = body.get("where")
    target = _filtered_resource(mutation.body) if where is not None else resource
    if where is None and "id" in data:
        where = {"id": data["id"]}
    if target is None or target == resource:
        found = store.select(resource, where)
    else:  # settings are found by their cluster
        ends = set(resolve_ids(context, target, where))
        relation = next(one for one in describe(resource).relations if one.target == target)
        found = [one for one in store.table(resource).values() if one[relation.field] in ends]
    if not found:
        message = f"no {noun(resource)} matches the filter"
        raise HttpError(304, message) if mutation.not_modified else NoMatchError(message)
    return found


def start_for_each(
    context: Context,
    mutation: Mutation,
    documents: list[Document],
    do: Callable[[Document], Failure | None],
) -> Results:
    """Start one task per document, or one for all, and return the answer.

    Raises:
        HttpError: A volume among the documents is locked.
    """
    if mutation.resource == "VmVolume":
        reject_locked(context, documents, mutation.resource)
    groups = [documents] if mutation.together else [[document] for document in documents]
    return mutation.reply([_to_group(context, mutation, group, do) for group in groups])


def _to_group(
    context: Context,
    mutation: Mutation,
    documents: list[Document],
    do: Callable[[Document], Failure | None],
) -> Result | PlainResult:
    store, resource = context.store, mutation.resource

    def succeed() -> Failure | None:
        for document in documents:
            if document["id"] not in store.table(resource):
                return GONE
            if failure := do(document):
                return failure
        return None

    return start(context, mutation, documents, Work(succeed))


def start(
    context: Context, mutation: Mutation, documents: list[Document], work: Work
) -> Result | PlainResult:
    """Run the work in a task, or at once if the schema has no task, and return the result."""
    first = documents[0]
    shown = None if mutation.verb == "delete" else mutation.resource
    if mutation.at_once:
        _do_at_once(work)
        return (
            Result(shown, first["id"], None) if mutation.tasks else PlainResult(shown, first["id"])
        )
    locks = documents if has_status(mutation.resource) else ()
    task = start_task(
        context, mutation.path, mutation.verb, mutation.resource, first, work, locks=locks
    )
    ids = tuple(document["id"] for document in documents) if mutation.together else first["id"]
    return Result(shown, ids, task)


def _do_at_once(work: Work) -> None:
    """Run the work at once, without a task that could report a failure; nothing is locked."""
    failure = work.succeed()
    if failure is not None:
        work.fail()
        raise HttpError(400, failure.message, code=failure.code)


def start_task(
    context: Context,
    path: str,
    verb: str,
    resource: str,
    document: Document,
    work: Work,
    *,
    locks: Sequence[Document] = (),
) -> str:
    """Start the task of an operation, and return the task's id."""
    first, *rest = path.split("-")
    mutation = first + "".join(word.capitalize() for word in rest)
    cluster = document.get("cluster")
    subject = {
        "id": document["id"],
        "name": title(document),
        "cluster": cluster if isinstance(cluster, str) else None,
    }
    return context.start(
        mutation,
        resource,
        subject,
        work,
        locks=locks,
        status="DELETING" if verb == "delete" else "UPDATING",
        texts=texts(verb, resource),
    )


def merged(document: Document, values: Fields) -> Fields:
    """Return the values; objects are merged with the document's objects member by member."""
    merged = dict(values)
    for name, value in values.items():
        before = document.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            said = {key: part for key, part in cast("Fields", value).items() if part is not None}
            merged[name] = {**before, **said}
    return merged


def differs(document: Document, values: Fields) -> bool:
    return any(document.get(name) != value for name, value in merged(document, values).items())


@functools.cache
def has_status(resource: str) -> bool:
    return "entityAsyncStatus" in describe(resource).fields
