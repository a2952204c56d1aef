"""What a failed task says, taken out of the text that it says it in."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import msgspec

from ..errors import TaskFailed
from ..types import CODEC_ERRORS

if TYPE_CHECKING:
    from ..models import Task

# The server nests what the component below answered: lines `code: …` and `message: {…}`.
_CODE = re.compile(r"^\s*code:\s*(\S+)", re.MULTILINE)
_MESSAGE = re.compile(r"^\s*message:\s*(\{.*\})", re.MULTILINE | re.DOTALL)


class _Detail(msgspec.Struct):
    msg: str | None = None


class _Message(msgspec.Struct):
    ec: str | None = None
    error: _Detail | None = None


_DECODER = msgspec.json.Decoder(_Message)
_BY_LANGUAGE = msgspec.json.Decoder(dict[str, str])


def task_failed(task: Task) -> TaskFailed:
    """The error for a task that ended as FAILED.

    Its code, ec and message come from the nested text where that can be read; what cannot is left
    as the server sent it.
    """
    text = task.error_message or ""
    one = _in_one_language(text)
    code, nested = _CODE.search(one), _MESSAGE.search(one)
    inner = _Message()
    if nested:
        with contextlib.suppress(*CODEC_ERRORS):
            inner = _DECODER.decode(nested[1])
    said = inner.error.msg if inner.error else None
    return TaskFailed(
        task.id,
        code=task.error_code or (code[1] if code else None),
        ec=inner.ec,
        message=said or text.strip() or None,
        task=task,
    )


def _in_one_language(text: str) -> str:
    """With the language ``*`` a text is JSON with each language; any of them has the codes."""
    try:
        return next(iter(_BY_LANGUAGE.decode(text).values()), text)
    except CODEC_ERRORS:
        return text
