"""From ``--where`` to a filter of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from ..calls.arg_types import Shape, arguments_of, member
from ..calls.validation import check
from ..errors import InvalidInput
from ..types import CODEC_ERRORS
from .exit_codes import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..calls.operation import Operation


def where_of(texts: Sequence[str], operation: Operation[object]) -> dict[str, Any] | None:
    """Make a filter of what was typed: all of it must hold.

    Args:
        texts: JSON objects, or ``key=value`` as ``cluster.name=prod``.
        operation: A query, which says what its filter may hold.

    Raises:
        UsageError: One is neither, says of a resource what can be said of a field only, or has
            a key or a value that there is not.
    """
    filters = cast(Shape, member(arguments_of(operation).record, "where"))
    parts = [_checked(_part(text, filters), operation) for text in texts]
    joined: dict[str, Any] = {}
    for part in parts:
        if joined.keys() & part.keys():
            return {"AND": parts}
        joined |= part
    return joined or None


def json_of(text: str | bytes, what: str) -> Any:  # noqa: ANN401 - JSON may be anything
    """Read JSON that was typed.

    Raises:
        UsageError: It is none.
    """
    try:
        return msgspec.json.decode(text.decode() if isinstance(text, bytes) else text)
    except UnicodeDecodeError as exc:
        raise UsageError(f"{what}: it is not UTF-8: see the byte at {exc.start}") from None
    except CODEC_ERRORS as exc:
        raise UsageError(f"{what}: this is no JSON: {exc}") from None


def _checked(part: dict[str, Any], operation: Operation[object]) -> dict[str, Any]:
    """Check it by itself, as what is wrong has another place once it is joined with others."""
    try:
        check(operation, {"where": part}, validate=True)
    except InvalidInput as exc:
        wrong = str(exc).removeprefix(f"{operation.name}: ").removeprefix("where.")
        raise UsageError(f"--where: {wrong}") from None
    return part


def _part(text: str, filters: Shape) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return cast("dict[str, Any]", json_of(text, "--where"))
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--where: {text!r} is neither JSON nor key=value")
    path = key.split(".")
    shape: Shape | None = filters
    for name in path:
        shape = member(shape.record, name) if shape is not None and shape.record else None
    condition: Any = value if shape is None else _value(value, shape)
    if shape is not None and shape.is_filter and isinstance(condition, str):
        raise UsageError(f"--where: {text!r}: {key} is a resource: pass a field, as in {key}.name=")
    for name in reversed(path):
        condition = {name: condition}
    return cast("dict[str, Any]", condition)


def _value(text: str, shape: Shape) -> object:
    """What a text means where the API wants such a value; the text itself, if that is nothing."""
    if shape.kind is str:
        return text
    if shape.kind is list and shape.item is not None and not text.startswith("["):
        item = shape.item
        return [_value(part, item) for part in text.split(",")]
    try:
        return msgspec.json.decode(text)
    except CODEC_ERRORS:
        return text
