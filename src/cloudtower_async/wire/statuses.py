"""Error status and body → one of our errors. Pure."""

from __future__ import annotations

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

_LONGEST_TEXT = 200  # characters quoted of a body that is not the API's

_KNOWN: dict[int, tuple[type[StatusError], str]] = {
    400: (BadRequest, "the server refused the arguments"),
    401: (Unauthorized, "not logged in"),
    403: (Forbidden, "not permitted"),
    404: (NotFound, "not found"),
    429: (TooManyRequests, "too many calls"),
}


def status_error(
    status: int, body: bytes, *, operation: str, endpoint: str, request_id: str | None
) -> StatusError:
    """Say what an answer with this status means."""
    said = _read(body)
    code = said.get("code")
    code = code if isinstance(code, str) else None
    kind, message = _classify(status, code)
    text = said.get("message")
    return kind(
        message,
        operation=operation,
        endpoint=endpoint,
        status=status,
        request_id=request_id,
        code=code,
        props=said.get("props"),
        server_message=text if isinstance(text, str) else _quote(body),
    )


def looks_like_html(body: bytes) -> bool:
    """Tell a web page, as login portals and proxies send it, from an answer of the API."""
    start = body[:256].lstrip().lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<?xml"))


def _classify(status: int, code: str | None) -> tuple[type[StatusError], str]:
    if status == 400 and code == "ResourceLocked":
        return ResourceLocked, "the resource is locked by another task"
    if known := _KNOWN.get(status):
        return known
    if 300 <= status < 400:
        return UnexpectedStatus, "the server points to another address"
    if status >= 500:
        return ServerError, "the server failed"
    return UnexpectedStatus, "unexpected status"


def _read(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (ValueError, RecursionError):
        return {}


def _quote(body: bytes) -> str | None:
    if not body.strip():
        return "(no message)"
    if looks_like_html(body):
        return "(an HTML page, perhaps of a proxy)"
    return body[: _LONGEST_TEXT * 4].decode(errors="replace")[:_LONGEST_TEXT]
