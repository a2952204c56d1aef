"""Starting, shutting down and restarting many VMs, in few calls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
import msgspec

from .. import models  # noqa: TC001 - to be read from the annotations of structs
from ..errors import (
    BadRequest,
    CloudtowerError,
    NotFound,
    OutcomeUnknown,
    ResourceLocked,
    SettleTimeout,
    TaskError,
)
from ..types import WithTask
from ..validators import positive_number
from .many import chosen_vms, each
from .progress import Telling, follow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .. import inputs
    from ..session import Cloudtower
    from .progress import OnProgress

Result: TypeAlias = Literal["done", "already", "forced", "failed"]
"""What came of a VM: it was switched, was so already, was powered off after all, or neither."""

_PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds between looks at VMs that are shutting down; the last one again and again."""


class PowerOutcome(msgspec.Struct, kw_only=True, frozen=True):
    """What has become of a VM that was to be switched.

    Attributes:
        vm: As it is afterwards; where it failed, as it was when last read.
        result: ``"done"``; ``"already"``: it was so before; ``"forced"``: it did not shut down and
            was powered off; or ``"failed"``.
        error: Why it failed.
    """

    vm: models.Vm
    result: Result
    error: CloudtowerError | None = None


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
    act = partial(run.shut_down, force_after=force_after)
    return await run.over(where, limit, on_progress, act, "RUNNING", "STOPPED")


_Came: TypeAlias = "dict[str, models.Vm | CloudtowerError]"
"""What came of VMs, by their ids: each as it now is, or what went wrong."""


@dataclass(slots=True)
class _Run:
    """One run of a recipe over many VMs."""

    recipe: str
    tower: Cloudtower
    timeout: float | None
    missing_ok: bool
    tell: Telling = field(default_factory=lambda: Telling(None))

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
        outcomes: dict[str, PowerOutcome] = {}
        waiting: list[models.Vm] = []
        for vm in vms:
            if vm.status == begins:
                waiting.append(vm)
            elif vm.status == ends:
                outcomes[vm.id] = self.outcome(vm, vm, "already")
            else:
                why = f"VM {vm.name} is {vm.status}; it would have to be {begins}"
                outcomes[vm.id] = self.outcome(vm, CloudtowerError(why), "failed")
        for first in range(0, len(waiting), limit):
            for outcome in await act(waiting[first : first + limit]):
                outcomes[outcome.vm.id] = outcome
        return [outcomes[vm.id] for vm in vms]

    def outcome(
        self, vm: models.Vm, came: models.Vm | CloudtowerError, result: Result
    ) -> PowerOutcome:
        """What has become of a VM, and tell of it."""
        error = came if isinstance(came, CloudtowerError) else None
        self.tell.end(vm.name, error)
        if isinstance(came, CloudtowerError):
            return PowerOutcome(vm=vm, result="failed", error=came)
        return PowerOutcome(vm=came, result=result)

    async def start(self, vms: Sequence[models.Vm]) -> list[PowerOutcome]:
        """Start some."""
        came = await self._switch("start", self.tower.vm.start_vm, vms, self.timeout, "RUNNING")
        return [self.outcome(vm, came[vm.id], "done") for vm in vms]

    async def restart(self, vms: Sequence[models.Vm]) -> list[PowerOutcome]:
        """Restart some."""
        came = await self._switch("restart", self.tower.vm.restart_vm, vms, self.timeout, None)
        return [self.outcome(vm, came[vm.id], "done") for vm in vms]

    async def shut_down(
        self, vms: Sequence[models.Vm], *, force_after: float | None
    ) -> list[PowerOutcome]:
        """Shut some down, and power off those that do not obey, if that is asked for."""
        patience = self.timeout if force_after is None else force_after
        deadline = math.inf if patience is None else anyio.current_time() + patience
        came = await self._switch("shut down", self.tower.vm.shut_down_vm, vms, patience, "STOPPED")
        await self._until_off(came, deadline)
        forced: set[str] = set()
        if force_after is not None:
            left = [vm for vm in vms if _may_be_on(came[vm.id])]
            forced = {vm.id for vm in left}
            came |= await self._switch(
                "power off", self.tower.vm.poweroff_vm, left, self.timeout, "STOPPED"
            )
        return [
            self.outcome(vm, _off(came[vm.id]), "forced" if vm.id in forced else "done")
            for vm in vms
        ]

    async def _switch(
        self,
        step: str,
        call: Callable[..., Awaitable[list[WithTask[models.Vm]]]],
        vms: Sequence[models.Vm],
        timeout: float | None,
        ends: str | None,
    ) -> _Came:
        """Call a power operation for some, and wait for what becomes of each.

        A VM that the answer does not name, or whose answer was lost, is read again: it counts as
        switched if it is as it was to become.
        """
        names = {vm.id: vm.name for vm in vms}
        came: _Came = {}
        ended: list[WithTask[models.Vm]] = []

        async def wait(one: WithTask[models.Vm]) -> None:
            tell = partial(self.tell.step, names[one.data.id], step)
            try:
                await follow(self.tower, one, tell, timeout)
            except CloudtowerError as error:
                came[one.data.id] = error
            else:
                ended.append(WithTask(data=one.data))

        await each(wait, await _send(call, vms, came))
        came |= await self._settled(ended)
        lost = [vm for vm in vms if isinstance(came.get(vm.id), OutcomeUnknown | NotFound | None)]
        # Also where it does not tell: the next ones are to begin when these are done.
        for one, vm in (await self._settled([WithTask(data=vm) for vm in lost])).items():
            if isinstance(vm, CloudtowerError):
                came.setdefault(one, vm)
            elif vm.status == ends:
                came[one] = vm
            else:
                came.setdefault(one, NotFound(f"the server found no VM {vm.name} to {step}"))
        for vm in vms:
            came.setdefault(vm.id, CloudtowerError(f"VM {vm.name} is not there any more"))
        return came

    async def _settled(self, ended: Sequence[WithTask[models.Vm]]) -> _Came:
        """Read VMs again, once nothing changes them any more."""
        try:
            # They were listed before: one that is missing now is gone.
            settled = await self.tower.settle(ended, timeout=self.timeout, grace=0)
            return {vm.id: vm for vm in settled}
        except SettleTimeout as error:
            rest = [one for one in ended if one.data.id not in error.unsettled]
            return {**dict.fromkeys(error.unsettled, error), **await self._settled(rest)}
        except CloudtowerError as error:
            return {one.data.id: error for one in ended}

    async def _until_off(self, came: _Came, deadline: float) -> None:
        """Wait for guests that still shut down when the task that told them to has ended."""
        pauses = chain(_PAUSES, repeat(_PAUSES[-1]))
        while on := [one for one, vm in came.items() if _is_on(vm)]:
            left = deadline - anyio.current_time()
            if left <= 0:
                return
            await anyio.sleep(min(next(pauses), left))
            try:
                found = await self.tower.vm.get_vms(where={"id_in": on}, first=len(on))
            except CloudtowerError as error:
                came |= dict.fromkeys(on, error)
            else:
                came |= {vm.id: vm for vm in found}


def _is_on(came: models.Vm | CloudtowerError) -> bool:
    return not isinstance(came, CloudtowerError) and came.status != "STOPPED"


def _may_be_on(came: models.Vm | CloudtowerError) -> bool:
    """Whether a VM has not shut down, or was refused to; not when nobody knows what was done."""
    return isinstance(came, TaskError | BadRequest | NotFound) or _is_on(came)


def _off(came: models.Vm | CloudtowerError) -> models.Vm | CloudtowerError:
    if isinstance(came, CloudtowerError) or came.status == "STOPPED":
        return came
    return CloudtowerError(
        f"VM {came.name} is still {came.status}: its guest has not shut down; "
        "force_after= powers such a VM off"
    )


async def _send(
    call: Callable[..., Awaitable[list[WithTask[models.Vm]]]],
    vms: Sequence[models.Vm],
    came: _Came,
) -> list[WithTask[models.Vm]]:
    """Call for all of them at once. One that is refused does not keep the others from it."""
    ids = [vm.id for vm in vms]
    if not ids:
        return []
    try:
        return await call(where={"id_in": ids})
    except BadRequest as error:  # nothing was done
        locked = error.locked_resources if isinstance(error, ResourceLocked) else ()
        out = {one.id for one in locked} & {*ids}
        if len(ids) == 1:
            out = {*ids}
        came |= dict.fromkeys(out, error)
        rest = [vm for vm in vms if vm.id not in out]
        # Where it is not said which of them is to blame, each half finds out for itself.
        middle = len(rest) if out else len(rest) // 2
        return [*await _send(call, rest[:middle], came), *await _send(call, rest[middle:], came)]
    except CloudtowerError as error:
        came |= dict.fromkeys(ids, error)
        return []
