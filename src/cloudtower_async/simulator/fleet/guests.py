"""VMs with their disks and NICs, and their snapshots."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .plan import GIB
from .storage_policies import policy_uuid
from .totals import add_written

if TYPE_CHECKING:
    from random import Random

    from ..factory import Maker
    from ..store.filters import Document
    from ..store.store import Store
    from .plan import VmPlan

_ROLES = ("web", "db", "cache", "queue", "mail", "build", "proxy", "files", "monitor", "worker")
_STAGES = ("prod", "staging", "test")
_STATUSES = ("RUNNING", "STOPPED", "SUSPENDED")
_STATUS_WEIGHTS = (80, 15, 5)

_IO_LIMITS = ("max_bandwidth", "max_bandwidth_policy", "max_iops", "max_iops_policy")

_LUN: dict[str, Any] = {
    **{
        f"{unit}{way}{most}": 0
        for unit in ("bps", "iops")
        for way in ("", "_rd", "_wr")
        for most in ("", "_max", "_max_length")
    },
    "allowed_initiators": "*/*",
    "io_size": 0,
    "lun_id": 1,
    "prioritized": False,
    "replica_num": 2,
    "resiliency_type": "REPLICA",
    "shared_size": 0,
    "snapshot_num": 0,
    "stripe_num": 4,
    "stripe_size": 262_144,
    "thin_provision": True,
}


def add_vm(maker: Maker, plan: VmPlan, host: Document, cluster: Document) -> Document:
    """Make up a VM of the planned size."""
    random, number = maker.random, plan.number
    connected = cluster["connect_state"] == "CONNECTED"
    status = random.choices(_STATUSES, _STATUS_WEIGHTS)[0] if connected else "UNKNOWN"
    name = f"{_ROLES[number % len(_ROLES)]}-{_STAGES[number // 10 % len(_STAGES)]}-{number:05}"
    address = _address(number) if status == "RUNNING" else ""
    windows = number % 7 == 3
    provisioned, written = sum(plan.disks), sum(plan.written)
    tools = "RUNNING" if status == "RUNNING" and number % 5 else "NOT_RUNNING"
    vm = maker.store.add(
        "Vm",
        {
            "id": maker.ids.cuid(),
            "local_id": maker.ids.uuid(),
            "local_created_at": maker.ago(700, 30),
            "name": name,
            "description": f"{_ROLES[number % len(_ROLES)]} server" if number % 3 else "",
            "cluster": cluster["id"],
            "host": host["id"],
            "node_ip": host["management_ip"],
            "vcpu": plan.vcpu,
            "cpu": {"cores": plan.vcpu, "sockets": 1},
            "cpu_model": "cluster_default",
            "memory": plan.memory,
            "clock_offset": "LOCALTIME" if windows else "UTC",
            "firmware": "UEFI" if windows else "BIOS",
            "guest_os_type": "WINDOWS" if windows else "LINUX",
            "os": ("Windows Server 2022" if windows else "Rocky Linux 9") if address else None,
            "win_opt": windows,
            "ha": True,
            "ha_priority": "LEVEL_2_MEDIUM",
            "hostname": name if address else None,
            "ips": address,
            "dns_servers": "10.0.0.53" if address else None,
            "in_recycle_bin": False,
            "internal": False,
            "io_policy": "RESTRICT_EACH_DISK",
            "nested_virtualization": False,
            "out_uninstall_usb": [],
            "protected": False,
            "provisioned_size": provisioned,
            "size": written,
            "unique_size": written,
            "used_size": written,
            "used_size_usage": round(written / provisioned, 4),
            "logical_size_bytes": written,
            "guest_used_size": written if address else None,
            "guest_size_usage": round(written / provisioned, 4) if address else None,
            "video_type": "VIRTIO",
            "vm_tools_status": tools,
            "vm_tools_version": "4.1.0" if tools == "RUNNING" else None,
            "cloud_init_supported": not windows,
            **activity(maker.random, status),
        },
    )
    _add_nic(maker, vm, number, address)
    for place, (size, used) in enumerate(zip(plan.disks, plan.written, strict=True)):
        _add_disk(maker, vm, place, size, used)
    return vm


def _address(number: int) -> str:
    """The address that DHCP leases: another one for each number below 2**24."""
    if number < 250 * 250:
        return f"192.168.{number // 250}.{1 + number % 250}"
    return f"100.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def lease(nic: Document) -> str:
    """The address that DHCP leases to a NIC, by its MAC address."""
    digits = re.sub(r"[^0-9a-f]", "", (nic["mac_address"] or "").lower())
    return _address(int(digits[-6:] or "0", 16))


def activity(random: Random, status: str) -> dict[str, Any]:
    """The fields that say what a VM does in a status: how busy it is."""
    running = status == "RUNNING"
    return {
        "status": status,
        "cpu_usage": round(random.uniform(0.5, 45), 2) if running else None,
        "memory_usage": round(random.uniform(15, 90), 2) if running else None,
    }


def _add_nic(maker: Maker, vm: Document, number: int, address: str) -> None:
    cluster = maker.store.get("Cluster", vm["cluster"])
    if not cluster.get("vdses"):  # a cluster of a dump
        return
    vds = maker.store.get("Vds", cluster["vdses"][0])
    mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    maker.store.add(
        "VmNic",
        {
            "id": maker.ids.cuid(),
            "local_id": maker.ids.uuid(),
            "vm": vm["id"],
            "vlan": maker.random.choice(vds["vlans"]),
            "mac_address": mac,
            "ip_address": address,
            "guest_info_ip_addresses": [address] if address else [],
            "guest_info_ip_addresses_v6": [],
            "enabled": True,
            "mirror": False,
            "model": "VIRTIO",
            "order": 0,
            "type": "VLAN",
            "gateway": "",
            "subnet_mask": "",
        },
    )


def add_spare_volumes(maker: Maker, cluster: Document, number: int) -> None:
    """Add volumes that no VM mounts, such as deleted VMs leave behind."""
    total = 0
    for place in range(number):
        size = maker.random.choice((20, 40, 80)) * GIB
        written = int(size * maker.random.uniform(0.1, 0.8)) >> 20 << 20
        name = f"{_ROLES[place % len(_ROLES)]}-old-{place + 1}"
        home = {"cluster": cluster["id"], "local_created_at": maker.ago(700, 30)}
        _add_volume(maker, home, name, size, written, mounting=False)
        total += written
    add_written(maker.store, cluster["id"], total)


def _add_volume(
    maker: Maker, home: Document, name: str, size: int, written: int, *, mounting: bool
) -> Document:
    """Make a volume where a VM is, or whatever has a cluster and a date."""
    return maker.store.add(
        "VmVolume",
        {
            "id": maker.ids.cuid(),
            "local_id": (local_id := maker.ids.uuid()),
            "local_created_at": home["local_created_at"],
            "name": name,
            "cluster": home["cluster"],
            "description": "",
            "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
            "elf_storage_policy_replica_num": 2,
            "elf_storage_policy_stripe_num": 4,
            "elf_storage_policy_thin_provision": True,
            "mounting": mounting,
            "sharing": False,
            "path": f"iscsi://{local_id}",
            "size": size,
            "unique_size": written,
            "used_size": written,
            "used_size_usage": round(written / size, 4),
            "type": "KVM_VOLUME",
            "lun": _add_lun(maker, home, local_id, size, written),
        },
    )


def _add_disk(maker: Maker, vm: Document, place: int, size: int, written: int) -> None:
    name = f"{vm['name']}-disk-{place + 1}"
    volume = _add_volume(maker, vm, name, size, written, mounting=True)
    maker.store.add(
        "VmDisk",
        {
            "id": maker.ids.cuid(),
            "vm": vm["id"],
            "vm_volume": volume["id"],
            "boot": place + 1,
            "bus": "VIRTIO",
            "type": "DISK",
            "device": f"vd{chr(ord('a') + place)}",
            "disabled": False,
            "key": place + 1,
            "serial": volume["local_id"],
        },
    )


def _add_lun(maker: Maker, home: Document, name: str, size: int, written: int) -> str | None:
    """What holds the data of a volume. In a dump there may be nothing to put it in."""
    if home["cluster"] not in maker.targets:
        return None
    lun = maker.store.add(
        "IscsiLun",
        {
            **_LUN,
            "id": maker.ids.cuid(),
            "local_id": name,
            "local_created_at": home["local_created_at"],
            "name": name,
            "iscsi_target": maker.targets[home["cluster"]],
            "assigned_size": size,
            "unique_size": written,
            "unique_logical_size": float(written),
            "zbs_volume_id": maker.ids.uuid(),
        },
    )
    return str(lun["id"])


def snapshot_fields(vm: Document, name: str, consistent_type: str) -> dict[str, Any]:
    """What a snapshot takes over from its VM at once."""
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


def freeze(maker: Maker, snapshot: Document, created_at: str) -> None:
    """Fill in a snapshot: the disks and NICs as they are, and a LUN snapshot for each disk."""
    store = maker.store
    vm = store.get("Vm", snapshot["vm"])
    disks = [store.get("VmDisk", one) for one in vm.get("vm_disks") or ()]
    frozen = [
        frozen_disk(maker, disk, place, _snapshot_lun(maker, disk, created_at))
        for place, disk in enumerate(disks)
    ]
    snapshot["local_created_at"] = created_at
    snapshot["vm_disks"] = frozen
    snapshot["vm_nics"] = frozen_nics(store, vm)
    snapshot["size"] = sum(disk["size"] for disk in frozen)


def fill_in_volume_snapshots(maker: Maker) -> None:
    """Give snapshots of volumes the sizes and policies of their volumes."""
    store = maker.store
    for snapshot in store.table("VmVolumeSnapshot").values():
        if snapshot.get("vm_volume"):
            volume = store.get("VmVolume", snapshot["vm_volume"])
            same = (name for name in volume if name.startswith("elf_storage_policy"))
            snapshot |= {name: volume[name] for name in same}
            snapshot |= {"size": volume["size"], "volume_size": volume["size"]}
            snapshot["volume_sharing"] = volume["sharing"]


def lun_snapshots(store: Store, snapshot: Document) -> list[Document]:
    """The LUN snapshots that a VM snapshot consists of."""
    names = [disk["snapshot_local_id"] for disk in snapshot["vm_disks"] or ()]
    return store.select("IscsiLunSnapshot", {"name_in": [name for name in names if name]})


def _snapshot_lun(maker: Maker, disk: Document, created_at: str) -> str | None:
    """Make the LUN snapshot of a disk; of a CD-ROM there is none."""
    store = maker.store
    if not disk.get("vm_volume"):
        return None
    volume = store.get("VmVolume", disk["vm_volume"])
    local_id = maker.ids.uuid()
    where = {"internal": True, "cluster": {"id": volume["cluster"]}}
    store.add(
        "IscsiLunSnapshot",
        {
            "id": maker.ids.cuid(),
            "local_id": maker.ids.uuid(),
            "local_created_at": created_at,
            "name": local_id,
            "iscsi_target": store.select("IscsiTarget", where)[0]["id"],
            "resiliency_type": "REPLICA",
            "unique_size": 0,  # until the disk is written to
        },
    )
    return local_id


def frozen_disk(maker: Maker, disk: Document, place: int, local_id: str | None) -> dict[str, Any]:
    """A disk as snapshots and templates keep it; the id is that of the copy of its data."""
    store = maker.store
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
            policy_uuid(maker, volume["cluster"], volume["elf_storage_policy"]) if volume else ""
        ),
        "svt_image_local_id": "",
        "type": disk["type"],
        "vm_volume_local_id": volume.get("local_id", ""),
        "vm_volume_snapshot_uuid": local_id,
        "vm_volume_template_uuid": None,
    }


def frozen_nics(store: Store, vm: Document) -> list[dict[str, Any]]:
    """The NICs of a VM as snapshots keep them."""
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
