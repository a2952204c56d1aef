"""Doing the same to many."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import anyio

from ..calls.breadth import matches_all, refuse_lost_values
from ..errors import EmptyFilter, NotFound, OutcomeUnknown
from ..types import EVERYTHING
from ..validators import positive_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .. import inputs, models
    from ..session import Cloudtower

T = TypeVar("T")
R = TypeVar("R")


async def each(
    function: Callable[[T], Awaitable[R]], items: Sequence[T], limit: int | None = None
) -> list[R]:
    """Call a function with each item at the same time; the results come in the order of the items.

    When one of the calls raises, the others are cancelled and its exception comes out as it is.

    Args:
        function: What to call.
        items: What with.
        limit: Most calls at a time.
    """
    results: dict[int, R] = {}
    limiter = anyio.CapacityLimiter(math.inf if limit is None else int(limit))
    failures: list[Exception] = []

    async def call(place: int, item: T) -> None:
        try:
            async with limiter:
                results[place] = await function(item)
        except Exception as exc:
            # Out of the task group it would come as a group of errors, and in place of the
            # cancellation of whoever is cancelled at this moment.
            failures.append(exc)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for place, item in enumerate(items):
            group.start_soon(call, place, item)
    if failures:
        raise failures[0]
    return [results[place] for place in range(len(items))]


def check_number(recipe: str, **numbers: int | None) -> None:
    """Refuse what is no whole number above 0.

    Raises:
        InvalidInput: One of them is not.
    """
    for name, number in numbers.items():
        if number is not None:
            positive_number(recipe, name, number)


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
    refuse_lost_values(recipe, VmWhereInput, where, ".where")
    vms = await tower.fetch_all(tower.vm.get_vms, where=where)
    if not vms and not missing_ok:
        raise NotFound(
            "no VM matches the where",
            operation=recipe,
            endpoint=tower.endpoint,
            hint="Check the where; pass missing_ok=True if it may match nothing.",
        )
    return sorted(vms, key=lambda vm: (vm.name, vm.id))


def only(answers: Sequence[R], operation: str, tower: Cloudtower) -> R:
    """Return what a mutation that creates one resource answered with.

    Args:
        answers: The answer: one for each resource.
        operation: Name of the method, for errors.
        tower: The session.

    Raises:
        OutcomeUnknown: The server answered with none, or with several.
    """
    if len(answers) == 1:
        return answers[0]
    raise OutcomeUnknown(
        f"the server answered with {len(answers)} resources where one was to be created",
        operation=operation,
        endpoint=tower.endpoint,
    )
