"""Which version the server has, and what that explains."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import anyio

from ..errors import CloudtowerError
from .operation import Auth, Carries, Kind, Operation

if TYPE_CHECKING:
    from ..errors import NotFound
    from .caller import Caller

R = TypeVar("R")

OLDEST = "3.0.0"
"""What every server has: no older one is known."""

_GET_VERSION = Operation(
    "api_info.get_api_version",
    "/get-version",
    Kind.QUERY,
    lambda: str,
    carries=Carries.QUERY_STRING,
    method="GET",
    auth=Auth.NONE,
)


async def server_version(caller: Caller, timeout: float | None = None) -> str:
    """The version of the server, asked once for each connection."""
    transport = caller.transport
    async with transport.asking_version:
        if transport.server_version is None:
            transport.server_version = await caller.send(_GET_VERSION, timeout=timeout)
        return transport.server_version


async def explain(caller: Caller, operation: Operation[R], error: NotFound, timeout: float) -> None:
    """Say in the hint when the server is too old for the operation.

    Args:
        caller: Who asks for the version, if need be.
        operation: What was not found.
        error: What is to be explained.
        timeout: Seconds to find out; then it stays as it is.
    """
    if operation.since == OLDEST or error.operation != operation.name or timeout <= 0:
        return
    version = None
    # What goes wrong here says less than the error that there is.
    with anyio.move_on_after(timeout), suppress(CloudtowerError):
        version = await server_version(caller, timeout)
    if version is not None and is_older(version, operation.since):
        method = operation.name.rpartition(".")[2]
        error.hint = f"{method} needs CloudTower {operation.since}; this is {version}."


def is_older(version: str, other: str) -> bool:
    """Whether a version comes before another one: 4.9.0 before 4.10.0."""
    return _numbers(version) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
