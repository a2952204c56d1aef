"""Repair responses that violate the API schema, and keep the valid parts.

The repair of a large response takes long. Therefore the repair runs in slices, and other tasks can
run between the slices.
"""

# ruff: noqa: ANN401 - types found at run time have no narrower type
from __future__ import annotations

import asyncio
import functools
import math
import re
import types
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

import msgspec

from ..types import CODEC_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

WRONG: Any = object()
"""Marker for a value that has no valid part."""

Place: TypeAlias = "tuple[Place | None, str]"
"""Place in the body: the enclosing place, and the last step, such as ``".name"`` or ``"[3]"``."""

ROOT: Place = (None, "$")

_SLICE = 0.01  # seconds of work until other tasks can run
_MOST_ATTEMPTS = 8  # attempts per struct; each attempt leaves out one more invalid member
_FIRST_STEP = re.compile(r" - at `\$\.(\w+)")  # first step of the path in a message of msgspec
_MOST_KEPT = 5  # mismatches that are stored; further mismatches are only counted


class Mismatch(NamedTuple):
    """Violation of the schema in a response: its place, the reason and the value."""

    place: str
    why: str
    value: object


class Mismatches:
    """The first few mismatches in a response, and the number of all mismatches."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.first: list[Mismatch] = []
        self.count: int = 0

    def add(self, place: Place, value: object, why: str = "", wanted: Any = None) -> None:
        """Record a mismatch.

        Args:
            place: Place of the value.
            value: The value.
            why: Reason for the mismatch. If the string is empty, msgspec's error message is used.
            wanted: The declared type.
        """
        self.count += 1
        if len(self.first) < _MOST_KEPT:
            self.first.append(Mismatch(_spelled(place), why or _reason(value, wanted), value))

    def add_all(self, other: Mismatches) -> None:
        """Record all mismatches of another instance."""
        self.count += other.count
        self.first += other.first[: _MOST_KEPT - len(self.first)]


class Slices:
    """Time slices of long work. Other tasks can run between two slices.

    Args:
        seconds: Length of a slice.
    """

    __slots__ = ("_end", "_seconds")

    def __init__(self, seconds: float = _SLICE) -> None:
        self._seconds = seconds
        self._end = monotonic() + seconds

    def over(self) -> bool:
        """Return whether the current time slice has ended, so that `rest` has to be called."""
        return monotonic() >= self._end

    async def rest(self) -> None:
        """Let other tasks run, and start a new time slice. The caller can be cancelled here."""
        await asyncio.sleep(0)
        self._end = monotonic() + self._seconds


class Repair:
    """Converts decoded JSON to declared types. Invalid parts are dropped or become None.

    An invalid member of an object becomes None, even if the member is required. An element of a
    list is dropped if no part of the element is valid. If an integer is declared, a float without a
    fraction is valid, because the server does not distinguish 5.0 from 5. If `strict` is False,
    other floats are rounded.

    Args:
        slices: Time slices of the conversion.
        strict: Whether a float with a fraction is a mismatch if an integer is declared.
    """

    def __init__(self, slices: Slices, *, strict: bool) -> None:
        self.mismatches: Mismatches = Mismatches()
        self._slices = slices
        self._strict = strict

    async def convert(self, value: object, wanted: Any, place: Place) -> Any:
        """Convert a value to a declared type, and record its mismatches.

        Returns:
            The converted value, or WRONG if no part of the value is valid.
        """
        fitted = self._fit(value, wanted)
        return await self._take_apart(value, wanted, place) if fitted is WRONG else fitted

    def _fit(self, value: object, wanted: Any) -> Any:
        """Convert a value to the type `wanted`. Return WRONG if any part is invalid."""
        if wanted is int and type(value) is float and (not self._strict or value.is_integer()):
            return round(value)
        if wanted is msgspec.Raw:  # `msgspec.convert` cannot return `Raw`
            return msgspec.Raw(msgspec.json.encode(value))
        try:
            return msgspec.convert({"value": value}, _box(wanted)).value
        except CODEC_ERRORS:
            return WRONG

    async def _take_apart(self, value: object, wanted: Any, place: Place) -> Any:
        if self._slices.over():
            await self._slices.rest()
        origin = get_origin(wanted) or wanted
        if origin in (Union, types.UnionType):
            return await self._union(value, wanted, place)
        items = _items(value)
        if items is not None and origin is list:
            return await self._list(items, get_args(wanted)[0], place)
        members = _members(value)
        if members is not None and origin is dict:
            return await self._dict(members, get_args(wanted)[1], place)
        if members is not None and isinstance(origin, type) and issubclass(origin, msgspec.Struct):
            return await self._struct(members, wanted, place)
        self.mismatches.add(place, value, wanted=wanted)
        return WRONG

    async def _struct(self, members: dict[str, object], wanted: Any, place: Place) -> object:
        declared = _declared(wanted)
        if declared.keys().isdisjoint(members):
            # The object is not a struct of this type. It may be an error message.
            self.mismatches.add(place, members, "the object has none of the declared members")
            return WRONG
        fields, fitting = _fit_members(members, wanted)
        for key, field in declared.items():
            if key in fitting:
                continue
            fields.pop(field.name, None)
            if key in members:
                value = members[key]
                fitted = self._fit(value, field.type)
                if fitted is WRONG:
                    fitted = await self._take_apart(value, field.type, (place, f".{key}"))
                fields[field.name] = _or_none(fitted)
            elif field.required:
                self.mismatches.add((place, f".{key}"), None, "the member is missing")
                fields[field.name] = None
        # The constructor does not check types, so a required field can be None.
        return (get_origin(wanted) or wanted)(**fields)

    async def _dict(self, members: dict[str, object], wanted: Any, place: Place) -> object:
        fields: dict[str, object] = {}
        for key, value in members.items():
            fitted = self._fit(value, wanted)
            if fitted is WRONG:
                fitted = await self._take_apart(value, wanted, (place, f".{key}"))
            elif self._slices.over():
                await self._slices.rest()
            fields[key] = _or_none(fitted)
        return fields

    async def _list(self, items: Sequence[object], wanted: Any, place: Place) -> list[object]:
        kept: list[object] = []
        for index, item in enumerate(items):
            fitted = self._fit(item, wanted)
            if fitted is WRONG:
                fitted = await self._take_apart(item, wanted, (place, f"[{index}]"))
            elif self._slices.over():
                await self._slices.rest()
            if fitted is not WRONG:
                kept.append(fitted)
        return kept

    async def _union(self, value: object, wanted: Any, place: Place) -> object:
        before = self.mismatches
        for member in get_args(wanted):
            self.mismatches = Mismatches()
            try:
                repaired = await self.convert(value, member, place)
            finally:
                tried, self.mismatches = self.mismatches, before
            if repaired is not WRONG:
                before.add_all(tried)
                return repaired
        before.add(place, value, wanted=wanted)
        return WRONG


def repair_at_once(value: object, wanted: Any) -> Any:
    """Convert a small value without letting other tasks run, and return the result or WRONG."""
    converting = Repair(Slices(math.inf), strict=False).convert(value, wanted, ROOT)
    try:
        converting.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("conversion in one slice never rests")


def _fit_members(
    members: dict[str, object], wanted: Any
) -> tuple[dict[str, object], dict[str, object]]:
    """Convert the valid members of a struct together, which is faster than one by one.

    Return two dicts: the converted values by field name, and the part of `members` that is valid.
    In the first dict, an invalid member is UNSET. If too many members are invalid, both are empty.
    """
    twin, rest = _twin(wanted), members
    for _ in range(_MOST_ATTEMPTS):
        try:
            return msgspec.structs.asdict(msgspec.convert(rest, twin)), rest
        except CODEC_ERRORS as exc:
            step = _FIRST_STEP.search(str(exc))
        if step is None or step[1] not in rest:
            break
        rest = rest.copy()
        del rest[step[1]]
    return {}, {}


# The following functions are slow, so their results are cached by type. The caches have limits,
# because a program may create types at run time, for example with `select_fields`.


@functools.lru_cache(maxsize=1024)
def _declared(wanted: Any) -> dict[str, msgspec.structs.FieldInfo]:
    """Return the fields of a struct, by their names in JSON."""
    return {field.encode_name: field for field in msgspec.structs.fields(wanted)}


@functools.lru_cache(maxsize=1024)
def _twin(wanted: Any) -> Any:
    """Return a copy of a struct type, in which all fields have the default UNSET."""
    fields = [
        (field.name, field.type, msgspec.field(default=msgspec.UNSET, name=key))
        for key, field in _declared(wanted).items()
    ]
    return msgspec.defstruct("Twin", fields, kw_only=True, gc=False)


@functools.lru_cache(maxsize=1024)
def _box(wanted: Any) -> Any:
    """Return a struct type with one field, whose type is `wanted`.

    This saves time, because msgspec only caches its analysis of struct types.
    """
    return msgspec.defstruct("Box", [("value", wanted)], gc=False)


def _items(value: object) -> list[object] | None:
    return cast("list[object]", value) if isinstance(value, list) else None


def _members(value: object) -> dict[str, object] | None:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _reason(value: object, wanted: Any) -> str:
    try:
        msgspec.convert(value, wanted)
    except CODEC_ERRORS as exc:
        return str(exc).partition(" - at ")[0]
    return "the value cannot be converted"


def _spelled(place: Place | None) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(step)
    return "".join(reversed(steps))


def _or_none(value: object) -> object:
    return None if value is WRONG else value
