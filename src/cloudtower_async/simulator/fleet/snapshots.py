"""Snapshots of VMs and volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .storage_policies import policy_uuid

if TYPE_CHECKING:
    from ..factory import Factory
    from ..store.filters import Document
    from ..store.store import Store

_IO_LIMITS = ("max_bandwidth", "max_bandwidth_policy", "max_iops", "max_iops_policy")


def snapshot_fields(vm: Document, name: str, consistent_type: str) -> dict[str, Any]:
    """Return the initial values of a VM snapshot. Some values are copied from the VM."""
    same = ("clock_offset", "cluster", "cpu", "cpu_model", "firmware", "ha", "ha_priority")
    size = ("io_policy", "memory", "vcpu", "win_opt")
    return {
        "name": name,
        "description": "",
        "consistent_type": consistent_type,
        "vm": vm["id"],
        "size": 0,
        **{field: vm[field] for field in (*same, *size)},
    }


def freeze(factory: Factory, snapshot: Document, created_at: str) -> None:
    """Store the current disks and NICs of a snapshot's VM in the snapshot.

    For each disk with a volume, add a LUN snapshot.
    """
    store = factory.store
    vm = store.get("Vm", snapshot["vm"])
    disks = [store.get("VmDisk", one) for one in vm.get("vm_disks") or ()]
    frozen = [
        frozen_disk(factory, disk, place, _snapshot_lun(factory, disk, created_at))
        for place, disk in enumerate(disks)
    ]
    snapshot["local_created_at"] = created_at
    snapshot["vm_disks"] = frozen
    snapshot["vm_nics"] = frozen_nics(store, vm)
    snapshot["size"] = sum(disk["size"] for disk in frozen)


def fill_in_volume_snapshots(factory: Factory) -> None:
    """Copy the sizes and storage policies of volumes to their volume snapshots."""
    store = factory.store
    for snapshot in store.table("VmVolumeSnapshot").values():
        if snapshot.get("vm_volume"):
            volume = store.get("VmVolume", snapshot["vm_volume"])
            same = (name for name in volume if name.startswith("elf_storage_policy"))
            snapshot |= {name: volume[name] for name in same}
            snapshot |= {"size": volume["size"], "volume_size": volume["size"]}
            snapshot["volume_sharing"] = volume["sharing"]


def lun_snapshots(store: Store, snapshot: Document) -> list[Document]:
    """Return the LUN snapshots of the disks of a VM snapshot."""
    names = [disk["snapshot_local_id"] for disk in snapshot["vm_disks"] or ()]
    return store.select("IscsiLunSnapshot", {"name_in": [name for name in names if name]})


def _snapshot_lun(factory: Factory, disk: Document, created_at: str) -> str | None:
    """Add a LUN snapshot of a disk, and return the name of the LUN snapshot.

    For a CD-ROM, only return None.
    """
    store = factory.store
    if not disk.get("vm_volume"):
        return None
    volume = store.get("VmVolume", disk["vm_volume"])
    local_id = factory.ids.uuid()
    where = {"internal": True, "cluster": {"id": volume["cluster"]}}
    store.add(
        "IscsiLunSnapshot",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "local_created_at": created_at,
            "name": local_id,
            "iscsi_target": store.select("IscsiTarget", where)[0]["id"],
            "resiliency_type": "REPLICA",
            "unique_size": 0,  # 0 until the disk changes
        },
    )
    return local_id


def frozen_disk(
    factory: Factory, disk: Document, place: int, local_id: str | None
) -> dict[str, Any]:
    """Return a disk in the format of snapshots and templates.

    Args:
        factory: Tools for creating resources.
        disk: Disk of a VM.
        place: Index of the disk.
        local_id: Name of the LUN snapshot of the disk. None if the disk has no LUN snapshot.
    """
    store = factory.store
    volume = store.get("VmVolume", disk["vm_volume"]) if disk.get("vm_volume") else {}
    image = store.get("ElfImage", disk["elf_image"]) if disk.get("elf_image") else {}
    return {
        **{name: disk[name] for name in _IO_LIMITS},
        "boot": disk["boot"],
        "bus": disk["bus"],
        "disabled": disk["disabled"],
        "disk_name": volume.get("name"),
        "elf_image_local_id": image.get("local_id", ""),
        "image_name": image.get("name"),
        "index": place,
        "key": disk["key"],
        "path": volume.get("path") or image.get("path", ""),
        "resident_in_cache": bool(volume.get("resident_in_cache")),
        "size": volume.get("size", 0),
        "snapshot_local_id": local_id,
        "storage_policy_uuid": (
            policy_uuid(factory, volume["cluster"], volume["elf_storage_policy"]) if volume else ""
        ),
        "svt_image_local_id": "",
        "type": disk["type"],
        "vm_volume_local_id": volume.get("local_id", ""),
        "vm_volume_snapshot_uuid": local_id,
        "vm_volume_template_uuid": None,
    }


def frozen_nics(store: Store, vm: Document) -> list[dict[str, Any]]:
    """Convert the NICs of a VM to the format of snapshots and templates."""
    nics = [store.get("VmNic", one) for one in vm.get("vm_nics") or ()]
    return [_frozen_nic(store, nic) for nic in nics if nic.get("vlan")]


def _frozen_nic(store: Store, nic: Document) -> dict[str, Any]:
    vlan = store.get("Vlan", nic["vlan"])
    vds = store.get("Vds", vlan["vds"])
    return {
        "enabled": nic["enabled"],
        "gateway": nic["gateway"],
        "index": nic["order"],
        "ip_address": nic["ip_address"],
        "mac_address": nic["mac_address"],
        "mirror": nic["mirror"],
        "model": nic["model"],
        "subnet_mask": nic["subnet_mask"],
        "vlan": {
            "name": vlan["name"],
            "network_ids": vlan["network_ids"],
            "vds_ovs": vds["ovsbr_name"],
            "vlan_id": vlan["vlan_id"],
            "vlan_local_id": vlan["local_id"],
        },
    }
