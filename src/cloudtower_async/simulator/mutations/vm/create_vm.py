"""Creating VMs: anew, from a template, as a clone, from a snapshot."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ...http_errors import RefusedError
from ...tasks import Failure, Work
from ..body import part
from ..world import Outcome, refuse_locked
from .sources import (
    cd_roms_of_vm,
    disks_of_vm,
    frozen_cd_roms,
    frozen_disks,
    frozen_nics,
    nics_of_vm,
    settings_of,
)
from .vm_body import cd_rom_drafts, complete, disk_drafts, mountable, nic_drafts, settings
from .vm_builder import VmDraft, check_drafts, create_vm, plan_creation
from .vms import checked, find_one

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...store.filters import Document
    from ..body import Body, Fields
    from ..world import Effect, World
    from .devices import CdRomDraft, DiskDraft, NicDraft


_NO_CLOUD_INIT = Failure(
    "the template does not support cloud-init",
    "CREATE_VM_FORM_TEMPLATE_FAILED",
    "VM_CLOUD_INIT_CONFIG_ERROR",
)


def _each(draft: Callable[[World, Body], VmDraft]) -> Effect:
    """The effect that makes a VM of each item of a body, once none of them is refused."""

    def create(world: World, body: list[Body]) -> list[Outcome]:
        drafts = [draft(world, values) for values in body]
        check_drafts(world, drafts)
        return [create_vm(world, one) for one in drafts]

    return create


def _new(world: World, values: Body) -> VmDraft:
    cluster = values["cluster_id"]
    disks = values["vm_disks"]
    draft = VmDraft(
        mutation="createVm",
        fields=settings(values, {}),
        cluster=cluster,
        disks=disk_drafts(world, disks, cluster),
        cd_roms=cd_rom_drafts(world, disks.get("mount_cd_roms") or (), cluster),
        nics=nic_drafts(world, values["vm_nics"], cluster),
    )
    return complete(world, draft, values)


def _clone(world: World, values: Body) -> VmDraft:
    store = world.maker.store
    source = find_one(world, "Vm", values["src_vm_id"])
    refuse_locked(world, [source])
    cluster = _same_cluster(source, values)
    draft = VmDraft(
        mutation="cloneVm",
        fields=settings(values, {**settings_of(source), "description": source["description"]}),
        cluster=cluster,
        disks=disks_of_vm(store, source, copied=values.get("is_full_copy", False)),
        cd_roms=cd_roms_of_vm(store, source),
        nics=nics_of_vm(store, source),
    )
    return complete(world, _replaced(world, draft, values), values)


def _rebuild(world: World, values: Body) -> VmDraft:
    snapshot = find_one(world, "VmSnapshot", values["rebuild_from_snapshot_id"])
    refuse_locked(world, [snapshot], owner="vm")
    cluster = _same_cluster(snapshot, values)
    draft = _from_frozen(world, "rebuildVm", snapshot, cluster, values)
    return complete(world, _replaced(world, draft, values), values)


def _from_template(world: World, values: Body) -> VmDraft:
    template = find_one(world, "VmTemplate", values["template_id"])
    refuse_locked(world, [template])
    cluster = _same_cluster(template, values)
    return _of_template(world, "createVmFromTemplate", template, cluster, values)


def _from_library(world: World, values: Body) -> VmDraft:
    template = find_one(world, "ContentLibraryVmTemplate", values["template_id"])
    refuse_locked(world, [template])
    cluster = values["cluster_id"]
    find_one(world, "Cluster", cluster)
    if cluster not in (template.get("clusters") or ()):
        raise RefusedError(400, f"template {template['name']} is not on this cluster")
    mutation = "createVmFromContentLibraryTemplate"
    return _of_template(world, mutation, template, cluster, values)


def _of_template(
    world: World, mutation: str, template: Document, cluster: str, values: Body
) -> VmDraft:
    draft = _from_frozen(world, mutation, template, cluster, values)
    draft.disks, draft.cd_roms = _operated(world, draft, part(values, "disk_operate"))
    if "vm_nics" in values:
        draft.nics = nic_drafts(world, values["vm_nics"], cluster)
    if cloud_init := values.get("cloud_init"):
        _set_up(draft, template, cloud_init)
    return complete(world, draft, values)


def _from_frozen(
    world: World, mutation: str, source: Document, cluster: str, values: Body
) -> VmDraft:
    return VmDraft(
        mutation=mutation,
        fields=settings(values, settings_of(source)),
        cluster=cluster,
        disks=frozen_disks(world.maker.store, source),
        cd_roms=frozen_cd_roms(source),
        nics=frozen_nics(world.maker.store, source, cluster),
    )


def _same_cluster(source: Document, values: Body) -> str:
    if values.get("cluster_id", source["cluster"]) != source["cluster"]:
        raise RefusedError(400, f"{source['name']} is of another cluster")
    return str(source["cluster"])


def _replaced(world: World, draft: VmDraft, values: Body) -> VmDraft:
    """The draft with the disks and NICs that were asked for instead of those of the source."""
    if "vm_disks" in values:
        disks = values["vm_disks"]
        draft.disks = disk_drafts(world, disks, draft.cluster)
        draft.cd_roms = cd_rom_drafts(world, disks.get("mount_cd_roms") or (), draft.cluster)
    if "vm_nics" in values:
        draft.nics = nic_drafts(world, values["vm_nics"], draft.cluster)
    return draft


def _operated(
    world: World, draft: VmDraft, operate: Body
) -> tuple[list[DiskDraft], list[CdRomDraft]]:
    """Disks and CD-ROMs of a template with some changed, some left out and some put in."""
    disks = dict(enumerate(draft.disks))
    for change in operate.get("modify_disks") or ():
        disk = _at(disks, change["disk_index"])
        changed: dict[str, Any] = {"bus": change.get("bus", disk.bus)}
        if "vm_volume_id" in change:
            changed["volume"] = mountable(world, change["vm_volume_id"], draft.cluster)["id"]
        disks[change["disk_index"]] = dataclasses.replace(disk, **changed)
    for index in part(operate, "remove_disks").get("disk_index", ()):
        _at(disks, index)
        del disks[index]
    new = part(operate, "new_disks")
    more = cd_rom_drafts(world, new.get("mount_cd_roms") or (), draft.cluster)
    return (
        [*disks.values(), *disk_drafts(world, new, draft.cluster)],
        [*draft.cd_roms, *more],
    )


def _at(disks: dict[int, DiskDraft], index: int) -> DiskDraft:
    if index not in disks:
        raise RefusedError(400, f"disk_index: the template has no disk {index}")
    return disks[index]


def _set_up(draft: VmDraft, template: Document, cloud_init: Body) -> None:
    """What cloud-init does in the guest, as far as one sees it from outside."""
    if not template["cloud_init_supported"]:
        draft.failure = _NO_CLOUD_INIT  # the server takes the call, and the task fails
    if "hostname" in cloud_init:
        draft.fields["hostname"] = cloud_init["hostname"]
    if "nameservers" in cloud_init:
        draft.fields["dns_servers"] = ",".join(cloud_init["nameservers"])
    for network in cloud_init.get("networks") or ():
        index: int = network["nic_index"]
        if index >= len(draft.nics):
            raise RefusedError(400, f"nic_index: there is no NIC {index}")
        if network["type"] == "IPV4":
            address: Fields = {
                "ip_address": network.get("ip_address", ""),
                "subnet_mask": network.get("netmask", ""),
            }
            nic: NicDraft = draft.nics[index]
            draft.nics[index] = dataclasses.replace(nic, more={**nic.more, **address})


def _convert(world: World, body: list[Body]) -> list[Outcome]:
    """Make VMs of templates, which are gone then."""
    wanted: list[tuple[Document, VmDraft]] = []
    for values in body:
        template = find_one(world, "VmTemplate", values["converted_from_template_id"])
        refuse_locked(world, [template])
        draft = _from_frozen(world, "convertVmTemplateToVm", template, template["cluster"], values)
        wanted.append((template, draft))
    check_drafts(world, [draft for _, draft in wanted])
    outcomes: list[Outcome] = []
    for template, draft in wanted:
        vm, work = plan_creation(world, draft)
        task_id = world.start(
            draft.mutation,
            "Vm",
            vm,
            _and_drop(world, template, work),
            locks=[vm, template],
            status="DELETING",
        )
        outcomes.append(Outcome("Vm", vm["id"], task_id))
    return outcomes


def _and_drop(world: World, template: Document, work: Work) -> Work:
    def succeed() -> Failure | None:
        failure = work.succeed()
        if failure is None:
            world.maker.store.remove("VmTemplate", template["id"])
        return failure

    return Work(succeed, work.fail)


def _batch(world: World, body: Body) -> Outcome:
    """Many VMs from one template, in one task: all of them or none."""
    drafts = [
        _from_library(world, {**values, "template_id": body["template_id"]})
        for values in body["vms"]
    ]
    if not drafts:
        raise RefusedError(400, "vms: at least one")
    check_drafts(world, drafts)
    planned = [plan_creation(world, one) for one in drafts]
    works = [work for _, work in planned]

    def succeed() -> Failure | None:
        return next((failure for work in works if (failure := work.succeed())), None)

    def fail() -> None:
        for work in works:
            work.fail()

    vms = [vm for vm, _ in planned]
    task_id = world.start(drafts[0].mutation, "Vm", vms[0], Work(succeed, fail), locks=vms)
    return Outcome("Vm", tuple(vm["id"] for vm in vms), task_id)


EFFECTS: dict[str, Effect] = checked(
    {
        "create-vm": _each(_new),
        "clone-vm": _each(_clone),
        "rebuild-vm-from-snapshot": _each(_rebuild),
        "create-vm-from-template": _each(_from_template),
        "create-vm-from-content-library-template": _each(_from_library),
        "create-vm-from-content-library-template-batch": _batch,
        "convert-vm-template-to-vm": _convert,
    }
)
