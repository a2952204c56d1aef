"""Parsing of the option ``--where`` into a filter of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from ..calls.arg_types import ArgType, arguments_of, member
from ..calls.validation import check
from ..errors import InvalidInput
from ..types import CODEC_ERRORS
from .errors import UsageError
from .language import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..calls.operation import Operation


def parse_where(texts: Sequence[str], operation: Operation[object]) -> dict[str, Any] | None:
    """Return one filter that matches only if all values of ``--where`` match.

    Args:
        texts: Values of ``--where``. Each value is a JSON object, or ``key=value``:
            ``cluster.name=prod``.
        operation: Query that the filter is passed to.

    Returns:
        The filter, or None if `texts` is empty.

    Raises:
        UsageError: A text is neither JSON nor ``key=value``, has a resource as its key
            (``cluster=prod`` instead of ``cluster.name=prod``), or has an unknown key or an invalid
            value.
    """
    filters = cast(ArgType, member(arguments_of(operation).record, "where"))
    parts = [_checked(_parse_one(text, filters), operation) for text in texts]
    joined: dict[str, Any] = {}
    for part in parts:
        if joined.keys() & part.keys():
            return {"AND": parts}
        joined |= part
    return joined or None


def parse_json(text: str | bytes, what: str) -> Any:  # noqa: ANN401 - JSON may be anything
    """Parse JSON that the user typed or passed in a file, and return the value.

    Raises:
        UsageError: The text is not JSON. In the error message, `what` is the name of the text.
    """
    try:
        return msgspec.json.decode(text.decode() if isinstance(text, bytes) else text)
    except UnicodeDecodeError as exc:
        raise UsageError(
            tr("{what}: not valid UTF-8 at byte {start}", what=what, start=exc.start)
        ) from None
    except CODEC_ERRORS as exc:
        raise UsageError(tr("{what}: not valid JSON: {error}", what=what, error=exc)) from None


def _checked(part: dict[str, Any], operation: Operation[object]) -> dict[str, Any]:
    """Return the filter of one ``--where`` option, or raise `UsageError` if it is invalid.

    Each filter is checked alone, so that an error message names only keys of the wrong filter.
    """
    try:
        check(operation, {"where": part}, validate=True)
    except InvalidInput as exc:
        fault = str(exc).removeprefix(f"{operation.name}: ").removeprefix("where.")
        fault = fault.replace("True or False", "true or false")  # as on the command line
        raise UsageError(tr("--where: {fault}", fault=fault)) from None
    return part


def _parse_one(text: str, filters: ArgType) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return cast("dict[str, Any]", parse_json(text, "--where"))
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(tr("--where: {text!r} is neither JSON nor key=value", text=text))
    path = key.split(".")
    shape: ArgType | None = filters
    for name in path:
        shape = member(shape.record, name) if shape is not None and shape.record else None
    parsed: Any = value if shape is None else _parse_value(value, shape)
    if shape is not None and shape.is_filter and isinstance(parsed, str):
        raise UsageError(
            tr(
                "--where: {text!r}: {key} is a resource: pass a field, as in {key}.name=",
                text=text,
                key=key,
            )
        )
    for name in reversed(path):
        parsed = {name: parsed}
    return cast("dict[str, Any]", parsed)


def _parse_value(text: str, shape: ArgType) -> object:
    """Convert a text to the type that the API expects: ``"8"`` to 8 for a number.

    If the text cannot be converted, return the text.
    """
    if shape.kind is str:
        return text
    if shape.kind is bool:
        text = text.lower()
    if shape.kind is list and shape.item is not None and not text.startswith("["):
        item = shape.item
        return [_parse_value(part, item) for part in text.split(",")]
    try:
        return msgspec.json.decode(text)
    except CODEC_ERRORS:
        return text
