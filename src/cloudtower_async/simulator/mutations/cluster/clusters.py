"""Connecting clusters."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...fleet.fleet import fill_cluster
from ...fleet.hardware import add_cluster
from ...fleet.incidents import add_cluster_rules
from ...http_errors import RefusedError
from ...tasks import Work
from ..mutation import start_task
from ..vm.vms import checked, find_one
from ..world import Outcome

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body
    from ..world import Effect, World

_HOSTS = 3
"""Hosts of a cluster that is connected: what is at its address is made up."""


def _connect(world: World, body: list[Body]) -> list[Outcome]:
    store = world.maker.store
    addresses = [part["ip"] for part in body]
    for part in body:
        if store.select("Cluster", {"ip": part["ip"]}) or addresses.count(part["ip"]) > 1:
            raise RefusedError(400, f"a cluster with the address {part['ip']} is there already")
        if part.get("datacenter_id"):
            find_one(world, "Datacenter", part["datacenter_id"])
    return [_start(world, part) for part in body]


def _start(world: World, part: Body) -> Outcome:
    store = world.maker.store
    number = len(store.table("Cluster"))
    cluster = add_cluster(world.maker, number, vmware=False, connected=True)
    datacenters = [part["datacenter_id"]] if part.get("datacenter_id") else []
    store.change(
        "Cluster",
        cluster["id"],
        ip=part["ip"],
        management_vip=part["ip"],
        connect_state="INITIALIZING",
        datacenters=datacenters,
    )

    def fail() -> None:
        cluster["connect_state"] = "DISCONNECTED"

    work = Work(partial(_finish, world, cluster, number), fail)
    task = start_task(world, "connect-cluster", "create", "Cluster", cluster, work, locks=[cluster])
    return Outcome("Cluster", cluster["id"], task)


def _finish(world: World, cluster: Document, number: int) -> None:
    add_cluster_rules(world.maker, cluster)
    fill_cluster(world.maker, cluster, number, [], _HOSTS)
    cluster["connect_state"] = "CONNECTED"


EFFECTS: dict[str, Effect] = checked({"connect-cluster": _connect})
