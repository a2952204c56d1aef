"""What the modelled mutations do: which tasks they start, and what these change in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import msgspec

from .filters import QueryError
from .guests import activity, freeze, lun_snapshots, snapshot_fields
from .incidents import translated
from .tasks import Failure, Work
from .totals import refresh_around, refresh_cluster, refresh_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .filters import Document
    from .hardware import Maker
    from .tasks import TaskEngine

T = TypeVar("T")

_TEXTS = {
    "startVm": ("Power on VM {name}", "开启虚拟机 {name}"),
    "shutDownVm": ("Shut down VM {name}", "关闭虚拟机 {name}"),
    "poweroffVm": ("Power off VM {name}", "强制关闭虚拟机 {name}"),
    "restartVm": ("Restart VM {name}", "重启虚拟机 {name}"),
    "forceRestartVm": ("Force restart VM {name}", "强制重启虚拟机 {name}"),
    "suspendVm": ("Suspend VM {name}", "暂停虚拟机 {name}"),
    "resumeVm": ("Resume VM {name}", "恢复虚拟机 {name}"),
    "updateVm": ("Edit VM {name}", "编辑虚拟机 {name}"),
    "createVmSnapshot": ("Create VM snapshot {name}", "创建虚拟机快照 {name}"),
    "deleteVmSnapshot": ("Delete VM snapshot {name}", "删除虚拟机快照 {name}"),
}


class RefusedError(Exception):
    """The server does not do what it is asked to; becomes an answer with this status."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, props: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.props = props


@dataclass(frozen=True, slots=True)
class World:
    """What a mutation acts on, and who asks for it."""

    maker: Maker
    tasks: TaskEngine
    user: str

    def start(self, mutation: str, resource: str, subject: Document, work: Work) -> str:
        """Start a task about a resource."""
        return self.tasks.start(
            {
                "description": translated(self.maker.store, _TEXTS[mutation], subject["name"]),
                "resource_mutation": mutation,
                "resource_id": subject["id"],
                "resource_type": resource,
                "cluster": subject["cluster"],
                "args": {"where": {"id": subject["id"]}},
                "user": self.user,
            },
            work,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One item of a mutation's answer.

    Args:
        resource: What it is about; None where the answer holds nothing but the id.
        id: Which one.
        task_id: The task that does it; None when nothing is left to do.
    """

    resource: str | None
    id: str
    task_id: str | None


Effect: TypeAlias = "Callable[[World, dict[str, Any]], list[Outcome]]"


@dataclass(frozen=True, slots=True)
class _Power:
    """A power operation: the statuses that it starts from, and the one that it leads to."""

    mutation: str
    starts_from: frozenset[str]
    leads_to: str

    def __call__(self, world: World, body: dict[str, Any]) -> list[Outcome]:
        vms = _vms(world, body)
        host = _chosen_host(world, body) if self.mutation == "startVm" else None
        for vm in vms:
            if host is not None and host["cluster"] != vm["cluster"]:
                raise RefusedError(400, f"host {host['name']} is of another cluster")
            if vm["status"] not in {*self.starts_from, self.leads_to}:
                raise RefusedError(
                    400, f"VM {vm['name']} is {vm['status']}: {self.mutation} is not possible"
                )
        return [self._switch(world, vm, host) for vm in vms]

    def _switch(self, world: World, vm: Document, host: Document | None) -> Outcome:
        if vm["status"] not in self.starts_from:  # it is there already
            return Outcome("Vm", vm["id"], None)

        def switch() -> Failure | None:
            if host is not None and host["id"] != vm["host"]:
                if host["allocatable_memory_bytes"] < vm["memory"]:
                    return Failure("not enough memory on the host", "VM_START_FAILED", "NO_MEMORY")
                _move(world, vm, host)
            vm.update(activity(world.maker.random, self.leads_to))
            if self.leads_to == "STOPPED":
                vm["last_shutdown_time"] = world.maker.clock.timestamp()
            refresh_around(world.maker.store, vm)
            return None

        return Outcome("Vm", vm["id"], _start_on_vm(world, self.mutation, vm, switch))


def _update_vm(world: World, body: dict[str, Any]) -> list[Outcome]:
    data = _member(body, "data", dict[str, Any])
    modelled: dict[str, type] = {"name": str, "description": str, "ha": bool, "ha_priority": str}
    if unmodelled := data.keys() - modelled.keys():
        raise RefusedError(501, f"the simulator does not model changing {', '.join(unmodelled)}")
    values: dict[str, object] = {name: _member(data, name, modelled[name]) for name in data}

    def update(vm: Document) -> Callable[[], None]:
        return lambda: vm.update(values)

    return [
        Outcome("Vm", vm["id"], _start_on_vm(world, "updateVm", vm, update(vm)))
        for vm in _vms(world, body)
    ]


def _create_snapshots(world: World, body: dict[str, Any]) -> list[Outcome]:
    store = world.maker.store
    wanted = [
        (
            _member(item, "vm_id", str),
            _member(item, "name", str),
            item.get("consistent_type") or "CRASH_CONSISTENT",
        )
        for item in _member(body, "data", list[dict[str, Any]])
    ]
    if missing := [vm for vm, _, _ in wanted if vm not in store.table("Vm")]:
        raise RefusedError(404, f"there is no VM {missing[0]}")
    _refuse_locked(store.get("Vm", vm) for vm, _, _ in wanted)
    return [
        _create_snapshot(world, store.get("Vm", vm), name, consistent_type)
        for vm, name, consistent_type in wanted
    ]


def _create_snapshot(world: World, vm: Document, name: str, consistent_type: str) -> Outcome:
    maker = world.maker
    identifier = maker.ids.cuid()
    snapshot = maker.store.add(
        "VmSnapshot",
        {
            "id": identifier,
            "local_id": f"placeholder-{identifier}",
            "entityAsyncStatus": "CREATING",
            **snapshot_fields(vm, name, consistent_type),
        },
    )
    vm["entityAsyncStatus"] = "UPDATING"

    def succeed() -> None:
        snapshot["local_id"] = maker.ids.uuid()
        freeze(maker, snapshot, maker.clock.timestamp())

    def settle() -> None:
        vm["entityAsyncStatus"] = snapshot["entityAsyncStatus"] = None

    work = Work(succeed, lambda: maker.store.remove("VmSnapshot", identifier), settle)
    task_id = world.start("createVmSnapshot", "VmSnapshot", snapshot, work)
    return Outcome("VmSnapshot", identifier, task_id)


def _delete_snapshots(world: World, body: dict[str, Any]) -> list[Outcome]:
    store = world.maker.store
    snapshots = store.select("VmSnapshot", _member(body, "where", dict[str, Any]))
    if not snapshots:
        raise RefusedError(404, "no snapshot matches the where")
    _refuse_locked(snapshots, owner="vm")

    def delete(snapshot: Document) -> str:
        snapshot["entityAsyncStatus"] = "DELETING"

        def succeed() -> None:
            for lun_snapshot in lun_snapshots(store, snapshot):
                store.remove("IscsiLunSnapshot", lun_snapshot["id"])
            store.remove("VmSnapshot", snapshot["id"])

        def settle() -> None:
            snapshot["entityAsyncStatus"] = None

        work = Work(succeed, settle=settle)
        return world.start("deleteVmSnapshot", "VmSnapshot", snapshot, work)

    return [Outcome(None, snapshot["id"], delete(snapshot)) for snapshot in snapshots]


EFFECTS: dict[str, Effect] = {
    "start-vm": _Power("startVm", frozenset({"STOPPED"}), "RUNNING"),
    "shutdown-vm": _Power("shutDownVm", frozenset({"RUNNING"}), "STOPPED"),
    "poweroff-vm": _Power("poweroffVm", frozenset({"RUNNING", "SUSPENDED"}), "STOPPED"),
    "restart-vm": _Power("restartVm", frozenset({"RUNNING"}), "RUNNING"),
    "force-restart-vm": _Power("forceRestartVm", frozenset({"RUNNING"}), "RUNNING"),
    "suspend-vm": _Power("suspendVm", frozenset({"RUNNING"}), "SUSPENDED"),
    "resume-vm": _Power("resumeVm", frozenset({"SUSPENDED"}), "RUNNING"),
    "update-vm-basic-info": _update_vm,
    "create-vm-snapshot": _create_snapshots,
    "delete-vm-snapshot": _delete_snapshots,
}
"""The mutations that are modelled, by their path. Each answers before anything has changed."""


def _vms(world: World, body: dict[str, Any]) -> list[Document]:
    """The VMs that a mutation is about. Nothing is done when one of them is busy."""
    vms = world.maker.store.select("Vm", _member(body, "where", dict[str, Any]))
    if not vms:
        raise RefusedError(404, "no VM matches the where")
    _refuse_locked(vms)
    return vms


def _start_on_vm(
    world: World, mutation: str, vm: Document, succeed: Callable[[], Failure | None]
) -> str:
    """Start a task that keeps its VM locked until it has ended."""
    vm["entityAsyncStatus"] = "UPDATING"

    def settle() -> None:
        vm["entityAsyncStatus"] = None

    return world.start(mutation, "Vm", vm, Work(succeed, settle=settle))


def _refuse_locked(documents: Iterable[Document], owner: str = "id") -> None:
    busy = [document for document in documents if document["entityAsyncStatus"] is not None]
    if busy:
        locked = [{"id": document[owner], "type": "VM"} for document in busy]
        names = ", ".join(document["name"] for document in busy)
        raise RefusedError(
            400,
            f"locked by another task: {names}",
            code="ResourceLocked",
            props={"locked_resources": locked},
        )


def _chosen_host(world: World, body: dict[str, Any]) -> Document | None:
    data = body.get("data")
    if data is None:
        return None
    identifier = _member(data, "host_id", str)
    host = world.maker.store.table("Host").get(identifier)
    if host is None:
        raise RefusedError(404, f"there is no host {identifier}")
    return host


def _move(world: World, vm: Document, host: Document) -> None:
    store, before = world.maker.store, vm["host"]
    store.change("Vm", vm["id"], host=host["id"], node_ip=host["management_ip"])
    refresh_host(store, before)
    refresh_cluster(store, vm["cluster"])


def _member(body: object, name: str, kind: type[T]) -> T:
    """A required member of a body, of the type that it has to have."""
    if not isinstance(body, dict) or name not in body:
        raise QueryError(f"{name}: required")
    try:
        return msgspec.convert(cast("dict[str, Any]", body)[name], kind)
    except msgspec.ValidationError as exc:
        raise QueryError(f"{name}: {exc}") from None
