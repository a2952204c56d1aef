"""Starting, shutting down and restarting many VMs, in few calls."""

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
"""What came of a VM: it was switched, was so already, was powered off after all, or neither."""


class PowerOutcome(msgspec.Struct, kw_only=True, frozen=True):
    """What has become of a VM that was to be switched.

    Attributes:
        vm: As it is afterwards; where it failed, as it was when last read.
        result: ``"done"``; ``"already"``: it was so before; ``"forced"``: it did not shut down and
            was powered off; or ``"failed"``.
        error: Why it failed. A `ReadBackFailed` with another result: the VM was switched, but could
            not be read afterwards, so `vm` is as it was before.
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
    """Start VMs, so many at a time, with one call for all of these.

    One that fails does not end the others. The step that `on_progress` is told is ``"start"``. Who
    cancels it leaves at the server what was begun: VMs that are starting start.

    Args:
        tower: The session to work with.
        where: Which VMs. Those that run already are left alone; one that is suspended fails.
        limit: Maximum number of VMs at a time; the next ones begin when all of these have ended.
        missing_ok: Return an empty list when no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for the VMs of each call; None: no limit.
        on_progress: Told how far it is.

    Returns:
        What has become of each VM, by name.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: The where may match everything.
        CallError: The VMs cannot be read.
        InvalidInput: An argument cannot be used.

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
    """Restart VMs by their guests, so many at a time, with one call for all of these.

    With ``limit=1`` they restart one after the other. A VM that does not run fails. The step that
    `on_progress` is told is ``"restart"``; for the rest it is as `start_vms`.

    Args:
        tower: The session to work with.
        where: Which VMs.
        limit: Maximum number of VMs at a time; the next ones begin when all of these have ended.
        missing_ok: Return an empty list when no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for the VMs of each call; None: no limit.
        on_progress: Told how far it is.

    Returns:
        What has become of each VM, by name.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: The where may match everything.
        CallError: The VMs cannot be read.
        InvalidInput: An argument cannot be used.
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
    """Shut VMs down by their guests, so many at a time, with one call for all of these.

    The steps that `on_progress` is told are ``"shut down"`` and ``"power off"``; for the rest it is
    as `start_vms`.

    Args:
        tower: The session to work with.
        where: Which VMs. Those that are off already are left alone; one that is suspended fails.
        force_after: Seconds until VMs that have not shut down are powered off, as if pulling the
            plug; one that cannot shut down is at once. None: never, they fail after `timeout`.
        limit: Maximum number of VMs at a time; the next ones begin when all of these have ended.
        missing_ok: Return an empty list when no VM matches, instead of raising NotFound.
        timeout: Seconds to wait for the VMs of each call; None: no limit.
        on_progress: Told how far it is.

    Returns:
        What has become of each VM, by name.

    Raises:
        NotFound: No VM matches, and `missing_ok` is False.
        EmptyFilter: The where may match everything.
        CallError: The VMs cannot be read.
        InvalidInput: An argument cannot be used.

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
        """Do something to what matches and is as it has to be before, so many at a time."""
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
                why = f"VM {label(vm)} is {vm.status}; it would have to be {begins}"
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
        """Act on some VMs; an unexpected error becomes their outcome and ends no others."""
        try:
            return await act(vms)
        except Exception as error:
            if error is self.tell.raised:
                raise
            return [self.outcome(vm, error, "failed") for vm in vms]

    def outcome(self, vm: models.Vm, came: Came, result: Result) -> PowerOutcome:
        """What has become of a VM, and tell of it."""
        error = came if isinstance(came, Exception) else None
        if isinstance(error, ReadBackFailed) and error.done:
            self.tell.end(label(vm))
            return PowerOutcome(vm=vm, result=result, error=error)
        self.tell.end(label(vm), error)
        if isinstance(came, Exception):
            return PowerOutcome(vm=vm, result="failed", error=came)
        return PowerOutcome(vm=came, result=result)

    async def start(self, vms: Sequence[models.Vm]) -> list[PowerOutcome]:
        """Start some."""
        came = await Switch(
            self.tower, self.tell, "start", _start, vms, timeout=self.timeout, ends="RUNNING"
        ).run()
        return [self.outcome(vm, came[vm.id], "done") for vm in vms]

    async def restart(self, vms: Sequence[models.Vm]) -> list[PowerOutcome]:
        """Restart some."""
        came = await Switch(
            self.tower, self.tell, "restart", _restart, vms, timeout=self.timeout, ends=None
        ).run()
        return [self.outcome(vm, came[vm.id], "done") for vm in vms]

    async def shut_down(
        self, vms: Sequence[models.Vm], *, force_after: float | None
    ) -> list[PowerOutcome]:
        """Shut some down, and power off those that do not obey, if that is asked for."""
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
        planned = self.tower.mutations == "plan"  # so it stays on
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
    """Return whether a VM is known not to have shut down, or its shut-down was refused."""
    if isinstance(came, Exception):
        return isinstance(came, TaskError | BadRequest | NotFound) and not isinstance(
            came, ReadBackFailed
        )
    return came.status != "STOPPED"


def _off(came: Came) -> Came:
    """Return a VM that is off; of another one, why it is not known to be off."""
    if isinstance(came, ReadBackFailed) and came.done:
        # The guest was told to shut down, and may still be doing so.
        return ReadBackFailed(came.resource_ids, came.reason, done=False)
    if isinstance(came, Exception) or came.status == "STOPPED":
        return came
    return CloudtowerError(
        f"VM {label(came)} is still {came.status}: its guest has not shut down; "
        "force_after= powers such a VM off"
    )
