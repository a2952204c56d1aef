"""Helpers of the recipes: select VMs, and check responses of the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from .. import inputs, models, validators
from ..calls.empty_filter import matches_all
from ..calls.validation import refuse_lost_values
from ..client import Cloudtower
from ..errors import EmptyFilter, NotFound, OutcomeUnknown, ResponseDecodeError
from ..queries.batches import Resource
from ..types import EVERYTHING, WithTask

Named = TypeVar("Named", bound="Resource")


def check_number(recipe: str, **numbers: int | None) -> None:
    """Check that each argument is a whole number above 0, or None.

    Raises:
        InvalidInput: A value is not a whole number above 0.
    """
    for name, number in numbers.items():
        if number is not None:
            validators.positive_number(recipe, name, number)


async def chosen_vms(
    recipe: str, tower: Cloudtower, where: inputs.VmWhereInput, *, missing_ok: bool
) -> list[models.Vm]:
    """Return the VMs that a recipe will change, sorted by name.

    Args:
        recipe: Name of the recipe for error messages.
        tower: The session.
        where: Filter that selects the VMs.
        missing_ok: Whether to return an empty list if no VM matches, instead of raising NotFound.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: `where` could match every VM, for example because it is empty.
        InvalidInput: `where` has None for a field that is never null on the server.
    """
    # Import here, so that importing `recipes` does not import the generated code.
    from ..inputs import VmWhereInput

    if where is not EVERYTHING and matches_all(where):
        raise EmptyFilter(
            f"{recipe}: where: this filter may match every VM: it is empty, or has only empty or "
            "None values; say which VMs are meant, or pass EVERYTHING"
        )
    refuse_lost_values(recipe, VmWhereInput, where)
    vms = await tower.fetch_all(tower.vm.get_vms, where=where)
    if not vms and not missing_ok:
        raise NotFound(
            "no VM matches the filter",
            operation=recipe,
            endpoint=tower.endpoint,
            hint="Check `where`; pass missing_ok=True if no match is acceptable.",
        )
    # A server may list a VM twice. Remove duplicates, but keep every VM without an id.
    distinct = {vm.id or place: vm for place, vm in enumerate(vms)}
    return sorted(distinct.values(), key=lambda vm: (vm.name or "", vm.id or ""))


def identified(resource: Named, query: str) -> Named:
    """Return a resource that the server listed, or raise an error if it has no id.

    Args:
        resource: The listed resource.
        query: Name of the method that listed the resource, for error messages.

    Raises:
        ResponseDecodeError: The resource has no id.
    """
    if resource.id:
        return resource
    raise ResponseDecodeError(
        f"the server listed a {type(resource).__name__} without an id", operation=query
    )


def only(answers: Sequence[WithTask[Named]], operation: str, tower: Cloudtower) -> WithTask[Named]:
    """Return the only item of `answers`, the result of a mutation that creates one resource.

    Args:
        answers: Result of the mutation: one item for each resource.
        operation: Name of the method for error messages.
        tower: The session.

    Raises:
        OutcomeUnknown: `answers` is empty or has several items, or the item has no resource with an
            id.
    """
    named = [one for one in answers if has_id(one)]
    if len(answers) == len(named) == 1:
        return named[0]
    if len(answers) == 1:
        what = "the answer does not name the resource that is being created"
    else:
        what = f"the server answered with {len(answers)} resources where one was to be created"
    ids = [one.data.id for one in named]
    tasks = [one.task_id for one in answers if one.task_id]
    raise OutcomeUnknown(
        what
        + (f"; ids: {', '.join(ids)}" if ids else "")
        + (f"; tasks: {', '.join(tasks)}" if tasks else ""),
        operation=operation,
        endpoint=tower.endpoint,
    )


def has_id(answer: WithTask[Resource]) -> bool:
    """Return whether the resource `answer.data` has an id."""
    data: Resource | None = answer.data
    return bool(getattr(data, "id", None))
