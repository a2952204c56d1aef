"""Power operations of VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...http_errors import HttpError, require_member
from ..context import Result, select_vms, start_vm_task
from .guests import switch
from .placement import place, wanted_host

if TYPE_CHECKING:
    from ...store.filters import Document
    from ...tasks import Failure
    from ..body import Body
    from ..context import Context, Handler


@dataclass(frozen=True, slots=True)
class _Power:
    """Handler of a power operation.

    Args:
        mutation: Name of the mutation on the server.
        starts_from: VM statuses in which the operation is possible.
        leads_to: Status of the VM after the operation.
    """

    mutation: str
    starts_from: frozenset[str]
    leads_to: str

    def __call__(self, context: Context, body: Body) -> list[Result]:
        vms = select_vms(context, body)
        host = _chosen_host(context, body) if self.mutation == "startVm" else None
        for vm in vms:
            if host is not None and host["cluster"] != vm["cluster"]:
                raise HttpError(400, f"host {host['name']} is of another cluster")
            if vm["status"] not in {*self.starts_from, self.leads_to}:
                raise HttpError(
                    400, f"VM {vm['name']} is {vm['status']}: {self.mutation} is not possible"
                )
        return [self._switch(context, vm, host) for vm in vms]

    def _switch(self, context: Context, vm: Document, host: Document | None) -> Result:
        if vm["status"] not in self.starts_from:  # the VM already has the status
            return Result("Vm", vm["id"], None)

        def succeed() -> Failure | None:
            if self.mutation == "startVm":
                wanted = None if host is None else host["id"]
                if failure := place(context.store, vm, wanted):
                    return failure
            switch(context, vm, self.leads_to)
            return None

        return Result("Vm", vm["id"], start_vm_task(context, self.mutation, vm, succeed))


def _chosen_host(context: Context, body: Body) -> Document | None:
    data = body.get("data")
    if data is None:
        return None
    require_member(data, "host_id", str)
    identifier = wanted_host(data)
    if identifier is None:
        return None
    host = context.store.table("Host").get(identifier)
    if host is None:
        raise HttpError(404, f"there is no host {identifier}")
    return host


MUTATIONS: dict[str, Handler] = {
    "start-vm": _Power("startVm", frozenset({"STOPPED"}), "RUNNING"),
    "shutdown-vm": _Power("shutDownVm", frozenset({"RUNNING"}), "STOPPED"),
    "poweroff-vm": _Power("poweroffVm", frozenset({"RUNNING", "SUSPENDED"}), "STOPPED"),
    "restart-vm": _Power("restartVm", frozenset({"RUNNING"}), "RUNNING"),
    "force-restart-vm": _Power("forceRestartVm", frozenset({"RUNNING"}), "RUNNING"),
    "suspend-vm": _Power("suspendVm", frozenset({"RUNNING"}), "SUSPENDED"),
    "resume-vm": _Power("resumeVm", frozenset({"SUSPENDED"}), "RUNNING"),
}
