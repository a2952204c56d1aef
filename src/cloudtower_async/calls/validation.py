"""Validate arguments before they are sent: keys, values, and filters that match too much.

The generated TypedDicts describe valid arguments, with about 16,000 keys. The check of a key is
only built when a call first uses the key.
"""

from __future__ import annotations

import functools
import logging
import math
import operator
import re
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar, cast

import msgspec

from ..dates import DATE_TYPES, date_fault, date_text
from ..errors import EmptyFilter, InvalidInput
from ..spelling import did_you_mean
from ..types import CODEC_ERRORS, Everything
from ..validators import whole_number
from .arg_types import ArgType, Record, arguments_of, keys_of_answers, member, place
from .empty_filter import LISTS, is_guarded, is_never_null, matches_all
from .operation import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date, datetime, time, timedelta

    from .operation import Operation

R = TypeVar("R")

Check: TypeAlias = "Callable[[Any], None]"
"""Function that checks a value. The function raises `_Refused` if the value is invalid."""

_log = logging.getLogger("cloudtower_async")

_FILES = (bytes, bytearray, memoryview)
_MOST_TOLD = 1000  # maximum number of unknown enum values to remember, which limits memory
_told: set[tuple[str, str]] = set()

_WIDE = (
    "this filter may match everything: it is missing, empty, or has only empty or None values; "
    "say which resources are meant, or pass EVERYTHING"
)
_LOST = (
    "got None, but the field is never null, so its value was probably lost; give it a value, "
    "or leave the key out"
)


class _Guard(Enum):
    """Which filters are refused if they may match every resource."""

    NONE = "none"
    REQUIRED = "required"  # filters in required keys
    ALL = "all"  # all filters
    INSIDE = "inside"  # the value is part of a filter; None is refused for never-null fields


class _Mode(NamedTuple):
    """What a check looks at.

    Args:
        guard: Filters that are refused if they may match every resource.
        strict: Whether keys and values are checked, too.
    """

    guard: _Guard
    strict: bool


def check(operation: Operation[R], arguments: object, *, validate: bool) -> object:
    """Check arguments before they are sent.

    Args:
        operation: Operation to call. If its `body` is None, the arguments are not checked, because
            the API schema does not describe them.
        arguments: Arguments, with the keys of the API.
        validate: Whether to check all keys and values. Filters that may match everything are
            refused even if this argument is False.

    Returns:
        The arguments in the form that the API wants. Floats without a fraction become integers,
        dates become strings, and a single filter in AND, OR or NOT becomes a list. Keys of filters
        get the spelling of the API.

    Raises:
        EmptyFilter: A filter may match everything.
        InvalidInput: A key or a value is not in the API schema. The message names the place.
    """
    if operation.body is None:  # do not cache the check of a temporary operation
        return arguments
    check_arguments = _check_of(operation, validate)
    if check_arguments is None:
        return dates_as_texts(operation.name, "", arguments)
    if not validate:
        # Structs and similar objects could hide an empty filter. With `validate`, the check refuses
        # such objects.
        arguments = _as_sent(operation.name, dates_as_texts(operation.name, "", arguments))
    error: type[InvalidInput] = InvalidInput
    try:
        try:
            check_arguments(arguments)
        except _NotAsSent:
            arguments = _normalized(arguments, arguments_of(operation))
            check_arguments(arguments)
    except _Refused as refused:
        error = refused.error
        message = refused.describe()
    except RecursionError:
        message = "the arguments are nested too deeply, or contain themselves"
    else:
        return arguments
    raise error(f"{operation.name}: {message}")


def refuse_lost_values(asker: str, record: Record, where: object) -> None:
    """Raise an error if a filter compares None with a field that is never null: ``{"id": None}``.

    Args:
        asker: Name of the method with the argument `where`, for the error message.
        record: TypedDict of the filter.
        where: The filter.

    Raises:
        InvalidInput: The filter has such a comparison. The message names the place.
    """
    try:
        _record(record, _Mode(_Guard.INSIDE, strict=False))(where)
    except _Refused as refused:
        refused.path.append(".where")
        message = refused.describe()
    else:
        return
    raise InvalidInput(f"{asker}: {message}")


class _NotAsSent(Exception):  # noqa: N818 - not an error
    """Raised for a valid value that `_normalized` has to convert before it is sent."""


def _normalized(value: object, shape: ArgType | None) -> object:
    """Return a copy of arguments in the form that the API wants.

    For example, 5.0 becomes 5, a date becomes a string, a single filter in AND, OR or NOT becomes a
    list, and a key of a filter gets the spelling of the API.
    """
    if shape is None or shape.is_free or (shape.is_date and shape.item is None):
        try:
            return _dates_as_texts(value)
        except _Refused:
            return value  # a later check of this value raises the error, and names the place
    if isinstance(value, dict):
        return _normalized_object(cast("dict[str, object]", value), shape)
    if isinstance(value, LISTS):
        return [_normalized(item, shape.item) for item in cast("Iterable[object]", value)]
    if isinstance(value, Everything):
        return [value] if _is_list_of_filters(shape) else value
    if isinstance(value, str):
        return value if shape.record is None else _normalized_text(value, shape)
    return whole_number(value) if isinstance(value, float) and value.is_integer() else value


def _normalized_object(fields: dict[str, object], shape: ArgType) -> object:
    if _is_list_of_filters(shape):
        return [_normalized(fields, shape.item)]
    record = shape.record
    if record is None:
        return fields
    renamed = {_key_to_send(record, key, fields): field for key, field in fields.items()}
    return {key: _normalized(field, member(record, key)) for key, field in renamed.items()}


def _is_list_of_filters(shape: ArgType) -> bool:
    return shape.item is not None and shape.item.is_filter


def _key_to_send(record: Record, key: str, fields: dict[str, object]) -> str:
    sent = keys_of_answers(record).get(key, key)
    return key if sent in fields else sent


def _normalized_text(text: str, shape: ArgType) -> str:
    """Apply `_normalized` to a filter in JSON, and return the new JSON."""
    try:
        given = cast("object", msgspec.json.decode(text))
    except CODEC_ERRORS:
        return text
    where = _normalized(given, replace(shape, kind=dict))
    return text if where == given else msgspec.json.encode(where).decode()


def dates_as_texts(asker: str, path: str, value: object) -> object:
    """Return a value that has no schema, after replacing each datetime by a string.

    Args:
        asker: Name of the called method, or URL path of the request, for error messages.
        path: Place of the value in the arguments, such as ``".json"``, for error messages.
        value: The value.

    Returns:
        The value itself, or a copy if the value holds a datetime.

    Raises:
        InvalidInput: The value holds a datetime without a time zone, or another type of date or
            time. The message names the place.
    """
    try:
        return _dates_as_texts(value)
    except _Refused as refused:
        refused.path.append(path)
        message = refused.describe()
    except RecursionError:
        message = f"{place(path)}: the value is nested too deeply, or contains itself"
    raise InvalidInput(f"{asker}: {message}")


def _dates_as_texts(value: object) -> object:
    if value is None or isinstance(value, str | int | float | Everything):
        return value
    if isinstance(value, DATE_TYPES):
        return _sendable_date(value)
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        if any(isinstance(key, DATE_TYPES) for key in fields):
            raise _Refused("got a date as the name of a field; use a string")
        parts = [(key, _part_with_texts(f".{key}", field)) for key, field in fields.items()]
        same = all(part is field for (_, part), field in zip(parts, fields.values(), strict=True))
        return fields if same else dict(parts)
    if isinstance(value, LISTS):
        given = cast("Sequence[object]", value)  # the value can also be a set
        texts = [_part_with_texts(f"[{index}]", item) for index, item in enumerate(given)]
        return given if all(map(operator.is_, texts, given)) else texts
    if _is_file(value):
        return value
    try:
        built = msgspec.to_builtins(value, builtin_types=DATE_TYPES, str_keys=True)
    except (TypeError, *CODEC_ERRORS):
        return value  # raw JSON, or an invalid value, for which encoding raises an error later
    converted = _dates_as_texts(built)
    return value if converted is built else converted


def _part_with_texts(path: str, value: object) -> object:
    try:
        return _dates_as_texts(value)
    except _Refused as refused:
        refused.path.append(path)
        raise


def _sendable_date(value: date | time | timedelta) -> str:
    if fault := date_fault(value):
        raise _Refused(fault)
    return date_text(cast("datetime", value))


def _as_sent(name: str, arguments: object) -> object:
    """Return a copy of arguments in which structs, dataclasses and raw JSON are dicts and lists."""
    try:
        return _plain(arguments)
    except (TypeError, *CODEC_ERRORS) as exc:
        raise InvalidInput(f"{name}: the arguments cannot be written as JSON: {exc}") from exc


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int | float | Everything):
        return value
    if isinstance(value, dict):
        fields = cast("dict[object, object]", value)
        if all(isinstance(key, str) for key in fields):
            return {key: _plain(field) for key, field in fields.items()}
    elif isinstance(value, LISTS):
        return [_plain(item) for item in cast("Iterable[object]", value)]
    elif _is_file(value):
        return value
    return cast("object", msgspec.json.decode(msgspec.json.encode(value)))


class _Refused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, why: str, *path: str, error: type[InvalidInput] = InvalidInput) -> None:
        self.why = why
        self.path = [*path]  # from the innermost step
        self.error = error

    def describe(self) -> str:
        return f"{place(''.join(reversed(self.path)))}: {self.why}"


@functools.cache
def _check_of(operation: Operation[Any], validate: bool) -> Check | None:
    """Return the function that checks an operation's arguments, or None if none is needed."""
    guard = _Guard.NONE
    if is_guarded(operation):
        guard = _Guard.REQUIRED if operation.kind is Kind.QUERY else _Guard.ALL
    elif not validate:
        return None
    return _compile(arguments_of(operation), operation.name, _Mode(guard, validate))


def _compile(shape: ArgType, name: str, mode: _Mode) -> Check:
    """Return a function that checks a value of the type `shape`. `name` is its key, for the log."""
    check: Check
    guarded = shape.is_filter and mode.guard is _Guard.ALL
    if shape.record is not None:
        check = _record(shape.record, mode._replace(guard=_Guard.INSIDE) if guarded else mode)
        if shape.kind is str:
            check = _as_text(check, shape, strict=mode.strict)
    elif shape.item is not None:
        item = _compile(shape.item, name, mode)
        check = _list_of(item, of_filters=shape.item.is_filter, strict=mode.strict)
    elif not mode.strict:
        return _check_nothing
    elif shape.choices:
        check = _choice(shape.choices, name)
    elif shape.is_date:
        check = _check_date
    else:
        check = _KINDS[shape.kind]
    if shape.nullable:
        check = _nullable(check)
    return _not_wide(check, as_text=shape.kind is str) if guarded else check


def _not_wide(check: Check, *, as_text: bool) -> Check:
    """Return a function that refuses a filter that may match everything, or else runs `check`.

    If `as_text` is True, the filter is JSON in a string.
    """

    def check_filter(where: object) -> None:
        if type(where) is Everything:
            return
        judged = where
        if as_text and isinstance(where, str):
            try:
                judged = msgspec.json.decode(where) if where else None
            except CODEC_ERRORS:
                return
        if matches_all(judged):
            raise _Refused(_WIDE, error=EmptyFilter)
        check(where)

    return check_filter


def _nullable(check: Check) -> Check:
    def check_nullable(value: object) -> None:
        if value is not None:
            check(value)

    return check_nullable


def _list_of(check: Check, *, of_filters: bool, strict: bool) -> Check:
    def check_list(value: object) -> None:
        if not isinstance(value, LISTS):
            if not strict:
                if of_filters and isinstance(value, dict):  # servers accept one filter
                    check_list([cast("object", value)])
                return
            if of_filters and isinstance(value, dict | Everything):
                raise _NotAsSent
            raise _wrong("a list", value, "; put it in a list" if _could_be_item(value) else "")
        for item in cast("list[object]", value):
            try:
                check(item)
            except _Refused as refused:
                index = next(i for i, one in enumerate(cast("list[object]", value)) if one is item)
                refused.path.append(f"[{index}]")
                raise

    return check_list


def _could_be_item(value: object) -> bool:
    return isinstance(value, str | int | float | dict)


@functools.cache
def _record(record: Record, mode: _Mode) -> Check:
    checks: dict[object, Check] = {}
    known: dict[str, object] = record.__annotations__
    required: frozenset[str] = record.__required_keys__
    is_filter = ArgType(dict, record=record).is_filter
    guard, strict = mode
    inside = guard is _Guard.INSIDE

    def learn(key: object, fields: dict[str, object]) -> Check:
        shape = member(record, key) if isinstance(key, str) else None
        if shape is None:
            if not strict:
                return _check_nothing
            if (meant_key := keys_of_answers(record).get(cast("str", key))) is not None:
                if meant_key in fields:
                    raise _Refused(f"the same field as {meant_key}; leave one out", f".{key}")
                raise _NotAsSent
            meant = did_you_mean(str(key), known)
            raise _Refused(f"no such field{meant}", f".{key}")
        inner = mode
        if guard is _Guard.REQUIRED:
            inner = _Mode(_Guard.ALL if key in required else _Guard.NONE, strict)
        check = checks[key] = _compile(shape, f"{record.__name__}.{key}", inner)
        return check

    def check_record(value: object) -> None:
        if not isinstance(value, dict):
            if not strict or (is_filter and type(value) is Everything):
                return
            raise _wrong("an object", value)
        fields = cast("dict[str, object]", value)
        for key, field in fields.items():
            if inside and field is None and is_never_null(record, key):
                raise _Refused(_LOST, f".{key}")
            check = checks.get(key) or learn(key, fields)
            try:
                check(field)
            except _Refused as refused:
                if not refused.path and isinstance(field, LISTS) and f"{key}_in" in known:
                    refused.why += f"; several go in {key}_in"
                refused.path.append(f".{key}")
                raise
        if not required <= fields.keys():
            refuse_missing(sorted(required - fields.keys()))

    def refuse_missing(missing: list[str]) -> None:
        if guard in (_Guard.REQUIRED, _Guard.ALL):
            for key in missing:
                if cast(ArgType, member(record, key)).is_filter:
                    raise _Refused(_WIDE, f".{key}", error=EmptyFilter)
        if not strict:
            return
        first, *others = missing
        more = f", and so {'are' if others[1:] else 'is'} {', '.join(others)}" if others else ""
        raise _Refused(
            f"missing{more}; the API schema requires it, and a session with validate=False "
            "sends the call without it",
            f".{first}",
        )

    return check_record


def _as_text(check: Check, shape: ArgType, *, strict: bool) -> Check:
    """Return a check for a filter that is sent as JSON in a string.

    The check accepts invalid JSON, because the server reports the error.
    """

    def check_text(value: object) -> None:
        if isinstance(value, str):
            try:
                given = cast("object", msgspec.json.decode(value))
            except CODEC_ERRORS:
                return
            value = _normalized(given, replace(shape, kind=dict))
            if value != given:
                raise _NotAsSent
        elif strict and type(value) is not Everything:
            raise _wrong("a string with JSON", value)
        check(value)

    return check_text


def _choice(choices: frozenset[str], name: str) -> Check:
    def check_choice(value: object) -> None:
        _check_text(value)
        if cast("str", value) in choices:
            return
        if meant := _meant_order(cast("str", value), choices):
            raise _Refused(f"expected a field with _ASC or _DESC; did you mean {meant}?")
        seen = (name, str(value))
        if seen not in _told and len(_told) < _MOST_TOLD:
            _told.add(seen)
            meant = did_you_mean(seen[1], choices, few=True)
            _log.warning("%s: sending %.80r, which this version does not know%s", *seen, meant)

    return check_choice


def _meant_order(value: str, choices: frozenset[str]) -> str | None:
    """Return text with the sort orders that a caller may have meant, or None.

    ``-name`` becomes ``name_DESC``, and ``name`` becomes ``name_ASC or name_DESC``.
    """
    found = re.fullmatch(r"([+-]?)(\w+?)(?:[ _:,]+(asc|desc))?", value, re.IGNORECASE)
    if found is None or f"{found[2]}_ASC" not in choices:
        return None
    way = (found[3] or {"-": "DESC", "+": "ASC"}.get(found[1], "")).upper()
    return " or ".join(f"{found[2]}_{one}" for one in ("ASC", "DESC") if way in ("", one))


def _check_text(value: object) -> None:
    if not isinstance(value, str):
        raise _wrong("a string", value, "; give it as str(…)" if _is_number(value) else "")


def _check_whole(value: object) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        return
    if isinstance(value, float):
        if value.is_integer():
            raise _NotAsSent
        raise _Refused("expected a whole number, got a fraction; round it")
    raise _wrong("a whole number", value)


def _check_number(value: object) -> None:
    if not _is_number(value):
        raise _wrong("a number", value)
    if not math.isfinite(cast("float", value)):  # JSON cannot represent this number
        raise _Refused("expected a finite number, got infinity or NaN")


def _check_bool(value: object) -> None:
    if not isinstance(value, bool):
        raise _wrong("True or False", value)


def _check_date(value: object) -> None:
    if isinstance(value, DATE_TYPES):
        _sendable_date(value)
        raise _NotAsSent
    if not isinstance(value, str):
        raise _wrong("a date: a string, or a datetime with a time zone", value)


def _check_object(value: object) -> None:
    if not isinstance(value, dict):
        raise _wrong("an object", value)
    _check_free(cast("object", value))


def _check_file(value: object) -> None:
    if not _is_file(value):
        raise _wrong("bytes or a binary file", value)


def _check_free(value: object) -> None:
    if _dates_as_texts(value) is not value:
        raise _NotAsSent


def _check_nothing(_: object) -> None:
    pass


def _is_file(value: object) -> bool:
    return isinstance(value, _FILES) or hasattr(value, "read")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(expected: str, value: object, remedy: str = "") -> _Refused:
    """Return an error that names the expected type and the type of a value, then `remedy`.

    The value itself may be a secret.
    """
    got = next((name for kind, name in _NAMES if isinstance(value, kind)), type(value).__name__)
    if value is None:
        remedy = "; leave the key out, or give it a value"
    return _Refused(f"expected {expected}, got {got}{remedy}")


_KINDS: dict[type, Check] = {
    str: _check_text,
    int: _check_whole,
    float: _check_number,
    bool: _check_bool,
    dict: _check_object,
    bytes: _check_file,
    object: _check_free,
}
_NAMES: tuple[tuple[Any, str], ...] = (
    (bool, "True or False"),
    (str, "a string"),
    (int, "a whole number"),
    (float, "a number"),
    (dict, "an object"),
    (LISTS, "a list"),
    (type(None), "None"),
)
