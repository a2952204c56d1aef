"""Functions that run mutations and render their results for the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..mutations.context import Context, PlainResult

if TYPE_CHECKING:
    from ..mutations.context import Handler, Item
    from .context import RequestContext


def mutation_context(context: RequestContext) -> Context:
    """Return the context of a mutation from the context of its request."""
    return Context(context.factory, context.tasks, context.user, context.accounts)


def answer_mutation(mutation: Handler, context: RequestContext) -> object:
    """Run a mutation, and return its result in the form of the API."""
    with context.store.together():
        result = mutation(mutation_context(context), context.arguments())
    if isinstance(result, list):
        return [_render(context, item) for item in result]
    return _render(context, result)


def _render(context: RequestContext, item: Item) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    if isinstance(item, PlainResult):
        return _document(context, item.resource, item.id)
    if isinstance(item.id, str):
        data: object = _document(context, item.resource, item.id)
    else:
        data = [_document(context, item.resource, one) for one in item.id]
    return {"task_id": item.task_id, "data": data}


def _document(context: RequestContext, resource: str | None, identifier: str) -> dict[str, Any]:
    if resource is None:
        return {"id": identifier}
    store = context.store
    document = store.render(resource, store.get(resource, identifier), context.language)
    return context.factory.behavior.shown(document)
