"""Handlers that upload and download the NVRAM of VMs."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from ..http_errors import BadRequestError, HttpError, require_member
from .vnc import find_vm

if TYPE_CHECKING:
    from ..store.filters import Document
    from .context import Handler, RequestContext


def _vm(context: RequestContext) -> Document:
    body = context.request.body
    vm = find_vm(context, require_member(body, "vm", dict[str, Any]))
    clusters = context.store.select("Cluster", require_member(body, "cluster", dict[str, Any]))
    if vm["cluster"] not in {cluster["id"] for cluster in clusters}:
        raise HttpError(404, f"VM {vm['name']} is not in this cluster")
    return vm


def _upload(context: RequestContext) -> object:
    vm, data = _vm(context), require_member(context.request.body, "data", str)
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("data: not Base64") from None
    context.state.nvram[vm["id"]] = data, context.factory.clock.now()
    return "EOK"


def _download(context: RequestContext) -> object:
    vm = _vm(context)
    if vm["id"] not in context.state.nvram:
        raise HttpError(404, f"nothing was uploaded of VM {vm['name']}")
    data, at = context.state.nvram[vm["id"]]
    seconds = context.factory.clock.started_at.timestamp() + at
    times = {"created_time": seconds, "fd_mtime": seconds}
    return {"ec": "EOK", "data": {**times, "data": data, "resource_uuid": vm["local_id"]}}


HANDLERS: dict[str, Handler] = {"upload_nvram": _upload, "download_nvram": _download}
