"""Placement of VMs on hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...fleet.aggregates import refresh_cluster, refresh_host
from ...tasks import Failure

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ...store.filters import Document
    from ...store.store import Store


AUTO_SCHEDULE = "AUTO_SCHEDULE"
"""Value of ``host_id`` that lets the server choose the host."""


def wanted_host(values: Mapping[str, Any]) -> str | None:
    """Return the id of the requested host, or None if the server chooses the host."""
    wanted: str | None = values.get("host_id")
    return None if wanted == AUTO_SCHEDULE else wanted


def is_usable(host: Document) -> bool:
    """Return whether VMs can run on a host.

    The host must be connected and must not be in maintenance mode.
    """
    state = host.get("host_state")
    in_use: bool = state is None or state["state"] == "IN_USE"
    return in_use and bool(host["connect_status"] == "CONNECTED")


def has_room(host: Document, memory: int) -> bool:
    """Return whether VMs can run on a host and `memory` bytes of its memory are free."""
    return is_usable(host) and (not memory or bool(host["allocatable_memory_bytes"] >= memory))


def memory_needed(vm: Document) -> int:
    """Return the memory that a VM uses on its host, in bytes. Stopped VMs use no memory."""
    return 0 if vm["status"] == "STOPPED" else int(vm["memory"])


def roomiest(
    store: Store, cluster: str, memory: int, *, without: Collection[str] = ()
) -> Document | None:
    """Return the host with the most free memory in a cluster, or None if no host fits.

    A host fits if `has_room` is true for the host, and if its id is not in `without`.
    """
    hosts = [store.get("Host", one) for one in store.get("Cluster", cluster).get("hosts") or ()]
    fitting = [host for host in hosts if host["id"] not in without and has_room(host, memory)]
    return max(fitting, key=lambda host: host["allocatable_memory_bytes"], default=None)


def place(store: Store, vm: Document, wanted: str | None = None) -> Failure | None:
    """Choose the host for a VM that starts, and move the VM to this host.

    If a host is requested, the VM starts on that host. Without a requested host, the VM stays on
    its current host if that host has enough free memory. If the current host does not have enough
    free memory, the VM moves to the host with the most free memory.

    Returns:
        The failure of the task if the chosen host does not have enough free memory, or None.
    """
    host = store.get("Host", wanted or vm["host"])
    if not has_room(host, vm["memory"]) and wanted is None:
        host = roomiest(store, vm["cluster"], vm["memory"]) or host
    if not has_room(host, vm["memory"]):
        return Failure("not enough memory on the host", "VM_START_FAILED", "NO_MEMORY")
    move(store, vm, host)
    return None


def move(store: Store, vm: Document, host: Document) -> None:
    """Move a VM to another host of its cluster, and recalculate the totals of both hosts."""
    before = vm["host"]
    if before == host["id"]:
        return
    store.change("Vm", vm["id"], host=host["id"], node_ip=host["management_ip"])
    refresh_host(store, before)
    refresh_host(store, host["id"])
    refresh_cluster(store, vm["cluster"])
