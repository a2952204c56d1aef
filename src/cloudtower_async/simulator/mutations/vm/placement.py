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
"""What stands for a host id where the server is to choose the host."""


def wanted_host(values: Mapping[str, Any]) -> str | None:
    """Return the id of the host that a body asks for; None where the server chooses it."""
    wanted: str | None = values.get("host_id")
    return None if wanted == AUTO_SCHEDULE else wanted


def is_usable(host: Document) -> bool:
    """Whether VMs can run there: it is connected and not under maintenance."""
    state = host.get("host_state")
    in_use: bool = state is None or state["state"] == "IN_USE"
    return in_use and bool(host["connect_status"] == "CONNECTED")


def has_room(host: Document, memory: int) -> bool:
    """Whether a VM of this size could be started there."""
    return is_usable(host) and (not memory or bool(host["allocatable_memory_bytes"] >= memory))


def memory_needed(vm: Document) -> int:
    """Return the bytes of memory that a VM takes on its host: none while it is stopped."""
    return 0 if vm["status"] == "STOPPED" else int(vm["memory"])


def roomiest(
    store: Store, cluster: str, memory: int, *, without: Collection[str] = ()
) -> Document | None:
    """The host of a cluster with the most room; None when none has enough."""
    hosts = [store.get("Host", one) for one in store.get("Cluster", cluster).get("hosts") or ()]
    fitting = [host for host in hosts if host["id"] not in without and has_room(host, memory)]
    return max(fitting, key=lambda host: host["allocatable_memory_bytes"], default=None)


def place(store: Store, vm: Document, wanted: str | None = None) -> Failure | None:
    """Bring a VM that is about to run to a host: the wanted one, its own, or the roomiest."""
    host = store.get("Host", wanted or vm["host"])
    if not has_room(host, vm["memory"]) and wanted is None:
        host = roomiest(store, vm["cluster"], vm["memory"]) or host
    if not has_room(host, vm["memory"]):
        return Failure("not enough memory on the host", "VM_START_FAILED", "NO_MEMORY")
    move(store, vm, host)
    return None


def move(store: Store, vm: Document, host: Document) -> None:
    """Put a VM on another host of its cluster, and bring the figures of both up to date."""
    before = vm["host"]
    if before == host["id"]:
        return
    store.change("Vm", vm["id"], host=host["id"], node_ip=host["management_ip"])
    refresh_host(store, before)
    refresh_host(store, host["id"])
    refresh_cluster(store, vm["cluster"])
