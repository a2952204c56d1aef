"""Mutations for the maintenance mode and the power of hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...fleet.aggregates import refresh_around, refresh_cluster, refresh_host
from ...http_errors import HttpError
from ...tasks import Failure, Work
from ..context import Result, reject_locked
from ..vm.guests import stop, switch
from ..vm.placement import is_usable, memory_needed, move, place
from ..vm.vm_mutation import checked, find, get_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Body
    from ..context import Context, Handler


_PRECHECK = "enterMaintenanceModePrecheck"
_UP = {
    "connect_status": "CONNECTED",
    "status": "CONNECTED_HEALTHY",
    "merged_status": "HEALTHY",
}
_DOWN = {
    "connect_status": "DISCONNECTED",
    "status": "CONNECTED_ERROR",
    "merged_status": "DISCONNECTED",
}


@dataclass(slots=True)
class _Evacuation:
    """Plan for the VMs on a host that enters maintenance mode.

    Args:
        moves: VMs to migrate, each with its target host.
        stuck: VMs that cannot be migrated.
    """

    moves: list[tuple[Document, Document]] = field(
        default_factory=lambda: list[tuple["Document", "Document"]]()
    )
    stuck: list[Document] = field(default_factory=lambda: list["Document"]())


def _plan(store: Store, host: Document, stopped: set[str]) -> _Evacuation:
    """Return a plan that assigns the VMs of a host to other hosts.

    The VM with the most memory is assigned first. The plan leaves out the VMs in `stopped`, because
    they will be shut down. A VM that is already off needs no memory. If it cannot be migrated, it
    stays on the host.
    """
    others = [store.get("Host", one) for one in store.get("Cluster", host["cluster"])["hosts"]]
    room = {
        other["id"]: other["allocatable_memory_bytes"]
        for other in others
        if other is not host and is_usable(other)
    }
    plan = _Evacuation()
    vms = [vm for vm in _vms_on(store, host) if vm["id"] not in stopped]
    for vm in sorted(vms, key=lambda vm: (-memory_needed(vm), vm["id"])):
        best = max(room, key=lambda one: room[one], default=None)
        bound = vm["status"] == "SUSPENDED" or vm.get("gpu_devices") or vm.get("pci_nics")
        needed = memory_needed(vm)
        if bound or best is None or (needed and room[best] < needed):
            if vm["status"] != "STOPPED":
                plan.stuck.append(vm)
        else:
            room[best] -= needed
            plan.moves.append((vm, store.get("Host", best)))
    return plan


def _vms_on(store: Store, host: Document) -> list[Document]:
    return [store.get("Vm", one) for one in host.get("vms") or ()]


def _named(store: Store, names: Iterable[str]) -> set[str]:
    """Return the ids of the VMs whose ``id`` or ``local_id`` is in `names`."""
    return {
        vm["id"]
        for name in ("id_in", "local_id_in")
        for vm in store.select("Vm", {name: list(names)})
    }


def _refuse_busy(host: Document) -> None:
    if host["entityAsyncStatus"] is not None:
        raise HttpError(400, f"host {host['name']} is busy with another task")


def _state(host: Document) -> str:
    state = host.get("host_state")
    return "IN_USE" if state is None else str(state["state"])


def _refuse_state(host: Document, wanted: str) -> None:
    if _state(host) != wanted:
        raise HttpError(400, f"host {host['name']} is {_state(host)}, not {wanted}")


def _precheck(context: Context, body: Body) -> dict[str, Any]:
    host = _one(context, body)
    _refuse_state(host, "IN_USE")
    return {"task_id": context.start(_PRECHECK, "Host", host, Work())}


def _one(context: Context, body: Body) -> Document:
    hosts = find(context, "Host", body["where"])
    if len(hosts) > 1:
        raise HttpError(400, "where: more than one host matches")
    return hosts[0]


def _precheck_result(context: Context, body: Body) -> dict[str, Any]:
    task = get_document(context, "Task", body["where"]["task_id"])
    if task["resource_mutation"] != _PRECHECK:
        raise HttpError(400, f"task {task['id']} checks no host")
    if task["status"] != "SUCCESSED":
        return {"done": False, "shutdownVms": []}
    store = context.store
    plan = _plan(store, get_document(context, "Host", task["resource_id"]), set())
    return {"done": True, "shutdownVms": [{"vm_uuid": vm["local_id"]} for vm in plan.stuck]}


def _enter(context: Context, body: Body) -> Result:
    store = context.store
    host = get_document(context, "Host", body["where"]["host_id"])
    _refuse_busy(host)
    _refuse_state(host, "IN_USE")
    vms = _vms_on(store, host)
    reject_locked(context, vms)
    stopped = _named(store, body["data"].get("shutdown_vms") or [])
    if stuck := _plan(store, host, stopped).stuck:
        names = ", ".join(vm["name"] for vm in stuck)
        raise HttpError(400, f"these VMs can only be shut down: {names}")

    def succeed() -> Failure | None:
        plan = _plan(store, host, stopped)
        if plan.stuck:
            return Failure("not enough memory on other hosts", "MAINTENANCE_FAILED", "NO_MEMORY")
        shut = [vm for vm in vms if vm["id"] in stopped]
        for vm in shut:
            stop(context, vm)
        for vm, target in plan.moves:
            move(store, vm, target)
        task = store.get("Task", host["host_state"]["maintenance_job_id"])
        task["args"] |= {
            "moved_vms": [vm["id"] for vm, _ in plan.moves],
            "stopped_vms": [vm["id"] for vm in shut],
        }
        host["host_state"] |= {
            "state": "MAINTENANCE_MODE",
            "enter_maintenance_time": context.factory.clock.timestamp(),
        }
        return None

    def fail() -> None:
        host["host_state"] = None

    work = Work(succeed, fail)
    task_id = context.start("enterMaintenanceMode", "Host", host, work, locks=[host, *vms])
    host["host_state"] = {
        "state": "ENTERING_MAINTENANCE_MODE",
        "enter_maintenance_time": context.factory.clock.timestamp(),
        "maintenance_job_id": task_id,
    }
    return Result("Host", host["id"], task_id)


def _exit_result(context: Context, body: Body) -> dict[str, Any]:
    """Return the VMs that can return to a host when the host exits maintenance mode.

    These VMs were migrated or shut down when the host entered maintenance mode. In the result,
    ``state`` is always ``done``, as in the documentation of the vendor.
    """
    store = context.store
    host = _one(context, body)
    _refuse_state(host, "MAINTENANCE_MODE")
    args = store.get("Task", host["host_state"]["maintenance_job_id"])["args"]
    table = store.table("Vm")
    moved = [table[one] for one in args["moved_vms"] if one in table]
    stopped = [table[one] for one in args["stopped_vms"] if one in table]
    return {
        "liveMigrateVms": [_info(vm, host) for vm in moved if vm["status"] == "RUNNING"],
        "offlineMigrateVms": [_info(vm, host) for vm in moved if vm["status"] != "RUNNING"],
        "shutDownVms": [_info(vm, host) for vm in stopped if vm["status"] == "STOPPED"],
    }


def _info(vm: Document, host: Document) -> dict[str, Any]:
    return {
        "state": "done",
        "target_host_name": host["name"],
        "verify": {"changed": False, "reason": ""},
        "vm_ha": vm["ha"],
        "vm_name": vm["name"],
        "vm_state": vm["status"].lower(),
        "vm_uuid": vm["local_id"],
    }


def _exit(context: Context, body: Body) -> Result:
    store = context.store
    host = get_document(context, "Host", body["where"]["host_id"])
    _refuse_busy(host)
    _refuse_state(host, "MAINTENANCE_MODE")
    data = body["data"]
    back = _named(
        store,
        [
            *(data.get("live_migrate_back_vms") or ()),
            *(data.get("offline_migrate_back_vms") or ()),
        ],
    )
    switched_on = _named(store, data.get("poweron_vms") or ())
    vms = [store.get("Vm", one) for one in sorted(back | switched_on)]
    reject_locked(context, vms)

    def succeed() -> None:
        host["host_state"] = None
        for vm in vms:
            if vm["id"] in back and host["allocatable_memory_bytes"] >= memory_needed(vm):
                move(store, vm, host)
            starts = vm["id"] in switched_on and vm["status"] == "STOPPED"
            if starts and place(store, vm) is None:
                switch(context, vm, "RUNNING")
            refresh_around(store, vm)

    work = Work(succeed)
    task_id = context.start("exitMaintenanceMode", "Host", host, work, locks=[host, *vms])
    return Result("Host", host["id"], task_id)


def _power(context: Context, body: Body) -> Result:
    """Power off or restart a host.

    Unless ``force`` is set, the host must be in maintenance mode.
    """
    store = context.store
    host = get_document(context, "Host", body["where"]["host_id"])
    data = body["data"]
    _refuse_busy(host)
    if host["connect_status"] != "CONNECTED":
        raise HttpError(400, f"host {host['name']} is not connected")
    if not data["force"]:
        _refuse_state(host, "MAINTENANCE_MODE")

    def succeed() -> None:
        host.update(_DOWN)
        for vm in _vms_on(store, host):
            if vm["status"] in {"RUNNING", "SUSPENDED"}:
                _lose(context, vm)
        if data["action"] == "reboot":
            host.update(_UP)
        refresh_host(store, host["id"])
        refresh_cluster(store, host["cluster"])

    mutation = f"{data['action']}Host"
    return Result(
        "Host", host["id"], context.start(mutation, "Host", host, Work(succeed), locks=[host])
    )


def _lose(context: Context, vm: Document) -> None:
    """Stop a VM after its host went down. With HA, restart the VM on another host if possible."""
    was_running = vm["status"] == "RUNNING"
    switch(context, vm, "STOPPED")
    if vm["ha"] and was_running and place(context.store, vm) is None:
        switch(context, vm, "RUNNING")


MUTATIONS: dict[str, Handler] = checked(
    {
        "enter-maintenance-mode-precheck": _precheck,
        "enter-maintance-mode-precheck-result": _precheck_result,
        "enter-maintance-mode": _enter,
        "exit-maintance-mode-precheck-result": _exit_result,
        "exit-maintance-mode": _exit,
        "operate-host-power": _power,
    }
)
