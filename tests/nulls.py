"""Answers with null where the schema promises a value, one field at a time."""

from __future__ import annotations

import ast
import logging
from contextlib import AsyncExitStack, asynccontextmanager
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

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

    import pytest

Flow: TypeAlias = "Callable[[Cloudtower, Simulator], Awaitable[object]]"

Place: TypeAlias = tuple[str, tuple[str, ...]]
"""Path of an operation, and the names of the members that lead to a field of its answer."""

SOURCE = Path(cloudtower_async.__file__).parent
NOT_OURS = ("api", "models", "inputs", "testing", "simulator")
"""Generated code, and the server's side."""


@cache
def consumed() -> frozenset[str]:
    """Return the fields of answers, by their names on the wire, that hand-written code may read.

    Code that mentions the name of a field, as an attribute or in a text, counts as reading it.
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
    found: set[str] = {"id", "key"}  # of answers of GraphQL, which are no models
    structs: list[Any] = [getattr(models, name) for name in dir(models)]
    for struct in (*structs, types.WithTask, types.Connection, types.Aggregate):
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            fields = msgspec.structs.fields(struct)  # pyright: ignore[reportUnknownArgumentType]
            found |= {one.encode_name for one in fields if {one.name, one.encode_name} & named}
    return frozenset(found)


class Nulls:
    """Changes answers: notes which fields they have, or replaces one of them by null.

    The field becomes null in every other object, so that values and nulls come together.

    Attributes:
        place: The field to replace; None: only take notes.
        seen: The fields of the answers so far that code may read.
        used: The answers in which the field was replaced.
    """

    def __init__(self) -> None:
        self.place: Place | None = None
        self.seen: dict[Place, None] = {}
        self.used = 0

    def tell(self, path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        """Change an answer."""
        if self.place is None:
            for names in _places(answer, ()):
                self.seen[path, names] = None
        elif self.place[0] == path:
            objects = list(_objects(answer, self.place[1][:-1]))
            for one in objects[::2]:
                if self.place[1][-1] in one:
                    one[self.place[1][-1]] = None
                    self.used += 1
        return answer


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
    """Start simulators that are alike, with an alert, and with tasks that end at once.

    Args:
        number: Number of simulators.
        sizes: Of the fleet, as of `FleetSize`.
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
async def session(sim: Simulator, nulls: Nulls) -> AsyncGenerator[Cloudtower]:
    """Connect to a server that leaves fields null; logging in is not part of it."""
    async with (
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
        proxy(sim.url, tell=nulls.tell) as url,
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
    """Walk a flow, and fail if a null breaks it.

    Args:
        simulators: See `walk`.
        flow: See `walk`.
        name: What it is called in the report.
        tell: Writes the report.
        caplog: Silenced, as most nulls are worth a warning.
    """
    caplog.set_level(logging.CRITICAL)
    fields, broken = await walk(simulators, flow)
    tell(f"nulls: {name}: {len(fields)} fields of answers, one at a time")
    assert fields
    assert broken == {}


async def walk(
    simulators: Sequence[Simulator], flow: Flow
) -> tuple[list[Place], dict[Place, Exception]]:
    """Run a flow once for each field of the answers that it gets, with nulls in that field.

    Args:
        simulators: Servers that are alike. Each one walks a part of the fields, at the same time:
            most of a flow is spent on waiting for the next poll.
        flow: What to run.

    Returns:
        The fields, and the errors that should not have come: of Python, or as if the arguments
        had been wrong.
    """
    notes = Nulls()
    broken: dict[Place, Exception] = {}
    used: list[int] = []
    consumed()  # now, not while a request waits for it
    async with session(simulators[0], notes) as tower:
        if error := await _python_error(flow(tower, simulators[0])):
            raise error
    fields = list(notes.seen)

    async def walk_some(sim: Simulator, places: list[Place]) -> None:
        nulls = Nulls()
        async with session(sim, nulls) as tower:
            for place in places:
                nulls.place = place
                if error := await _python_error(flow(tower, sim)):
                    broken[place] = error
        used.append(nulls.used)

    async with anyio.create_task_group() as group:
        for number, sim in enumerate(simulators):
            group.start_soon(walk_some, sim, fields[number :: len(simulators)])
    assert sum(used)
    return fields, broken


async def _python_error(running: Awaitable[object]) -> Exception | None:
    """Return the error that a flow raises, unless it is one of ours about the server."""
    try:
        with anyio.fail_after(20):
            await running
    except InvalidInput as error:
        return error
    except CloudtowerError as error:
        str(error)
    except Exception as error:
        return error
    return None
