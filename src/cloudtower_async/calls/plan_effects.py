"""Find out from the types of an operation's body and answer what it returns in plan mode."""

from __future__ import annotations

import functools
import types
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

import msgspec

from ..types import CODEC_ERRORS, WithTask
from .arg_types import ArgType, arguments_of, member, snake_case
from .operation import Kind
from .registry import reader_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .operation import Operation

StructType: TypeAlias = Any
"""Type of an answer: a struct, a list of structs, or a generic alias such as ``WithTask[Vm]``."""

_CREATING = (
    "clone_",
    "connect_",
    "convert_",
    "copy_",
    "create_",
    "deploy_",
    "import_",
    "rebuild_",
)
"""Prefixes of the names of methods that create resources. A method with ``where`` changes the
matching resources instead."""


class PlanAnswer(StrEnum):
    """What a mutation returns in plan mode."""

    MATCHES = "the resources that the mutation matches"
    OWNERS = "the resources that are linked to the matching resources"
    PLACEHOLDERS = "placeholders for the resources that the mutation would create"
    NOTHING = "nothing: the mutation raises `PlanEnded`"


class PlanEffect(NamedTuple):
    """What an operation returns in plan mode.

    Args:
        answer: What the answer contains.
        target: Part of the body that selects the resources for the answer.
        struct: Type of a resource in the answer, such as `Vm`.
        wraps: Types around the struct: ``(list, WithTask)`` for ``list[WithTask[Vm]]``.
        owner: Only for `PlanAnswer.OWNERS`: field of the matching resources that holds the resource
            to return. For example, the mutation matches a `VmDisk` and returns its ``"vm"``.
        items: Key of the part of the body that describes the resources to create. None means the
            whole body.
    """

    answer: PlanAnswer
    target: Target | None = None
    struct: StructType = None
    wraps: tuple[Any, ...] = ()
    owner: str | None = None
    items: str | None = None


class Target(NamedTuple):
    """The part of a body that selects resources: a filter, or the id of one resource.

    Args:
        kind: Type of the resources, such as ``"Vm"``.
        key: For a filter, its key: ``"where"``. For an id, the key of the object that holds the id,
            or None if the body itself holds the id.
        id_key: Key of the id, such as ``"vm_id"``. None for a filter.
    """

    kind: str
    key: str | None
    id_key: str | None = None


def effect_of(operation: Operation[Any]) -> PlanEffect:
    """Describe what a mutation or an upload returns in plan mode."""
    if operation.body is None:  # not cached, because the operation was made for one call
        return PlanEffect(PlanAnswer.NOTHING)
    return _effect_of(operation)


@functools.cache
def _effect_of(operation: Operation[Any]) -> PlanEffect:
    struct, wraps = unwrapped(operation.answer())
    if operation.kind is Kind.UPLOAD or not _has_id(struct):
        return PlanEffect(PlanAnswer.NOTHING)
    arguments = arguments_of(operation)
    body = arguments.item or arguments
    target = _target(body, struct)
    creates = operation.name.partition(".")[2].startswith(_CREATING)
    if creates and (target is None or target.key != "where" or target.kind == struct.__name__):
        items = None if arguments.item else _items(body)
        return PlanEffect(PlanAnswer.PLACEHOLDERS, None, struct, wraps, items=items)
    if target is None:
        return PlanEffect(PlanAnswer.NOTHING)
    known = reader_name(target.kind)
    if known is not None and known == reader_name(struct.__name__):
        return PlanEffect(PlanAnswer.MATCHES, target, struct, wraps)
    if known is not None and (owner := _owner(target.kind, struct)) is not None:
        return PlanEffect(PlanAnswer.OWNERS, target, struct, wraps, owner)
    return PlanEffect(PlanAnswer.NOTHING)


def _items(body: ArgType) -> str | None:
    """Return `PlanEffect.items` for a body."""
    keys = _keys(body)
    shapes = {key: cast(ArgType, member(body.record, key)) for key in keys}
    required = body.record.__required_keys__
    lists = [key for key in required if (item := shapes[key].item) and item.record]
    return lists[0] if len(lists) == 1 else "data" if "data" in keys else None


def filters_in(shape: ArgType | None, value: object) -> Iterator[tuple[str, object]]:
    """Yield a resource type and a filter, ``("Vm", {"name": "web"})``, for each filter in a body.

    Filters inside another filter are not yielded.
    """
    if shape is None:
        return
    if (kind := shape.filtered_resource) is not None:
        if isinstance(value, str):  # the filter is sent as JSON in a string
            try:
                value = msgspec.json.decode(value)
            except CODEC_ERRORS:
                return  # the server reports the error
        if isinstance(value, dict):
            yield kind, cast("object", value)
    elif shape.item is not None and isinstance(value, list):
        for each in cast("list[object]", value):
            yield from filters_in(shape.item, each)
    elif shape.record is not None and isinstance(value, dict):
        for key, each in cast("dict[str, object]", value).items():
            yield from filters_in(member(shape.record, key), each)


def _target(body: ArgType, struct: StructType) -> Target | None:
    """Return the part of a body that selects resources, or None if no part selects resources."""
    if body.record is None:
        return None
    required = body.record.__required_keys__
    shapes = {key: cast(ArgType, member(body.record, key)) for key in _keys(body)}
    where = shapes.get("where")
    filters = ["where"] if where else [key for key in required if shapes[key].is_filter]
    if len(filters) == 1 and (kind := shapes[filters[0]].filtered_resource) is not None:
        return Target(kind, filters[0])
    id_key = f"{snake_case(struct.__name__)}_id"
    if where is not None and _keys(where) == [id_key]:
        return Target(struct.__name__, "where", id_key)
    return Target(struct.__name__, None, id_key) if id_key in required else None


def _keys(shape: ArgType) -> list[str]:
    return list(shape.record.__annotations__) if shape.record is not None else []


def _owner(kind: str, struct: StructType) -> str | None:
    """Return the field of a resource type that holds a `struct`: ``"vm"`` for VmDisk and `Vm`."""
    from .. import models  # load generated code only when it is needed

    for field in msgspec.structs.fields(getattr(models, kind)):
        types_ = get_args(field.type) if _is_union(field.type) else (field.type,)
        if any(getattr(one, "__name__", "") == f"Nested{struct.__name__}" for one in types_):
            return field.name
    return None


def _is_union(kind: object) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def unwrapped(answer: StructType) -> tuple[StructType, tuple[Any, ...]]:
    """Return the innermost type of an answer, and the types around it.

    For ``list[WithTask[Vm]]``, return ``Vm`` and ``(list, WithTask)``.
    """
    wraps: list[Any] = []
    origin: Any = get_origin(answer)
    while origin in (list, WithTask):
        wraps.append(origin)
        [answer] = get_args(answer)
        origin = get_origin(answer)
    return answer, tuple(wraps)


def _has_id(struct: object) -> bool:
    return (
        isinstance(struct, type)
        and issubclass(struct, msgspec.Struct)
        and "id" in struct.__struct_fields__
    )
