"""Handler that exports resources as CSV."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ...api.catalogue import OPERATIONS
from ..http_errors import BadRequestError, require_member
from ..store.schema import resource_query
from .queries import parse_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .context import Handler, RequestContext


class _Column(msgspec.Struct):
    name: str
    path: str


def _export(context: RequestContext) -> object:
    body = context.request.body
    require_member(body, "name", str)
    columns = require_member(body, "columns", list[_Column])
    chosen = require_member(body, "filter", dict[str, dict[str, Any]])
    if len(chosen) != 1:
        raise BadRequestError("filter: says for one resource which of it to export")
    ((key, arguments),) = chosen.items()
    resource = _resource(key)
    store = context.store
    page = parse_page(resource, arguments)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(column.name for column in columns)
    for document in store.select(resource, arguments.get("where"), page):
        shown = store.render(resource, document, context.language)
        writer.writerow(_cell(shown, column.path.split(".")) for column in columns)
    return text.getvalue().encode()


def _resource(key: str) -> str:
    kebab = re.sub("[A-Z]", lambda letter: f"-{letter[0].lower()}", key)
    path = f"/get-{kebab.removeprefix('vm-') if key == 'vmEntityFilters' else kebab}"
    found = resource_query(path) if path in OPERATIONS else None
    if found is None:
        raise BadRequestError(f"filter: {key} is no resource that can be exported")
    return found.resource


def _cell(value: object, path: Sequence[str]) -> object:
    """Return the value at a path, or None if the path does not exist.

    For a list, return the values of all items, separated by commas.
    """
    if isinstance(value, list):
        return ", ".join(str(_cell(one, path)) for one in cast("list[object]", value))
    if not path:
        return msgspec.json.encode(value).decode() if isinstance(value, dict) else value
    if isinstance(value, dict):
        return _cell(cast("dict[str, object]", value).get(path[0]), path[1:])
    return None


HANDLERS: dict[str, Handler] = {"export-csv": _export}
