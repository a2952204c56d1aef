"""Handler of requests to the change feed."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from ..http_errors import BadRequestError, HttpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..change_feed import ChangeFeed, FeedEvent
    from .context import Handler, RequestContext

_MOST = 1000
_USUAL = 100


def _answer(context: RequestContext) -> object:
    feed = context.state.changes
    if not feed.available:
        raise HttpError(404, "this server has no change feed")
    _authenticate(feed, context.request.headers.get("authorization", ""))
    query = context.query
    if unknown := query.keys() - _TESTED.keys() - {"start_revision", "limit"}:
        raise BadRequestError(f"{', '.join(sorted(unknown))}: there is no such argument")
    limit = _number(query, "limit", _USUAL)
    if not 1 <= limit <= _MOST:
        raise BadRequestError(f"limit: from 1 to {_MOST}")
    start = _number(query, "start_revision", 0)
    wanted = {name: set(query[name].split(",")) for name in _TESTED if query.get(name)}
    found: list[dict[str, Any]] = []
    for event in feed.after(start):
        if all(_TESTED[name](event) in values for name, values in wanted.items()):
            found.append(_shown(event))
            if len(found) == limit:
                break
    return {
        "currentRevision": feed.current_revision,
        "compactRevision": feed.compact_revision,
        "data": found,
        "ec": "EOK",
    }


_TESTED: dict[str, Callable[[FeedEvent], str | None]] = {
    "resource_type": lambda event: event.row.table,
    "resource_id": lambda event: event.row.id,
    "action": lambda event: event.action,
}


def _authenticate(feed: ChangeFeed, header: str) -> None:
    scheme, _, credential = header.partition(" ")
    expected = f"{feed.username}:{feed.password}".encode()
    try:
        given = base64.b64decode(credential, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if scheme.lower() != "basic" or given != expected:
        raise HttpError(401, "the change feed needs its own credential, by HTTP Basic")


def _number(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name, "")
    if not text:
        return usual
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(f"{name}: a whole number")
    return int(text)


def _shown(event: FeedEvent) -> dict[str, Any]:
    row = event.row
    shown: dict[str, Any] = {
        "revision": str(event.revision),
        "prev_revision": str(event.previous),
        "action": event.action,
        "resource_type": row.table,
        "created_at": event.at,
    }
    if row.id is not None:
        shown["resource_id"] = row.id
    if row.before is not None:
        shown["old_value"] = row.before.decode()
    if row.after is not None:
        shown["new_value"] = row.after.decode()
    return shown


HANDLERS: dict[str, Handler] = {"resource-changes": _answer}
