"""Compare server versions, and explain errors that the version of the server causes."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import msgspec

from ..errors import BadRequest, CallError, NotFound
from ..spelling import did_you_mean
from .arg_types import ArgType, arguments_of, key_since, member, place
from .operation import Auth, Carries, Kind, Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

R = TypeVar("R")

OLDEST = "3.0.0"
"""Oldest known server version. Parts of the API with this version exist on every server."""

GET_VERSION = Operation(
    "api_info.get_api_version",
    "/get-version",
    Kind.QUERY,
    lambda: str,
    carries=Carries.QUERY_STRING,
    method="GET",
    auth=Auth.NONE,
)


async def explain(
    operation: Operation[R],
    content: Mapping[str, Any],
    error: CallError,
    timeout: float,
    ask_version: Callable[[], Awaitable[str]],
) -> None:
    """Set the hint of an error if the version of the server or of this package is the reason.

    The server may be too old for the operation or for an argument. This package may be too old to
    know an enum value that was sent.

    Args:
        operation: Operation that was called.
        content: Content that was sent.
        error: Error whose hint is changed.
        timeout: Maximum number of seconds to wait for the server version.
        ask_version: Function that requests the server version. The function is called only if the
            version matters.
    """
    if error.operation != operation.name:
        return
    if type(error) is NotFound:
        needed = {operation.name.rpartition(".")[2]: operation.since}
    elif type(error) is BadRequest and operation.body is not None and "body" in content:
        sent = msgspec.json.decode(content["body"])
        wanted = arguments_of(operation)
        if unknown := next(_unknown_values(wanted, sent, ""), None):
            error.hint = unknown
            return
        needed = dict(_newer_keys(wanted, sent, ""))
    else:
        return
    if all(since == OLDEST for since in needed.values()):
        return
    version = None
    # Ignore all failures, even failures of middleware, because the original error matters more.
    with anyio.move_on_after(timeout), suppress(Exception):
        version = await ask_version()
    if version is None:
        if type(error) is NotFound:
            # The default hint says that the server may be too old.
            error.hint = error.default_hint
        return
    missing = [
        f"{what} needs CloudTower {since}"
        for what, since in needed.items()
        if is_older(version, since)
    ]
    if missing:
        error.hint = f"{', '.join(missing)}; this is {version}."


def _unknown_values(wanted: ArgType, value: object, path: str) -> Iterator[str]:
    """Yield a text about each sent enum value that this version of the package does not know."""
    if wanted.choices and isinstance(value, str) and value not in wanted.choices:
        meant = did_you_mean(value, wanted.choices, few=True)
        yield f"{place(path)}: this version does not know the value {repr(value)[:80]}{meant}"
    for key, inner, field in _parts(wanted, value):
        if inner is not None:
            yield from _unknown_values(inner, field, f"{path}{key}")


def _newer_keys(wanted: ArgType, value: object, path: str) -> Iterator[tuple[str, str]]:
    """Yield each sent key that not every server knows, and the first version that knows it."""
    for key, inner, field in _parts(wanted, value):
        where = f"{path}{key}"
        if wanted.record is not None and (since := key_since(wanted.record, key[1:])):
            yield place(where), since
        elif inner is not None:
            yield from _newer_keys(inner, field, where)


def _parts(wanted: ArgType, value: object) -> Iterator[tuple[str, ArgType | None, object]]:
    """Yield path, type and value of each item of a list or each field of an object.

    A path is ``"[0]"`` or ``".name"``.
    """
    if wanted.item is not None and isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield f"[{index}]", wanted.item, item
    elif wanted.record is not None and isinstance(value, dict):
        for key, field in cast("dict[str, object]", value).items():
            yield f".{key}", member(wanted.record, key), field


def is_older(version: str, other: str) -> bool:
    """Return whether a version is older than another: 4.9.0 is older than 4.10.0."""
    return _numbers(version) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
