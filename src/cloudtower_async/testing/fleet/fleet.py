"""A made-up fleet: any size, consistent in itself, the same from the same seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from .guests import add_vm, freeze, snapshot_fields
from .hardware import Maker, add_cluster, add_hosts
from .incidents import add_alerts, add_old_tasks
from .plan import plan_cluster, plan_vm
from .totals import refresh_cluster, refresh_host

if TYPE_CHECKING:
    from ..clock import Clock
    from ..store.filters import Document
    from ..store.ids import Ids
    from ..store.store import Store
    from .plan import VmPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSize:
    """How large a fleet is.

    Of three clusters or more one runs VMware; of four or more one is disconnected, so that figures
    are missing. Hosts are as large as the VMs on them need.

    Args:
        clusters: Number of clusters.
        hosts_per_cluster: Number of hosts of each.
        vms: Number of VMs of all clusters together.
        snapshots: Number of VM snapshots.
        alerts: Number of everyday alerts; each broken disk and lost cluster has one besides.
        tasks: Number of tasks that have ended in the past.
    """

    clusters: int = 2
    hosts_per_cluster: int = 3
    vms: int = 40
    snapshots: int = 4
    alerts: int = 8
    tasks: int = 12

    def __post_init__(self) -> None:
        for name in ("clusters", "hosts_per_cluster", "vms", "snapshots", "alerts", "tasks"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.vms and not (self.clusters and self.hosts_per_cluster):
            raise ValueError("VMs need at least one cluster with one host")


def build_fleet(
    store: Store, clock: Clock, ids: Ids, size: FleetSize, *, seed: int = 1, root: str = "root"
) -> Maker:
    """Fill the store. Returns what made it, for whatever is added later."""
    maker = Maker(store, ids, Random(f"fleet {seed}"), clock)  # noqa: S311 - made up, not secret
    user = _add_user(maker, root, "ROOT")
    _add_user(maker, "viewer", "READ_ONLY")
    shares: list[list[VmPlan]] = [[] for _ in range(size.clusters)]
    for number in range(size.vms):
        shares[number % size.clusters].append(plan_vm(number, maker.random))
    for number, vms in enumerate(shares):
        _add_whole_cluster(maker, number, vms, size.hosts_per_cluster)
    _add_snapshots(maker, size.snapshots)
    add_alerts(maker, size.alerts)
    add_old_tasks(maker, size.tasks, user)
    return maker


def _add_whole_cluster(maker: Maker, number: int, vms: list[VmPlan], hosts: int) -> None:
    # The VMware cluster is the third, so that small fleets are plain ones.
    cluster = add_cluster(maker, number, vmware=number == 2, connected=number != 3)
    if hosts:
        plan = plan_cluster(vms, hosts)
        added = add_hosts(maker, cluster, number, plan)
        for host, planned in zip(added, plan.hosts, strict=True):
            for vm in planned.vms:
                add_vm(maker, vm, host, cluster)
            refresh_host(maker.store, host["id"])
    refresh_cluster(maker.store, cluster["id"])


def _add_snapshots(maker: Maker, number: int) -> None:
    vms = list(maker.store.table("Vm").values())
    for place in range(number if vms else 0):
        vm = vms[place * 7 % len(vms)]
        created_at = maker.ago(20, 1)
        snapshot = maker.store.add(
            "VmSnapshot",
            {
                "id": maker.ids.cuid(),
                "local_id": maker.ids.uuid(),
                **snapshot_fields(
                    vm, f"{vm['name']}-{created_at[:10]}-{place}", "CRASH_CONSISTENT"
                ),
            },
        )
        freeze(maker, snapshot, created_at)


def _add_user(maker: Maker, name: str, role: str) -> Document:
    return maker.store.add(
        "User",
        {
            "id": maker.ids.cuid(),
            "name": name,
            "username": name,
            "display_username": name,
            "internal": False,
            "role": role,
            "source": "LOCAL",
            "password_expired": False,
            "password_updated_at": maker.ago(300, 10),
        },
    )
