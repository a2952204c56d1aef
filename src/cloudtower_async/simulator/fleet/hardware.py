"""Clusters with their networks, hosts and disks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sizing import GIB, TB
from .storage_policies import add_storage_policies

if TYPE_CHECKING:
    from random import Random

    from ..factory import Factory
    from ..store.filters import Document
    from .sizing import ClusterPlan

_NAMES = ("atlas", "borealis", "cygnus", "draco", "eridanus", "fornax", "gemini", "hydra")
_CPU_MODELS = ("ivybridge", "haswell", "skylake", "cascadelake")
_DAY = 86_400
_HZ = 2_400_000_000


def add_cluster(factory: Factory, number: int, *, vmware: bool, connected: bool) -> Document:
    """Add a cluster with a virtual switch, VLANs, an iSCSI target and storage policies.

    The cluster has no hosts yet.
    """
    name = f"{_NAMES[number % len(_NAMES)]}-{number // len(_NAMES) + 1:02}"
    address = f"10.{10 + number % 240}.0"
    store = factory.store
    cluster = store.add(
        "Cluster",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "name": name,
            "architecture": "X86_64",
            "connect_state": "CONNECTED" if connected else "DISCONNECTED",
            "disconnected_date": None if connected else factory.ago(3, 1),
            "disconnected_reason": None if connected else "LOAD_CLUSTER_NETWORK_ERROR",
            "dns": ["10.0.0.53"],
            "ntp_servers": ["ntp.example"],
            "ntp_mode": "EXTERNAL",
            "hypervisor": "VMWARE" if vmware else "ELF",
            "type": "SMTX_OS",
            "software_edition": "ENTERPRISE",
            "version": "6.2.0",
            "upgrade_tool_version": "6.2.0",
            "ip": f"{address}.2",
            "management_vip": f"{address}.2",
            "iscsi_vip": f"{address}.3",
            "mgt_gateway": f"{address}.1",
            "mgt_netmask": "255.255.255.0",
            "current_cpu_model": _CPU_MODELS[2],
            "recommended_cpu_models": list(_CPU_MODELS[:3]),
            "total_cpu_models": list(_CPU_MODELS),
            "license_type": "PERPETUAL",
            "license_serial": factory.ids.uuid(),
            "license_sign_date": factory.ago(700, 400),
            "license_expire_date": factory.clock.timestamp(3650 * _DAY),
            "is_all_flash": _is_all_flash(number),
            "max_chunk_num": 255,
            "has_metrox": _is_stretched(number),
            "nvmf_enabled": True,
            "pmem_enabled": False,
            "rdma_enabled": False,
            "stretch": _is_stretched(number),
            "vhost_enabled": True,
            "auto_converge": True,
            "enable_tiering": False,
            "migration_data_size": 0,
            "migration_speed": 0,
            "recover_data_size": 0,
            "recover_speed": 0,
            "reserved_cpu_cores_for_system_service": 0,
        },
    )
    _add_networks(factory, cluster)
    _add_target(factory, cluster)
    add_storage_policies(factory, cluster)
    return cluster


def add_hosts(
    factory: Factory, cluster: Document, number: int, plan: ClusterPlan
) -> list[Document]:
    """Add the planned hosts and their disks to a cluster, and return the hosts."""
    hosts: list[Document] = []
    vmware = cluster["hypervisor"] == "VMWARE"
    sockets = max(2, plan.host_cores // 64)
    brand = "Intel(R) Xeon(R) Gold 6240R CPU @ 2.40GHz"
    # The data of the cluster is spread evenly over its hosts. The first host gets the remainder.
    share, rest = divmod(plan.data_written, len(plan.hosts))
    for place in range(len(plan.hosts)):
        address = f"10.{10 + number % 240}.{1 + place // 250}.{1 + place % 250}"
        connected = cluster["connect_state"] == "CONNECTED"
        host = factory.store.add(
            "Host",
            {
                "id": factory.ids.cuid(),
                "local_id": factory.ids.uuid(),
                "name": f"{cluster['name']}-node-{place + 1:02}",
                "cluster": cluster["id"],
                "chunk_id": str(place + 1),
                "management_ip": address,
                "access_ip": address,
                "data_ip": f"172.{16 + number % 16}.{1 + place // 250}.{1 + place % 250}",
                "model": "HCI-2240",
                "serial": f"SN{number:03}{place:04}",
                "os_version": "oe1",
                "cpu_brand": brand,
                "cpu_model": _CPU_MODELS[3],
                "cpu_vendor": "GenuineIntel",
                "compatible_cpu_models": list(_CPU_MODELS),
                "cpu_fan_speed": [factory.random.randrange(30, 60) + 0.0 for _ in range(4)],
                "cpu_fan_speed_unit": "PERCENT",
                "cpu_temperature_celsius": [
                    factory.random.randrange(38, 62) for _ in range(sockets)
                ],
                "cpu_hz_per_core": _HZ,
                "total_cpu_cores": plan.host_cores,
                "total_logical_cpu_cores": plan.host_cores,
                "total_cpu_hz": plan.host_cores * _HZ,
                "total_cpu_sockets": sockets,
                "total_memory_bytes": plan.host_memory,
                "os_memory_bytes": 16 * GIB,
                "used_data_space": share + (rest if place == 0 else 0),
                "nested_virtualization": False,
                "nic_count": 4,
                "pmem_dimm_capacity": 0,
                "pmem_dimm_count": 0,
                "pmem_disk_count": 0,
                "lsm_cap_disk_safe_umount": True,
                "is_os_in_raid1": True,
                "iommu": "DISABLE",
                "state": "IN_USE",
                "status": "CONNECTED_HEALTHY" if connected else "CONNECTED_ERROR",
                "connect_status": "CONNECTED" if connected else "DISCONNECTED",
                "merged_status": "HEALTHY" if connected else "DISCONNECTED",
                "scvm_cpu": 8 if vmware else None,
                "scvm_memory": 32 * GIB if vmware else None,
                "scvm_name": f"scvm-{place + 1}" if vmware else None,
            },
        )
        hosts.append(host)
        last = _last_disk(factory.random, number, place)
        _add_disks(factory, host, plan, last, all_flash=_is_all_flash(number))
    return hosts


def _is_all_flash(number: int) -> bool:
    return number % 4 == 1


def _is_stretched(number: int) -> bool:
    return number % 4 == 1


def _last_disk(random: Random, number: int, place: int) -> tuple[str, bool]:
    """Return the health status of a host's last disk, and whether the disk is mounted.

    The first three hosts of the first cluster have fixed results: the last disk of the first host
    is unhealthy, the last disk of the second host is unmounted, and the last disk of the third host
    is subhealthy. All other results are random.
    """
    known = {(0, 0): ("UNHEALTHY", False), (0, 1): ("HEALTHY", False), (0, 2): ("SUBHEALTHY", True)}
    if found := known.get((number, place)):
        return found
    if random.random() < 0.9:
        return "HEALTHY", True
    health = random.choice(("UNHEALTHY", "SUBHEALTHY", "SMART_FAILED"))
    return health, health != "UNHEALTHY"


def _add_disks(
    factory: Factory, host: Document, plan: ClusterPlan, last: tuple[str, bool], *, all_flash: bool
) -> None:
    cache = ("SATA_OR_SAS_SSD", "BOOT", 480 * TB // 1000) if all_flash else ("SSD", "CACHE", 2 * TB)
    data = ("NVMe_SSD" if all_flash else "HDD", "DATA", plan.data_disk_size)
    for place, (kind, function, size) in enumerate([cache] * 2 + [data] * plan.data_disks):
        # Only the last disk of a host can be unhealthy, because the data must survive.
        health, mounted = last if place == plan.data_disks + 1 else ("HEALTHY", True)
        device = f"sd{chr(ord('a') + place % 26)}{'' if place < 26 else place // 26}"
        factory.store.add(
            "Disk",
            {
                "id": factory.ids.cuid(),
                "local_id": factory.ids.uuid(),
                "name": device,
                "path": f"/dev/{device}",
                "host": host["id"],
                "type": kind,
                "function": function,
                "size": size,
                "usage": function,
                "recommended_usage": function,
                "usage_status": "MOUNTED" if mounted else "UNMOUNTED",
                "mounted": mounted,
                "offline": False,
                "health_status": health,
                "healthy": health == "HEALTHY",
                "firmware": "FW01",
                "model": f"{kind.replace('_', '-')}-{size // 10**9}",
                "serial": f"{host['serial']}D{place:02}",
                "physical_slot_on_brick": place,
                "numa_node": place % 2,
                "remaining_life_percent": None
                if kind == "HDD"
                else factory.random.randrange(60, 100),
                "partitions": _partitions(f"/dev/{device}", function, size, mounted=mounted),
            },
        )


def _partitions(path: str, function: str, size: int, *, mounted: bool) -> list[dict[str, Any]]:
    if not mounted:
        return [{"name": None, "path": path, "size": size, "usage": "UNMOUNTED", "used_size": 0}]
    usage = "PARTITION" if function == "DATA" else function
    return [
        {"name": "1", "path": f"{path}1", "size": size, "usage": usage, "used_size": size // 2},
    ]


def _add_networks(factory: Factory, cluster: Document) -> None:
    vlans = (("default", 0), ("production", 100), ("staging", 200))
    vds = factory.store.add(
        "Vds",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "name": f"vds-{cluster['name']}",
            "bond_mode": "active-backup",
            "cluster": cluster["id"],
            "internal": False,
            "ovsbr_name": "ovsbr-vm",
            "type": "VM",
            "vlans_num": len(vlans),
            "work_mode": "normal",
        },
    )
    for name, number in vlans:
        factory.store.add(
            "Vlan",
            {
                "id": factory.ids.cuid(),
                "local_id": factory.ids.uuid(),
                "name": name,
                "mode_type": "VLAN_ACCESS",
                "network_ids": [str(number)],
                "type": "VM",
                "vds": vds["id"],
                "vlan_id": number,
            },
        )


def _add_target(factory: Factory, cluster: Document) -> None:
    """Add the iSCSI target that contains the VM disks and snapshots of a cluster."""
    name = factory.ids.uuid()
    target = factory.store.add(
        "IscsiTarget",
        {
            "id": factory.ids.cuid(),
            "local_id": factory.ids.uuid(),
            "name": f"zbs-iscsi-datastore-{name}",
            "cluster": cluster["id"],
            "chap_enabled": False,
            "description": "",
            "external_use": False,
            "internal": True,
            "ip_whitelist": "*/*",
            "iqn_name": f"iqn.2016-02.com.example:{name}",
            "iqn_whitelist": "*/*",
            "replica_num": 2,
            "stripe_num": 4,
            "stripe_size": 262_144,
            "thin_provision": True,
        },
    )
    factory.targets[cluster["id"]] = target["id"]
