"""Make valid structs from a few fields, with placeholders for all other required fields."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from ..errors import InvalidInput
from ..spelling import did_you_mean
from ..types import CODEC_ERRORS, OpenEnum

S = TypeVar("S", bound=msgspec.Struct)

_PLACEHOLDERS: dict[object, object] = {
    str: "",
    int: 0,
    float: 0.0,
    bool: False,
    bytes: b"",
    Any: None,
    types.NoneType: None,
}

_CONTAINERS: dict[object, Callable[[], object]] = {each: each for each in (list, dict, set, tuple)}


def make(struct: type[S], /, **fields: object) -> S:
    """Make a struct with the given fields, and with placeholders in its other required fields.

    A placeholder is an empty string, 0, False, an empty list or dict, the first member of an enum,
    or a nested struct with placeholders. If a required field may be None, its placeholder is None.
    Fields with a default keep their default.

    Args:
        struct: Type of the struct: ``models.Vm``, ``WithTask[models.Vm]``, or your own struct.
        fields: Values of fields, by their names in Python. A dict is converted to a nested struct,
            a list of dicts to a list of structs, and a string to an enum member.

    Raises:
        InvalidInput: `fields` contains a name that is not a field of the struct, or a value has a
            wrong type. The message names the field, and suggests similar names.

    Example:
        ::

            vm = make(models.Vm, name="web-1", status="RUNNING", cluster={"name": "prod"})
    """
    made: S = _struct(struct, fields, _name(struct))
    return made


def placeholder(kind: Any) -> Any:  # noqa: ANN401 - types found at run time
    """Return an empty but valid value of a type, such as ``list[WithTask[models.Vm]]``.

    Raises:
        InvalidInput: The type has no placeholder.
    """
    return _placeholder(kind, str(kind))


def _struct(struct: Any, given: Mapping[str, object], place: str) -> Any:  # noqa: ANN401
    declared = _fields(struct)
    for name in given:
        if name not in declared:
            raise InvalidInput(f"{place}: no field `{name}`{did_you_mean(str(name), declared)}")
    values: dict[str, object] = {}
    for name, field in declared.items():
        if name in given:
            values[name] = _convert(given[name], field.type, f"{place}.{name}")
        elif field.required:
            values[name] = _placeholder(field.type, f"{place}.{name}")
    return struct(**values)


@functools.cache
def _fields(struct: object) -> dict[str, msgspec.structs.FieldInfo]:
    if not _is_struct(struct):
        raise InvalidInput(f"{_name(struct)} is not a struct; pass a type such as models.Vm")
    fields: Any = msgspec.structs.fields
    return {field.name: field for field in fields(struct)}


def _convert(value: object, kind: Any, place: str) -> object:  # noqa: ANN401
    kinds = _alternatives(kind)
    if value is None and types.NoneType in kinds:
        return None
    for one in kinds:
        if _is_struct(one) and isinstance(value, Mapping):
            return _struct(one, cast("Mapping[str, object]", value), place)
        if get_origin(one) is list and isinstance(value, list | tuple):
            items = cast("Sequence[object]", value)
            [item] = get_args(one)
            return [_convert(each, item, f"{place}[{n}]") for n, each in enumerate(items)]
        if isinstance(one, type) and issubclass(one, OpenEnum) and type(value) is str:
            return _member(value, one, place)
    try:
        return msgspec.convert(value, kind)
    except CODEC_ERRORS:
        wanted = " or ".join(map(_name, kinds))
        raise InvalidInput(f"{place}: expected {wanted}, got {_name(type(value))}") from None


def _member(value: str, enum: type[OpenEnum], place: str) -> OpenEnum:
    known = [member.value for member in enum]
    if value not in known:
        raise InvalidInput(
            f"{place}: {enum.__name__} has no value {value!r} (for a value that only newer servers"
            f" know, pass {enum.__name__}({value!r})){did_you_mean(value, known, few=True)}"
        )
    return enum(value)


def _placeholder(kind: Any, place: str) -> object:  # noqa: ANN401
    kinds = _alternatives(kind)
    one = types.NoneType if types.NoneType in kinds else kinds[0]
    origin: Any = get_origin(one) or one
    if isinstance(one, TypeVar):  # type parameter of a generic struct that was given no argument
        return None
    if one in _PLACEHOLDERS:
        return _PLACEHOLDERS[one]
    if _is_struct(one):
        return _struct(one, {}, place)
    if origin in _CONTAINERS:
        return _CONTAINERS[origin]()
    if origin is Literal:
        return get_args(one)[0]
    if isinstance(origin, type) and issubclass(origin, OpenEnum):
        return next(iter(origin))
    raise InvalidInput(f"{place}: no placeholder for {_name(one)}; pass a value")


def _alternatives(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _is_struct(kind: object) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, msgspec.Struct)


def _name(kind: object) -> str:
    if kind is types.NoneType:
        return "None"
    if arguments := get_args(kind):
        return f"{_name(get_origin(kind))}[{', '.join(map(_name, arguments))}]"
    return kind.__name__ if isinstance(kind, type) else str(kind)
