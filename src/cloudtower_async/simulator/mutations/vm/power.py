"""Power operations of VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...http_errors import RefusedError, member
from ..world import Outcome, start_on_vm, vms_of
from .guests import switch
from .placement import place, wanted_host

if TYPE_CHECKING:
    from ...store.filters import Document
    from ...tasks import Failure
    from ..body import Body
    from ..world import Effect, World


@dataclass(frozen=True, slots=True)
class _Power:
    """A power operation: the statuses that it starts from, and the one that it leads to."""

    mutation: str
    starts_from: frozenset[str]
    leads_to: str

    def __call__(self, world: World, body: Body) -> list[Outcome]:
        vms = vms_of(world, body)
        host = _chosen_host(world, body) if self.mutation == "startVm" else None
        for vm in vms:
            if host is not None and host["cluster"] != vm["cluster"]:
                raise RefusedError(400, f"host {host['name']} is of another cluster")
            if vm["status"] not in {*self.starts_from, self.leads_to}:
                raise RefusedError(
                    400, f"VM {vm['name']} is {vm['status']}: {self.mutation} is not possible"
                )
        return [self._switch(world, vm, host) for vm in vms]

    def _switch(self, world: World, vm: Document, host: Document | None) -> Outcome:
        if vm["status"] not in self.starts_from:  # it is there already
            return Outcome("Vm", vm["id"], None)

        def succeed() -> Failure | None:
            if self.mutation == "startVm":
                wanted = None if host is None else host["id"]
                if failure := place(world.maker.store, vm, wanted):
                    return failure
            switch(world, vm, self.leads_to)
            return None

        return Outcome("Vm", vm["id"], start_on_vm(world, self.mutation, vm, succeed))


def _chosen_host(world: World, body: Body) -> Document | None:
    data = body.get("data")
    if data is None:
        return None
    member(data, "host_id", str)
    identifier = wanted_host(data)
    if identifier is None:
        return None
    host = world.maker.store.table("Host").get(identifier)
    if host is None:
        raise RefusedError(404, f"there is no host {identifier}")
    return host


EFFECTS: dict[str, Effect] = {
    "start-vm": _Power("startVm", frozenset({"STOPPED"}), "RUNNING"),
    "shutdown-vm": _Power("shutDownVm", frozenset({"RUNNING"}), "STOPPED"),
    "poweroff-vm": _Power("poweroffVm", frozenset({"RUNNING", "SUSPENDED"}), "STOPPED"),
    "restart-vm": _Power("restartVm", frozenset({"RUNNING"}), "RUNNING"),
    "force-restart-vm": _Power("forceRestartVm", frozenset({"RUNNING"}), "RUNNING"),
    "suspend-vm": _Power("suspendVm", frozenset({"RUNNING"}), "SUSPENDED"),
    "resume-vm": _Power("resumeVm", frozenset({"SUSPENDED"}), "RUNNING"),
}
