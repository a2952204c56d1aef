"""Mutation that rolls consistency groups back to snapshots."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..body_validation import check_body
from ..mutation import mutation_at, select_documents, start_for_each
from .volume_snapshots import roll_back_members

if TYPE_CHECKING:
    from ..body import Body
    from ..context import Context, Handler, Results


def _roll_back_group(context: Context, body: Body) -> Results:
    """Roll back consistency groups: restore all members from a snapshot of their group."""
    mutation = mutation_at("rollback-consistency-snapshot-group")
    check_body(mutation.path, body)
    documents = select_documents(context, mutation, body, {})
    return start_for_each(context, mutation, documents, partial(roll_back_members, context.store))


MUTATIONS: dict[str, Handler] = {"rollback-consistency-snapshot-group": _roll_back_group}
