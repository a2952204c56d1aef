"""Make sure that a VM is running or off."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal, TypeAlias

from ... import inputs, models
from ...client import Cloudtower
from ...types import WithTask
from ...validators import check_argument, check_seconds, choice_fault
from ..batch import identified
from ..power import shut_down_vms, start_vms
from ..progress import Telling, read_back
from ..switching import Switch
from .flow import RECONCILE_TIMEOUT, Ensured, check_texts, check_times, ensure

PowerState: TypeAlias = Literal["RUNNING", "STOPPED"]
"""Wanted power state of a VM."""


async def ensure_power(
    tower: Cloudtower,
    vm: str,
    state: PowerState,
    *,
    force_after: float | None = None,
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> Ensured[models.Vm]:
    """Make sure that a VM is running or off.

    The VM is started, resumed or shut down with `start_vms`, ``resume_vm`` or `shut_down_vms`. The
    VM is locked with `Cloudtower.lock` during the call.

    Args:
        tower: The session to work with.
        vm: Name or id of the VM.
        state: ``"RUNNING"`` or ``"STOPPED"``. A suspended VM cannot be shut down: the call raises
            CloudtowerError.
        force_after: Seconds after which a VM that has not shut down is powered off, as if its plug
            were pulled. None means that the VM is never powered off.
        reconcile_timeout: Seconds to wait for the VM to reach `state` if the response to a request
            is lost. If the VM does not reach `state` in this time, the request is sent once more.
        timeout: Maximum number of seconds for each wait. The call waits until the VM reaches
            `state`. If another change of the VM is in progress, the call waits for its end first.
            None means no limit.

    Returns:
        An `Ensured`: `resource` is the VM, read after the server has completed all changes (see
        `Cloudtower.settle`), and `result` is ``"changed"`` or ``"unchanged"``.

    Raises:
        Ambiguous: Several VMs have the name.
        NotFound: The VM does not exist.
        TaskError: A task failed, or a task or another change of the VM was still in progress after
            `timeout` seconds.
        OutcomeUnknown: The VM did not reach `state` within `reconcile_timeout` after the last
            request.
        CloudtowerError: The VM cannot be brought into `state` from its current state. Or the
            shutdown task succeeded, but the VM was still running after `timeout` seconds.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            await ensure_power(tower, "web-1", "STOPPED", force_after=120)
    """
    recipe = "ensure_power"
    check_texts(recipe, vm=vm)
    check_argument(recipe, "state", choice_fault(state, PowerState))
    check_seconds(recipe, "force_after", force_after, none_ok=True)
    check_times(recipe, timeout, reconcile_timeout)
    found = identified(await tower.resolve(tower.vm.get_vms, vm), "vm.get_vms")

    async def look() -> models.Vm | None:
        nonlocal found
        found = await read_back(tower, found, timeout)
        return found if found.status == state else None

    async def switch() -> models.Vm:
        if state == "RUNNING" and found.status == "SUSPENDED":
            resumed = await Switch(
                tower, Telling(None), "resume", _resume, [found], timeout=timeout, ends=state
            ).run()
            came = resumed[found.id]
        else:
            where: inputs.VmWhereInput = {"id": found.id}
            if state == "RUNNING":
                outcomes = await start_vms(tower, where, timeout=timeout)
            else:
                outcomes = await shut_down_vms(
                    tower, where, force_after=force_after, timeout=timeout
                )
            came = outcomes[0].error or outcomes[0].vm
        if isinstance(came, Exception):
            raise came
        return came

    async with tower.lock(found.id):
        return await ensure(look, switch, "changed", reconcile_timeout)


def _resume(tower: Cloudtower, ids: list[str]) -> Awaitable[list[WithTask[models.Vm]]]:
    return tower.vm.resume_vm(where={"id_in": ids})
