"""Jobs of a fleet (a group of Towers). Workers import a job by its name."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from ..client import Cloudtower
from ..errors import InvalidInput
from .journal import Journal

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


class FleetItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One piece of work on a Tower.

    Attributes:
        key: Unique name of the item, for example the id of a VM. `list_items` has to return the
            same key for the same item each time.
        cluster: Id of the cluster on which the work is done. `run_fleet` limits the concurrent
            items of a cluster. None means that this limit does not apply to the item.
        data: Other data for the work, as a value that can be converted to JSON. The data is stored
            in Redis, so it must not contain secrets.
        run: Name of the run, such as ``"2026-01-31"``. `run_fleet` sets it.
    """

    key: str
    cluster: str | None = None
    data: object = None
    run: str = ""


ListItems: TypeAlias = Callable[[Cloudtower], Awaitable[Sequence[FleetItem]]]
Work: TypeAlias = Callable[[Cloudtower, FleetItem, Journal], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class FleetJob:
    """Job for many Towers. Define a job in a module; workers import it as ``module:name``.

    Args:
        list_items: Async function that takes a session with a Tower, and returns the items of work.
        work: Async function that takes a session, an item and a journal, and works on the item. The
            function may be called again for the same item, even by two workers at the same time.
            Therefore, the function should change the Tower only through `once`, and pass the
            journal to `once`. Each run of the job has its own journal for each Tower, so the key of
            the item can be used as the key in the journal. The return value is stored in Redis as
            JSON for a week.

    Raises:
        InvalidInput: An argument is not an async function.

    Example:
        ::

            async def list_vms(tower: Cloudtower) -> list[FleetItem]:
                vms = await tower.fetch_all(tower.vm.get_vms, where={"in_recycle_bin": False})
                return [FleetItem(key=vm.id, cluster=vm.cluster.id) for vm in vms if vm.cluster]


            async def back_up(tower: Cloudtower, item: FleetItem, journal: Journal) -> str: ...


            nightly = FleetJob(list_vms, back_up)
    """

    list_items: ListItems
    work: Work

    def __post_init__(self) -> None:
        for name in ("list_items", "work"):
            if not inspect.iscoroutinefunction(getattr(self, name)):
                raise InvalidInput(f"FleetJob: {name}: expected an async function")


def load_job(name: str) -> FleetJob:
    """Import a job.

    Args:
        name: Name of the job: ``module:name``.

    Raises:
        InvalidInput: The name is malformed, or is not the name of a `FleetJob`.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not the name of a job: expected module:name")
    module, _, attribute = name.partition(":")
    try:
        job: object = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module exists, but one of its imports is missing
        raise InvalidInput(
            f"{name}: there is no module {error.name!r}: install it, or set PYTHONPATH"
        ) from error
    except AttributeError:
        raise InvalidInput(f"{name}: the module has no {attribute!r}") from None
    if not isinstance(job, FleetJob):
        raise InvalidInput(f"{name}: expected a FleetJob, got {type(job).__name__}")
    return job
