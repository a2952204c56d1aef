"""What can be kept of an answer that breaks the schema. Pure."""

# ruff: noqa: ANN401 - types found at run time have no narrower type
from __future__ import annotations

import types
from typing import Any, NamedTuple, Union, cast, get_args, get_origin

import msgspec

from ..types import CODEC_ERRORS

WRONG: Any = object()
"""Stands for a value of which nothing can be used."""


class Fault(NamedTuple):
    """One place that is not as declared: where, what is wrong, and what stands there."""

    place: str
    why: str
    value: object


def repair(value: object, wanted: Any, place: str, faults: list[Fault]) -> Any:
    """Convert to the type what is right of a decoded value, and note the rest in ``faults``.

    A wrong member becomes None, a required one too; an element of a list that is wrong as a whole
    is dropped.

    Returns:
        The value, or WRONG.
    """
    try:
        return msgspec.convert(value, wanted)
    except CODEC_ERRORS as exc:
        why = str(exc).partition(" - at ")[0]
    origin = get_origin(wanted) or wanted
    if origin in (Union, types.UnionType):
        return _union(value, wanted, place, faults, why)
    if origin is list and isinstance(value, list):
        return _list(cast("list[object]", value), get_args(wanted)[0], place, faults)
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        if origin is dict:
            return _dict(members, get_args(wanted)[1], place, faults)
        if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            return _struct(members, wanted, place, faults)
    faults.append(Fault(place, why, value))
    return WRONG


def _struct(members: dict[str, object], wanted: Any, place: str, faults: list[Fault]) -> object:
    declared = msgspec.structs.fields(wanted)
    if not any(field.encode_name in members for field in declared):
        # Something else altogether, an error message for example.
        faults.append(Fault(place, "it has none of the declared members", members))
        return WRONG
    fields: dict[str, object] = {}
    for field in declared:
        here = f"{place}.{field.encode_name}"
        if field.encode_name in members:
            member = members[field.encode_name]
            fields[field.name] = _or_none(repair(member, field.type, here, faults))
        elif field.required:
            faults.append(Fault(here, "it is missing", None))
            fields[field.name] = None
    # The constructor checks no types: that is what lets a required field be None here.
    return (get_origin(wanted) or wanted)(**fields)


def _dict(members: dict[str, object], wanted: Any, place: str, faults: list[Fault]) -> object:
    return {
        key: _or_none(repair(member, wanted, f"{place}.{key}", faults))
        for key, member in members.items()
    }


def _list(items: list[object], wanted: Any, place: str, faults: list[Fault]) -> object:
    repaired = (repair(item, wanted, f"{place}[{i}]", faults) for i, item in enumerate(items))
    return [item for item in repaired if item is not WRONG]


def _union(value: object, wanted: Any, place: str, faults: list[Fault], why: str) -> object:
    for member in get_args(wanted):
        tried: list[Fault] = []
        repaired = repair(value, member, place, tried)
        if repaired is not WRONG:
            faults.extend(tried)
            return repaired
    faults.append(Fault(place, why, value))
    return WRONG


def _or_none(value: object) -> object:
    return None if value is WRONG else value
