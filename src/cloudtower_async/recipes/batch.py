"""Choosing the resources that a recipe works on, and reading the answers about them."""

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
    """Refuse what is no whole number above 0.

    Raises:
        InvalidInput: One of them is not.
    """
    for name, number in numbers.items():
        if number is not None:
            validators.positive_number(recipe, name, number)


async def chosen_vms(
    recipe: str, tower: Cloudtower, where: inputs.VmWhereInput, *, missing_ok: bool
) -> list[models.Vm]:
    """Read the VMs that a recipe is to change, by name.

    Args:
        recipe: Name of the recipe, for errors.
        tower: The session.
        where: Which VMs.
        missing_ok: Return an empty list when nothing matches.

    Raises:
        NotFound: Nothing matches, and `missing_ok` is False.
        EmptyFilter: The where may match everything, which nobody said was meant.
        InvalidInput: A field in it that is never null is None.
    """
    from ..inputs import VmWhereInput  # only now, as importing recipes must load nothing generated

    if where is not EVERYTHING and matches_all(where):
        raise EmptyFilter(
            f"{recipe}: where: this may match every VM: it is empty, or all in it is None or "
            "empty; say which VMs are meant, or pass EVERYTHING"
        )
    refuse_lost_values(recipe, VmWhereInput, where)
    vms = await tower.fetch_all(tower.vm.get_vms, where=where)
    if not vms and not missing_ok:
        raise NotFound(
            "no VM matches the where",
            operation=recipe,
            endpoint=tower.endpoint,
            hint="Check the where; pass missing_ok=True if it may match nothing.",
        )
    # Each once, also where a server repeats rows; those without an id cannot be told apart.
    distinct = {vm.id or place: vm for place, vm in enumerate(vms)}
    return sorted(distinct.values(), key=lambda vm: (vm.name or "", vm.id or ""))


def identified(resource: Named, query: str) -> Named:
    """Return a resource that the server listed, if it has an id.

    Args:
        resource: What was listed.
        query: Name of the method, for errors.

    Raises:
        ResponseDecodeError: It has no id, so nothing can be done with it.
    """
    if resource.id:
        return resource
    raise ResponseDecodeError(
        f"the server listed a {type(resource).__name__} without an id", operation=query
    )


def only(answers: Sequence[WithTask[Named]], operation: str, tower: Cloudtower) -> WithTask[Named]:
    """Return what a mutation that creates one resource answered with.

    Args:
        answers: The answer: one for each resource.
        operation: Name of the method, for errors.
        tower: The session.

    Raises:
        OutcomeUnknown: The server answered with none, with several, or without naming it.
    """
    named = [one for one in answers if has_id(one)]
    if len(answers) == len(named) == 1:
        return named[0]
    if len(answers) == 1:
        what = "the answer does not name what is created"
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
    """Return whether an answer names the resource that it is about."""
    data: Resource | None = answer.data
    return bool(getattr(data, "id", None))
