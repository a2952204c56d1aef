"""Functions that add single clusters, VMs and alerts to a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .aggregates import refresh_around
from .alerts import add_alert, add_cluster_rules
from .fleet import fill_cluster
from .hardware import add_cluster
from .sizing import GIB, VmPlan
from .vms import activity, add_vm

if TYPE_CHECKING:
    from ..factory import Factory
    from ..store.filters import Document

_ADDED = 1_000_000  # number of the first added VM, larger than in any generated fleet
_SUBJECTS = ("Vm", "Host", "Disk", "Cluster")


def build_cluster(factory: Factory, hosts: int, fields: dict[str, Any]) -> Document:
    """Add a cluster with hosts, networks and alert rules but no VMs, and return the cluster."""
    factory.store.check("Cluster", fields)
    number = len(factory.store.table("Cluster"))
    cluster = add_cluster(factory, number, vmware=False, connected=True)
    add_cluster_rules(factory, cluster)
    fill_cluster(factory, cluster, number, [], hosts)
    return factory.store.change("Cluster", cluster["id"], **fields)


def build_vm(factory: Factory, status: str, host: str | None, fields: dict[str, Any]) -> Document:
    """Add a VM with a disk of 40 GiB and a NIC, and return the VM.

    `fields` can replace the disk and the NIC: with ``vm_disks=[]``, the VM has no disks.
    """
    store = factory.store
    store.check("Vm", {"status": status, "host": host, **fields})
    hosts = [one for one in store.table("Host").values() if host in {None, one["id"]}]
    if cluster := fields.get("cluster"):
        hosts = [one for one in hosts if one["cluster"] == cluster]
    if not hosts:
        where = f"cluster {cluster}" if cluster else "the fleet"
        raise KeyError(f"there is no host {host} in {where}" if host else f"{where} has no hosts")
    chosen = max(hosts, key=lambda one: one["allocatable_memory_bytes"] or 0)
    memory, vcpu = fields.get("memory", 4 * GIB), fields.get("vcpu", 2)
    plan = VmPlan(_ADDED + len(store.table("Vm")), vcpu, memory, (40 * GIB,), (4 * GIB,))
    vm = add_vm(factory, plan, chosen, store.get("Cluster", chosen["cluster"]))
    vm.update(activity(factory.random, status))
    if status != "RUNNING":
        vm.update(ips="", vm_tools_status="NOT_RUNNING")
    disks = [store.get("VmDisk", one) for one in vm.get("vm_disks") or ()]
    store.change("Vm", vm["id"], **fields)
    for disk in disks:
        if disk["id"] not in store.table("VmDisk"):
            store.remove("VmVolume", disk["vm_volume"])
    if not vm.get("vm_nics") and "ips" not in fields:
        vm["ips"] = ""
    refresh_around(store, vm)
    return vm


def build_alert(factory: Factory, about: str | None, fields: dict[str, Any]) -> Document:
    """Add an alert that concerns a VM, host, disk or cluster, and return the alert.

    Args:
        factory: Tools for creating resources.
        about: Id of the VM, host, disk or cluster. The default is the first cluster.
        fields: Values for fields of the alert.
    """
    store = factory.store
    store.check("Alert", fields)
    if about is None:
        about = next(iter(store.table("Cluster")))
    if not isinstance(about, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"about: expected an id, got {about!r:.60}")
    for resource in _SUBJECTS:
        if subject := store.table(resource).get(about):
            alert = add_alert(factory, resource, subject, ended=bool(fields.get("ended")))
            return store.change("Alert", alert["id"], **fields)
    raise KeyError(f"{about}: no VM, host, disk or cluster has this id")
