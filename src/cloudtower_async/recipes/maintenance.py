"""Recipes that check hosts, put hosts into maintenance mode and take hosts out of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial

import anyio

from .. import models
from ..client import Cloudtower
from ..errors import CallError, ReadBackFailed, ResponseDecodeError, TaskTimeout
from ..types import WithTask
from ..validators import check_seconds
from .maintenance_results import (
    MaintenanceCheck,
    MaintenanceEntered,
    MaintenanceLeft,
    VmsInTheWay,
)
from .progress import OnProgress, Telling, follow, label, read_back

_PAUSE = 1.0
"""Seconds between two polls for the result of a precheck, after the task of the precheck has
ended."""


async def check_maintenance(
    tower: Cloudtower,
    host: str,
    *,
    timeout: float | None = 300.0,
    on_progress: OnProgress | None = None,
) -> MaintenanceCheck:
    """Find the VMs that prevent a host from entering maintenance mode. Nothing is changed.

    `on_progress` reports the step ``"check"``.

    Args:
        tower: The session to work with.
        host: Name or id of the host.
        timeout: Seconds to wait for the check. None means no limit.
        on_progress: Function to call with each `Progress`.

    Raises:
        NotFound: The host does not exist.
        TaskError: The check failed, or did not end within `timeout`.
        CallError: A call failed. A `BadRequest` means that the host is already in maintenance mode,
            or is entering it.

    Example:
        ::

            check = await check_maintenance(tower, "node-3")
            print([vm.name for vm in check.must_stop])
    """
    check_seconds("check_maintenance", "timeout", timeout, none_ok=True)
    found = await tower.resolve(tower.host.get_hosts, host)
    tell = Telling(on_progress)
    with tell.about(label(found)):
        return await _check(tower, found, tell, timeout)


async def enter_maintenance(
    tower: Cloudtower,
    host: str,
    *,
    stop_vms: bool = False,
    timeout: float | None = 3600.0,
    on_progress: OnProgress | None = None,
) -> MaintenanceEntered:
    """Check a host and put it into maintenance mode. Its VMs are moved to other hosts.

    A host that is already in maintenance mode is not changed. `on_progress` reports the steps
    ``"check"`` and ``"enter"``. The host is locked with `Cloudtower.lock` during the call. If the
    call is cancelled during ``"enter"``, the server continues the operation.

    Args:
        tower: The session to work with.
        host: Name or id of the host.
        stop_vms: Whether to shut down VMs that cannot be moved. If False, the call raises
            `VmsInTheWay` for such VMs.
        timeout: Seconds to wait for each task. None means no limit.
        on_progress: Function to call with each `Progress`.

    Raises:
        VmsInTheWay: Some VMs cannot be moved, and `stop_vms` is False or one of these VMs is hidden
            from the session's user. Nothing was changed.
        NotFound: The host does not exist.
        TaskError: The task of the step ``"check"`` or ``"enter"`` failed, or did not end within
            `timeout`.
        CallError: A call failed. A `BadRequest` means that the host is already entering maintenance
            mode.

    Example:
        ::

            entered = await enter_maintenance(tower, "node-3", stop_vms=True)
            print("moved:", [vm.name for vm in entered.moved])
            print("stopped:", [vm.name for vm in entered.stopped])
    """
    check_seconds("enter_maintenance", "timeout", timeout, none_ok=True)
    found = await tower.resolve(tower.host.get_hosts, host)
    tell = Telling(on_progress)
    with tell.about(label(found)):
        async with tower.lock(found.id):
            found = await _again(tower, found)
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
    """Take a host out of maintenance mode, and bring back the VMs that were moved or shut down.

    A host that is not in maintenance mode is not changed. `on_progress` reports the step
    ``"leave"``. The host is locked with `Cloudtower.lock` during the call. If the call is
    cancelled, the server continues the operation.

    Args:
        tower: The session to work with.
        host: Name or id of the host.
        bring_back: Whether to move VMs back to the host, and to start VMs that were shut down for
            the maintenance.
        timeout: Seconds to wait for the task. None means no limit.
        on_progress: Function to call with each `Progress`.

    Raises:
        NotFound: The host does not exist.
        TaskError: The task failed, or did not end within `timeout`.
        CallError: A call failed.

    Example:
        ::

            left = await leave_maintenance(tower, "node-3")
            print([vm.name for vm in left.not_back])
    """
    check_seconds("leave_maintenance", "timeout", timeout, none_ok=True)
    found = await tower.resolve(tower.host.get_hosts, host)
    tell = Telling(on_progress)
    with tell.about(label(found)):
        async with tower.lock(found.id):
            found = await _again(tower, found)
            if not _in_maintenance(found):
                return MaintenanceLeft(host=found, back=[], started=[], not_back=[])
            return await _leave(tower, found, bring_back, tell, timeout)


async def _again(tower: Cloudtower, host: models.Host) -> models.Host:
    """Read a host again and return it. If the response has another host, raise an error."""
    found = await tower.get_one(tower.host.get_hosts, where={"id": host.id})
    if found.id != host.id:
        raise ResponseDecodeError(
            f"host {host.id} was requested, but the server answered with {found.id}",
            operation="host.get_hosts",
            endpoint=tower.endpoint,
        )
    return found


def _in_maintenance(host: models.Host) -> bool:
    return host.host_state is not None and host.host_state.state == "MAINTENANCE_MODE"


async def _check(
    tower: Cloudtower, host: models.Host, tell: Telling, timeout: float | None
) -> MaintenanceCheck:
    tell.step(label(host), "check")
    check = await tower.host.enter_maintenance_mode_pre_check(where={"id": host.id})
    if not check.task_id:
        raise ResponseDecodeError(
            "the answer names no task, so the result of the check cannot be read",
            operation="host.enter_maintenance_mode_pre_check",
            endpoint=tower.endpoint,
        )
    await follow(tower, check, partial(tell.step, label(host), "check"), timeout)
    deadline = math.inf if timeout is None else anyio.current_time() + timeout
    while True:
        result = await tower.host.enter_maintenance_mode_precheck_result(
            where={"task_id": check.task_id}
        )
        if result.done:
            break
        left = deadline - anyio.current_time()
        if left <= 0:  # check after the poll, so that at least one poll happens
            raise TaskTimeout([check.task_id], timeout)
        await anyio.sleep(min(_PAUSE, left))
    named = [one.vm_uuid for one in result.shutdown_vms or ()]
    found = await _vms(tower, named)
    unseen = [one or "unnamed" for one in named if one not in found]
    return MaintenanceCheck(host=host, must_stop=list(found.values()), unseen=unseen)


async def _vms(tower: Cloudtower, local_ids: Iterable[str]) -> dict[str, models.Vm]:
    """Return a dict from `local_id` to VM, with the VMs that the server lists.

    Responses about maintenance mode contain the `local_id` of a VM instead of its id.
    """
    wanted = list(dict.fromkeys(one for one in local_ids if one))
    if not wanted:
        return {}
    found = await tower.fetch_all(tower.vm.get_vms, where={"local_id_in": wanted})
    by_local_id = {vm.local_id: vm for vm in found}
    return {one: by_local_id[one] for one in wanted if one in by_local_id}


async def _done(
    tower: Cloudtower,
    host: models.Host,
    started: WithTask[models.Host],
    told: Callable[[float], None],
    timeout: float | None,
) -> models.Host:
    """Wait for the task of the mutation `started`. Read the host again and return it."""
    await follow(tower, started, told, timeout, [host.id])
    return await read_back(tower, host, timeout)


async def _enter(
    tower: Cloudtower, host: models.Host, stop_vms: bool, tell: Telling, timeout: float | None
) -> MaintenanceEntered:
    check = await _check(tower, host, tell, timeout)
    if check.unseen or (check.must_stop and not stop_vms):
        raise VmsInTheWay(check)
    on = await tower.fetch_all(
        tower.vm.get_vms,
        where={"host": {"id": host.id}, "status_in": ["RUNNING", "SUSPENDED"]},
    )
    tell.step(label(host), "enter")
    entering = await tower.host.enter_maintenance_mode(
        where={"host_id": host.id},
        data={"shutdown_vms": [vm.local_id for vm in check.must_stop]},
    )
    entered = await _done(tower, host, entering, partial(tell.step, label(host), "enter"), timeout)
    # Remove duplicates, but keep every VM without an id.
    before = {vm.id or place: vm for place, vm in enumerate((*on, *check.must_stop))}
    now = await _now(tower, host, [vm.id for vm in before.values() if vm.id])
    done = MaintenanceEntered(host=entered, moved=[], stopped=[], unclear=[])
    for old in before.values():
        vm = now.get(old.id)
        if vm is None:
            done.unclear.append(old)
        elif vm.status == "STOPPED":
            done.stopped.append(vm)
        elif vm.host is not None and vm.host.id and vm.host.id != host.id:
            done.moved.append(vm)
        else:
            done.unclear.append(vm)
    return done


async def _now(tower: Cloudtower, host: models.Host, ids: list[str]) -> dict[str, models.Vm]:
    """Read VMs after a host has entered maintenance mode, and return a dict from ids to VMs.

    Raises:
        ReadBackFailed: The VMs cannot be read.
    """
    if not ids:
        return {}
    try:
        found = await tower.fetch_all(tower.vm.get_vms, where={"id_in": ids})
    except CallError as error:
        raise ReadBackFailed([host.id, *ids], error, done=True) from error
    return {vm.id: vm for vm in found if vm.id in ids}


async def _leave(
    tower: Cloudtower, host: models.Host, bring_back: bool, tell: Telling, timeout: float | None
) -> MaintenanceLeft:
    live: list[str] = []
    offline: list[str] = []
    off: list[str] = []
    names: dict[str, str] = {}
    unseen: list[str] = []
    if bring_back:
        plan = await tower.host.exit_maintenance_mode_precheck_result(where={"id": host.id})
        for wanted, found in (
            (live, plan.live_migrate_vms),
            (offline, plan.offline_migrate_vms),
            (off, plan.shut_down_vms),
        ):
            for vm in found or ():
                if vm.vm_uuid:
                    wanted.append(vm.vm_uuid)
                    names[vm.vm_uuid] = vm.vm_name or vm.vm_uuid
                else:
                    unseen.append(vm.vm_name or "unnamed")
    tell.step(label(host), "leave")
    leaving = await tower.host.exit_maintenance_mode(
        where={"host_id": host.id},
        data={
            "live_migrate_back_vms": live,
            "offline_migrate_back_vms": offline,
            "poweron_vms": off,
        },
    )
    in_use = await _done(tower, host, leaving, partial(tell.step, label(host), "leave"), timeout)
    try:
        there = await _vms(tower, names)
    except CallError as error:
        raise ReadBackFailed([host.id], error, done=True) from error
    left = MaintenanceLeft(host=in_use, back=[], started=[], not_back=[], unseen=unseen)
    for local_id, name in names.items():
        found_vm = there.get(local_id)
        if found_vm is None:
            left.unseen.append(name)
        elif local_id in off:
            (left.started if found_vm.status == "RUNNING" else left.not_back).append(found_vm)
        elif found_vm.host is not None and found_vm.host.id == host.id:
            left.back.append(found_vm)
        else:
            left.not_back.append(found_vm)
    return left
