"""Properties of mutations that follow from the schema, and functions that run mutations."""

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
    """Properties of a mutation: what it changes, and the form of its response.

    Args:
        path: Path of the operation, without the leading slash.
        verb: First word of the path, for example ``create``, ``update`` or ``delete``.
        resource: Type of the resources that the mutation changes.
        body: Type of the request body.
        many: Whether the response is a list.
        together: Whether a single task changes all documents.
        tasks: Whether the response contains tasks. If False, the mutation is complete when the
            server responds.
        not_modified: Whether the server responds with status 304 if there is nothing to change.
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
        """Whether the mutation is complete when the server responds."""
        return not self.tasks or self.resource in schema_overrides.AT_ONCE

    def has_key(self, key: str) -> bool:
        """Return whether the schema of the body has this key.

        If the body is a list, check the schema of its items.
        """
        return key in (self.body.item or self.body).record.__annotations__

    def about(self, resource: str) -> Mutation:
        """Return a copy of this mutation, with `resource` as the type of the changed resources."""
        return replace(self, resource=resource)

    def reply(self, found: Sequence[Result | PlainResult]) -> Results:
        """Return the results in the form that the schema declares: a list or a single result."""
        return cast("Results", list(found) if self.many else found[0])


@functools.cache
def mutation_at(path: str) -> Mutation:
    """Return the properties of the mutation with the given path."""
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
    """Return the type that the filter ``where`` of a body selects; None if there is no filter."""
    where = newest_member((body.item or body).record, "where")
    return None if where is None else where.filtered_resource


def select_documents(
    context: Context, mutation: Mutation, body: Body, data: Body
) -> list[Document]:
    """Return the documents that the filter in `body`, or else the id in `data`, selects.

    Raises:
        HttpError: No document matches the filter.
    """
    store, resource = context.store, mutation.resource
    where = body.get("where")
    target = _filtered_resource(mutation.body) if where is not None else resource
    if where is None and "id" in data:
        where = {"id": data["id"]}
    if target is None or target == resource:
        found = store.select(resource, where)
    else:  # for settings of clusters, the filter selects clusters
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
    """Start tasks that call `do` with each document, and return the content of the response.

    Each document gets its own task, unless `Mutation.together` is True.

    Raises:
        HttpError: The documents are volumes, and another task has locked one of them.
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
    """Start a task that runs `work` later, and return the task id and the resource ids.

    If `Mutation.at_once` is True, run `work` now, and return no task id.
    """
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
    """Run `work` immediately, without a task and without locks.

    Raises:
        HttpError: The work failed.
    """
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
    """Start the task of an operation, and return the id of the task."""
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
    """Return `values`, with nested objects completed from the document.

    For example, ``{"cpu": {"cores": 2}}`` keeps the current number of sockets.
    """
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
