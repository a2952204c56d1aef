"""Functions that create VMs from drafts. All operations that create VMs use these functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ...fleet.aggregates import refresh_around
from ...http_errors import HttpError
from ...tasks import Failure, Work
from ..context import Result
from ..duplicate_names import check_name
from .devices import (
    CdRomDraft,
    DiskDraft,
    NicDraft,
    add_cd_rom,
    add_disk,
    add_nic,
    disks_of,
    nics_of,
    refresh_vm,
    remove_disk,
)
from .guests import switch
from .placement import is_usable, place, roomiest
from .vm_mutation import check_cluster, get_document

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...store.filters import Document
    from ..body import Fields
    from ..context import Context

_SETTINGS: Fields = {
    "clock_offset": "UTC",
    "cloud_init_supported": False,
    "cpu_model": "cluster_default",
    "description": "",
    "firmware": "BIOS",
    "guest_os_type": "UNKNOWN",
    "ha": True,
    "ha_priority": "LEVEL_2_MEDIUM",
    "in_recycle_bin": False,
    "internal": False,
    "io_policy": "RESTRICT_EACH_DISK",
    "ips": "",
    "nested_virtualization": False,
    "out_uninstall_usb": [],
    "protected": False,
    "video_type": "VIRTIO",
    "vm_tools_status": "NOT_INSTALLED",
    "win_opt": False,
}


@dataclass(slots=True, kw_only=True)
class VmDraft:
    """Draft of a VM: the properties of a VM to create.

    Args:
        mutation: Name of the mutation on the server.
        fields: Values of fields that differ from the defaults. Name, memory, cpu and vcpu are
            required.
        cluster: Id of the cluster.
        host: Id of the host. With None, the server chooses the host.
        running: Whether the VM is running after its creation.
        disks: Drafts of the disks. The disks of the VM have the same order.
        cd_roms: Drafts of the CD-ROMs.
        nics: Drafts of the NICs.
        failure: Failure with which the creation task will end, or None.
        finish: Functions to call with the VM at the end of the task.
    """

    mutation: str
    fields: Fields
    cluster: str
    host: str | None = None
    running: bool = False
    disks: list[DiskDraft] = field(default_factory=lambda: list[DiskDraft]())
    cd_roms: list[CdRomDraft] = field(default_factory=lambda: list[CdRomDraft]())
    nics: list[NicDraft] = field(default_factory=lambda: list[NicDraft]())
    failure: Failure | None = None
    finish: list[Callable[[Document], None]] = field(
        default_factory=lambda: list["Callable[[Document], None]"]()
    )


def check_drafts(context: Context, drafts: Sequence[VmDraft]) -> None:
    """Reject the request if a draft is invalid or the name of a VM is in use."""
    names: set[str] = set()
    for draft in drafts:
        check_draft(context, draft)
        name = draft.fields["name"]
        failure = check_name(context, "Vm", name, others=names)
        draft.failure = draft.failure or failure
        names.add(name)


def check_draft(context: Context, draft: VmDraft) -> None:
    """Reject the request if a draft is invalid.

    Only errors that a server reports in its response are checked. Other errors make the task fail
    later.
    """
    fields = draft.fields
    cluster = get_document(context, "Cluster", draft.cluster)
    if cluster["connect_state"] != "CONNECTED":
        raise HttpError(400, f"cluster {cluster['name']} is {cluster['connect_state']}")
    if not cluster.get("hosts"):
        raise HttpError(400, f"cluster {cluster['name']} has no host")
    if draft.host is not None:
        check_cluster(get_document(context, "Host", draft.host), draft.cluster)
    check_hardware(fields)


def check_hardware(fields: Fields) -> None:
    """Reject the request if the name, the CPUs or the memory of a VM are invalid."""
    if not 0 < len(fields["name"].strip()) <= 255:
        raise HttpError(400, "name: from 1 to 255 characters")
    cpu = fields["cpu"]
    if min(cpu["cores"], cpu["sockets"]) < 1 or cpu["cores"] * cpu["sockets"] != fields["vcpu"]:
        raise HttpError(400, "vcpu: must be cpu_cores times cpu_sockets, and at least 1")
    if fields["memory"] <= 0:
        raise HttpError(400, "memory: must be more than 0")


def create_vm(context: Context, draft: VmDraft) -> Result:
    """Add a placeholder for a VM, and start the task that turns the placeholder into the VM."""
    vm, work = plan_creation(context, draft)
    task_id = context.start(draft.mutation, "Vm", vm, work, locks=[vm])
    return Result("Vm", vm["id"], task_id)


def plan_creation(context: Context, draft: VmDraft) -> tuple[Document, Work]:
    """Add a placeholder for a VM.

    Return the placeholder, and a `Work` whose function `succeed` turns the placeholder into the VM.
    """
    vm = _placeholder(context, draft)
    store, delay = context.store, context.factory.behavior.late_creates
    attempted = False

    def succeed() -> Failure | None:
        nonlocal attempted
        attempted = True
        if draft.failure:
            return draft.failure
        if draft.running and (failure := place(store, vm, draft.host)):
            return failure
        _build(context, vm, draft)
        return None

    def fail() -> None:
        discard_vm(context, vm)
        if delay is not None and not attempted:  # the task failed by fault injection
            context.tasks.later(delay, vm["id"], partial(_appear, context, draft))

    return vm, Work(succeed, fail)


def _appear(context: Context, draft: VmDraft) -> None:
    """Add a VM although its creation task has failed. See `Behavior.late_creates`."""
    vm, work = plan_creation(context, draft)
    if work.succeed() is None:
        vm["entityAsyncStatus"] = None
    else:
        work.fail()


def discard_vm(context: Context, vm: Document) -> None:
    """Remove a VM, its NICs, its disks and the volumes of the disks. Keep shared volumes."""
    store = context.store
    for disk in disks_of(store, vm):
        remove_disk(store, disk, with_volume=True)
    for nic in nics_of(store, vm):
        store.remove("VmNic", nic["id"])
    for gpu in list(vm.get("gpu_devices") or ()):
        release_gpu(store.get("GpuDevice", gpu))
    host, cluster = vm["host"], vm["cluster"]
    store.remove("Vm", vm["id"])
    refresh_around(store, {"host": host, "cluster": cluster})


def release_gpu(gpu: Document, number: int = 1) -> None:
    """Release `number` vGPUs of a GPU, or assign vGPUs: -1 assigns one vGPU.

    If the GPU is not divided into vGPUs, do nothing.
    """
    if gpu["user_usage"] == "VGPU":
        gpu["assigned_vgpus_num"] = max(0, (gpu["assigned_vgpus_num"] or 0) - number)
        gpu["available_vgpus_num"] = (gpu["available_vgpus_num"] or 0) + number


def _placeholder(context: Context, draft: VmDraft) -> Document:
    factory = context.factory
    store = factory.store
    hosts = [store.get("Host", one) for one in store.get("Cluster", draft.cluster)["hosts"]]
    chosen = draft.host and store.get("Host", draft.host)
    usable = [host for host in hosts if is_usable(host)]
    host = chosen or roomiest(store, draft.cluster, 0) or (usable or hosts)[0]
    identifier = factory.ids.cuid()
    vm = store.add(
        "Vm",
        {
            "id": identifier,
            "local_id": f"placeholder-{factory.ids.uuid()}",
            "entityAsyncStatus": "CREATING",
            **_SETTINGS,
            **draft.fields,
            "cluster": draft.cluster,
            "host": host["id"],
            "node_ip": host["management_ip"],
            "status": "STOPPED",
        },
    )
    refresh_vm(store, vm)
    refresh_around(store, vm)
    return vm


def _build(context: Context, vm: Document, draft: VmDraft) -> None:
    factory = context.factory
    vm["local_id"] = factory.ids.uuid()
    vm["local_created_at"] = factory.clock.timestamp()
    for disk in draft.disks:
        add_disk(factory, vm, disk)
    for cd_rom in draft.cd_roms:
        add_cd_rom(factory, vm, cd_rom)
    for nic in draft.nics:
        add_nic(factory, vm, nic)
    if draft.running:
        switch(context, vm, "RUNNING")
    for finish in draft.finish:
        finish(vm)
    refresh_vm(factory.store, vm)
    refresh_around(factory.store, vm)
