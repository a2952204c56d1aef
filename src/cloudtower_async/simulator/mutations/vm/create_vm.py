"""Mutations that create VMs: blank VMs, clones, and VMs from templates and snapshots."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ...http_errors import HttpError
from ...tasks import Failure, Work
from ..body import part
from ..context import Result, reject_locked
from .clone_sources import (
    cd_roms_of_vm,
    disks_of_vm,
    frozen_cd_roms,
    frozen_disks,
    frozen_nics,
    nics_of_vm,
    settings_of,
)
from .vm_body import cd_rom_drafts, complete, disk_drafts, nic_drafts, settings
from .vm_builder import VmDraft, check_drafts, create_vm, plan_creation
from .vm_mutation import checked, get_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler
    from .devices import CdRomDraft, DiskDraft, NicDraft


_NO_CLOUD_INIT = Failure(
    "the template does not support cloud-init",
    "CREATE_VM_FORM_TEMPLATE_FAILED",
    "VM_CLOUD_INIT_CONFIG_ERROR",
)


def _each(draft: Callable[[Context, Body], VmDraft]) -> Handler:
    """Return a handler that creates a VM for each item of the body.

    If one of the items is invalid, the handler rejects the request and creates no VM.
    """

    def create(context: Context, body: list[Body]) -> list[Result]:
        drafts = [draft(context, values) for values in body]
        check_drafts(context, drafts)
        return [create_vm(context, one) for one in drafts]

    return create


def _new(context: Context, values: Body) -> VmDraft:
    cluster = values["cluster_id"]
    disks = values["vm_disks"]
    draft = VmDraft(
        mutation="createVm",
        fields=settings(values, {}),
        cluster=cluster,
        disks=disk_drafts(context, disks, cluster),
        cd_roms=cd_rom_drafts(context, disks.get("mount_cd_roms") or (), cluster),
        nics=nic_drafts(context, values["vm_nics"], cluster),
    )
    return complete(context, draft, values)


def _clone(context: Context, values: Body) -> VmDraft:
    store = context.store
    source = get_document(context, "Vm", values["src_vm_id"])
    reject_locked(context, [source])
    cluster = _same_cluster(source, values)
    draft = VmDraft(
        mutation="cloneVm",
        fields=settings(values, {**settings_of(source), "description": source["description"]}),
        cluster=cluster,
        disks=disks_of_vm(store, source, copied=values.get("is_full_copy", False)),
        cd_roms=cd_roms_of_vm(store, source),
        nics=nics_of_vm(store, source),
    )
    return complete(context, _replaced(context, draft, values), values)


def _rebuild(context: Context, values: Body) -> VmDraft:
    snapshot = get_document(context, "VmSnapshot", values["rebuild_from_snapshot_id"])
    reject_locked(context, [snapshot], owner="vm")
    cluster = _same_cluster(snapshot, values)
    draft = _from_frozen(context, "rebuildVm", snapshot, cluster, values)
    return complete(context, _replaced(context, draft, values), values)


def _from_template(context: Context, values: Body) -> VmDraft:
    template = get_document(context, "VmTemplate", values["template_id"])
    reject_locked(context, [template])
    cluster = _same_cluster(template, values)
    return _of_template(context, "createVmFromTemplate", template, cluster, values)


def _from_library(context: Context, values: Body) -> VmDraft:
    template = get_document(context, "ContentLibraryVmTemplate", values["template_id"])
    reject_locked(context, [template])
    cluster = values["cluster_id"]
    get_document(context, "Cluster", cluster)
    if cluster not in (template.get("clusters") or ()):
        raise HttpError(400, f"template {template['name']} is not on this cluster")
    mutation = "createVmFromContentLibraryTemplate"
    return _of_template(context, mutation, template, cluster, values)


def _of_template(
    context: Context, mutation: str, template: Document, cluster: str, values: Body
) -> VmDraft:
    draft = _from_frozen(context, mutation, template, cluster, values)
    draft.disks, draft.cd_roms = _operated(context, draft, part(values, "disk_operate"))
    if "vm_nics" in values:
        draft.nics = nic_drafts(context, values["vm_nics"], cluster)
    if cloud_init := values.get("cloud_init"):
        _set_up(draft, template, cloud_init)
    return complete(context, draft, values)


def _from_frozen(
    context: Context, mutation: str, source: Document, cluster: str, values: Body
) -> VmDraft:
    return VmDraft(
        mutation=mutation,
        fields=settings(values, settings_of(source)),
        cluster=cluster,
        disks=frozen_disks(context.store, source),
        cd_roms=frozen_cd_roms(source),
        nics=frozen_nics(context.store, source, cluster),
    )


def _same_cluster(source: Document, values: Body) -> str:
    if values.get("cluster_id", source["cluster"]) != source["cluster"]:
        raise HttpError(400, f"{source['name']} is of another cluster")
    return str(source["cluster"])


def _replaced(context: Context, draft: VmDraft, values: Body) -> VmDraft:
    """If `values` contains disks or NICs, set them in the draft. Return the draft."""
    if "vm_disks" in values:
        disks = values["vm_disks"]
        draft.disks = disk_drafts(context, disks, draft.cluster)
        draft.cd_roms = cd_rom_drafts(context, disks.get("mount_cd_roms") or (), draft.cluster)
    if "vm_nics" in values:
        draft.nics = nic_drafts(context, values["vm_nics"], draft.cluster)
    return draft


def _operated(
    context: Context, draft: VmDraft, operate: Body
) -> tuple[list[DiskDraft], list[CdRomDraft]]:
    """Return the disks and CD-ROMs of a draft after the changes that `operate` requests."""
    disks = dict(enumerate(draft.disks))
    for change in operate.get("modify_disks") or ():
        disk = _at(disks, change["disk_index"])
        # Servers change the bus only: `vm_volume_id` has no effect.
        bus = change.get("bus", disk.bus)
        disks[change["disk_index"]] = dataclasses.replace(disk, bus=bus)
    for index in part(operate, "remove_disks").get("disk_index", ()):
        _at(disks, index)
        del disks[index]
    new = part(operate, "new_disks")
    more = cd_rom_drafts(context, new.get("mount_cd_roms") or (), draft.cluster)
    return (
        [*disks.values(), *disk_drafts(context, new, draft.cluster)],
        [*draft.cd_roms, *more],
    )


def _at(disks: dict[int, DiskDraft], index: int) -> DiskDraft:
    if index not in disks:
        raise HttpError(400, f"disk_index: the template has no disk {index}")
    return disks[index]


def _set_up(draft: VmDraft, template: Document, cloud_init: Body) -> None:
    """Set host name, DNS servers and IP addresses of a draft as in `cloud_init`."""
    if not template["cloud_init_supported"]:
        draft.failure = _NO_CLOUD_INIT  # the server accepts the request, but the task fails
    if "hostname" in cloud_init:
        draft.fields["hostname"] = cloud_init["hostname"]
    if "nameservers" in cloud_init:
        draft.fields["dns_servers"] = ",".join(cloud_init["nameservers"])
    for network in cloud_init.get("networks") or ():
        index: int = network["nic_index"]
        if index >= len(draft.nics):
            raise HttpError(400, f"nic_index: there is no NIC {index}")
        if network["type"] == "IPV4":
            address: Fields = {
                "ip_address": network.get("ip_address", ""),
                "subnet_mask": network.get("netmask", ""),
            }
            nic: NicDraft = draft.nics[index]
            draft.nics[index] = dataclasses.replace(nic, more={**nic.more, **address})


def _convert(context: Context, body: list[Body]) -> list[Result]:
    """Convert templates to VMs. The templates no longer exist afterwards."""
    wanted: list[tuple[Document, VmDraft]] = []
    for values in body:
        template = get_document(context, "VmTemplate", values["converted_from_template_id"])
        reject_locked(context, [template])
        draft = _from_frozen(
            context, "convertVmTemplateToVm", template, template["cluster"], values
        )
        wanted.append((template, draft))
    check_drafts(context, [draft for _, draft in wanted])
    outcomes: list[Result] = []
    for template, draft in wanted:
        vm, work = plan_creation(context, draft)
        task_id = context.start(
            draft.mutation,
            "Vm",
            vm,
            _and_drop(context, template, work),
            locks=[vm, template],
            status="DELETING",
        )
        outcomes.append(Result("Vm", vm["id"], task_id))
    return outcomes


def _and_drop(context: Context, template: Document, work: Work) -> Work:
    def succeed() -> Failure | None:
        failure = work.succeed()
        if failure is None:
            context.store.remove("VmTemplate", template["id"])
        return failure

    return Work(succeed, work.fail)


def _batch(context: Context, body: Body) -> Result:
    """Create several VMs from a template with a single task.

    If a VM cannot be created, the task fails and removes all of the VMs.
    """
    drafts = [
        _from_library(context, {**values, "template_id": body["template_id"]})
        for values in body["vms"]
    ]
    if not drafts:
        raise HttpError(400, "vms: at least one")
    check_drafts(context, drafts)
    planned = [plan_creation(context, one) for one in drafts]
    works = [work for _, work in planned]

    def succeed() -> Failure | None:
        return next((failure for work in works if (failure := work.succeed())), None)

    def fail() -> None:
        for work in works:
            work.fail()

    vms = [vm for vm, _ in planned]
    task_id = context.start(drafts[0].mutation, "Vm", vms[0], Work(succeed, fail), locks=vms)
    return Result("Vm", tuple(vm["id"] for vm in vms), task_id)


MUTATIONS: dict[str, Handler] = checked(
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
