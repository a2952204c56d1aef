"""What answers an operation: a function of its own, an effect, or the query of a resource."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ..http_errors import RefusedError
from ..mutations.catalogue import EFFECTS
from ..mutations.world import Shown, World
from ..store.schema import query
from .catalogue import ANSWERS
from .handlers import Found
from .pages import page_of

if TYPE_CHECKING:
    from ..mutations.world import Effect, Item
    from ..store.schema import Query
    from .handlers import Answer, Asked


def find(operation: str) -> Answer | None:
    """What answers an operation; None when it is not modelled.

    Args:
        operation: Its path, ``"get-vms"``.
    """
    if answer := ANSWERS.get(operation):
        return answer
    if effect := EFFECTS.get(operation):
        return partial(_carry_out, effect)
    if wanted := query(f"/{operation}"):
        return partial(_look_up, wanted)
    return None


def _carry_out(effect: Effect, asked: Asked) -> object:
    world = World(asked.maker, asked.tasks, asked.user, asked.accounts)
    with asked.maker.store.together():
        done = effect(world, _arguments(asked))
    if isinstance(done, list):
        return [_item(asked, item) for item in done]
    return _item(asked, done)


def _look_up(wanted: Query, asked: Asked) -> object:
    arguments = _arguments(asked)
    if not isinstance(arguments, dict):
        raise RefusedError(400, "the body is not a JSON object")
    known = cast("dict[str, Any]", arguments)
    page = page_of(wanted.resource, known)
    hidden = asked.tasks.hidden() if wanted.resource == "Task" else ()
    store = asked.maker.store
    found = store.select(wanted.resource, known.get("where"), page, without=hidden)
    if wanted.counts:
        return {"aggregate": {"count": len(found)}}
    return Found(wanted.resource, found)


def _arguments(asked: Asked) -> Any:  # noqa: ANN401
    body = asked.request.body
    if body is None:
        return {}
    if not isinstance(body, dict | list):
        raise RefusedError(400, "the body is neither a JSON object nor a list")
    return cast("object", body)


def _item(asked: Asked, item: Item) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    if isinstance(item, Shown):
        return _shown(asked, item.resource, item.id)
    if isinstance(item.id, str):
        data: object = _shown(asked, item.resource, item.id)
    else:
        data = [_shown(asked, item.resource, one) for one in item.id]
    return {"task_id": item.task_id, "data": data}


def _shown(asked: Asked, resource: str | None, identifier: str) -> dict[str, Any]:
    if resource is None:
        return {"id": identifier}
    store = asked.maker.store
    document = store.render(resource, store.get(resource, identifier), asked.language)
    return asked.maker.behavior.shown(document)
