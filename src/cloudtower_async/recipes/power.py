"""Recipes that start, shut down and restart many VMs with few calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias

import msgspec

from .. import inputs, models
from ..client import Cloudtower
from ..errors import BadRequest, CloudtowerError, NotFound, ReadBackFailed, TaskError
from ..types import WithTask
from ..validators import check_seconds, positive_number
from .batch import chosen_vms
from .progress import OnProgress, Telling, label
from .switching import Result as Came
from .switching import Switch

Answer: TypeAlias = Awaitable[list[WithTask[models.Vm]]]

Result: TypeAlias = Literal["done", "already", "forced", "failed"]
"""Outcome of a power operation for one VM; see `PowerOutcome`."""


class PowerOutcome(msgspec.Struct, kw_only=True, frozen=True):
    """Outcome of a power operation for one VM.

    Attributes:
        vm: The VM after the operation. If the operation failed, or the VM could not be read after
            the operation, this is the VM before the operation.
        result: ``"done"`` means that the operation succeeded. ``"already"`` means that the VM
            already had the wanted status. ``"forced"`` means that the guest did not shut down and
            the VM was powered off. ``"failed"`` means that the operation failed.
        error: Error of the operation, or None. If the operation succeeded, but the VM could not be
            read after the operation, the error is a `ReadBackFailed`.
    """

    vm: models.Vm
    result: Result
    error: Exception | None = None


async def start_vms(
    tower: Cloudtower,
    where: inputs.VmWhereInput,
    *,
    limit: int = 50,
    missing_ok: bool = False,
    timeout: float | None = 300.0,
    on_progress: OnProgress | None = None,
) -> list[PowerOutcome]:
    """Start VMs in batches of `limit`, with one call for each batch.

    If a VM cannot be started, the other VMs are still started. `on_progress` reports the step
    ``"start"``. If the call is cancelled, the server still starts the VMs of the current batch.

    Args:
        tower: The session to work with.
        where: Filter that selects the VMs. Running VMs are not changed. For a suspended VM, the
            result is ``"failed"``.
        limit: Maximum number of VMs in a batch. A batch begins when the previous batch has ended.
        missing_ok: Whether to return an empty list if no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for the VMs of each batch. None means no limit.
        on_progress: Function to call with each `Progress`.

    Returns:
        The outcomes of all VMs, sorted by VM name.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: `where` could match every VM, for example because it is empty.
        CallError: The VMs cannot be read.
        InvalidInput: An argument is invalid.

    Example:
        ::

            for outcome in await start_vms(tower, {"name_starts_with": "web-"}):
                print(outcome.vm.name, outcome.result, outcome.error or "")
    """
    run = _Run("start_vms", tower, timeout, missing_ok)
    return await run.over(where, limit, on_progress, run.start, "STOPPED", "RUNNING")


async def restart_vms(
    tower: Cloudtower,
    where: inputs.VmWhereInput,
    *,
    limit: int = 50,
    missing_ok: bool = False,
    timeout: float | None = 300.0,
    on_progress: OnProgress | None = None,
) -> list[PowerOutcome]:
    """Ask the guests of VMs to restart, in batches of `limit`, with one call for each batch.

    With ``limit=1``, the VMs restart one after the other. For a VM that is not running, the result
    is ``"failed"``. `on_progress` reports the step ``"restart"``. For failures and cancellation,
    see `start_vms`.

    Args:
        tower: The session to work with.
        where: Filter that selects the VMs.
        limit: Maximum number of VMs in a batch. A batch begins when the previous batch has ended.
        missing_ok: Whether to return an empty list if no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for the VMs of each batch. None means no limit.
        on_progress: Function to call with each `Progress`.

    Returns:
        The outcomes of all VMs, sorted by VM name.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: `where` could match every VM, for example because it is empty.
        CallError: The VMs cannot be read.
        InvalidInput: An argument is invalid.
    """
    run = _Run("restart_vms", tower, timeout, missing_ok)
    return await run.over(where, limit, on_progress, run.restart, "RUNNING", None)


async def shut_down_vms(
    tower: Cloudtower,
    where: inputs.VmWhereInput,
    *,
    force_after: float | None = None,
    limit: int = 50,
    missing_ok: bool = False,
    timeout: float | None = 300.0,
    on_progress: OnProgress | None = None,
) -> list[PowerOutcome]:
    """Ask the guests of VMs to shut down, in batches of `limit`, with one call for each batch.

    `on_progress` reports the steps ``"shut down"`` and ``"power off"``. For failures and
    cancellation, see `start_vms`.

    Args:
        tower: The session to work with.
        where: Filter that selects the VMs. Stopped VMs are not changed. For a suspended VM, the
            result is ``"failed"``.
        force_after: Seconds to wait for the guests of each batch to shut down. Then VMs that
            are still running, and VMs whose shutdown failed, are powered off, as in a power
            failure. None means that no VM is powered off: the result of a VM that has
            not shut down within `timeout` is ``"failed"``.
        limit: Maximum number of VMs in a batch. A batch begins when the previous batch has ended.
        missing_ok: Whether to return an empty list if no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for the VMs of each batch. None means no limit. With `force_after`,
            the time-out applies only to the power-off.
        on_progress: Function to call with each `Progress`.

    Returns:
        The outcomes of all VMs, sorted by VM name.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: `where` could match every VM, for example because it is empty.
        CallError: The VMs cannot be read.
        InvalidInput: An argument is invalid.

    Example:
        ::

            outcomes = await shut_down_vms(tower, {"name_starts_with": "web-"}, force_after=120)
            print([outcome.vm.name for outcome in outcomes if outcome.result == "forced"])
    """
    run = _Run("shut_down_vms", tower, timeout, missing_ok)
    check_seconds(run.recipe, "force_after", force_after, none_ok=True)
    act = partial(run.shut_down, force_after=force_after)
    return await run.over(where, limit, on_progress, act, "RUNNING", "STOPPED")


@dataclass(slots=True)
class _Run:
    """One run of a recipe over many VMs."""

    recipe: str
    tower: Cloudtower
    timeout: float | None
    missing_ok: bool
    tell: Telling = field(default_factory=lambda: Telling(None))

    def __post_init__(self) -> None:
        check_seconds(self.recipe, "timeout", self.timeout, none_ok=True)

    async def over(
        self,
        where: inputs.VmWhereInput,
        limit: int,
        on_progress: OnProgress | None,
        act: Callable[[Sequence[models.Vm]], Awaitable[list[PowerOutcome]]],
        begins: str,
        ends: str | None,
    ) -> list[PowerOutcome]:
        """Call `act` for batches of the VMs with the status `begins`, such as ``"STOPPED"``.

        Return the outcomes of all VMs that match `where`. For VMs with the status `ends`, the
        result is ``"already"``. For VMs with another status, the result is ``"failed"``.
        """
        limit = positive_number(self.recipe, "limit", limit)
        vms = await chosen_vms(self.recipe, self.tower, where, missing_ok=self.missing_ok)
        self.tell = Telling(on_progress, len(vms))
        outcomes: dict[int, PowerOutcome] = {}
        waiting: list[int] = []
        for place, vm in enumerate(vms):
            if not vm.id:
                error = CloudtowerError(f"the server listed VM {label(vm)} without an id")
                outcomes[place] = self.outcome(vm, error, "failed")
            elif vm.status == begins:
                waiting.append(place)
            elif vm.status == ends:
                outcomes[place] = self.outcome(vm, vm, "already")
            else:
                why = f"VM {label(vm)} is {vm.status}; the operation needs {begins}"
                outcomes[place] = self.outcome(vm, CloudtowerError(why), "failed")
        for first in range(0, len(waiting), limit):
            places = waiting[first : first + limit]
            acted = await self._isolated(act, [vms[place] for place in places])
            outcomes |= zip(places, acted, strict=True)
        return [outcomes[place] for place in range(len(vms))]

    async def _isolated(
        self,
        act: Callable[[Sequence[models.Vm]], Awaitable[list[PowerOutcome]]],
        vms: Sequence[models.Vm],
    ) -> list[PowerOutcome]:
        """Call `act` for a batch of VMs, and return the outcomes.

        If `act` raises an error, return a failed outcome with this error for each VM.
        """
        try:
            return await act(vms)
        except Exception as error:
            if error is self.tell.raised:
                raise
            return [self.outcome(vm, error, "failed") for vm in vms]

    def outcome(self, vm: models.Vm, came: Came, result: Result) -> PowerOutcome:
        """Return the outcome for a VM: its new state or its error. Report the VM as finished."""
        error = came if isinstance(came, Exception) else None
        if isinstance(error, ReadBackFailed) and error.done:
            self.tell.end(label(vm))
            return PowerOutcome(vm=vm, result=result, error=error)
        self.tell.end(label(vm), error)
        if isinstance(came, Exception):
            return PowerOutcome(vm=vm, result="failed", error=came)
        return PowerOutcome(vm=came, result=result)

    async def start(self, vms: Sequence[models.Vm]) -> list[PowerOutcome]:
        """Start a batch of VMs, and return the outcomes."""
        came = await Switch(
            self.tower, self.tell, "start", _start, vms, timeout=self.timeout, ends="RUNNING"
        ).run()
        return [self.outcome(vm, came[vm.id], "done") for vm in vms]

    async def restart(self, vms: Sequence[models.Vm]) -> list[PowerOutcome]:
        """Restart a batch of VMs, and return the outcomes."""
        came = await Switch(
            self.tower, self.tell, "restart", _restart, vms, timeout=self.timeout, ends=None
        ).run()
        return [self.outcome(vm, came[vm.id], "done") for vm in vms]

    async def shut_down(
        self, vms: Sequence[models.Vm], *, force_after: float | None
    ) -> list[PowerOutcome]:
        """Shut down a batch of VMs, and return the outcomes.

        If `force_after` is not None, power off VMs that do not shut down in time.
        """
        came = await Switch(
            self.tower,
            self.tell,
            "shut down",
            _shut_down,
            vms,
            timeout=self.timeout if force_after is None else force_after,
            ends="STOPPED",
            wait_for_status=True,
            hurry=force_after is not None,
        ).run()
        planned = self.tower.mutations == "plan"  # nothing is sent, so the VM keeps running
        forced: set[str] = set()
        if force_after is not None:
            left = [vm for vm in vms if _may_be_on(came[vm.id])]
            forced = {vm.id for vm in left}
            came |= await Switch(
                self.tower,
                self.tell,
                "power off",
                _power_off,
                left,
                timeout=self.timeout,
                ends="STOPPED",
            ).run()
        return [
            self.outcome(vm, came[vm.id], "forced")
            if vm.id in forced
            else self.outcome(vm, came[vm.id] if planned else _off(came[vm.id]), "done")
            for vm in vms
        ]


def _start(tower: Cloudtower, ids: list[str]) -> Answer:
    return tower.vm.start_vm(where={"id_in": ids})


def _restart(tower: Cloudtower, ids: list[str]) -> Answer:
    return tower.vm.restart_vm(where={"id_in": ids})


def _shut_down(tower: Cloudtower, ids: list[str]) -> Answer:
    return tower.vm.shut_down_vm(where={"id_in": ids})


def _power_off(tower: Cloudtower, ids: list[str]) -> Answer:
    return tower.vm.poweroff_vm(where={"id_in": ids})


def _may_be_on(came: Came) -> bool:
    """Return whether a VM may still be running after a shutdown with the outcome `came`."""
    if isinstance(came, Exception):
        return isinstance(came, TaskError | BadRequest | NotFound) and not isinstance(
            came, ReadBackFailed
        )
    return came.status != "STOPPED"


def _off(came: Came) -> Came:
    """Return the VM after a shutdown if the VM has stopped. Otherwise, return an error."""
    if isinstance(came, ReadBackFailed) and came.done:
        # The guest has received the request to shut down, and may still be shutting down.
        return ReadBackFailed(came.resource_ids, came.reason, done=False)
    if isinstance(came, Exception) or came.status == "STOPPED":
        return came
    return CloudtowerError(
        f"VM {label(came)} is still {came.status}: its guest has not shut down. "
        "Pass force_after= to power off such a VM."
    )
