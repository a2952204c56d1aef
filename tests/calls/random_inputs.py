"""Random valid arguments from the TypedDicts, and corruptions of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec
from hypothesis import strategies as st

from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.arg_types import ArgType, arguments_of, member, place
from cloudtower_async.calls.operation import Kind, Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEXTS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=8)
_SCALARS: dict[type, st.SearchStrategy[Any]] = {
    str: _TEXTS,
    int: st.integers(1, 1000),
    float: st.integers(1, 1000) | st.floats(1, 1000),
    bool: st.booleans(),
    bytes: st.binary(min_size=1, max_size=8),
    dict: st.dictionaries(_TEXTS, st.none() | st.integers(0, 9) | _TEXTS, max_size=2),
    object: st.integers(0, 9) | _TEXTS,
}
_EXAMPLES: dict[type, Any] = {
    str: "x",
    int: 1,
    float: 1.5,
    bool: True,
    bytes: b"x",
    dict: {},
    object: 1,
}
_DEEP = 4  # depth of records below which only required keys are generated


def every_operation() -> list[Operation[Any]]:
    """Return all operations that take arguments."""
    found: list[Operation[Any]] = []
    for name in OPERATIONS.values():
        namespace, _, method = name.partition(".")
        module = importlib.import_module(f"cloudtower_async.api.{namespace}")
        operation: Operation[Any] = getattr(module, method.upper())
        if operation.body is not None:
            found.append(operation)
    return found


@st.composite
def arguments(draw: st.DrawFn, operation: Operation[Any]) -> Any:  # noqa: ANN401
    """Generate valid arguments: a dict by API name, or a list if the operation takes one."""
    return draw(_values(arguments_of(operation), 0))


def _values(shape: ArgType, depth: int) -> st.SearchStrategy[Any]:
    if shape.record is not None:
        record = _records(shape, depth)
        return (
            record.map(lambda made: msgspec.json.encode(made).decode())
            if shape.kind is str
            else record
        )
    if shape.item is not None:
        return st.lists(_values(shape.item, depth), min_size=1, max_size=2)
    if shape.choices:
        return st.sampled_from(sorted(shape.choices))
    return _SCALARS[shape.kind]


@st.composite
def _records(draw: st.DrawFn, shape: ArgType, depth: int) -> dict[str, Any]:
    record = shape.record
    optional = sorted(record.__optional_keys__)
    chosen = set(record.__required_keys__)
    if shape.is_filter:
        chosen.add(draw(st.sampled_from([key for key in optional if _is_plain(record, key)])))
    if depth < _DEEP and optional:
        chosen |= draw(st.sets(st.sampled_from(optional), max_size=3))
    made: dict[str, Any] = {}
    for index, key in enumerate(sorted(chosen)):
        found = member(record, key)
        assert found is not None
        # A filter needs at least one condition that is not null; at the top, None means "omitted".
        nullable = found.nullable and depth > 0 and index > 0 and not shape.is_filter
        if nullable and draw(st.booleans()):
            made[key] = None
        else:
            made[key] = draw(_values(found, depth + 1))
    return made


def _is_plain(record: Any, key: str) -> bool:  # noqa: ANN401
    found = member(record, key)
    return found is not None and found.record is None and found.item is None


class Corruption(NamedTuple):
    """Arguments with one fault. The error must name the place of the fault."""

    what: str
    place: str
    arguments: Any


def corruptions(operation: Operation[Any], given: Any) -> list[Corruption]:  # noqa: ANN401
    """Return many copies of the arguments, each with one fault at another place.

    A fault is a missing key, a renamed key, a value in an additional list, or a list element in
    place of its list.
    """
    found = _spoilt(arguments_of(operation), given, "")
    return [Corruption(what, place(path), spoilt) for what, path, spoilt in found]


def _spoilt(shape: ArgType, value: Any, path: str) -> Iterator[tuple[str, str, Any]]:  # noqa: ANN401
    if value is None or shape.kind is object:
        return
    if isinstance(value, list) and shape.item is not None:
        if shape.item.kind not in (list, object) and not shape.item.is_filter:
            yield "unwrapped", path, value[0]
        items = cast("list[object]", value)
        for index, item in enumerate(items):
            for what, where, spoilt in _spoilt(shape.item, item, f"{path}[{index}]"):
                yield what, where, [*items[:index], spoilt, *items[index + 1 :]]
        return
    yield "wrapped", path, [value]
    if shape.record is None or not isinstance(value, dict):
        return
    fields = cast("dict[str, Any]", value)
    for key, part in fields.items():
        others = {name: one for name, one in fields.items() if name != key}
        found = member(shape.record, key)
        assert found is not None
        if key in shape.record.__required_keys__:
            yield "dropped", f"{path}.{key}", others
        if not (found.is_filter and key in shape.record.__required_keys__):
            yield "renamed", f"{path}.{key}_nope", {**others, f"{key}_nope": part}
        for what, where, spoilt in _spoilt(found, part, f"{path}.{key}"):
            yield what, where, {**fields, key: spoilt}


def filters(operation: Operation[Any], *, required: bool) -> Iterator[tuple[str, Any]]:
    """Yield the place of each filter, with arguments in which this filter is empty."""
    for path, made in _with_empty(arguments_of(operation), "", (), required=required):
        yield place(path), made


def _with_empty(
    shape: ArgType, path: str, around: tuple[Any, ...], *, required: bool
) -> Iterator[tuple[str, Any]]:
    if shape.is_filter:
        yield path, "{}" if shape.kind is str else {}
    elif shape.item is not None:
        for where, made in _with_empty(shape.item, f"{path}[0]", around, required=required):
            yield where, [made]
    elif shape.record is not None and shape.record not in around:
        record = shape.record
        for key in record.__required_keys__ if required else record.__annotations__:
            found = member(record, key)
            assert found is not None
            for where, made in _with_empty(
                found, f"{path}.{key}", (*around, record), required=required
            ):
                yield where, {**_least(shape, key), key: made}


def _least(shape: ArgType, without: str) -> dict[str, Any]:
    """Return the required keys of a record except one, with values."""
    made: dict[str, Any] = {}
    for key in shape.record.__required_keys__ - {without}:
        found = member(shape.record, key)
        assert found is not None
        made[key] = smallest(found)
    return made


def smallest(shape: ArgType) -> Any:  # noqa: ANN401
    """Return the smallest valid value; each string, and the id in each filter, is "x"."""
    if shape.is_filter:
        return '{"id": "x"}' if shape.kind is str else {"id": "x"}
    if shape.record is not None:
        return _least(shape, "")
    if shape.item is not None:
        return [smallest(shape.item)]
    if shape.choices:
        return min(shape.choices)
    return _EXAMPLES[shape.kind]


def changes(operation: Operation[Any]) -> bool:
    """Return whether a call is a mutation."""
    return operation.kind is not Kind.QUERY
