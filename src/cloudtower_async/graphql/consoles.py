"""Tickets that give access to the consoles of VMs. Only GraphQL offers these tickets."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from ..calls.executor import Executor
from ..validators import check_argument, text_fault
from .requests import ask, read

_VNC = (
    "query vnc($input: VncInput!) "
    "{ vnc(input: $input) { vm_uuid host_ip cluster_ip raw_token token } }"
)


class VncTicket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Addresses of the VNC console of a VM, with a ticket that gives access.

    The addresses contain the ticket, so ``repr`` hides them.

    Attributes:
        vm_uuid: UUID of the VM in its cluster. This UUID differs from the id of the VM.
        host_ip: IP address of the host that runs the VM.
        cluster_ip: IP address of the VM's cluster.
        direct: WebSocket address on the cluster, for clients that can reach the cluster directly.
        proxied: WebSocket address on CloudTower, which forwards the connection to the cluster.
    """

    vm_uuid: str
    host_ip: str
    cluster_ip: str
    direct: str
    proxied: str

    def __repr__(self) -> str:
        return f"VncTicket(vm_uuid={self.vm_uuid!r}, direct='***', proxied='***')"


async def vnc_ticket(executor: Executor, vm_id: str, timeout: float | None) -> VncTicket:
    """See `Cloudtower.vnc`."""
    check_argument("vnc", "vm_id", text_fault(vm_id))
    wanted = {"input": {"vm": {"id": vm_id}}}
    made = read(executor, await ask(executor, _VNC, wanted, timeout), "vnc", _Vnc)
    for secret in (made.raw_token, made.token):
        executor.transport.mask.add(secret, passing=True)
    tower = executor.endpoints.latest.partition("://")[2]
    cluster = f"[{made.cluster_ip}]" if ":" in made.cluster_ip else made.cluster_ip
    place = f"uuid={made.vm_uuid}"
    token = quote(made.token, safe="")
    return VncTicket(
        vm_uuid=made.vm_uuid,
        host_ip=made.host_ip,
        cluster_ip=made.cluster_ip,
        direct=f"wss://{cluster}/websockify/?{place}&token={made.raw_token}&host={made.host_ip}",
        proxied=f"wss://{tower}/websockify/?token={token}&{place}&host={made.host_ip}",
    )


class _Vnc(msgspec.Struct, frozen=True):
    vm_uuid: str
    host_ip: str
    cluster_ip: str
    raw_token: str
    token: str
