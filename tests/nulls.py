"""Answers with null in a field that the schema declares non-null, one field at a time."""

from __future__ import annotations

import ast
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio
import msgspec

import cloudtower_async
from cloudtower_async import (
    Cloudtower,
    CloudtowerError,
    InvalidInput,
    RetryPolicy,
    models,
    types,
)
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.odd_servers import proxy
from tests.support import THOROUGH

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

    import pytest

Flow: TypeAlias = "Callable[[Cloudtower, Simulator], Awaitable[object]]"

Place: TypeAlias = tuple[str, tuple[str, ...]]
"""Path of an operation, and the names of the members that lead to a field of its answer."""

TOGETHER = 1 if THOROUGH else 20
"""Number of fields that are null in the same run."""

SOURCE = Path(cloudtower_async.__file__).parent
NOT_OURS = ("api", "models", "inputs", "testing", "simulator")
"""Generated code and code of the server."""


@cache
def consumed() -> frozenset[str]:
    """Return the fields of answers, by API name, that hand-written code may read.

    Code that contains the name of a field, as an attribute or in a string, counts as reading it.
    """
    named: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        if file.relative_to(SOURCE).parts[0] in NOT_OURS:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                named.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
    found: set[str] = {"id", "key"}  # of GraphQL answers, which have no models
    structs: list[Any] = [getattr(models, name) for name in dir(models)]
    for struct in (*structs, types.WithTask, types.Connection, types.Aggregate):
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            fields = msgspec.structs.fields(struct)  # pyright: ignore[reportUnknownArgumentType]
            found |= {one.encode_name for one in fields if {one.name, one.encode_name} & named}
    return frozenset(found)


class Nulls:
    """Records the fields of answers, or replaces some of them by null.

    A field becomes null in every other object, so that both values and nulls occur.

    Attributes:
        places: The fields to replace. With None, fields are only recorded.
        seen: The fields of the answers so far that code may read.
        used: The fields that were replaced.
        asked: The operations that were called.
    """

    def __init__(self, places: Sequence[Place] | None = None) -> None:
        self.places = places
        self.seen: dict[Place, None] = {}
        self.used: set[Place] = set()
        self.asked: set[str] = set()

    def tell(self, path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        """Change an answer."""
        self.asked.add(path)
        if self.places is None:
            for names in _places(answer, ()):
                self.seen[path, names] = None
            return answer
        for place in self.places:
            if place[0] == path:
                self._replace(place, answer)
        return answer

    def _replace(self, place: Place, answer: Any) -> None:  # noqa: ANN401
        *parents, name = place[1]
        for one in list(_objects(answer, tuple(parents)))[::2]:
            if name in one:
                one[name] = None
                self.used.add(place)


def _places(value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:  # noqa: ANN401
    if isinstance(value, list):
        for one in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _places(one, names)
    elif isinstance(value, dict):
        for name, member in cast("dict[str, Any]", value).items():
            if name in consumed() and member is not None:
                yield (*names, name)
            yield from _places(member, (*names, name))


def _objects(value: Any, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    if isinstance(value, list):
        for one in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _objects(one, names)
    elif isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if not names:
            yield members
        else:
            yield from _objects(members.get(names[0]), names[1:])


def first(sim: Simulator, resource: str) -> Any:  # noqa: ANN401
    """Return the first document of a type."""
    return next(iter(sim.store.table(resource).values()))


@asynccontextmanager
async def alike(number: int = 1, **sizes: int) -> AsyncGenerator[list[Simulator]]:
    """Run identical simulators with an alert and with tasks that end at once.

    Args:
        number: Number of simulators.
        sizes: Sizes of the fleet, as in `FleetSize`.
    """
    async with AsyncExitStack() as stack:
        simulators: list[Simulator] = []
        for _ in range(number):
            clock = Clock(running=False, per_request=1.0)
            simulator = Simulator(FleetSize(**sizes), clock=clock, task_duration=0.0)
            simulators.append(await stack.enter_async_context(simulator))
            simulator.add_alert()
        yield simulators


@asynccontextmanager
async def session(sim: Simulator, nulls: list[Nulls]) -> AsyncGenerator[Cloudtower]:
    """Connect to a server that sets fields to null; the login is not affected.

    The last one of `nulls` changes the answers.
    """
    async with (
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
        proxy(sim.url, tell=lambda path, body, answer: nulls[-1].tell(path, body, answer)) as url,
        Cloudtower(
            url,
            token=await tower.get_token(),
            change_feed=(sim.changes.username, sim.changes.password),
            retry=RetryPolicy(attempts=1),
        ) as odd,
    ):
        yield odd


async def expect_no_broken_field(
    simulators: Sequence[Simulator],
    flow: Flow,
    name: str,
    tell: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Run a flow with nulls, and fail if a null breaks it.

    Args:
        simulators: See `walk`.
        flow: See `walk`.
        name: Name of the flow in the report.
        tell: Function that writes the report.
        caplog: Silenced, because most nulls cause a warning.
    """
    caplog.set_level(logging.CRITICAL)
    walked = await walk(simulators, flow)
    tell(f"nulls: {name}: {len(walked.fields)} fields of answers in {walked.runs} runs")
    assert walked.fields
    assert walked.broken == {}, walked.broken


@dataclass
class Walk:
    """Result of running a flow with nulls.

    Attributes:
        fields: The fields that were null.
        runs: Number of runs of the flow.
        broken: Unexpected errors by field: errors of Python, or errors about wrong arguments.
    """

    fields: list[Place] = field(default_factory=list[Place])
    runs: int = 0
    broken: dict[Place, Exception] = field(default_factory=dict[Place, Exception])


async def walk(simulators: Sequence[Simulator], flow: Flow, together: int = TOGETHER) -> Walk:
    """Run a flow with nulls in each field of its answers.

    First, many fields are null in the same run. A run shows a difference if it fails, calls other
    operations than a run without nulls, or does not reach one of the fields. In this case, each
    half of the fields is tested in a separate run, down to single fields.

    Args:
        simulators: Identical servers, which test different fields concurrently. Concurrency saves
            time, because a flow mainly waits for the next poll.
        flow: Function to run. It must raise every error of ours that is due to a null.
        together: Number of fields that are null in the first runs.
    """
    walked = Walk()
    used = 0
    consumed()  # now, instead of while a request waits for it
    nulls = [Nulls()]
    async with session(simulators[0], nulls) as tower:
        if error := await _error(flow(tower, simulators[0])):
            if _is_broken(error):
                raise error
            together = 1
    walked.fields = list(nulls[0].seen)

    async def walk_some(sim: Simulator, places: list[Place]) -> None:
        nonlocal used
        nulls = [whole := Nulls()]
        async with session(sim, nulls) as tower:
            # Again, because the first run may have left something behind. Otherwise errors of
            # batches could not be distinguished from an error that occurs anyway.
            size = 1 if together == 1 or await _error(flow(tower, sim)) else together
            # Fields of the same batch are far apart, because neighbors often depend on each other.
            number = -(-len(places) // size)
            batches = [places[start::number] for start in range(number)]
            while batches:
                batch = batches.pop()
                nulls[:] = [now := Nulls(batch)]
                error = await _error(flow(tower, sim))
                walked.runs += 1
                used += len(now.used)
                if len(batch) == 1:
                    if error and _is_broken(error):
                        walked.broken[batch[0]] = error
                elif error or now.asked != whole.asked or len(now.used) < len(batch):
                    half = len(batch) // 2
                    batches += [batch[:half], batch[half:]]

    async with anyio.create_task_group() as group:
        for number, sim in enumerate(simulators):
            group.start_soon(walk_some, sim, walked.fields[number :: len(simulators)])
    assert used
    return walked


async def _error(running: Awaitable[object]) -> Exception | None:
    """Return the error that a flow raises, or None. Check that the error has a message."""
    try:
        with anyio.fail_after(20):
            await running
    except Exception as error:
        str(error)
        return error
    return None


def _is_broken(error: Exception) -> bool:
    """Return whether an error shows that the flow is broken.

    The flow is not broken if the error is an error of this package about the server.
    """
    return isinstance(error, InvalidInput) or not isinstance(error, CloudtowerError)
