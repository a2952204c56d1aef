"""What only GraphQL offers: API keys, and tickets for the screens of VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from .requests import ask, check_text, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..calls.executor import Executor
    from .api_keys import ApiKeys

_VNC = (
    "query vnc($input: VncInput!) "
    "{ vnc(input: $input) { vm_uuid host_ip cluster_ip raw_token token } }"
)


class VncTicket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What opens the screen of a VM; ``repr`` shows no address, as these hold the ticket.

    Attributes:
        vm_uuid: The VM, as its cluster calls it.
        host_ip: Where it runs.
        cluster_ip: Of its cluster.
        direct: Address of a WebSocket of the cluster, for who can reach that.
        proxied: The same by way of CloudTower.
    """

    vm_uuid: str
    host_ip: str
    cluster_ip: str
    direct: str
    proxied: str

    def __repr__(self) -> str:
        return f"VncTicket(vm_uuid={self.vm_uuid!r}, direct='***', proxied='***')"


class GraphQL:
    """GraphQL, as methods of a session."""

    _caller: Executor

    async def graphql(
        self,
        query: str,
        variables: Mapping[str, object] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Ask what the server offers by GraphQL only, and return ``data`` as plain dicts and lists.

        A document with a mutation is sent again only when it certainly was not carried out, as any
        other mutation; one with queries only after any fault of the way.

        Args:
            query: The document.
            variables: For it.
            timeout: Seconds for the whole call; None: the session's.

        Raises:
            GraphQLError: The answer tells of errors; what there is of ``data`` is in it.
            CallError: See its subclasses.
            InvalidInput: The arguments cannot be sent.

        Example:
            ::

                found = await tower.graphql("{ authnStrategies { id type } }")
        """
        return await ask(self._caller, query, variables, timeout)

    @property
    def api_keys(self) -> ApiKeys:
        """The API keys of the server: ``await tower.api_keys.create("bot")``."""
        from .api_keys import ApiKeys

        return ApiKeys(self._caller)

    async def vnc(self, vm_id: str, *, timeout: float | None = None) -> VncTicket:
        """Get a ticket for the screen of a VM that runs, with the addresses to open it by.

        Args:
            vm_id: The VM.
            timeout: Seconds for the whole call; None: the session's.

        Raises:
            GraphQLError: There is no such VM, or it does not run.
            CallError: See its subclasses.
            InvalidInput: The id is not a text.

        Example:
            ::

                ticket = await tower.vnc(vm.id)
                async with websockets.connect(ticket.proxied, subprotocols=["binary"]) as screen:
                    ...
        """
        check_text("vnc", "vm_id", vm_id)
        caller = self._caller
        wanted = {"input": {"vm": {"id": vm_id}}}
        made = read(caller, await ask(caller, _VNC, wanted, timeout), "vnc", _Vnc)
        for secret in (made.raw_token, made.token):
            caller.transport.mask.add(secret, passing=True)
        tower = caller.endpoints.latest.partition("://")[2]
        cluster = f"[{made.cluster_ip}]" if ":" in made.cluster_ip else made.cluster_ip
        place = f"uuid={made.vm_uuid}"
        token = quote(made.token, safe="")
        return VncTicket(
            vm_uuid=made.vm_uuid,
            host_ip=made.host_ip,
            cluster_ip=made.cluster_ip,
            direct=(
                f"wss://{cluster}/websockify/?{place}&token={made.raw_token}&host={made.host_ip}"
            ),
            proxied=f"wss://{tower}/websockify/?token={token}&{place}&host={made.host_ip}",
        )


class _Vnc(msgspec.Struct, frozen=True):
    vm_uuid: str
    host_ip: str
    cluster_ip: str
    raw_token: str
    token: str
