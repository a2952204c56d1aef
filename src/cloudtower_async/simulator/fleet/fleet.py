"""Generate a fleet of any size. The same seed generates the same fleet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Self

from ..factory import Factory
from .aggregates import refresh_cluster, refresh_host
from .alerts import add_alert_rules, add_alerts, add_cluster_rules
from .content_library import add_templates, fill_in_images
from .hardware import add_cluster, add_hosts
from .past_tasks import add_old_tasks
from .resource_generator import ResourceGenerator
from .resource_specs import RESOURCE_SPECS
from .sizing import plan_cluster, plan_vm
from .snapshots import fill_in_volume_snapshots, freeze, snapshot_fields
from .users import add_users
from .vms import add_spare_volumes, add_vm

if TYPE_CHECKING:
    from ..clock import Clock
    from ..store.filters import Document
    from ..store.ids import Ids
    from ..store.store import Store
    from .sizing import VmPlan


_VMS_PER_SPARE_VOLUME = 20
_MOST_SPARE_VOLUMES = 10  # maximum per cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSize:
    """Size of a fleet.

    With three or more clusters, one cluster runs VMware. With four or more clusters, one cluster is
    disconnected, so the usage of its hosts and VMs is unknown. Hosts are large enough for their
    VMs.

    Args:
        clusters: Number of clusters.
        hosts_per_cluster: Number of hosts per cluster.
        vms: Number of VMs in all clusters.
        snapshots: Number of VM snapshots.
        alerts: Number of alerts, without the alerts for failed disks and disconnected clusters.
        tasks: Number of tasks that ended before the server started.
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

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a size such as ``"3 clusters, 200 hosts, 20,000 VMs"``.

        Each cluster gets the same number of hosts. If the hosts cannot be divided equally, their
        number is rounded up. If a number is missing in the text, its default applies.

        Raises:
            ValueError: The text is not a valid size.
        """
        given: dict[str, int] = {}
        for part in filter(None, map(str.strip, re.split(r",(?!\d{3}\b)|;|\band\b", text))):
            match = re.fullmatch(r"(\d[\d,_]*)\s*([a-z]+)", part.lower())
            name = match and _UNITS.get(match[2].removesuffix("s"))
            if not match or not name or name in given:
                known = ", ".join(f"{unit}s" for unit in _UNITS)
                raise ValueError(f"{part!r}: expected a number and one of {known}, each once")
            given[name] = int(re.sub(r"[,_]", "", match[1]))
        hosts = given.pop("hosts", None)
        if hosts is not None:
            clusters = given.setdefault("clusters", cls().clusters)
            given["hosts_per_cluster"] = -(-hosts // clusters) if clusters else 0
        return cls(**given)


_UNITS = {
    "cluster": "clusters",
    "host": "hosts",
    "vm": "vms",
    "snapshot": "snapshots",
    "alert": "alerts",
    "task": "tasks",
}


def build_fleet(
    store: Store, clock: Clock, ids: Ids, size: FleetSize, *, seed: int = 1, root: str = "root"
) -> Factory:
    """Fill the store with a generated fleet, and return a factory for adding more resources."""
    factory = Factory(store, ids, Random(f"fleet {seed}"), clock)  # noqa: S311 - made up, not secret
    user = add_users(factory, root)
    add_alert_rules(factory)
    shares: list[list[VmPlan]] = [[] for _ in range(size.clusters)]
    for number in range(size.vms):
        shares[number % size.clusters].append(plan_vm(number, factory.random))
    for number, vms in enumerate(shares):
        _add_whole_cluster(factory, number, vms, size.hosts_per_cluster)
    _add_snapshots(factory, size.snapshots)
    add_templates(factory)
    generic = ResourceGenerator(factory)
    for spec in RESOURCE_SPECS:
        generic.make(spec)
    fill_in_images(factory)
    fill_in_volume_snapshots(factory)
    add_alerts(factory, size.alerts)
    add_old_tasks(factory, size.tasks, user)
    for cluster, vms in zip(store.table("Cluster").values(), shares, strict=True):
        if vms and cluster["connect_state"] == "CONNECTED":
            spare = min(max(1, len(vms) // _VMS_PER_SPARE_VOLUME), _MOST_SPARE_VOLUMES)
            add_spare_volumes(factory, cluster, spare)
    return factory


def _add_whole_cluster(factory: Factory, number: int, vms: list[VmPlan], hosts: int) -> None:
    # The third cluster runs VMware, so that small fleets have only ordinary clusters.
    cluster = add_cluster(factory, number, vmware=number == 2, connected=number != 3)
    add_cluster_rules(factory, cluster)
    fill_cluster(factory, cluster, number, vms, hosts)


def fill_cluster(
    factory: Factory, cluster: Document, number: int, vms: list[VmPlan], hosts: int
) -> None:
    """Add hosts and VMs to a cluster, and recalculate the totals of the hosts and the cluster."""
    if hosts:
        plan = plan_cluster(vms, hosts)
        added = add_hosts(factory, cluster, number, plan)
        for host, planned in zip(added, plan.hosts, strict=True):
            for vm in planned.vms:
                add_vm(factory, vm, host, cluster)
            refresh_host(factory.store, host["id"])
    refresh_cluster(factory.store, cluster["id"])


def _add_snapshots(factory: Factory, number: int) -> None:
    vms = list(factory.store.table("Vm").values())
    for place in range(number if vms else 0):
        vm = vms[place * 7 % len(vms)]
        created_at = factory.ago(20, 1)
        snapshot = factory.store.add(
            "VmSnapshot",
            {
                "id": factory.ids.cuid(),
                "local_id": factory.ids.uuid(),
                **snapshot_fields(
                    vm, f"{vm['name']}-{created_at[:10]}-{place}", "CRASH_CONSISTENT"
                ),
            },
        )
        freeze(factory, snapshot, created_at)
