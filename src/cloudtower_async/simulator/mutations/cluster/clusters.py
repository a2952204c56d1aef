"""Mutation that connects clusters to the server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...fleet.alerts import add_cluster_rules
from ...fleet.fleet import fill_cluster
from ...fleet.hardware import add_cluster
from ...http_errors import HttpError
from ...tasks import Work
from ..context import Result
from ..mutation import start_task
from ..vm.vm_mutation import checked, get_document

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body
    from ..context import Context, Handler

_HOSTS = 3
"""Number of hosts that are generated for a newly connected cluster."""


def _connect(context: Context, body: list[Body]) -> list[Result]:
    store = context.store
    addresses = [part["ip"] for part in body]
    for part in body:
        if store.select("Cluster", {"ip": part["ip"]}) or addresses.count(part["ip"]) > 1:
            raise HttpError(400, f"a cluster with the address {part['ip']} is there already")
        if part.get("datacenter_id"):
            get_document(context, "Datacenter", part["datacenter_id"])
    return [_start(context, part) for part in body]


def _start(context: Context, part: Body) -> Result:
    store = context.store
    number = len(store.table("Cluster"))
    cluster = add_cluster(context.factory, number, vmware=False, connected=True)
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

    work = Work(partial(_finish, context, cluster, number), fail)
    task = start_task(
        context, "connect-cluster", "create", "Cluster", cluster, work, locks=[cluster]
    )
    return Result("Cluster", cluster["id"], task)


def _finish(context: Context, cluster: Document, number: int) -> None:
    add_cluster_rules(context.factory, cluster)
    fill_cluster(context.factory, cluster, number, [], _HOSTS)
    cluster["connect_state"] = "CONNECTED"


MUTATIONS: dict[str, Handler] = checked({"connect-cluster": _connect})
