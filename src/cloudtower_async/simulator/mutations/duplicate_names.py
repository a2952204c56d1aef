"""Reject duplicate names of VMs and placement groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..http_errors import HttpError
from ..tasks import Failure

if TYPE_CHECKING:
    from collections.abc import Collection

    from .context import Context

_CODES = {
    "Vm": ("VM_DUPLICATE", "VM_DUPLICATED_NAME"),
    "VmPlacementGroup": ("PLACEMENT_GROUP_DUPLICATE_NAME", "PLACEMENT_GROUP_DUPLICATE_NAME"),
}
"""Error codes by resource type: of a refused call, and of a failed task."""


def check_name(
    context: Context,
    resource: str,
    name: str,
    *,
    own: str | None = None,
    others: Collection[str] = (),
) -> Failure | None:
    """Return the failure of a task that uses a taken name, or None.

    Args:
        context: Context with the store, and with the choice whether the call or the task fails.
        resource: Resource type with the name; only VMs and placement groups are checked.
        name: The name.
        own: Id of the resource that is renamed, which may keep its name.
        others: Names that the same call takes for other resources.

    Raises:
        HttpError: The name is taken, and the server refuses the call.
    """
    failure = taken_name(context, resource, name, own=own, others=others)
    if failure is not None and context.factory.behavior.taken_names == "refused":
        raise HttpError(400, failure.message, code=_CODES[resource][0])
    return failure


def taken_name(
    context: Context,
    resource: str,
    name: str,
    *,
    own: str | None = None,
    others: Collection[str] = (),
) -> Failure | None:
    """Return the failure of a task that uses a taken name, or None; never refuse the call."""
    if resource not in _CODES:
        return None
    found = context.store.select(resource, {"name": name})
    if name not in others and all(one["id"] == own for one in found):
        return None
    return Failure(f'the name "{name}" is taken', _CODES[resource][1], "DUPLICATE_NAME")
