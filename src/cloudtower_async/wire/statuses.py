"""Error status and body → one of our errors. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..errors import (
    BadRequest,
    Forbidden,
    NotFound,
    ResourceLocked,
    ServerError,
    StatusError,
    TooManyRequests,
    Unauthorized,
    UnexpectedStatus,
)
from ..types import CODEC_ERRORS

if TYPE_CHECKING:
    from .masking import Mask

_KNOWN: dict[int, tuple[type[StatusError], str]] = {
    304: (UnexpectedStatus, "the server has nothing to answer, as nothing was modified"),
    400: (BadRequest, "the server refused the arguments"),
    401: (Unauthorized, "not logged in"),
    403: (Forbidden, "not permitted"),
    404: (NotFound, "not found"),
    429: (TooManyRequests, "too many calls"),
    501: (ServerError, "the server does not implement the operation"),
}
_HINTS = {
    307: (
        "Check that the endpoint is the address of CloudTower itself; "
        "of an active/passive pair pass both addresses."
    ),
    501: "To call again does not help. The simulator answers so for what it does not model.",
}
_NOTHING_THERE = (
    "Check the where and the ids of the call: nothing matches them, or what did is gone."
)

WITH_HTML = ", with an HTML page, perhaps of a proxy"
HTML_INSTEAD = "an HTML page came back instead of JSON"
OTHER_SERVICE = "Check the endpoint: something other than CloudTower's API may answer there."


def status_error(
    status: int,
    body: bytes,
    *,
    operation: str,
    endpoint: str,
    request_id: str | None,
    mask: Mask,
    retry_after: float | None = None,
) -> StatusError:
    """Say what an answer with this status means, without the secrets that the server echoes."""
    said = _read(body, mask)
    code = said.get("code")
    code = code if isinstance(code, str) else None
    kind, message = _classify(status, code)
    text = said.get("message")
    if not isinstance(text, str):
        text = body.decode(errors="replace").strip()
        if looks_like_html(body):
            message, text = message + WITH_HTML, ""
    error = kind(
        message,
        operation=operation,
        endpoint=endpoint,
        status=status,
        request_id=request_id,
        code=code and mask(code),
        props=said.get("props"),
        server_message=mask(text) or None,
        hint=_NOTHING_THERE if status == 404 and _is_of_api(said) else _HINTS.get(status),
    )
    if retry_after is not None:
        error.retry_after = retry_after
    return error


def looks_like_html(body: bytes) -> bool:
    """Tell a web page, as login portals and proxies send it, from an answer of the API."""
    start = body[:256].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml"))


def _is_of_api(said: dict[str, object]) -> bool:
    """Whether CloudTower itself said no, as its errors do, and not something before it."""
    texts = said.get("message"), said.get("path")
    return isinstance(said.get("status"), int) and all(isinstance(text, str) for text in texts)


def _classify(status: int, code: str | None) -> tuple[type[StatusError], str]:
    if status == 400 and code == "ResourceLocked":
        return ResourceLocked, "the resource is busy"
    if known := _KNOWN.get(status):
        return known
    if 300 <= status < 400:
        return UnexpectedStatus, "the server points to another address"
    if status >= 500:
        return ServerError, "the server failed"
    return UnexpectedStatus, "unexpected status"


def _read(body: bytes, mask: Mask) -> dict[str, object]:
    try:
        said = msgspec.json.decode(body, type=dict[str, object])
        return {**said, "props": mask.within(said.get("props"))}
    except CODEC_ERRORS:
        return {}
