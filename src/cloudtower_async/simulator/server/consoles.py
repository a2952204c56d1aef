"""Tickets for the screens of VMs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ..http_errors import RefusedError, member

if TYPE_CHECKING:
    from ..store.filters import Document
    from .handlers import Answer, Asked


def one_vm(asked: Asked, where: dict[str, Any]) -> Document:
    """The VM that a unique where names."""
    found = asked.maker.store.select("Vm", where) if where else []
    if len(found) != 1:
        raise RefusedError(404, "there is no such VM")
    return found[0]


def ticket(asked: Asked, where: dict[str, Any]) -> dict[str, str]:
    """What opens the screen of a VM, once."""
    vm = one_vm(asked, where)
    store = asked.maker.store
    if vm["status"] != "RUNNING" or vm["host"] is None:
        raise RefusedError(400, f"VM {vm['name']} is not running")
    raw = asked.maker.ids.uuid()
    # With the characters that have to be percent-encoded in an address.
    token = base64.b64encode(b"\xfb\xff" + raw.encode()).decode()
    return {
        "vm_uuid": vm["local_id"],
        "host_ip": store.get("Host", vm["host"])["management_ip"],
        "cluster_ip": store.get("Cluster", vm["cluster"])["ip"],
        "raw_token": raw,
        "token": token,
    }


def _info(asked: Asked) -> object:
    where = member(asked.request.body, "vm", dict[str, Any])
    made = ticket(asked, where)
    vm = one_vm(asked, where)
    tower = urlsplit(asked.services.url).netloc
    rest = f"uuid={made['vm_uuid']}&host={made['host_ip']}"
    return {
        "vm": asked.maker.store.render("Vm", vm, asked.language),
        "cluster_ip": made["cluster_ip"],
        "direct": f"wss://{made['cluster_ip']}/websockify/?token={made['raw_token']}&{rest}",
        "redirect": f"wss://{tower}/websockify/?token={quote(made['token'], safe='')}&{rest}",
        "terminal": f"{asked.services.url}/terminal/{vm['id']}",
    }


ANSWERS: dict[str, Answer] = {"get-vm-vnc-info": _info}
