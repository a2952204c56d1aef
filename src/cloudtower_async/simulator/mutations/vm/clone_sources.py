"""Devices of a new VM that is created from a VM, a snapshot or a template.

The original VM, snapshot or template is the source of the new VM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...fleet.storage_policies import policy_name
from .devices import THIN, CdRomDraft, DiskDraft, NicDraft, disks_of, nics_of

if TYPE_CHECKING:
    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Fields

_SETTINGS = (
    *("clock_offset", "cloud_init_supported", "cpu", "cpu_model", "firmware", "guest_os_type"),
    *("ha", "ha_priority", "io_policy", "max_bandwidth", "max_bandwidth_policy", "max_iops"),
    *("max_iops_policy", "memory", "vcpu", "video_type", "win_opt"),
)
_LIMITS = ("max_bandwidth", "max_bandwidth_policy", "max_iops", "max_iops_policy")
_NIC_FIELDS = ("enabled", "mirror", "model", "gateway", "subnet_mask", "type")


def settings_of(source: Document) -> Fields:
    """Return the settings that a new VM copies from its source."""
    return {name: source[name] for name in _SETTINGS if source.get(name) is not None}


def disks_of_vm(store: Store, vm: Document, *, copied: bool) -> list[DiskDraft]:
    """Return drafts of a new VM's disks, copied from `vm`.

    If `copied` is True, the new disks use as much space as the originals, otherwise no space.
    """
    drafts: list[DiskDraft] = []
    for disk in disks_of(store, vm):
        if disk["type"] == "DISK":
            volume = store.get("VmVolume", disk["vm_volume"])
            drafts.append(
                DiskDraft(
                    bus=disk["bus"],
                    boot=disk["boot"],
                    key=disk["key"],
                    name=volume["name"],
                    size=volume["size"],
                    policy=volume["elf_storage_policy"],
                    written=(volume["used_size"] or 0) if copied else 0,
                    more={name: disk[name] for name in _LIMITS},
                )
            )
    return drafts


def cd_roms_of_vm(store: Store, vm: Document) -> list[CdRomDraft]:
    """Return drafts of a new VM's CD-ROMs, copied from `vm`."""
    return [
        CdRomDraft(
            boot=disk["boot"],
            key=disk["key"],
            image=disk.get("elf_image"),
            disabled=bool(disk["disabled"]),
        )
        for disk in disks_of(store, vm)
        if disk["type"] == "CD_ROM"
    ]


def nics_of_vm(store: Store, vm: Document) -> list[NicDraft]:
    """Return drafts of a new VM's NICs, copied from `vm` without MAC and IP addresses."""
    return [
        NicDraft(vlan=nic["vlan"], more={name: nic[name] for name in _NIC_FIELDS})
        for nic in nics_of(store, vm)
        if nic.get("vlan")
    ]


def frozen_disks(store: Store, source: Document) -> list[DiskDraft]:
    """Return drafts of a new VM's disks, copied from `source`.

    The new disks use no space.
    """
    return [
        DiskDraft(
            bus=disk["bus"],
            boot=disk["boot"],
            key=disk.get("key"),
            name=disk["disk_name"] or f"disk-{place + 1}",
            size=disk["size"],
            policy=_policy_of(store, disk),
            more={name: disk.get(name) for name in _LIMITS},
        )
        for place, disk in enumerate(source["vm_disks"] or ())
        if disk["type"] == "DISK"
    ]


def _policy_of(store: Store, disk: Fields) -> str:
    """Return the name of the storage policy of a disk in a snapshot or a template."""
    named: str | None = disk.get("storage_policy")
    return named or policy_name(store, disk.get("storage_policy_uuid") or "") or THIN


def frozen_cd_roms(source: Document) -> list[CdRomDraft]:
    """Return drafts of a new VM's CD-ROMs, copied from `source` without images."""
    return [
        CdRomDraft(boot=disk["boot"], key=disk.get("key"), disabled=bool(disk["disabled"]))
        for disk in source["vm_disks"] or ()
        if disk["type"] == "CD_ROM"
    ]


def frozen_nics(
    store: Store, source: Document, cluster: str, *, same: bool = False
) -> list[NicDraft]:
    """Return drafts of a new VM's NICs, copied from `source`.

    NICs are skipped if their VLAN does not exist in the target cluster.

    Args:
        store: Store with the VLANs.
        source: Snapshot or template.
        cluster: Id of the target cluster.
        same: Whether the copies keep the MAC and IP addresses of the originals.
    """
    fields = (*_NIC_FIELDS, "mac_address", "ip_address") if same else _NIC_FIELDS
    vlans = store.select("Vlan", {"vds": {"cluster": {"id": cluster}}})
    # The VLAN ids in a content library template are those of the original cluster.
    known = {vlan["name"]: vlan["id"] for vlan in vlans}
    known |= {vlan["local_id"]: vlan["id"] for vlan in vlans}
    drafts: list[NicDraft] = []
    for nic in source["vm_nics"] or ():
        there = nic["vlan"] or {"vlan_local_id": "", "name": ""}
        if vlan := known.get(there["vlan_local_id"]) or known.get(there["name"]):
            more = {name: nic[name] for name in fields if nic.get(name) is not None}
            drafts.append(NicDraft(vlan=vlan, more=more))
    return drafts
