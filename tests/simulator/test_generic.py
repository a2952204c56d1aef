"""Every operation that is simulated generically from the schema, over HTTP."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.calls.registry import operation_at
from cloudtower_async.simulator.http_errors import HttpError
from cloudtower_async.simulator.mutations.catalogue import MUTATIONS as ALL
from cloudtower_async.simulator.mutations.context import Context
from cloudtower_async.simulator.mutations.generic.crud import MUTATIONS
from cloudtower_async.simulator.mutations.generic.simple_updates import ACTIONS
from cloudtower_async.simulator.mutations.mutation import GONE, mutation_at, start
from cloudtower_async.simulator.store.schema import queried_resources
from cloudtower_async.simulator.tasks import Work
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.simulator.bodies import BodyFactory, factory_of, fresh
from tests.simulator.client import Client, connected
from tests.simulator.queries import LISTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

GENERIC = sorted(path for path in MUTATIONS if isinstance(ALL[path], functools.partial))
"""Operations without a specific module."""


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    size = FleetSize(clusters=1, hosts_per_cluster=1, vms=3)
    sim = Simulator(size, clock=Clock(running=False), task_duration=1.0)
    async with connected(sim) as client:
        yield client


async def finished(client: Client, answer: list[Any] | dict[str, Any]) -> None:
    client.sim.clock.advance(5)
    items = answer if isinstance(answer, list) else [answer]
    ids = [item["task_id"] for item in items if item.get("task_id")]
    for task in await client.ask("get-tasks", {"where": {"id_in": ids}}):
        assert task["status"] == "SUCCESSED", task


@pytest.mark.parametrize("everything", [False, True], ids=["required", "everything"])
@pytest.mark.parametrize("path", GENERIC)
async def test_every_generic_mutation_has_its_effect(
    client: Client, path: str, everything: bool
) -> None:
    mutation = mutation_at(path)
    factory = factory_of(client)
    subject = "" if mutation.verb == "create" else fresh(client.sim, factory, mutation.resource)
    body = BodyFactory(client.sim, factory, mutation, subject, everything=everything).body()
    before = set(client.sim.store.table(mutation.resource))
    answer = await client.send(path, body)
    if answer.status == 304:  # nothing was requested
        assert mutation.not_modified
        assert not everything
        return
    assert answer.status == 200, (body, answer.content)
    operation_at(f"/{path}").decoder.decode(answer.content)
    await finished(client, answer.json)
    after = client.sim.store.table(mutation.resource)
    if mutation.verb == "create":
        [made] = after.keys() - before
        subject = made
    elif mutation.verb == "delete":
        assert subject not in after
    if subject in after:
        assert after[subject].get("entityAsyncStatus") is None
        if mutation.resource in queried_resources():
            await shown(client, mutation.resource, subject)


@pytest.mark.parametrize("path", [action.path for action in ACTIONS])
async def test_every_action_is_done_and_shown(client: Client, path: str) -> None:
    mutation = mutation_at(path)
    factory = factory_of(client)
    subject = fresh(client.sim, factory, mutation.resource)
    body = BodyFactory(client.sim, factory, mutation, subject, everything=True).body()
    before = client.sim.store.render(
        mutation.resource, client.sim.store.get(mutation.resource, subject), "en-US"
    )
    answer = await client.send(path, body)
    if answer.status == 304:  # there is nothing to remove
        assert path == "remove-labels-from-resources"
        return
    assert answer.status == 200, (body, answer.content)
    operation_at(f"/{path}").decoder.decode(answer.content)
    await finished(client, answer.json)
    document = client.sim.store.get(mutation.resource, subject)
    after = client.sim.store.render(mutation.resource, document, "en-US")
    if not path.startswith(("remove-", "unmount-", "suspend-", "resume-")):
        assert after != before
    await shown(client, mutation.resource, subject)


async def shown(client: Client, resource: str, identifier: str) -> None:
    """Check that a query shows the document as the schema describes it."""
    path = LISTS[resource]
    answer = await client.send(path, {"where": {"id": identifier}})
    assert answer.status == 200, answer.content
    [found] = operation_at(f"/{path}").decoder.decode(answer.content)
    assert found.id == identifier


async def test_a_failed_mutation_without_a_task_is_undone(client: Client) -> None:
    context = Context(factory_of(client), client.sim.tasks, "", client.sim.accounts)
    done: list[str] = []
    work = Work(lambda: GONE, lambda: done.append("failed"))
    with pytest.raises(HttpError, match="no longer exists"):
        start(context, mutation_at("create-isolation-policy"), [{"id": "it"}], work)
    assert done == ["failed"]
