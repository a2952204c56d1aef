"""Functions that add single clusters, VMs and alerts to a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .aggregates import refresh_around
from .alerts import add_alert, add_cluster_rules, alert_times
from .fleet import fill_cluster
from .hardware import add_cluster
from .sizing import GIB, VmPlan
from .vms import add_vm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..factory import Factory
    from ..store.filters import Document

_ADDED = 1_000_000  # number of the first added VM, larger than in any generated fleet
_SUBJECTS = ("Vm", "Host", "Disk", "Cluster")


def build_cluster(factory: Factory, hosts: int, fields: dict[str, Any]) -> Document:
    """Add a cluster with hosts, networks and alert rules but no VMs, and return the cluster."""
    given = factory.store.checked("Cluster", fields)
    number = len(factory.store.table("Cluster"))
    cluster = add_cluster(factory, number, vmware=False, connected=True)
    add_cluster_rules(factory, cluster)
    fill_cluster(factory, cluster, number, [], hosts)
    return factory.store.change("Cluster", cluster["id"], **given)


def build_vm(factory: Factory, status: str, host: str | None, fields: dict[str, Any]) -> Document:
    """Add a VM with a disk of 40 GiB and a NIC, and return the VM.

    `fields` can replace the disk and the NIC: with ``vm_disks=[]``, the VM has no disks.
    """
    store = factory.store
    store.checked("Vm", {"status": status, "host": host})
    given = store.checked("Vm", fields)
    hosts = [one for one in store.table("Host").values() if host in {None, one["id"]}]
    if cluster := given.get("cluster"):
        hosts = [one for one in hosts if one["cluster"] == cluster]
    if not hosts:
        where = f"cluster {cluster}" if cluster else "the fleet"
        raise KeyError(f"there is no host {host} in {where}" if host else f"{where} has no hosts")
    chosen = max(hosts, key=lambda one: one["allocatable_memory_bytes"] or 0)
    memory, vcpu = given.get("memory", 4 * GIB), given.get("vcpu", 2)
    plan = VmPlan(_ADDED + len(store.table("Vm")), vcpu, memory, (40 * GIB,), (4 * GIB,))
    tools = status == "RUNNING" and factory.behavior.guest_tools
    vm = add_vm(
        factory,
        plan,
        chosen,
        store.get("Cluster", chosen["cluster"]),
        status=status,
        tools=given.get("vm_tools_status", "RUNNING" if tools else "NOT_RUNNING"),
        created_at=given.get("local_created_at", factory.clock.timestamp()),
    )
    disks = [store.get("VmDisk", one) for one in vm.get("vm_disks") or ()]
    store.change("Vm", vm["id"], **given)
    for disk in disks:
        if disk["id"] not in store.table("VmDisk"):
            store.remove("VmVolume", disk["vm_volume"])
    if not vm.get("vm_nics") and "ips" not in given:
        vm["ips"] = ""
    refresh_around(store, vm)
    return vm


def build_alert(factory: Factory, about: str | None, fields: dict[str, Any]) -> Document:
    """Add an alert that concerns a VM, host, disk or cluster, and return the alert.

    `about` is the id of this resource. The default is the first cluster.
    """
    store = factory.store
    given = store.checked("Alert", fields)
    if about is None:
        about = next(iter(store.table("Cluster")))
    if not isinstance(about, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"about: expected an id, got {about!r:.60}")
    for resource in _SUBJECTS:
        if subject := store.table(resource).get(about):
            alert = add_alert(factory, resource, subject, ended=bool(given.get("ended")))
            return store.change("Alert", alert["id"], **{**_alert_times(factory, given), **given})
    raise KeyError(f"{about}: no VM, host, disk or cluster has this id")


def _alert_times(factory: Factory, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the values for all time fields of an alert.

    If `given` contains a time, for example ``create_time``, the alert starts at this time.
    Otherwise, the alert starts now.
    """
    now = factory.clock.timestamp()
    start = next((given[name] for name in alert_times(now) if given.get(name)), now)
    return alert_times(
        start, given.get("local_end_time") or (max(start, now) if given.get("ended") else "")
    )
