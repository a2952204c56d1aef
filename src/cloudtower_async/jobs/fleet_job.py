"""Jobs of a fleet: the work on each Tower, as functions that workers import by name."""

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
        key: Unique name of the item, the same in each listing, for example the id of a VM.
        cluster: Id of the cluster that does the work; None: the limit per cluster does not apply.
        data: Other data for the work, as JSON. The data is stored in Redis, so it must not contain
            secrets.
        run: Name of the run; the fleet sets it.
    """

    key: str
    cluster: str | None = None
    data: object = None
    run: str = ""


ListItems: TypeAlias = Callable[[Cloudtower], Awaitable[Sequence[FleetItem]]]
Work: TypeAlias = Callable[[Cloudtower, FleetItem, Journal], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class FleetJob:
    """Job for many Towers: define it in a module, and workers find it as ``module:name``.

    Args:
        list_items: Async function that lists the work on a Tower.
        work: Async function that works on one item. It can be called again for the same item, even
            by two workers at once, so it should change the Tower through `once` with the journal
            that is passed to it. This journal belongs to one job, run and Tower, so the key of the
            item is unique in it. The return value is stored in Redis as JSON for a week.

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
        name: ``module:name``.

    Raises:
        InvalidInput: The name is malformed, or does not refer to a `FleetJob`.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is not the name of a job: expected module:name")
    module, _, attribute = name.partition(":")
    try:
        job: object = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module itself lacks a dependency
        raise InvalidInput(
            f"{name}: there is no module {error.name!r}: install it, or set PYTHONPATH"
        ) from error
    except AttributeError:
        raise InvalidInput(f"{name}: the module has no {attribute!r}") from None
    if not isinstance(job, FleetJob):
        raise InvalidInput(f"{name}: expected a FleetJob, got {type(job).__name__}")
    return job
