"""Mutations that migrate VMs to another host or to another cluster."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ...http_errors import HttpError, NoMatchError
from ...tasks import Failure, Work
from ..body import part
from ..context import PlainResult, Result, select_vms, start_vm_task
from ..duplicate_names import check_name
from .clone_sources import cd_roms_of_vm, disks_of_vm, settings_of
from .devices import NicDraft, nics_of
from .guests import stop
from .placement import has_room, memory_needed, move, roomiest, wanted_host
from .vm_body import policy
from .vm_builder import VmDraft, check_draft, discard_vm, plan_creation
from .vm_mutation import check_cluster, checked, find, get_document, reject_status

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body
    from ..context import Context, Handler
    from .vm_mutation import Apply


ACROSS = "migrateVmAcrossCluster"
_NO_HOST = Failure("no host has room for the VM", "VM_MIGRATE_FAILED", "NO_MEMORY")
_ABORTED = Failure("aborted by a user", "VM_MIGRATE_ABORTED", "MIGRATE_ABORTED")
_NIC_FIELDS = ("enabled", "gateway", "ip_address", "mac_address", "mirror", "model", "subnet_mask")


def _migrate(context: Context, body: Body) -> list[Result]:
    """Migrate VMs to a host in the same cluster.

    If the body names no host, the target is the host with the most free memory.
    """
    vms = select_vms(context, body)
    wanted = wanted_host(part(body, "data"))
    for vm in vms:
        reject_status(vm, {"RUNNING", "STOPPED"}, "migrateVm")
        reject_bound(vm)
        if wanted is not None:
            check_cluster(get_document(context, "Host", wanted), vm["cluster"])
            if wanted == vm["host"]:
                raise HttpError(400, f"VM {vm['name']} is on this host already")
    return [
        Result(
            "Vm", vm["id"], start_vm_task(context, "migrateVm", vm, _to_host(context, vm, wanted))
        )
        for vm in vms
    ]


def reject_bound(vm: Document) -> None:
    """Raise HttpError if a VM cannot migrate because it uses GPUs or NICs of its host."""
    if vm.get("gpu_devices") or vm.get("pci_nics"):
        raise HttpError(400, f"VM {vm['name']} has devices of its host")


def _to_host(context: Context, vm: Document, wanted: str | None) -> Apply:
    store = context.store

    def apply() -> Failure | None:
        host: Document | None
        if wanted is None:
            host = roomiest(store, vm["cluster"], memory_needed(vm), without=[vm["host"]])
        else:
            host = store.get("Host", wanted)
        if host is None or not has_room(host, memory_needed(vm)):
            return _NO_HOST
        move(store, vm, host)
        return None

    return apply


def _migrate_across(context: Context, body: Body) -> list[Result]:
    """Migrate VMs to another cluster.

    Each VM is created in the target cluster. Then the original VM is stopped, or deleted if
    ``delete_src_vm`` is true.
    """
    vms = select_vms(context, body)
    data = body["data"]
    config = data["vm_config"]
    cold = config["migrate_type"] == "COLD_MIGRATE"
    if config.get("new_name") and len(vms) > 1:
        raise HttpError(400, "new_name: of one VM only")
    for vm in vms:
        reject_status(vm, {"STOPPED" if cold else "RUNNING"}, ACROSS)
        if not config.get("remove_unmovable_devices"):
            reject_bound(vm)
        if vm["cluster"] == data["cluster_id"]:
            raise HttpError(400, f"VM {vm['name']} is on this cluster already")
    drafts = [_draft(context, vm, data) for vm in vms]
    for draft in drafts:
        check_draft(context, draft)
        if config.get("new_name"):  # without a new name, the copy has the name of the VM
            draft.failure = check_name(context, "Vm", draft.fields["name"])
    return [_across(context, vm, draft, data) for vm, draft in zip(vms, drafts, strict=True)]


def _draft(context: Context, vm: Document, data: Body) -> VmDraft:
    store = context.store
    config, cluster = data["vm_config"], data["cluster_id"]
    vlans = {
        vlan["local_id"]: vlan["id"]
        for vlan in store.select("Vlan", {"vds": {"cluster": {"id": cluster}}})
    }
    mapped = {
        one["src_vlan_local_id"]: vlans.get(one["dest_vlan_local_id"])
        for one in config["network_mapping"]
    }
    nics: list[NicDraft] = []
    for nic in nics_of(store, vm):
        vlan = mapped.get(store.get("Vlan", nic["vlan"])["local_id"])
        if vlan is None:
            raise HttpError(400, f"network_mapping: not for every NIC of {vm['name']}")
        nics.append(NicDraft(vlan=vlan, more={name: nic[name] for name in _NIC_FIELDS}))
    disks = disks_of_vm(store, vm, copied=True)
    if any(name.startswith("elf_") for name in config):
        disks = [dataclasses.replace(disk, policy=policy(config)) for disk in disks]
    return VmDraft(
        mutation=ACROSS,
        fields={
            **settings_of(vm),
            "name": config.get("new_name") or vm["name"],
            "description": vm["description"],
        },
        cluster=cluster,
        host=wanted_host(data),
        running=config["migrate_type"] != "COLD_MIGRATE",
        disks=disks,
        cd_roms=[dataclasses.replace(one, image=None) for one in cd_roms_of_vm(store, vm)],
        nics=nics,
    )


def _across(context: Context, vm: Document, draft: VmDraft, data: Body) -> Result:
    config = data["vm_config"]

    def succeed() -> Failure | None:
        made, creation = plan_creation(context, draft)
        if failure := creation.succeed():
            creation.fail()
            return failure
        made["entityAsyncStatus"] = None
        if config.get("delete_src_vm"):
            discard_vm(context, vm)
        else:
            stop(context, vm)
        return None

    def ready() -> bool:
        """Return whether the migration can end. CUTOVER_MIGRATE waits until the VM is stopped."""
        return config["migrate_type"] != "CUTOVER_MIGRATE" or bool(vm["status"] != "RUNNING")

    work = Work(succeed, ready=ready)
    return Result("Vm", vm["id"], context.start(ACROSS, "Vm", vm, work, locks=[vm], data=data))


def _migrations(context: Context, body: Body) -> list[Document]:
    """Return the running migrations to other clusters that match the filter ``tasks``.

    Raises:
        NoMatchError: None of the matching tasks is a running migration.
    """
    tasks = [
        task
        for task in find(context, "Task", body["tasks"], "tasks")
        if task["resource_mutation"] == ACROSS and context.tasks.runs(task["id"])
    ]
    if not tasks:
        raise NoMatchError("tasks: none is a migration that is under way")
    return tasks


def _abort(context: Context, body: Body) -> list[PlainResult]:
    tasks = _migrations(context, body)
    for task in tasks:
        context.tasks.abort(task["id"], _ABORTED)
    return [PlainResult("Task", task["id"]) for task in tasks]


def _cut_over(context: Context, body: Body) -> list[Result]:
    """Stop the VMs of cutover migrations, so that the migrations can complete."""
    vms: list[Document] = []
    for task in _migrations(context, body):
        if task["args"]["data"]["vm_config"]["migrate_type"] != "CUTOVER_MIGRATE":
            raise HttpError(400, f"task {task['id']} does not wait for its VM to stop")
        vms.append(context.store.get("Vm", task["resource_id"]))

    def stopping(vm: Document) -> Work:
        return Work(lambda: stop(context, vm))

    # Do not reject the locked VMs: the waiting migration has locked them.
    return [
        Result("Vm", vm["id"], context.start("stopVmInCutoverMigration", "Vm", vm, stopping(vm)))
        for vm in vms
    ]


MUTATIONS: dict[str, Handler] = checked(
    {
        "migrate-vm": _migrate,
        "migrate-vm-across-cluster": _migrate_across,
        "abort-migrate-vm-across-cluster": _abort,
        "stop-vm-in-cutover-migration": _cut_over,
    }
)
