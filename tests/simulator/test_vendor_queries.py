"""Every query with random filters: the vendor's client, ours and a slow implementation agree."""

# ruff: noqa: ANN401 - a where is made of anything
from __future__ import annotations

import functools
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest
from anyio.from_thread import start_blocking_portal

from cloudtower_async import Cloudtower
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.simulator.store.schema import describe, queried_resources, where_conditions
from cloudtower_async.testing import FleetSize, Simulator
from tests.simulator.queries import COUNTS, LISTS
from tests.simulator.reference import Reference
from tests.simulator.vendor import VERSION, Vendor, knows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from cloudtower_async.simulator.store.filters import Condition

pytestmark = pytest.mark.anyio

EACH = 24
"""Filters of each resource."""

TALLY: Counter[str] = Counter()


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    """One simulator for all tests: nothing here changes it."""
    simulator = Simulator(FleetSize(clusters=3, vms=24))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(simulator) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def vendor(sim: Simulator) -> Vendor:
    return Vendor(sim)


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        yield tower


class Wheres:
    """Generates filters from the values of documents, so that they match something.

    Args:
        sim: The simulator with the documents.
        seed: The same seed makes the same filters.
    """

    def __init__(self, sim: Simulator, seed: str) -> None:
        self.sim = sim
        self.random = Random(seed)  # noqa: S311 - nothing secret

    def where(self, resource: str, depth: int = 2) -> dict[str, Any]:
        """Return a filter with up to three conditions and some combinations."""
        shape = where_conditions(resource)
        keys = [key for key, one in shape.items() if one.target is None or depth]
        chosen = self.random.sample(keys, min(len(keys), self.random.choice((1, 1, 1, 2, 3))))
        where = {key: self.value(resource, shape[key], depth) for key in chosen}
        if depth and self.random.random() < 0.4:
            parts = [self.where(resource, depth - 1) for _ in range(self.random.randint(0, 2))]
            where[self.random.choice(("AND", "OR", "NOT"))] = parts
        return where

    def value(self, resource: str, condition: Condition, depth: int) -> Any:
        if condition.target is not None:
            if condition.operator == "one" and self.random.random() < 0.2:
                return None
            return self.where(condition.target, depth - 1)
        table = self.sim.store.table(resource).values()
        values = [one for doc in table if (one := doc[condition.field]) is not None]
        if not values or self.random.random() < 0.1:
            return None
        if condition.operator.endswith("in"):
            return self.random.sample(values, min(len(values), self.random.randint(0, 3)))
        value = self.random.choice(values)
        if condition.operator.endswith(("contains", "starts_with", "ends_with")):
            ends = sorted(self.random.sample(range(len(value) + 1), 2)) if value else [0, 0]
            start = 0 if condition.operator.endswith("starts_with") else ends[0]
            return value[start : None if condition.operator.endswith("ends_with") else ends[1]]
        return value


def fields(resource: str) -> tuple[str, ...]:
    return describe(resource).fields


@functools.cache
def relations(resource: str) -> dict[str, tuple[str, bool]]:
    return {one.field: (one.target, one.many) for one in describe(resource).relations}


@pytest.mark.parametrize("resource", queried_resources())
async def test_all_three_return_the_same_resources(
    resource: str, sim: Simulator, vendor: Vendor, tower: Cloudtower
) -> None:
    path = LISTS[resource]
    if not knows(path):
        pytest.skip(f"cloudtower-sdk {VERSION} has no {path}")
    rules = Reference(fields, relations, sim.store.table)
    namespace, _, method = OPERATIONS[f"/{path}"].partition(".")
    ours = getattr(getattr(tower, namespace), method)
    documents = len(sim.store.table(resource))
    for number in range(EACH):
        where = Wheres(sim, f"{resource} {number}").where(resource)
        expected = rules.matching(where, resource)
        theirs = await anyio.to_thread.run_sync(functools.partial(vendor.ask, path, where=where))
        assert sorted(one.id for one in theirs) == expected, where
        assert sorted(one.id for one in await ours(where=where)) == expected, where
        counts = COUNTS.get(resource)
        if counts and knows(counts):
            counted = functools.partial(vendor.ask, counts, where=where)
            found = await anyio.to_thread.run_sync(counted)
            assert found.aggregate.count == len(expected), where
        TALLY["filters"] += 1
        TALLY["found"] += len(expected)
        TALLY["some, not all"] += 0 < len(expected) < documents
    TALLY["resources"] += 1


def test_enough_queries_were_compared(tell: Callable[[str], None]) -> None:
    if not TALLY["filters"]:
        pytest.skip("nothing was compared")
    tell(
        f"cloudtower-sdk {VERSION}: {TALLY['filters']} filters on {TALLY['resources']}"
        f" resources found the same {TALLY['found']} documents as ours and the rules;"
        f" {TALLY['some, not all']} of them some and not all"
    )
    assert TALLY["some, not all"] > TALLY["filters"] // 10
