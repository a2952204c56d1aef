"""VMs with their disks and NICs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .aggregates import add_written
from .sizing import GIB

if TYPE_CHECKING:
    from random import Random

    from ..factory import Factory
    from ..store.filters import Document
    from .sizing import VmPlan

_ROLES = ("web", "db", "cache", "queue", "mail", "build", "proxy", "files", "monitor", "worker")
_STAGES = ("prod", "staging", "test")
_STATUSES = ("RUNNING", "STOPPED", "SUSPENDED")
_STATUS_WEIGHTS = (80, 15, 5)

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


def add_vm(
    factory: Factory,
    plan: VmPlan,
    host: Document,
    cluster: Document,
    *,
    status: str | None = None,
    tools: str | None = None,
    created_at: str | None = None,
) -> Document:
    """Add a VM of the planned size with a NIC and disks, and return the VM.

    `tools` is the status of VM tools. If an argument is None, a value is generated.
    """
    random, number = factory.random, plan.number
    connected = cluster["connect_state"] == "CONNECTED"
    likely = random.choices(_STATUSES, _STATUS_WEIGHTS)[0] if connected else "UNKNOWN"
    status = status or likely
    tools = tools or ("RUNNING" if status == "RUNNING" and number % 5 else "NOT_RUNNING")
    name = f"{_ROLES[number % len(_ROLES)]}-{_STAGES[number // 10 % len(_STAGES)]}-{number:05}"
    address = _address(number) if status == tools == "RUNNING" else ""
    windows = number % 7 == 3
    provisioned, written = sum(plan.disks), sum(plan.written)
    vm = factory.store.add(
        "Vm",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "local_created_at": created_at or factory.ago(700, 30),
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
            **activity(factory.random, status),
        },
    )
    _add_nic(factory, vm, number, address)
    for place, (size, used) in enumerate(zip(plan.disks, plan.written, strict=True)):
        _add_disk(factory, vm, place, size, used)
    return vm


def _address(number: int) -> str:
    """Convert a number to an IP address.

    Different numbers below 2**24 have different addresses.
    """
    if number < 250 * 250:
        return f"192.168.{number // 250}.{1 + number % 250}"
    return f"100.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def lease(nic: Document) -> str:
    """Return the IP address that DHCP leases to a NIC. The MAC address determines the result."""
    digits = re.sub(r"[^0-9a-f]", "", (nic["mac_address"] or "").lower())
    return _address(int(digits[-6:] or "0", 16))


def activity(random: Random, status: str) -> dict[str, Any]:
    """Return the field values for a VM with the given status: status, CPU and memory usage."""
    running = status == "RUNNING"
    return {
        "status": status,
        "cpu_usage": round(random.uniform(0.5, 45), 2) if running else None,
        "memory_usage": round(random.uniform(15, 90), 2) if running else None,
    }


def _add_nic(factory: Factory, vm: Document, number: int, address: str) -> None:
    cluster = factory.store.get("Cluster", vm["cluster"])
    if not cluster.get("vdses"):  # the dump has no switch for the cluster
        return
    vds = factory.store.get("Vds", cluster["vdses"][0])
    mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
    factory.store.add(
        "VmNic",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "vm": vm["id"],
            "vlan": factory.random.choice(vds["vlans"]),
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


def add_spare_volumes(factory: Factory, cluster: Document, number: int) -> None:
    """Add volumes that no VM uses. On real servers, deleting a VM can leave such volumes behind."""
    total = 0
    for place in range(number):
        size = factory.random.choice((20, 40, 80)) * GIB
        written = int(size * factory.random.uniform(0.1, 0.8)) >> 20 << 20
        name = f"{_ROLES[place % len(_ROLES)]}-old-{place + 1}"
        home = {"cluster": cluster["id"], "local_created_at": factory.ago(700, 30)}
        _add_volume(factory, home, name, size, written, mounting=False)
        total += written
    add_written(factory.store, cluster["id"], total)


def _add_volume(
    factory: Factory, home: Document, name: str, size: int, written: int, *, mounting: bool
) -> Document:
    """Add a volume with a LUN, and return the volume.

    `home` is a VM, or a dict. Its ``cluster`` and ``local_created_at`` are copied to the volume.
    """
    return factory.store.add(
        "VmVolume",
        {
            "id": factory.ids.cuid(),
            "local_id": (local_id := factory.ids.uuid()),
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
            "lun": _add_lun(factory, home, local_id, size, written),
        },
    )


def _add_disk(factory: Factory, vm: Document, place: int, size: int, written: int) -> None:
    name = f"{vm['name']}-disk-{place + 1}"
    volume = _add_volume(factory, vm, name, size, written, mounting=True)
    factory.store.add(
        "VmDisk",
        {
            "id": factory.ids.cuid(),
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


def _add_lun(factory: Factory, home: Document, name: str, size: int, written: int) -> str | None:
    """Add a LUN, and return its id. If the cluster has no iSCSI target, return None."""
    if home["cluster"] not in factory.targets:
        return None
    lun = factory.store.add(
        "IscsiLun",
        {
            **_LUN,
            "id": factory.ids.cuid(),
            "local_id": name,
            "local_created_at": home["local_created_at"],
            "name": name,
            "iscsi_target": factory.targets[home["cluster"]],
            "assigned_size": size,
            "unique_size": written,
            "unique_logical_size": float(written),
            "zbs_volume_id": factory.ids.uuid(),
        },
    )
    return str(lun["id"])
