"""Mutations that add, update and remove disks and CD-ROMs of VMs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...http_errors import HttpError
from ...tasks import Failure
from ..body import amount, io_limits, part
from ..context import select_vms
from .devices import DiskDraft, add_cd_rom, add_disk, disks_of, remove_disk
from .vm_body import cd_rom_drafts, disk_drafts, image_of, mountable
from .vm_mutation import DeviceMutation, VmMutation, change_vm, checked, get_document, run_in_turn

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler, Result
    from .vm_mutation import Apply


_STOPPED = frozenset({"STOPPED"})


def _add_disks(context: Context, body: Body) -> list[Result]:
    """Add disks to VMs.

    The VMs in the response already contain the disks. If the task fails, the disks are removed.
    """
    vms, data = select_vms(context, body), body["data"]
    drafts = [disk_drafts(context, data["vm_disks"], vm["cluster"]) for vm in vms]
    if not all(drafts):
        raise HttpError(400, "vm_disks: at least one")
    fields = io_limits(data)
    if "io_policy" in data:
        fields["io_policy"] = data["io_policy"]
    return [_add(context, vm, some, fields) for vm, some in zip(vms, drafts, strict=True)]


def _add(context: Context, vm: Document, drafts: list[DiskDraft], fields: Fields) -> Result:
    added = [(add_disk(context.factory, vm, draft), draft.volume is None) for draft in drafts]

    def fail() -> None:
        for disk, new in added:
            remove_disk(context.store, disk, with_volume=new)

    return change_vm(context, "addVmDisk", vm, partial(vm.update, fields), fail)


def _add_cd_roms(context: Context, vm: Document, data: Body) -> Apply:
    drafts = cd_rom_drafts(context, data["vm_cd_roms"], vm["cluster"])

    def apply() -> None:
        for draft in drafts:
            add_cd_rom(context.factory, vm, draft)

    return apply


def _own(context: Context, vm: Document, identifier: str, kind: str) -> Document:
    """Return the disk or CD-ROM of a VM with the given id.

    Raises:
        HttpError: The VM has no such disk or CD-ROM.
    """
    disk = context.store.table("VmDisk").get(identifier)
    if disk is None or disk["vm"] != vm["id"] or disk["type"] != kind:
        raise HttpError(404, f"VM {vm['name']} has no {kind} {identifier}")
    return disk


def _remove(context: Context, vm: Document, data: Body, *, key: str, kind: str) -> Apply:
    disks = [_own(context, vm, one, kind) for one in dict.fromkeys(data[key])]
    if kind == "DISK" and any(disk["bus"] == "IDE" for disk in disks) and _is_on(vm):
        raise HttpError(400, f"VM {vm['name']} is {vm['status']}: an IDE disk stays on it")

    def apply() -> None:
        for disk in disks:
            remove_disk(context.store, disk)

    return apply


def _is_on(vm: Document) -> bool:
    return bool(vm["status"] != "STOPPED")


def _update_disk(context: Context, vm: Document, data: Body) -> Apply:
    store = context.store
    disk = get_document(context, "VmDisk", data["vm_disk_id"])
    _own(context, vm, disk["id"], disk["type"])
    changes: Fields = {"bus": data["bus"]} if "bus" in data else {}
    if changes and _is_on(vm):
        raise HttpError(400, f"VM {vm['name']} is {vm['status']}: the bus of a disk stays")
    if "vm_volume_id" in data:
        if disk["type"] != "DISK":
            raise HttpError(400, "vm_volume_id: a CD-ROM mounts no volume")
        changes["vm_volume"] = mountable(context, data["vm_volume_id"], vm["cluster"])["id"]
    if image := image_of(context, data, vm["cluster"]):
        if disk["type"] != "CD_ROM":
            raise HttpError(400, "elf_image_id: a disk mounts no image")
        changes |= {"elf_image": image, "svt_image": None}

    def apply() -> None:
        before = disk.get("vm_volume")
        store.change("VmDisk", disk["id"], **changes)
        if "vm_volume" in changes and before:
            left = store.get("VmVolume", before)
            left["mounting"] = bool(left.get("vm_disks"))
            store.get("VmVolume", changes["vm_volume"])["mounting"] = True

    return apply


def _expand(context: Context, disk: Document, body: Body) -> Apply:
    store = context.store
    identifier = disk.get("vm_volume")
    if identifier is None:
        raise HttpError(400, "a CD-ROM cannot be expanded")
    volume = store.get("VmVolume", identifier)
    size = amount(body, "size") or 0
    if size < volume["size"]:
        raise HttpError(400, f"size: volume {volume['name']} is larger already")

    def apply() -> Failure | None:
        cluster = store.get("Cluster", volume["cluster"])
        if size - volume["size"] > (cluster["valid_data_space"] or 0):
            return Failure("not enough space", "VM_DISK_EXPAND_FAILED", "NO_SPACE")
        volume["size"] = size
        volume["used_size_usage"] = round((volume["used_size"] or 0) / size, 4)
        return None

    return apply


def _set_cached(context: Context, disk: Document, body: Body) -> Apply:
    identifier = disk.get("vm_volume")
    if identifier is None:
        raise HttpError(400, "a CD-ROM has no volume")
    volume = context.store.get("VmVolume", identifier)

    def apply() -> None:
        volume["resident_in_cache"] = body["resident_in_cache"]

    return apply


def _cd_rom(disk: Document) -> Document:
    if disk["type"] != "CD_ROM":
        raise HttpError(400, f"{disk['device']} is a disk, not a CD-ROM")
    return disk


def _eject(context: Context, disk: Document, body: Body) -> Apply:
    _cd_rom(disk)

    def apply() -> None:
        context.store.change("VmDisk", disk["id"], elf_image=None, svt_image=None)

    return apply


def _toggle(context: Context, disk: Document, body: Body) -> Apply:
    _cd_rom(disk)

    def apply() -> None:
        disk["disabled"] = body["disabled"]

    return apply


def _io_policy(context: Context, vm: Document, data: Body) -> Apply:
    by_boot = {disk["boot"]: disk for disk in disks_of(context.store, vm)}
    each = data.get("each_disk") or ()
    if unknown := [one["boot"] for one in each if one["boot"] not in by_boot]:
        raise HttpError(400, f"each_disk: VM {vm['name']} has no disk with boot {unknown[0]}")
    whole = io_limits(part(data, "whole_vm"))
    if "io_policy" in data:
        whole["io_policy"] = data["io_policy"]
    changes = [partial(by_boot[one["boot"]].update, io_limits(one["data"])) for one in each]
    return run_in_turn([partial(vm.update, whole), *changes])


MUTATIONS: dict[str, Handler] = checked(
    {
        "add-vm-disk": _add_disks,
        "remove-vm-disk": VmMutation("removeVmDisk", partial(_remove, key="disk_ids", kind="DISK")),
        "update-vm-disk": VmMutation("updateVmDisk", _update_disk),
        "expand-vm-disk": DeviceMutation("VmDisk", "expandVmDisk", _expand),
        "set-vm-disk-resident-in-cache": DeviceMutation("VmDisk", "updateVmDisk", _set_cached),
        "update-vm-io-policy": VmMutation("updateVm", _io_policy),
        "add-vm-cd-rom": VmMutation("addVmCdRom", _add_cd_roms, _STOPPED),
        "remove-vm-cd-rom": VmMutation(
            "removeVmCdRom", partial(_remove, key="cd_rom_ids", kind="CD_ROM"), _STOPPED
        ),
        "eject-iso-from-vm-cd-rom": DeviceMutation("VmDisk", "ejectIsoFromVmCdRom", _eject),
        "toggle-vm-cd-rom-disable": DeviceMutation("VmDisk", "toggleVmCdRomDisable", _toggle),
    }
)
