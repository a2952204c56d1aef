"""Lookup of the handler of an operation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..mutations.catalogue import MUTATIONS
from ..store.schema import resource_query
from . import (
    change_feed,
    csv_export,
    login,
    metrics,
    nvram,
    ovf,
    special_queries,
    uploads,
    vnc,
)
from .mutations import answer_mutation
from .queries import answer_query

if TYPE_CHECKING:
    from .context import Handler

HANDLERS: dict[str, Handler] = {
    **vnc.HANDLERS,
    **change_feed.HANDLERS,
    **metrics.HANDLERS,
    **nvram.HANDLERS,
    **ovf.HANDLERS,
    **special_queries.HANDLERS,
    **login.HANDLERS,
    **csv_export.HANDLERS,
    **uploads.HANDLERS,
}
"""Handlers of special operations, by path. Mutations and ordinary queries are not included."""


def find_handler(operation: str) -> Handler | None:
    """Return the handler of an operation, for example ``"get-vms"``.

    If the simulator does not model the operation, return None.
    """
    if handler := HANDLERS.get(operation):
        return handler
    if mutation := MUTATIONS.get(operation):
        return partial(answer_mutation, mutation)
    if query := resource_query(f"/{operation}"):
        return partial(answer_query, query)
    return None
