"""The NVRAM of VMs: what was uploaded comes back."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from ..http_errors import QueryError, RefusedError, member
from .consoles import one_vm

if TYPE_CHECKING:
    from ..store.filters import Document
    from .handlers import Answer, Asked


def _vm(asked: Asked) -> Document:
    body = asked.request.body
    vm = one_vm(asked, member(body, "vm", dict[str, Any]))
    clusters = asked.maker.store.select("Cluster", member(body, "cluster", dict[str, Any]))
    if vm["cluster"] not in {cluster["id"] for cluster in clusters}:
        raise RefusedError(404, f"VM {vm['name']} is not in this cluster")
    return vm


def _upload(asked: Asked) -> object:
    vm, data = _vm(asked), member(asked.request.body, "data", str)
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise QueryError("data: not Base64") from None
    asked.services.nvram[vm["id"]] = data, asked.maker.clock.now()
    return "EOK"


def _download(asked: Asked) -> object:
    vm = _vm(asked)
    if vm["id"] not in asked.services.nvram:
        raise RefusedError(404, f"nothing was uploaded of VM {vm['name']}")
    data, at = asked.services.nvram[vm["id"]]
    seconds = asked.maker.clock.started_at.timestamp() + at
    times = {"created_time": seconds, "fd_mtime": seconds}
    return {"ec": "EOK", "data": {**times, "data": data, "resource_uuid": vm["local_id"]}}


ANSWERS: dict[str, Answer] = {"upload_nvram": _upload, "download_nvram": _download}
