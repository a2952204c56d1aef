"""Moving VMs: to another host, and to another cluster."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ...http_errors import NothingMatchesError, RefusedError
from ...tasks import Failure, Work
from ..body import part
from ..unique_names import check_name
from ..world import Outcome, Shown, start_on_vm, vms_of
from .devices import NicDraft, nics_of
from .guests import stop
from .placement import has_room, memory_needed, move, roomiest, wanted_host
from .sources import cd_roms_of_vm, disks_of_vm, settings_of
from .vm_body import policy
from .vm_builder import VmDraft, check_draft, discard_vm, plan_creation
from .vms import checked, find, find_one, of_cluster, refuse_status

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body
    from ..world import Effect, World
    from .vms import Apply


ACROSS = "migrateVmAcrossCluster"
_NO_HOST = Failure("no host has room for the VM", "VM_MIGRATE_FAILED", "NO_MEMORY")
_ABORTED = Failure("aborted by a user", "VM_MIGRATE_ABORTED", "MIGRATE_ABORTED")
_NIC_FIELDS = ("enabled", "gateway", "ip_address", "mac_address", "mirror", "model", "subnet_mask")


def _migrate(world: World, body: Body) -> list[Outcome]:
    """Move VMs to a host of their cluster: the one that is named, or the roomiest."""
    vms = vms_of(world, body)
    wanted = wanted_host(part(body, "data"))
    for vm in vms:
        refuse_status(vm, {"RUNNING", "STOPPED"}, "migrateVm")
        refuse_bound(vm)
        if wanted is not None:
            of_cluster(find_one(world, "Host", wanted), vm["cluster"])
            if wanted == vm["host"]:
                raise RefusedError(400, f"VM {vm['name']} is on this host already")
    return [
        Outcome("Vm", vm["id"], start_on_vm(world, "migrateVm", vm, _to_host(world, vm, wanted)))
        for vm in vms
    ]


def refuse_bound(vm: Document) -> None:
    """What a VM has of a host for itself binds it to that host."""
    if vm.get("gpu_devices") or vm.get("pci_nics"):
        raise RefusedError(400, f"VM {vm['name']} has devices of its host")


def _to_host(world: World, vm: Document, wanted: str | None) -> Apply:
    store = world.maker.store

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


def _migrate_across(world: World, body: Body) -> list[Outcome]:
    """Make the VMs anew in another cluster; those here stop, or go."""
    vms = vms_of(world, body)
    data = body["data"]
    config = data["vm_config"]
    cold = config["migrate_type"] == "COLD_MIGRATE"
    if config.get("new_name") and len(vms) > 1:
        raise RefusedError(400, "new_name: of one VM only")
    for vm in vms:
        refuse_status(vm, {"STOPPED" if cold else "RUNNING"}, ACROSS)
        if not config.get("remove_unmovable_devices"):
            refuse_bound(vm)
        if vm["cluster"] == data["cluster_id"]:
            raise RefusedError(400, f"VM {vm['name']} is on this cluster already")
    drafts = [_draft(world, vm, data) for vm in vms]
    for draft in drafts:
        check_draft(world, draft)
        if config.get("new_name"):  # otherwise the copy takes over the name
            draft.failure = check_name(world, "Vm", draft.fields["name"])
    return [_across(world, vm, draft, data) for vm, draft in zip(vms, drafts, strict=True)]


def _draft(world: World, vm: Document, data: Body) -> VmDraft:
    store = world.maker.store
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
            raise RefusedError(400, f"network_mapping: not for every NIC of {vm['name']}")
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


def _across(world: World, vm: Document, draft: VmDraft, data: Body) -> Outcome:
    config = data["vm_config"]

    def succeed() -> Failure | None:
        made, creation = plan_creation(world, draft)
        if failure := creation.succeed():
            creation.fail()
            return failure
        made["entityAsyncStatus"] = None
        if config.get("delete_src_vm"):
            discard_vm(world, vm)
        else:
            stop(world, vm)
        return None

    def ready() -> bool:
        """A cut-over waits until the VM is stopped: then it copies what has changed last."""
        return config["migrate_type"] != "CUTOVER_MIGRATE" or bool(vm["status"] != "RUNNING")

    work = Work(succeed, ready=ready)
    return Outcome("Vm", vm["id"], world.start(ACROSS, "Vm", vm, work, locks=[vm], data=data))


def _migrations(world: World, body: Body) -> list[Document]:
    """The migrations across clusters, still under way, among the tasks of a body."""
    tasks = [
        task
        for task in find(world, "Task", body["tasks"], "tasks")
        if task["resource_mutation"] == ACROSS and world.tasks.runs(task["id"])
    ]
    if not tasks:
        raise NothingMatchesError("tasks: none is a migration that is under way")
    return tasks


def _abort(world: World, body: Body) -> list[Shown]:
    tasks = _migrations(world, body)
    for task in tasks:
        world.tasks.abort(task["id"], _ABORTED)
    return [Shown("Task", task["id"]) for task in tasks]


def _cut_over(world: World, body: Body) -> list[Outcome]:
    """Stop the VMs whose migration waits for that."""
    vms: list[Document] = []
    for task in _migrations(world, body):
        if task["args"]["data"]["vm_config"]["migrate_type"] != "CUTOVER_MIGRATE":
            raise RefusedError(400, f"task {task['id']} does not wait for its VM to stop")
        vms.append(world.maker.store.get("Vm", task["resource_id"]))

    def stopping(vm: Document) -> Work:
        return Work(lambda: stop(world, vm))

    # The VM is locked, by the very migration: that it is stopped is what it waits for.
    return [
        Outcome("Vm", vm["id"], world.start("stopVmInCutoverMigration", "Vm", vm, stopping(vm)))
        for vm in vms
    ]


EFFECTS: dict[str, Effect] = checked(
    {
        "migrate-vm": _migrate,
        "migrate-vm-across-cluster": _migrate_across,
        "abort-migrate-vm-across-cluster": _abort,
        "stop-vm-in-cutover-migration": _cut_over,
    }
)
