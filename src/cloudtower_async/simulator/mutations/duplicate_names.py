"""Functions that reject duplicate names of VMs and placement groups."""

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
"""Error codes by resource type: the code of a rejected request, and the code of a failed task."""


def check_name(
    context: Context,
    resource: str,
    name: str,
    *,
    own: str | None = None,
    others: Collection[str] = (),
) -> Failure | None:
    """Check that no other resource has the given name.

    Return the failure of the task if the name is in use, or None if the name is free. Names of
    resource types other than VM and placement group are always free.

    Args:
        context: Context of the mutation. `Behavior.taken_names` determines whether the request or
            the task fails.
        resource: Resource type of the resource that gets the name.
        name: Name to check.
        own: Id of the resource to rename, or None for a new resource. A resource may keep its name.
        others: Names that the same request uses for other resources.

    Raises:
        HttpError: The name is in use, and `Behavior.taken_names` is ``"refused"``.
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
    """Return the failure of a task if a name is in use, or None if the name is free.

    Unlike `check_name`, which has the same arguments, this function never rejects the request.
    """
    if resource not in _CODES:
        return None
    found = context.store.select(resource, {"name": name})
    if name not in others and all(one["id"] == own for one in found):
        return None
    return Failure(f'the name "{name}" is taken', _CODES[resource][1], "DUPLICATE_NAME")
