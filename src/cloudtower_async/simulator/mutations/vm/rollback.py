"""Rolling a VM back to what it was when a snapshot was taken."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ...http_errors import RefusedError
from ..world import refuse_locked
from .devices import DiskDraft, add_cd_rom, add_disk, add_nic, disks_of, nics_of, remove_disk
from .sources import frozen_cd_roms, frozen_disks, frozen_nics, settings_of
from .vms import OnVms, check_off, checked, find_one

if TYPE_CHECKING:
    from ...store.filters import Document
    from ...store.store import Store
    from ...tasks import Failure
    from ..body import Body
    from ..world import Effect, World
    from .vms import Apply


def _rollback(world: World, vm: Document, data: Body) -> Apply:
    store = world.maker.store
    snapshot = find_one(world, "VmSnapshot", data["snapshot_id"])
    if snapshot.get("vm") != vm["id"]:
        raise RefusedError(400, f"snapshot {snapshot['name']} is of another VM")
    refuse_locked(world, [snapshot], owner="vm")
    failure = check_off(world, vm, "rollbackVm")

    def apply() -> Failure | None:
        if failure is not None:
            return failure
        for disk in disks_of(store, vm):
            remove_disk(store, disk)
        for nic in nics_of(store, vm):
            store.remove("VmNic", nic["id"])
        for draft in _disks(store, snapshot):
            add_disk(world.maker, vm, draft)
        for cd_rom in frozen_cd_roms(snapshot):
            add_cd_rom(world.maker, vm, cd_rom)
        for nic_draft in frozen_nics(store, snapshot, vm["cluster"], same=True):
            add_nic(world.maker, vm, nic_draft)
        vm.update(settings_of(snapshot))
        return None

    return apply


def _disks(store: Store, snapshot: Document) -> list[DiskDraft]:
    """The disks of the snapshot, on the volumes that they were on where these still are."""
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


EFFECTS: dict[str, Effect] = checked({"rollback-vm": OnVms("rollbackVm", _rollback)})
