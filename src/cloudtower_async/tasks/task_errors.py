"""Extract codes and a message from the error text of a failed task."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

import msgspec

from ..errors import TaskFailed
from ..types import CODEC_ERRORS

if TYPE_CHECKING:
    from ..models import Task

# The server nests the error of the underlying component in lines `code: …` and `message: {…}`.
_CODE_LINE = re.compile(r"^[ \t]*code:[ \t]*(\S+)", re.MULTILINE)
_MESSAGE_LINE = re.compile(r"^[ \t]*message:\s*(?=\{)", re.MULTILINE)
# Example from the scheduler:
# `[VM_SCHEDULE_FAILED]EmptyCandidateHostsException::PlacementGroupMustFilter`.
_BRACKETED = re.compile(r"\s*\[([A-Z][A-Z0-9_]*)\]\s*(\w+(?:::\w+)+)?")
_BARE_CODE = re.compile(r"\s*([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\s*")
_LANGUAGE = re.compile("[a-z]{2}-[A-Z]{2}")

_BY_LANGUAGE = msgspec.json.Decoder(dict[str, str])
_decode_prefix = json.JSONDecoder().raw_decode  # ignore text after the JSON


def task_failed(task: Task) -> TaskFailed:
    """Return the error for a task that has ended with the status ``FAILED``.

    The codes and the message are parsed from the server's error text. A code that is not found is
    None. If no message is found, the message is the whole text.
    """
    text = task.error_message or ""
    one = _in_one_language(text)
    code, ec = _codes(one)
    nested = _nested(one)
    said = nested.get("error")
    if isinstance(said, dict):
        said = cast("dict[str, object]", said).get("msg")
    return TaskFailed(
        task.id,
        code=task.error_code or code,
        ec=_text(nested.get("ec")) or ec,
        message=_text(said) or text.strip() or None,
        task=task,
    )


def _codes(text: str) -> tuple[str | None, str | None]:
    """Return `TaskFailed.code` and `TaskFailed.ec` from an error text.

    A code that the text does not contain is None.
    """
    if line := _CODE_LINE.search(text):
        return line[1], None
    if bracketed := _BRACKETED.match(text):
        return bracketed[1], bracketed[2]
    bare = _BARE_CODE.fullmatch(text)
    return (bare[1] if bare else None), None


def _nested(text: str) -> dict[str, object]:
    """Return the JSON object in an error text. If there is no object, return an empty dict."""
    line = _MESSAGE_LINE.search(text)
    start = line.end() if line else text.find("{")
    if start < 0:
        return {}
    try:
        value, _ = _decode_prefix(text, start)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _in_one_language(text: str) -> str:
    """Return the first translation in a text such as ``{"en-US": "…", "zh-CN": "…"}``.

    Return any other text unchanged. With the content language ``*``, servers send such texts, and
    all translations contain the same error codes.
    """
    try:
        texts = _BY_LANGUAGE.decode(text)
    except CODEC_ERRORS:
        return text
    if not all(map(_LANGUAGE.fullmatch, texts)):
        return text
    return next(iter(texts.values()), text)
