"""Handler that returns URLs and tickets for the VNC consoles of VMs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ..http_errors import HttpError, require_member

if TYPE_CHECKING:
    from ..store.filters import Document
    from .context import Handler, RequestContext


def find_vm(context: RequestContext, where: dict[str, Any]) -> Document:
    """Return the VM that matches a filter.

    Raises:
        HttpError: The filter is empty, or the number of matching VMs is not 1.
    """
    found = context.store.select("Vm", where) if where else []
    if len(found) != 1:
        raise HttpError(404, "there is no such VM")
    return found[0]


def vnc_ticket(context: RequestContext, where: dict[str, Any]) -> dict[str, str]:
    """Return a one-time ticket for the VNC console of a VM.

    Raises:
        HttpError: The VM does not exist or is not running.
    """
    vm = find_vm(context, where)
    store = context.store
    if vm["status"] != "RUNNING" or vm["host"] is None:
        raise HttpError(400, f"VM {vm['name']} is not running")
    raw = context.factory.ids.uuid()
    # Include characters that must be percent-encoded in a URL.
    token = base64.b64encode(b"\xfb\xff" + raw.encode()).decode()
    return {
        "vm_uuid": vm["local_id"],
        "host_ip": store.get("Host", vm["host"])["management_ip"],
        "cluster_ip": store.get("Cluster", vm["cluster"])["ip"],
        "raw_token": raw,
        "token": token,
    }


def _info(context: RequestContext) -> object:
    where = require_member(context.request.body, "vm", dict[str, Any])
    made = vnc_ticket(context, where)
    vm = find_vm(context, where)
    tower = urlsplit(context.state.url).netloc
    rest = f"uuid={made['vm_uuid']}&host={made['host_ip']}"
    return {
        "vm": context.store.render("Vm", vm, context.language),
        "cluster_ip": made["cluster_ip"],
        "direct": f"wss://{made['cluster_ip']}/websockify/?token={made['raw_token']}&{rest}",
        "redirect": f"wss://{tower}/websockify/?token={quote(made['token'], safe='')}&{rest}",
        "terminal": f"{context.state.url}/terminal/{vm['id']}",
    }


HANDLERS: dict[str, Handler] = {"get-vm-vnc-info": _info}
