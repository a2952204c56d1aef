"""Decode answers, including large answers and answers that break the API schema.

Most answers are decoded in one step, strictly. A large list is decoded in slices, and other tasks
run between the slices. If strict decoding fails, the items of a list are decoded one by one. Items
that fail again are repaired: valid parts are kept, invalid parts become None, and one warning names
the places of the invalid parts.
"""

from __future__ import annotations

import binascii
import logging
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_args, get_origin

import msgspec

from ..control_characters import escaped, replace_lone_surrogates
from ..errors import ResponseDecodeError
from ..secret_names import is_secret
from ..transport.redaction import Mask
from ..transport.responses import HTML_INSTEAD, OTHER_SERVICE, looks_like_html
from ..types import CODEC_ERRORS, RawResponse
from .lenient import ROOT, WRONG, Repair, Slices
from .operation import Auth, Carries, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..transport.responses import Answer
    from .lenient import Mismatch, Mismatches
    from .operation import Operation

R = TypeVar("R")

_log = logging.getLogger("cloudtower_async")
_LONGEST_EXCERPT = 80  # characters
_FIELDS_ONLY = Mask()
_LARGE = 2**22  # bytes; a larger answer is decoded in slices, so that other tasks can run
_SLICE = 2**16  # bytes of rows that are decoded at once
_LARGEST_SHOWN = 2**16  # bytes of an answer that are read for an excerpt
_NAMES = re.compile(r"[\w-]+")  # names in the path of a place

_CUT = "A proxy may limit the size of answers: try again, or request less at once."
_SCHEMA = "Report this with the request id; without strict=True the rest of such an answer is kept."


def decode(
    operation: Operation[R],
    answer: Answer,
    endpoint: str,
    *,
    strict: bool,
    mask: Mask = _FIELDS_ONLY,
) -> R | SlicedAnswer[R]:
    """Return the decoded answer, or a `SlicedAnswer` that still has to be read.

    A status 304 that the operation declares yields an empty list.

    Args:
        operation: Operation that was called.
        answer: Answer of the server.
        endpoint: Root address of the server, for errors.
        strict: Refuse an answer that breaks the API schema anywhere.
        mask: Redacts what errors quote.

    Returns:
        The decoded answer. For a large list, or an answer that does not match the declared type, a
        `SlicedAnswer`; await its `read`.

    Raises:
        ResponseDecodeError: The declared type is text or a file, and the answer has neither.
    """
    if operation.carries is Carries.AS_GIVEN:
        response = RawResponse(status=answer.status, headers=answer.headers, body=answer.body)
        return cast(R, response)
    if answer.status == 304:
        return cast(R, [])
    if len(answer.body) > _LARGE and get_origin(operation.answer()) is list:
        return SlicedAnswer(operation, answer, endpoint, strict=strict, mask=mask)
    try:
        return operation.decoder.decode(answer.body)
    except CODEC_ERRORS:
        pass
    wanted = operation.answer()
    if wanted is str or wanted is bytes:
        return cast(R, _plain(wanted, answer.body, _Error(operation, answer, endpoint, mask)))
    body = replace_lone_surrogates(answer.body)
    if body != answer.body:
        answer = msgspec.structs.replace(answer, body=body)
        return decode(operation, answer, endpoint, strict=strict, mask=mask)
    return SlicedAnswer(operation, answer, endpoint, strict=strict, mask=mask)


class SlicedAnswer(Generic[R]):
    """Answer that is decoded in slices: a large list, or an answer that breaks the API schema.

    Args:
        operation: Operation that was called.
        answer: Answer of the server.
        endpoint: Root address of the server, for errors.
        strict: Refuse an answer that breaks the API schema anywhere.
        mask: Redacts what errors quote.
    """

    def __init__(
        self,
        operation: Operation[R],
        answer: Answer,
        endpoint: str,
        *,
        strict: bool,
        mask: Mask = _FIELDS_ONLY,
    ) -> None:
        self._operation = operation
        self._answer = answer
        self._strict = strict
        self._error = _Error(operation, answer, endpoint, mask)
        self._slices = Slices()
        self._repair = Repair(self._slices, strict=strict)

    async def read(self) -> R:
        """Decode the answer: keep valid parts, replace invalid parts by None, and log one warning.

        Raises:
            ResponseDecodeError: The answer is not JSON, no part of the answer is valid, or
                ``strict`` is set and any part is invalid.
        """
        await self._slices.rest()  # the failed strict decoding took time, too
        wanted: Any = self._operation.answer()
        rows = self._rows(wanted)
        repaired: object = await self._read_rows(rows, get_args(wanted)[0]) if rows else WRONG
        if repaired is WRONG:
            value = _parse(replace_lone_surrogates(self._answer.body), self._error)
            self._repair = Repair(self._slices, strict=self._strict)
            repaired = await self._repair.convert(value, wanted, ROOT)
        if rows and repaired == []:
            repaired = WRONG  # a caller must not take the answer for an empty list
        mismatches = self._repair.mismatches
        if mismatches.count and (self._strict or repaired is WRONG):
            raise self._error.at(mismatches.first[0])
        if mismatches.count:
            _warn(self._operation.name, mismatches, self._answer.request_id)
        return cast(R, repaired)

    @property
    def is_repaired(self) -> bool:
        """Whether the answer broke the schema in any place. Only meaningful after `read`."""
        return self._repair.mismatches.count > 0

    def _rows(self, wanted: object) -> list[msgspec.Raw]:
        """Split a JSON list into its undecoded items; return an empty list if that fails."""
        if get_origin(wanted) is not list:
            return []
        try:
            return _SPLIT(self._answer.body)
        except CODEC_ERRORS:
            pass
        try:
            return _SPLIT(replace_lone_surrogates(self._answer.body))
        except CODEC_ERRORS:
            return []

    async def _read_rows(self, rows: Sequence[msgspec.Raw], wanted: Any) -> object:  # noqa: ANN401
        """Decode the items of a list, and repair the items that cannot be decoded.

        Returns:
            The list, or WRONG if an item is not JSON.
        """
        decode_row = msgspec.json.Decoder(wanted).decode
        at_once = max(1, len(rows) * _SLICE // len(self._answer.body))
        kept: list[object] = []
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            try:
                kept += list(map(decode_row, some))
            except CODEC_ERRORS:
                found = await self._repair_rows(some, start, wanted, decode_row)
                if found is None:
                    return WRONG
                kept += found
            if self._strict and self._repair.mismatches.count:
                break
            if self._slices.over():
                await self._slices.rest()
        return kept

    async def _repair_rows(
        self,
        rows: Sequence[msgspec.Raw],
        start: int,
        wanted: Any,  # noqa: ANN401
        decode_row: Callable[[msgspec.Raw], object],
    ) -> list[object] | None:
        """Decode items one by one, and repair the items that cannot be decoded.

        Args:
            rows: The items.
            start: Index of the first item in the list.
            wanted: Declared type of an item.
            decode_row: Decodes an item strictly.

        Returns:
            The valid parts, or None if an item is not JSON.
        """
        kept: list[object] = []
        for index, row in enumerate(rows, start):
            try:
                kept.append(decode_row(row))
                continue
            except CODEC_ERRORS:
                pass
            try:
                value = msgspec.json.decode(row)
            except CODEC_ERRORS:
                return None
            found = await self._repair.convert(value, wanted, (ROOT, f"[{index}]"))
            if found is not WRONG:
                kept.append(found)
            if self._strict and self._repair.mismatches.count:
                break
            if self._slices.over():
                await self._slices.rest()
        return kept


_SPLIT = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _parse(body: bytes, error: _Error) -> object:
    try:
        return msgspec.json.decode(body)
    except CODEC_ERRORS as exc:
        reason = str(exc)  # not the exception, to avoid a reference cycle with this frame
    # Raise outside the ``except`` block: the exception above may hold the body, and the body a
    # secret.
    if not body.strip():
        raise error("the answer is empty", hint=OTHER_SERVICE)
    if looks_like_html(body):
        raise error(HTML_INSTEAD, body, hint=OTHER_SERVICE)
    if "truncated" in reason:
        raise error("the answer ends in the middle of the JSON", body, hint=_CUT)
    raise error("the answer is not JSON", body, hint=OTHER_SERVICE)


def _plain(wanted: object, body: bytes, error: _Error) -> str | bytes:
    """Decode a string or a file. Servers may send both with or without JSON encoding."""
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
    if body.strip() == b"null":
        raise error("the answer is null, not a string", hint=OTHER_SERVICE)
    return content


def _warn(operation: str, mismatches: Mismatches, request_id: str | None) -> None:
    places = ", ".join(mismatch.place for mismatch in mismatches.first)
    more = mismatches.count - len(mismatches.first)
    _log.warning(
        "%s: the answer breaks the API schema at %s%s; left out or None there (request id %s)",
        operation,
        places,
        f" and {more} more places" if more > 0 else "",
        request_id,
    )


class _Error:
    """Factory for the errors about one answer."""

    def __init__(self, operation: Operation[R], answer: Answer, endpoint: str, mask: Mask) -> None:
        self._operation = operation
        self._answer = answer
        self._endpoint = endpoint
        self._mask = mask

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

    def at(self, mismatch: Mismatch) -> ResponseDecodeError:
        return self(
            f"the answer breaks the API schema at {mismatch.place}: {self._mask(mismatch.why)}",
            msgspec.json.encode(self._mask.within(mismatch.value)),
            place=mismatch.place,
            hint=_SCHEMA,
        )

    def _excerpt(self, shown: bytes, place: str) -> str:
        gives_token = (self._operation.auth, self._operation.kind) == (Auth.NONE, Kind.MUTATION)
        if gives_token or any(map(is_secret, _NAMES.findall(place))):
            return ""
        # Redact before truncating, so that no part of a secret remains at the end.
        text = shown[:_LARGEST_SHOWN].decode(errors="replace")
        text = escaped(" ".join(self._mask.text(text).split()))
        return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}…"
