"""Disks, CD-ROMs and NICs of a VM: drafts, and functions that add, read and remove devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...fleet.aggregates import add_written
from ...fleet.storage_policies import is_thin, replicas_of

if TYPE_CHECKING:
    from ...factory import Factory
    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Fields

THIN = "REPLICA_2_THIN_PROVISION"
_DEVICES = {"IDE": "hd", "SCSI": "sd", "USB": "sd", "VIRTIO": "vd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskDraft:
    """Draft of a disk: the properties of a disk to create.

    Args:
        bus: Bus of the disk.
        boot: Position in the boot order.
        name: Name of the new volume.
        size: Size of the new volume in bytes.
        policy: Name of the storage policy of the new volume.
        written: Number of bytes that the data of the new volume occupies.
        volume: Id of an existing volume to mount. With None, a new volume is created.
        key: Key of the disk. The default is the next free key.
        more: Values of other fields of the disk.
    """

    bus: str
    boot: int
    name: str = ""
    size: int = 0
    policy: str = THIN
    written: int = 0
    volume: str | None = None
    key: int | None = None
    more: Fields = field(default_factory=lambda: dict[str, Any]())


@dataclass(frozen=True, slots=True, kw_only=True)
class CdRomDraft:
    """Draft of a CD-ROM: the properties of a CD-ROM to create.

    Args:
        boot: Position in the boot order.
        key: Key of the CD-ROM. The default is the next free key.
        image: Id of the ELF image in the CD-ROM, or None for an empty CD-ROM.
        disabled: Whether the CD-ROM is disabled.
    """

    boot: int
    key: int | None = None
    image: str | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NicDraft:
    """Draft of a NIC: the properties of a NIC to create.

    Args:
        vlan: Id of the VLAN.
        more: Values of other fields of the NIC.
    """

    vlan: str
    more: Fields = field(default_factory=lambda: dict[str, Any]())


def policy_fields(policy: str) -> Fields:
    """Return the fields of a volume that describe its storage policy."""
    return {
        "elf_storage_policy": policy,
        "elf_storage_policy_replica_num": replicas_of(policy),
        "elf_storage_policy_stripe_num": 4,
        "elf_storage_policy_thin_provision": is_thin(policy),
    }


def add_volume(
    factory: Factory, cluster: str, draft: DiskDraft, *, mounting: bool = True
) -> Document:
    """Add a volume, which a disk uses if `mounting` is True. Increase the cluster's used space."""
    local_id = factory.ids.uuid()
    add_written(factory.store, cluster, draft.written)
    return factory.store.add(
        "VmVolume",
        {
            "id": factory.ids.cuid(),
            "local_id": local_id,
            "local_created_at": factory.clock.timestamp(),
            "name": draft.name,
            "cluster": cluster,
            "description": "",
            **policy_fields(draft.policy),
            "mounting": mounting,
            "sharing": False,
            "path": f"iscsi://{local_id}",
            "size": draft.size,
            "unique_size": draft.written,
            "used_size": draft.written,
            "used_size_usage": round(draft.written / max(1, draft.size), 4),
            "type": "KVM_VOLUME",
        },
    )


def add_disk(factory: Factory, vm: Document, draft: DiskDraft) -> Document:
    """Add a disk to a VM, and return the disk."""
    store = factory.store
    if draft.volume is None:
        volume = add_volume(factory, vm["cluster"], draft)
    else:
        volume = store.change("VmVolume", draft.volume, mounting=True)
    return add_device(
        factory,
        vm,
        {
            "vm_volume": volume["id"],
            "boot": draft.boot,
            "bus": draft.bus,
            "type": "DISK",
            "key": draft.key,
            "serial": volume["local_id"],
            **draft.more,
        },
    )


def add_cd_rom(factory: Factory, vm: Document, draft: CdRomDraft) -> None:
    """Add a CD-ROM to a VM."""
    fields = {"boot": draft.boot, "bus": "IDE", "type": "CD_ROM", "key": draft.key}
    if draft.image is not None:
        fields["elf_image"] = draft.image
    add_device(factory, vm, {**fields, "disabled": draft.disabled})


def add_device(factory: Factory, vm: Document, fields: Fields) -> Document:
    store = factory.store
    others = disks_of(store, vm)
    prefix = _DEVICES[fields["bus"]]
    taken = {disk["device"] for disk in others}
    names = (f"{prefix}{chr(ord('a') + place)}" for place in range(26))
    if fields["key"] is None:
        fields["key"] = max((disk["key"] or 0 for disk in others), default=0) + 1
    return store.add(
        "VmDisk",
        {
            "id": factory.ids.cuid(),
            "vm": vm["id"],
            "disabled": False,
            "device": next((name for name in names if name not in taken), None),
            **fields,
        },
    )


def remove_disk(store: Store, disk: Document, *, with_volume: bool = False) -> None:
    """Remove a disk from its VM. If `with_volume` is set, delete its volume as well.

    Shared volumes are never deleted.
    """
    identifier = disk.get("vm_volume")
    store.remove("VmDisk", disk["id"])
    if identifier is None:
        return
    volume = store.get("VmVolume", identifier)
    if volume.get("vm_disks"):  # another VM uses the volume
        return
    volume["mounting"] = False
    if with_volume and not volume["sharing"]:
        add_written(store, volume["cluster"], -(volume["unique_size"] or 0))
        store.remove("VmVolume", identifier)


def add_nic(factory: Factory, vm: Document, draft: NicDraft) -> None:
    """Add a NIC to a VM."""
    orders = [nic["order"] or 0 for nic in nics_of(factory.store, vm)]
    digits = factory.ids.uuid()
    factory.store.add(
        "VmNic",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "vm": vm["id"],
            "vlan": draft.vlan,
            "mac_address": f"52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:6]}",
            "ip_address": "",
            "guest_info_ip_addresses": [],
            "guest_info_ip_addresses_v6": [],
            "enabled": True,
            "mirror": False,
            "model": "VIRTIO",
            "order": max(orders, default=-1) + 1,
            "type": "VLAN",
            "gateway": "",
            "subnet_mask": "",
            **draft.more,
        },
    )


def disks_of(store: Store, vm: Document) -> list[Document]:
    """Return the disks of a VM, including its CD-ROMs."""
    return [store.get("VmDisk", one) for one in vm.get("vm_disks") or ()]


def volumes_of(store: Store, vm: Document) -> list[Document]:
    """Return the volumes of the disks of a VM."""
    mounted = [disk.get("vm_volume") for disk in disks_of(store, vm)]
    return [store.get("VmVolume", one) for one in mounted if one]


def nics_of(store: Store, vm: Document) -> list[Document]:
    """Return the NICs of a VM, sorted by their field ``order``."""
    nics = [store.get("VmNic", one) for one in vm.get("vm_nics") or ()]
    return sorted(nics, key=lambda nic: nic["order"] or 0)


def refresh_vm(store: Store, vm: Document) -> None:
    """Recalculate a VM's fields that depend on its disks and NICs."""
    volumes = volumes_of(store, vm)
    provisioned = sum(volume["size"] or 0 for volume in volumes)
    used = sum(volume["used_size"] or 0 for volume in volumes)
    vm["provisioned_size"] = provisioned
    vm["size"] = vm["used_size"] = vm["logical_size_bytes"] = used
    vm["unique_size"] = sum(volume["unique_size"] or 0 for volume in volumes)
    vm["used_size_usage"] = round(used / provisioned, 4) if provisioned else 0.0
    refresh_addresses(store, vm)


def refresh_addresses(store: Store, vm: Document) -> None:
    """Set the IP addresses of a running VM to the addresses that its guest reported."""
    if vm["status"] == "RUNNING":
        reported = [
            one for nic in nics_of(store, vm) for one in nic["guest_info_ip_addresses"] or ()
        ]
        vm["ips"] = ",".join(reported)


def renew_ids(factory: Factory, vm: Document) -> None:
    """Give the disks and NICs of a VM new ids.

    On real servers, a synchronization with the cluster can have this effect.
    """
    store = factory.store
    for resource, documents in (("VmDisk", disks_of(store, vm)), ("VmNic", nics_of(store, vm))):
        for document in documents:
            values = dict(document)
            store.remove(resource, document["id"])
            store.add(resource, {**values, "id": factory.ids.cuid()})
