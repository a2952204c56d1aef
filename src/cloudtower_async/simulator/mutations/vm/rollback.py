"""Mutation that rolls back a VM to a snapshot."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ...http_errors import HttpError
from ..context import reject_locked
from .clone_sources import frozen_cd_roms, frozen_disks, frozen_nics, settings_of
from .devices import DiskDraft, add_cd_rom, add_disk, add_nic, disks_of, nics_of, remove_disk
from .guests import plug_in
from .vm_mutation import VmMutation, check_stopped, checked, get_document

if TYPE_CHECKING:
    from ...store.filters import Document
    from ...store.store import Store
    from ...tasks import Failure
    from ..body import Body
    from ..context import Context, Handler
    from .vm_mutation import Apply


def _rollback(context: Context, vm: Document, data: Body) -> Apply:
    store = context.store
    snapshot = get_document(context, "VmSnapshot", data["snapshot_id"])
    if snapshot.get("vm") != vm["id"]:
        raise HttpError(400, f"snapshot {snapshot['name']} is of another VM")
    reject_locked(context, [snapshot], owner="vm")
    failure = check_stopped(context, vm, "rollbackVm")

    def apply() -> Failure | None:
        if failure is not None:
            return failure
        for disk in disks_of(store, vm):
            remove_disk(store, disk)
        for nic in nics_of(store, vm):
            store.remove("VmNic", nic["id"])
        for draft in _disks(store, snapshot):
            add_disk(context.factory, vm, draft)
        for cd_rom in frozen_cd_roms(snapshot):
            add_cd_rom(context.factory, vm, cd_rom)
        for nic_draft in frozen_nics(store, snapshot, vm["cluster"], same=True):
            add_nic(context.factory, vm, nic_draft)
        vm.update(settings_of(snapshot))
        plug_in(context, vm)
        return None

    return apply


def _disks(store: Store, snapshot: Document) -> list[DiskDraft]:
    """Return drafts of the disks of a snapshot.

    If the original volume of a disk exists and is not in use, the disk gets its original volume.
    Other disks get new volumes.
    """
    frozen = [disk for disk in snapshot["vm_disks"] or () if disk["type"] == "DISK"]
    drafts: list[DiskDraft] = []
    for disk, draft in zip(frozen, frozen_disks(store, snapshot), strict=True):
        volumes = store.select("VmVolume", {"local_id": disk["vm_volume_local_id"]})
        if volumes and not volumes[0]["mounting"]:
            volumes[0]["size"] = disk["size"]
            drafts.append(dataclasses.replace(draft, volume=volumes[0]["id"]))
        else:
            drafts.append(draft)
    return drafts


MUTATIONS: dict[str, Handler] = checked({"rollback-vm": VmMutation("rollbackVm", _rollback)})
