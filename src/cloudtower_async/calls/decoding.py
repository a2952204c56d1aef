"""Decode answers, including large answers and answers that violate the API schema.

Most answers are decoded strictly and in one step. A large list is decoded in slices, and other
tasks can run between the slices. If strict decoding fails, the items of a list are decoded one by
one. Items that cannot be decoded are repaired. A repair keeps the valid parts of an item and
replaces the invalid parts by None. One warning names the places of all invalid parts.
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
_LARGE = 2**22  # bytes; a larger response body is decoded in slices, so that other tasks can run
_SLICE = 2**16  # bytes of list items that are decoded in one slice
_LARGEST_SHOWN = 2**16  # bytes of a response body that are read for an excerpt
_NAMES = re.compile(r"[\w-]+")  # names in the path of an invalid value

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
    """Return the decoded answer, or a `SlicedAnswer` that decodes the answer later.

    If the status is 304, which some operations allow, return an empty list.

    Args:
        operation: Operation that was called.
        answer: Response of the server.
        endpoint: Root address of the server, for error messages.
        strict: Whether to raise an error if any part of the answer violates the API schema.
        mask: Object that redacts secrets in the excerpts of error messages.

    Returns:
        The decoded answer. If the answer is a large list or violates the API schema, a
        `SlicedAnswer` is returned instead. Await its method `read`.

    Raises:
        ResponseDecodeError: The declared type is text or a file, but the response holds an HTML
            page or is empty.
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
    """Answer that is decoded in slices: a large list, or an answer that violates the API schema.

    Args:
        operation: Operation that was called.
        answer: Response of the server.
        endpoint: Root address of the server, for error messages.
        strict: Whether to raise an error if any part of the answer violates the API schema.
        mask: Object that redacts secrets in the excerpts of error messages.
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
        """Decode the answer, replace its invalid parts by None, and log one warning about them.

        Raises:
            ResponseDecodeError: The body is not JSON, or no part of the answer is valid. With
                ``strict``, the error is also raised if any part is invalid.
        """
        await self._slices.rest()  # the strict decoding has already taken time
        wanted: Any = self._operation.answer()
        rows = self._rows(wanted)
        repaired: object = await self._read_rows(rows, get_args(wanted)[0]) if rows else WRONG
        if repaired is WRONG:
            value = _parse(replace_lone_surrogates(self._answer.body), self._error)
            self._repair = Repair(self._slices, strict=self._strict)
            repaired = await self._repair.convert(value, wanted, ROOT)
        if rows and repaired == []:
            repaired = WRONG  # an empty list would look like a valid answer
        mismatches = self._repair.mismatches
        if mismatches.count and (self._strict or repaired is WRONG):
            raise self._error.at(mismatches.first[0])
        if mismatches.count:
            _warn(self._operation.name, mismatches, self._answer.request_id)
        return cast(R, repaired)

    @property
    def is_repaired(self) -> bool:
        """Whether `read` has repaired invalid parts of the answer."""
        return self._repair.mismatches.count > 0

    def _rows(self, wanted: object) -> list[msgspec.Raw]:
        """Return the undecoded items of a JSON list, or an empty list if the body is not a list."""
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
            A list of the decoded and repaired items, or `WRONG` if any item is not valid JSON.
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
        """Decode the items `rows`, and repair the items that `decode_row` cannot decode.

        `start` is the index of the first item in the whole list. Return the decoded and repaired
        items, or None if an item is not valid JSON.
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
        reason = str(exc)  # keeping the exception would form a reference cycle
    # Raise outside the ``except`` block. Inside the block, the new error would refer to the caught
    # exception, which may hold a secret in the body.
    if not body.strip():
        raise error("the answer is empty", hint=OTHER_SERVICE)
    if looks_like_html(body):
        raise error(HTML_INSTEAD, body, hint=OTHER_SERVICE)
    if "truncated" in reason:
        raise error("the answer ends in the middle of the JSON", body, hint=_CUT)
    raise error("the answer is not JSON", body, hint=OTHER_SERVICE)


def _plain(wanted: object, body: bytes, error: _Error) -> str | bytes:
    """Decode a body to a string or to the bytes of a file. The body may be a JSON string."""
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
    """Factory for errors about one response."""

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
        # Redact before truncating, because a truncated secret would not be recognized.
        text = shown[:_LARGEST_SHOWN].decode(errors="replace")
        text = escaped(" ".join(self._mask.text(text).split()))
        return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}…"
