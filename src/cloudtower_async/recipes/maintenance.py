"""Taking hosts into maintenance mode, and back."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import anyio
import msgspec

from .. import models  # noqa: TC001 - to be read from the annotations of structs
from ..errors import CloudtowerError, TaskTimeout
from .progress import Telling, carry_out, follow

if TYPE_CHECKING:
    from ..session import Cloudtower
    from .progress import OnProgress

_PAUSE = 1.0
"""Seconds between looks at the result of a precheck whose task has ended."""


class MaintenanceCheck(msgspec.Struct, kw_only=True, frozen=True):
    """What would have to happen for a host to enter maintenance mode.

    Attributes:
        host: The host.
        must_stop: VMs that cannot be moved to another host, and would have to be shut down.
    """

    host: models.Host
    must_stop: list[models.Vm]


class MaintenanceEntered(msgspec.Struct, kw_only=True, frozen=True):
    """A host is in maintenance mode.

    Attributes:
        host: The host as it now is.
        moved: VMs that were on on it and are so on other hosts now.
        stopped: VMs that were shut down.
    """

    host: models.Host
    moved: list[models.Vm]
    stopped: list[models.Vm]


class MaintenanceLeft(msgspec.Struct, kw_only=True, frozen=True):
    """A host is in use again.

    Attributes:
        host: The host as it now is.
        back: VMs that had been moved away and are on it again.
        started: VMs that had been shut down and run again.
        not_back: VMs that were to come back or to be started, and did not.
    """

    host: models.Host
    back: list[models.Vm]
    started: list[models.Vm]
    not_back: list[models.Vm]


class VmsInTheWay(CloudtowerError):  # noqa: N818 - the name says what happened
    """A host cannot enter maintenance mode unless VMs are shut down, which was not allowed.

    Nothing was changed.

    Attributes:
        check: The host, and the VMs that cannot be moved.
    """

    def __init__(self, check: MaintenanceCheck) -> None:
        super().__init__(check)
        self.check: MaintenanceCheck = check

    def _describe(self) -> str:
        names = [vm.name for vm in self.check.must_stop]
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        return (
            f"host {self.check.host.name} cannot be emptied: {len(names)} of its VMs cannot be "
            f"moved: {shown}. Move or stop them, or pass stop_vms=True."
        )


async def check_maintenance(
    tower: Cloudtower,
    host: str,
    *,
    timeout: float | None = 300.0,
    on_progress: OnProgress | None = None,
) -> MaintenanceCheck:
    """Ask the server which VMs keep a host from entering maintenance mode; nothing is changed.

    The step that `on_progress` is told is ``"check"``.

    Args:
        tower: The session to work with.
        host: Name or id of the host.
        timeout: Seconds to wait for the check; None: no limit.
        on_progress: Told how far it is.

    Raises:
        NotFound: There is no such host.
        TaskError: The check failed, or took too long.
        CallError: One of the calls failed; `BadRequest` for a host that is not in use.

    Example:
        ::

            check = await check_maintenance(tower, "node-3")
            print([vm.name for vm in check.must_stop])
    """
    found = await tower.resolve(tower.host.get_hosts, host)
    tell = Telling(on_progress)
    with tell.about(found.name):
        return await _check(tower, found, tell, timeout)


async def enter_maintenance(
    tower: Cloudtower,
    host: str,
    *,
    stop_vms: bool = False,
    timeout: float | None = 3600.0,
    on_progress: OnProgress | None = None,
) -> MaintenanceEntered:
    """Check, and take a host into maintenance mode: its VMs move to other hosts.

    One that is in maintenance mode already stays so. The steps that `on_progress` is told are
    ``"check"`` and ``"enter"``. Meanwhile `Cloudtower.lock` is held on the host. Who cancels it
    leaves the server at it, once ``"enter"`` has begun.

    Args:
        tower: The session to work with.
        host: Name or id of the host.
        stop_vms: Whether VMs that cannot be moved may be shut down.
        timeout: Seconds to wait for each task; None: no limit.
        on_progress: Told how far it is.

    Raises:
        VmsInTheWay: VMs cannot be moved, and `stop_vms` is False. Nothing was changed.
        NotFound: There is no such host.
        TaskError: The check or the entering failed, or took too long.
        CallError: One of the calls failed; `BadRequest` for a host that is on its way already.

    Example:
        ::

            entered = await enter_maintenance(tower, "node-3", stop_vms=True)
            print("moved:", [vm.name for vm in entered.moved])
            print("stopped:", [vm.name for vm in entered.stopped])
    """
    found = await tower.resolve(tower.host.get_hosts, host)
    tell = Telling(on_progress)
    with tell.about(found.name):
        async with tower.lock(found.id):
            found = await tower.get_one(tower.host.get_hosts, where={"id": found.id})
            if _in_maintenance(found):
                return MaintenanceEntered(host=found, moved=[], stopped=[])
            return await _enter(tower, found, stop_vms, tell, timeout)


async def leave_maintenance(
    tower: Cloudtower,
    host: str,
    *,
    bring_back: bool = True,
    timeout: float | None = 3600.0,
    on_progress: OnProgress | None = None,
) -> MaintenanceLeft:
    """Take a host out of maintenance mode, and bring back what was moved or shut down for it.

    One that is in use already stays so. The step that `on_progress` is told is ``"leave"``.
    Meanwhile `Cloudtower.lock` is held on the host. Who cancels it leaves the server at it.

    Args:
        tower: The session to work with.
        host: Name or id of the host.
        bring_back: Move VMs back that were moved away, and start those that were shut down.
        timeout: Seconds to wait for the task; None: no limit.
        on_progress: Told how far it is.

    Raises:
        NotFound: There is no such host.
        TaskError: The leaving failed, or took too long.
        CallError: One of the calls failed.

    Example:
        ::

            left = await leave_maintenance(tower, "node-3")
            print([vm.name for vm in left.not_back])
    """
    found = await tower.resolve(tower.host.get_hosts, host)
    tell = Telling(on_progress)
    with tell.about(found.name):
        async with tower.lock(found.id):
            found = await tower.get_one(tower.host.get_hosts, where={"id": found.id})
            if not _in_maintenance(found):
                return MaintenanceLeft(host=found, back=[], started=[], not_back=[])
            return await _leave(tower, found, bring_back, tell, timeout)


def _in_maintenance(host: models.Host) -> bool:
    return host.host_state is not None and host.host_state.state == "MAINTENANCE_MODE"


async def _check(
    tower: Cloudtower, host: models.Host, tell: Telling, timeout: float | None
) -> MaintenanceCheck:
    tell.step(host.name, "check")
    check = await tower.host.enter_maintenance_mode_pre_check(where={"id": host.id})
    await follow(tower, check, partial(tell.step, host.name, "check"), timeout)
    deadline = math.inf if timeout is None else anyio.current_time() + timeout
    while True:
        result = await tower.host.enter_maintenance_mode_precheck_result(
            where={"task_id": check.task_id}
        )
        if result.done:
            break
        left = deadline - anyio.current_time()
        if left <= 0:  # only now: after a clock jump there is one more look
            raise TaskTimeout([check.task_id], timeout)
        await anyio.sleep(min(_PAUSE, left))
    names = [vm.vm_uuid for vm in result.shutdown_vms]
    return MaintenanceCheck(host=host, must_stop=await _vms(tower, names))


async def _vms(tower: Cloudtower, local_ids: list[str]) -> list[models.Vm]:
    """The VMs that the server names so in all that concerns maintenance."""
    if not local_ids:
        return []
    return await tower.fetch_all(tower.vm.get_vms, where={"local_id_in": local_ids})


async def _enter(
    tower: Cloudtower, host: models.Host, stop_vms: bool, tell: Telling, timeout: float | None
) -> MaintenanceEntered:
    check = await _check(tower, host, tell, timeout)
    if check.must_stop and not stop_vms:
        raise VmsInTheWay(check)
    on = await tower.fetch_all(
        tower.vm.get_vms,
        where={"host": {"id": host.id}, "status_in": ["RUNNING", "SUSPENDED"]},
    )
    tell.step(host.name, "enter")
    entering = await tower.host.enter_maintenance_mode(
        where={"host_id": host.id},
        data={"shutdown_vms": [vm.local_id for vm in check.must_stop]},
    )
    told = partial(tell.step, host.name, "enter")
    entered = await carry_out(tower, entering, told, timeout)
    now = await _vms(tower, [vm.local_id for vm in on])
    return MaintenanceEntered(
        host=entered,
        moved=[vm for vm in now if vm.status != "STOPPED"],
        stopped=[vm for vm in now if vm.status == "STOPPED"],
    )


async def _leave(
    tower: Cloudtower, host: models.Host, bring_back: bool, tell: Telling, timeout: float | None
) -> MaintenanceLeft:
    live: list[str] = []
    offline: list[str] = []
    off: list[str] = []
    if bring_back:
        plan = await tower.host.exit_maintenance_mode_precheck_result(where={"id": host.id})
        live = _names(plan.live_migrate_vms)
        offline = _names(plan.offline_migrate_vms)
        off = _names(plan.shut_down_vms)
    tell.step(host.name, "leave")
    leaving = await tower.host.exit_maintenance_mode(
        where={"host_id": host.id},
        data={
            "live_migrate_back_vms": live,
            "offline_migrate_back_vms": offline,
            "poweron_vms": off,
        },
    )
    told = partial(tell.step, host.name, "leave")
    in_use = await carry_out(tower, leaving, told, timeout)
    moved = await _vms(tower, [*live, *offline])
    stopped = await _vms(tower, off)
    back = [vm for vm in moved if vm.host is not None and vm.host.id == host.id]
    started = [vm for vm in stopped if vm.status == "RUNNING"]
    return MaintenanceLeft(
        host=in_use,
        back=back,
        started=started,
        not_back=[vm for vm in (*moved, *stopped) if vm not in back and vm not in started],
    )


def _names(vms: list[models.MaintenanceModeVmInfo]) -> list[str]:
    return [vm.vm_uuid for vm in vms if vm.vm_uuid]
