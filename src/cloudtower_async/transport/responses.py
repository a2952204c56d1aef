"""Responses, and the errors for error statuses. This module does no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..control_characters import one_line, replace_lone_surrogates
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
from ..retry.classify import kind_of_status
from ..types import CODEC_ERRORS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .redaction import Mask

_KNOWN: dict[int, tuple[type[StatusError], str]] = {
    304: (UnexpectedStatus, "nothing was modified (HTTP 304)"),
    400: (BadRequest, "the server refused the arguments"),
    401: (Unauthorized, "not logged in"),
    403: (Forbidden, "not permitted"),
    404: (NotFound, "not found"),
    408: (UnexpectedStatus, "the server did not receive the request in time"),
    409: (UnexpectedStatus, "the request conflicts with the state of the server"),
    413: (UnexpectedStatus, "the request is too large"),
    421: (UnexpectedStatus, "the server is not responsible for this connection"),
    425: (UnexpectedStatus, "the server does not accept the request yet"),
    429: (TooManyRequests, "too many calls"),
    501: (ServerError, "the server does not implement the operation"),
}
_HINTS = {
    408: "Try again later.",
    409: "Read the resources again, then decide whether to repeat the call.",
    413: "Pass fewer ids at a time; for an upload, pass a smaller chunk_size=.",
    421: "Check that the endpoint is the address of CloudTower itself.",
    425: "Try again later.",
    501: "Retrying will not help. The simulator answers so for operations that it does not model.",
}
_PASSIVE = "A failover may be in progress: try again later."
_MAYBE_PASSIVE = (
    "This may be the passive node; pass both addresses of the pair. "
    "If there is no pair, check that the endpoint is the address of CloudTower itself."
)
_NOTHING_THERE = (
    "Check the filter and the ids of the call: no resource matches them, or the resource is gone."
)

_LONGEST_TARGET = 200  # characters
_PAGE = 1024  # bytes of a short HTML page whose text is used

WITH_HTML = ", with an HTML page, perhaps of a proxy"
HTML_INSTEAD = "an HTML page came back instead of JSON"
OTHER_SERVICE = "Check the endpoint: something other than CloudTower's API may answer there."


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Response of the server with a status that is not an error: 2xx or 304."""

    status: int
    body: bytes
    request_id: str | None
    headers: Mapping[str, str] = {}


def status_error(
    status: int,
    body: bytes,
    *,
    operation: str,
    endpoint: str,
    request_id: str | None,
    mask: Mask,
    pair: bool = False,
    retry_after: float | None = None,
    location: str | None = None,
) -> StatusError:
    """Return the error for an error status. Secrets that the server echoes are redacted.

    Args:
        status: The HTTP status.
        body: Body of the response.
        operation: Name of the operation, for the error message.
        endpoint: Root address of the server, for the error message.
        request_id: ``x-tower-request-id`` of the response, for the error message.
        mask: Object that redacts secrets in the error.
        pair: Whether the session has several addresses.
        retry_after: Seconds that the server asks the client to wait. None if the server does not
            ask.
        location: Target of a redirect. None if the response is not a redirect.
    """
    said = _read(body, mask)
    code = said.get("code")
    code = code if isinstance(code, str) else None
    error_class, message = _class_of(status, code)
    text = said.get("message")
    if not isinstance(text, str):
        text = body.decode(errors="replace").strip()
        if looks_like_html(body):
            message, text = message + WITH_HTML, ""
    if location and 300 <= status < 400:
        message += f": {_target(location, mask)}"
    error = error_class(
        message,
        operation=operation,
        endpoint=endpoint,
        status=status,
        request_id=request_id,
        code=code and mask(code),
        props=said.get("props"),
        server_message=mask(text) or None,
        hint=_hint(status, said, body, pair=pair),
    )
    error.failure_kind = kind_of_status(status, code, pair=pair)
    if retry_after is not None:
        error.retry_after = retry_after
    return error


def _target(location: str, mask: Mask) -> str:
    """Return the target of a redirect, without parts that may be credentials.

    The query string is left out, because login portals put tokens into the query string.
    """
    address, question, _ = location.partition("#")[0].partition("?")
    scheme, separator, rest = address.partition("//")
    host, slash, path = rest.partition("/")
    if separator:
        address = f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
    shown = one_line(mask(f"{address}?…" if question else address))
    return shown if len(shown) <= _LONGEST_TARGET else f"{shown[:_LONGEST_TARGET]}…"


def _hint(status: int, said: dict[str, object], body: bytes, *, pair: bool) -> str | None:
    if status == 307:
        return _PASSIVE if pair else _MAYBE_PASSIVE
    if status == 404 and _is_of_api(said):
        return _NOTHING_THERE
    if status == 400 and b"SSL certificate" in body[:_PAGE]:  # nginx sent an error page
        return "Pass a certificate that the server accepts, with its key, as client_cert=."
    return _HINTS.get(status)


def looks_like_html(body: bytes) -> bool:
    """Return whether a body is an HTML page, which login portals and proxies may send."""
    start = body[:256].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml"))


def _is_of_api(said: dict[str, object]) -> bool:
    """Return whether CloudTower itself sent an error body.

    A proxy in front of CloudTower may send other error bodies.
    """
    texts = said.get("message"), said.get("path")
    return isinstance(said.get("status"), int) and all(isinstance(text, str) for text in texts)


def _class_of(status: int, code: str | None) -> tuple[type[StatusError], str]:
    if status == 400 and code == "ResourceLocked":
        return ResourceLocked, "the resource is busy"
    if known := _KNOWN.get(status):
        return known
    if 300 <= status < 400:
        return UnexpectedStatus, "the server redirects to another address"
    if status >= 500:
        return ServerError, "the server failed"
    return UnexpectedStatus, "unexpected status"


def _read(body: bytes, mask: Mask) -> dict[str, object]:
    try:
        said = msgspec.json.decode(replace_lone_surrogates(body), type=dict[str, object])
        return {**said, "props": mask.within(said.get("props"))}
    except CODEC_ERRORS:
        return {}
