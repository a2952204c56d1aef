"""From ``--where`` to a filter of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from ..calls.shapes import Shape, member
from .endings import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def where_of(texts: Sequence[str], filters: Shape) -> dict[str, Any] | None:
    """Make a filter of what was typed: all of it must hold.

    Whether there are such keys is asked where every call is checked.

    Args:
        texts: JSON objects, or ``key=value`` as ``cluster.name=prod``.
        filters: What a filter may hold.

    Raises:
        UsageError: One is neither, or says of a resource what can be said of a field only.
    """
    parts = [_part(text, filters) for text in texts]
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
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise UsageError(f"{what}: this is no JSON: {exc}") from None


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
    except msgspec.DecodeError:
        return text
