"""Totals of hosts and clusters: sums over their VMs and disks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .sizing import REPLICAS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..store.filters import Document
    from ..store.store import Store

_HOST_IDLE = 0.03  # share of a host's CPU that the services of the host use


def refresh_host(store: Store, identifier: str) -> None:
    """Recalculate the totals of a host from its VMs and disks."""
    host = store.get("Host", identifier)
    cluster = store.get("Cluster", host["cluster"])
    every_vm, every_disk = store.table("Vm"), store.table("Disk")
    vms = [every_vm[one] for one in host.get("vms") or ()]
    disks = [every_disk[one] for one in host.get("disks") or ()]
    host.update(_vm_figures(vms))
    active = _sum(vm["memory"] for vm in vms if vm["status"] in {"RUNNING", "SUSPENDED"})
    host["running_pause_vm_memory_bytes"] = active
    host["commited_memory_bytes"] = active
    own = host["os_memory_bytes"] or 0
    room = (host["total_memory_bytes"] or 0) - own - active
    host["allocatable_memory_bytes"] = max(0, room)
    host.update(_disk_figures(disks))
    if cluster["connect_state"] != "CONNECTED":
        host["used_cpu_hz"] = host["used_memory_bytes"] = None
        return
    running = [vm for vm in vms if vm["status"] == "RUNNING"]
    cores = sum(_share(vm, "vcpu", "cpu_usage") for vm in running)
    total = host["total_cpu_hz"] or 0
    used = cores * (host["cpu_hz_per_core"] or 0) + total * _HOST_IDLE
    host["used_cpu_hz"] = float(int(min(used, total)))
    memory = sum(_share(vm, "memory", "memory_usage") for vm in running)
    host["used_memory_bytes"] = float(int(own + memory))


def refresh_cluster(store: Store, identifier: str) -> None:
    """Recalculate the totals of a cluster from its hosts.

    Within a `Store.together` block, the totals are recalculated once, at the end of the block.
    """
    store.follows(_add_up_cluster, identifier)


def _add_up_cluster(store: Store, identifier: str) -> None:
    cluster = store.table("Cluster").get(identifier)
    if cluster is None:
        return
    hosts = [store.get("Host", one) for one in cluster.get("hosts") or ()]
    cluster["host_num"] = len(hosts)
    for name in _ADDED_UP:
        figures = [host[name] for host in hosts]
        known = not figures or any(figure is not None for figure in figures)
        cluster[name] = _sum(figures) if known else None
    capacity, failed = cluster["total_data_capacity"] or 0, cluster["failure_data_space"] or 0
    cluster["valid_data_space"] = capacity - failed
    vms = [store.get("Vm", one) for one in cluster.get("vms") or ()]
    active = _sum(vm["vcpu"] for vm in vms if vm["status"] == "RUNNING")
    cores = cluster["total_cpu_cores"] or 1
    cluster["provisioned_cpu_cores_for_active_vm"] = active
    cluster["provisioned_for_active_vm_ratio"] = round(active / cores, 4)
    cluster["provisioned_ratio"] = round((cluster["provisioned_cpu_cores"] or 0) / cores, 4)


def refresh_around(store: Store, vm: Document) -> None:
    """Recalculate the totals of the host and the cluster of a VM."""
    refresh_host(store, vm["host"])
    refresh_cluster(store, vm["cluster"])


def add_written(store: Store, cluster: str, size: int) -> None:
    """Increase the used space of a cluster and of its hosts by the size of new data.

    Args:
        store: Store with the cluster and the hosts.
        cluster: Id of the cluster.
        size: Size of the new data in bytes, without replicas. For deleted data, the size is
            negative.
    """
    hosts = [store.get("Host", one) for one in store.get("Cluster", cluster).get("hosts") or ()]
    sign = 1 if size > 0 else -1  # rounding must be the same for adding and removing
    share, rest = divmod(abs(size) * REPLICAS, len(hosts))
    for place, host in enumerate(hosts):
        written = share + (rest if place == 0 else 0)
        host["used_data_space"] = (host["used_data_space"] or 0) + sign * written
    refresh_cluster(store, cluster)


_ADDED_UP = (
    *("total_cpu_cores", "total_cpu_hz", "total_cpu_sockets", "total_memory_bytes"),
    *("total_data_capacity", "total_cache_capacity", "used_data_space", "failure_data_space"),
    *("used_cpu_hz", "used_memory_bytes", "commited_memory_bytes"),
    *("provisioned_cpu_cores", "provisioned_memory_bytes"),
    *("vm_num", "running_vm_num", "stopped_vm_num", "suspended_vm_num"),
)


def _vm_figures(vms: list[Document]) -> dict[str, Any]:
    statuses = [vm["status"] for vm in vms]
    return {
        "vm_num": len(vms),
        "running_vm_num": statuses.count("RUNNING"),
        "stopped_vm_num": statuses.count("STOPPED"),
        "suspended_vm_num": statuses.count("SUSPENDED"),
        "provisioned_cpu_cores": _sum(vm["vcpu"] for vm in vms),
        "provisioned_memory_bytes": _sum(vm["memory"] for vm in vms),
    }


def _disk_figures(disks: list[Document]) -> dict[str, Any]:
    data = [disk for disk in disks if disk["function"] == "DATA"]
    hard = _sum(disk["size"] for disk in data if disk["type"] == "HDD")
    flash = _sum(disk["size"] for disk in data if disk["type"] != "HDD")
    types = [disk["type"] for disk in disks]
    return {
        "hdd_disk_count": types.count("HDD"),
        "ssd_disk_count": len(types) - types.count("HDD"),
        "hdd_data_capacity": hard,
        "ssd_data_capacity": flash,
        "total_data_capacity": hard + flash,
        "total_cache_capacity": _sum(d["size"] for d in disks if d["function"] == "CACHE"),
        "failure_data_space": _sum(d["size"] for d in data if d["health_status"] == "UNHEALTHY"),
    }


def _sum(values: Iterable[Any]) -> Any:  # noqa: ANN401 - int or float, depending on the field
    """Return the sum of the values. A value of None counts as 0."""
    return sum(value or 0 for value in values)


def _share(vm: Document, amount: str, percentage: str) -> float:
    """Return the memory or CPU that a VM uses.

    Args:
        vm: The VM.
        amount: Field with the memory in bytes or the number of vCPUs. None counts as 0.
        percentage: Field with the usage in percent. The value None counts as 0.
    """
    return (vm[amount] or 0) * (vm[percentage] or 0) / 100
