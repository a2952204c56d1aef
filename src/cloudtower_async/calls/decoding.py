"""Bytes → the declared type, also when the server breaks its own schema.

The strict decode comes first and is all that happens to a right answer. Only when it fails is the
body taken apart: what is right is kept, what is wrong becomes None, and one warning says where.
"""

from __future__ import annotations

import binascii
import logging
import re
from base64 import b64decode
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from ..errors import ResponseDecodeError
from ..types import CODEC_ERRORS
from ..wire.masking import is_secret, without_secret_members
from ..wire.statuses import HTML_INSTEAD, OTHER_SERVICE, looks_like_html
from .operation import Auth, Kind
from .repair import WRONG, Fault, repair

if TYPE_CHECKING:
    from ..wire.transport import Answer
    from .operation import Operation

R = TypeVar("R")

_log = logging.getLogger("cloudtower_async")
_LONGEST_EXCERPT = 80  # characters
_MOST_PLACES = 5  # named in the warning
_NAMES = re.compile(r"[\w-]+")  # of the members on the way to a place

_CUT = "Something on the way may limit the size of answers: try again, or ask for less at once."
_SCHEMA = "Report this with the request id; without strict=True the rest of such an answer is kept."


def decode(operation: Operation[R], answer: Answer, endpoint: str, *, strict: bool) -> R:
    """Decode an answer; of status 304, where that is one, it is an empty list.

    Raises:
        ResponseDecodeError: It is not JSON, or nothing of what was declared; with ``strict``: it
            differs from what was declared in any place.
    """
    if answer.status == 304:
        return cast(R, [])
    try:
        return operation.decoder.decode(answer.body)
    except CODEC_ERRORS as exc:
        first_fault = str(exc)
    error = _Error(operation, answer, endpoint)
    wanted = operation.answer()
    if wanted is str or wanted is bytes:
        return cast(R, _plain(wanted, answer.body, error))
    value = _parse(answer.body, error)
    faults: list[Fault] = []
    repaired = repair(value, wanted, "$", faults)
    faults = faults or [Fault("$", first_fault, value)]
    # A list of which nothing is left must not look like "there are none".
    if strict or repaired is WRONG or (value and repaired == []):
        raise error.at(faults[0])
    _warn(operation.name, faults, answer.request_id)
    return cast(R, repaired)


def _parse(body: bytes, error: _Error) -> object:
    try:
        return msgspec.json.decode(body)
    except CODEC_ERRORS as exc:
        reason = str(exc)  # not the exception: it and this frame would keep each other
    # Raised out here, as the exception above can hold the body, and that a secret.
    if not body.strip():
        raise error("the answer is empty", hint=OTHER_SERVICE)
    if looks_like_html(body):
        raise error(HTML_INSTEAD, body, hint=OTHER_SERVICE)
    if "truncated" in reason:
        raise error("the answer ends in the middle of the JSON", body, hint=_CUT)
    raise error("the answer is not JSON", body, hint=OTHER_SERVICE)


def _plain(wanted: object, body: bytes, error: _Error) -> str | bytes:
    """Read a text or a file. Servers also send these as they are instead of as JSON."""
    if looks_like_html(body):
        raise error("an HTML page came back", body, hint=OTHER_SERVICE)
    try:
        content = msgspec.json.decode(body, type=str)
    except CODEC_ERRORS:
        if wanted is bytes:
            return body
        content = body.decode(errors="replace").strip()
    if wanted is bytes:
        try:
            return b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            return content.encode(errors="replace")
    if not content and not body.strip():
        raise error("the answer is empty", hint=OTHER_SERVICE)
    return content


def _warn(operation: str, faults: list[Fault], request_id: str | None) -> None:
    places = ", ".join(fault.place for fault in faults[:_MOST_PLACES])
    more = len(faults) - _MOST_PLACES
    _log.warning(
        "%s: the answer breaks the API schema at %s%s; left out or None there (request id %s)",
        operation,
        places,
        f" and {more} more places" if more > 0 else "",
        request_id,
    )


class _Error:
    """Makes the errors about one answer."""

    def __init__(self, operation: Operation[R], answer: Answer, endpoint: str) -> None:
        self._operation = operation
        self._answer = answer
        self._endpoint = endpoint

    def __call__(
        self, message: str, shown: bytes = b"", *, place: str = "$", hint: str
    ) -> ResponseDecodeError:
        return ResponseDecodeError(
            message,
            operation=self._operation.name,
            endpoint=self._endpoint,
            status=self._answer.status,
            request_id=self._answer.request_id,
            place=place,
            excerpt=self._excerpt(shown, place),
            hint=hint,
        )

    def at(self, fault: Fault) -> ResponseDecodeError:
        return self(
            f"the answer breaks the API schema at {fault.place}: {fault.why}",
            msgspec.json.encode(fault.value),
            place=fault.place,
            hint=_SCHEMA,
        )

    def _excerpt(self, shown: bytes, place: str) -> str:
        gives_token = (self._operation.auth, self._operation.kind) == (Auth.NONE, Kind.MUTATION)
        if gives_token or any(map(is_secret, _NAMES.findall(place))):
            return ""
        start = shown[: _LONGEST_EXCERPT * 8].decode(errors="replace")
        text = " ".join(without_secret_members(start).split())
        return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}…"
