"""The change feed over HTTP."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec
import pytest
from aiohttp import encode_basic_auth

from cloudtower_async.calls.registry import operation_at
from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import Client, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

cloudtower: Any = pytest.importorskip("cloudtower")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = Clock(running=False)
    async with connected(Simulator(clock=clock, task_duration=2.0)) as client:
        feed = client.sim.changes
        client.headers["authorization"] = encode_basic_auth(feed.username, feed.password)
        yield client


async def poll(client: Client, **query: object) -> Any:  # noqa: ANN401
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = await client.send(f"resource-changes?{text}", method="GET")
    assert answer.status == 200, answer.content
    operation_at("/resource-changes").decoder.decode(answer.content)
    return answer.json


def rename(client: Client, name: str, resource: str = "Vm") -> str:
    document = next(iter(client.sim.store.table(resource).values()))
    document["name"] = name
    return str(document["id"])


async def test_changes_come_after_the_revision(client: Client) -> None:
    start = (await poll(client))["currentRevision"]
    assert int(start) > 2**53
    vm = rename(client, "first")
    page = await poll(client, start_revision=start)
    (event,) = page["data"]
    old, new = (msgspec.json.decode(event[name]) for name in ("old_value", "new_value"))
    assert old["name"] != "first"
    assert old | {"name": "first"} == new
    assert event | {"old_value": "", "new_value": ""} == {
        "revision": page["currentRevision"],
        "prev_revision": start,
        "action": "UPDATE",
        "resource_type": "Vm",
        "resource_id": vm,
        "created_at": "2026-01-01T00:00:00.000Z",
        "old_value": "",
        "new_value": "",
    }
    assert page["ec"] == "EOK"
    assert (await poll(client, start_revision=page["currentRevision"]))["data"] == []


async def test_a_server_may_repeat_the_requested_revision(client: Client) -> None:
    rename(client, "first")
    start = client.sim.changes.current_revision
    rename(client, "second")
    client.sim.changes.inclusive = True
    names = [msgspec.json.decode(one["new_value"])["name"] for one in await data(client, start)]
    assert names == ["first", "second"]


async def data(client: Client, start: str, **query: object) -> list[Any]:
    events: list[Any] = (await poll(client, start_revision=start, **query))["data"]
    return events


async def test_effects_of_a_mutation_appear_step_by_step(client: Client) -> None:
    sim = client.sim
    start = sim.changes.current_revision
    vm = sim.store.select("Vm", {"status": "STOPPED"})[0]["id"]
    token = sim.accounts.log_in(sim.username, sim.password, "LOCAL") or ""
    await client.ask("start-vm", {"where": {"id": vm}}, authorization=token)
    for _ in range(3):
        sim.clock.advance(1)
        await poll(client)
    events = await data(client, start, resource_type="Task,Vm")
    seen = [(event["action"], event["resource_type"]) for event in events]
    assert seen[:2] == [("INSERT", "Task"), ("UPDATE", "Vm")]
    rows = [msgspec.json.decode(event["new_value"]) for event in events]
    tasks = [
        row["status"]
        for row, event in zip(rows, events, strict=True)
        if event["resource_type"] == "Task"
    ]
    assert tasks == ["PENDING", "EXECUTING", "SUCCESSED"]
    states = [row["status"] for row in rows if row["id"] == vm]
    assert states[0] == "STOPPED"
    assert states[-1] == "RUNNING"


async def test_the_filters(client: Client) -> None:
    sim = client.sim
    start = sim.changes.current_revision
    vm, host = rename(client, "x"), rename(client, "y", "Host")
    label = sim.store.add("Label", {"id": "l1", "key": "k", "vms": [vm]})["id"]

    async def types(**query: object) -> list[str]:
        return [event["resource_type"] for event in await data(client, start, **query)]

    assert await types() == ["Vm", "Host", "Label", "_LabelToVm"]
    assert await types(resource_type="Host,_LabelToVm") == ["Host", "_LabelToVm"]
    assert await types(resource_id=f"{label},{host}") == ["Host", "Label"]
    assert await types(action="INSERT") == ["Label", "_LabelToVm"]
    assert await types(action="INSERT", resource_type="Host") == []
    (link,) = await data(client, start, resource_type="_LabelToVm")
    assert msgspec.json.decode(link["new_value"]) == {"A": label, "B": vm}
    assert "old_value" not in link
    assert "resource_id" not in link


async def test_pages_are_as_long_as_the_limit(client: Client) -> None:
    start = client.sim.changes.current_revision
    for number in range(5):
        rename(client, f"name-{number}")
        await poll(client)  # each request is a separate step
    names: list[str] = []
    while found := await data(client, start, limit=2):
        start = found[-1]["revision"]
        names += [msgspec.json.decode(event["new_value"])["name"] for event in found]
    assert names == [f"name-{number}" for number in range(5)]


async def test_old_changes_are_compacted(client: Client) -> None:
    feed = client.sim.changes
    start = feed.compact_revision
    for number in range(4):
        rename(client, f"name-{number}")
        feed.events()
    assert [event.row.table for event in feed.events()] == ["Vm"] * 4
    feed.compact(keep=1)
    page = await poll(client, start_revision=start)
    assert int(page["compactRevision"]) > int(start)
    assert page["compactRevision"] == page["data"][0]["prev_revision"]
    assert len(page["data"]) == 1
    feed.keep = 2
    for number in range(3):
        rename(client, f"again-{number}")
        feed.events()
    assert len(feed.events()) == 2


async def test_it_has_its_own_credential(client: Client) -> None:
    sim = client.sim
    token = sim.accounts.log_in(sim.username, sim.password, "LOCAL") or ""
    for header in (
        "",
        token,
        "Basic",
        "Basic not-base64!",
        encode_basic_auth(sim.username, sim.password),
    ):
        answer = await client.send("resource-changes", method="GET", authorization=header)
        assert answer.status == 401
    sim.changes.available = False
    assert (await client.send("resource-changes", method="GET")).status == 404


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "start_revision=-1", "start_revision=1e3", "since=1"],
)
async def test_invalid_requests_are_rejected(client: Client, query: str) -> None:
    assert (await client.send(f"resource-changes?{query}", method="GET")).status == 400


async def test_the_feed_reports_every_change(client: Client) -> None:
    """Applying the feed to an earlier state yields the present state."""
    sim = client.sim
    sim.changes.keep = 100_000
    kept = rows(sim)
    start = sim.changes.current_revision
    token = sim.accounts.log_in(sim.username, sim.password, "LOCAL") or ""
    stopped = {"where": {"status": "STOPPED"}}
    vms = [vm["id"] for vm in sim.store.select("Vm")]
    snapshot = {"vm_id": vms[0], "name": "s", "consistent_type": "CRASH_CONSISTENT"}
    for path, body in (
        ("start-vm", stopped),
        ("create-vm-snapshot", {"data": [snapshot]}),
        ("create-label", [{"key": "k", "value": "v"}]),
        ("add-labels-to-resources", {"where": {"key": "k"}, "data": {"vms": {"id_in": vms[:3]}}}),
        ("update-vm-basic-info", {"where": {"id": vms[1]}, "data": {"name": "renamed"}}),
        ("poweroff-vm", {"where": {"id": vms[2]}}),
        ("delete-vm", {"where": {"id": vms[2]}}),
        ("delete-label", {"where": {"key": "k"}}),
    ):
        await client.ask(path, body, authorization=token)
        sim.clock.advance(10)
        await poll(client)
    while events := await data(client, start, limit=1000):
        start = events[-1]["revision"]
        for event in events:
            if event["resource_type"].startswith("_"):
                continue
            key = event["resource_type"], event["resource_id"]
            assert (event["action"] == "INSERT") == (key not in kept)
            kept.pop(key, None)
            if event["action"] != "DELETE":
                kept[key] = msgspec.json.decode(event["new_value"])
    assert kept == rows(sim)


def rows(sim: Simulator) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of a database with all documents."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, resource in sim.store.resources.items():
        to_one = [relation.field for relation in resource.relations if not relation.many]
        for identifier, document in sim.store.table(name).items():
            row = {field: document.get(field) for field in (*resource.fields, *to_one)}
            found[name, identifier] = msgspec.json.decode(msgspec.json.encode(row))
    return found


async def test_the_vendors_client_reads_it(client: Client) -> None:
    sim = client.sim
    vm = rename(client, "seen")

    def ask() -> Any:  # noqa: ANN401
        configuration = cloudtower.Configuration(
            host=f"{sim.url}/v2/api", username=sim.changes.username, password=sim.changes.password
        )
        module = importlib.import_module("cloudtower.api.resource_change_api")
        api = module.ResourceChangeApi(cloudtower.ApiClient(configuration))
        return api.get_resource_changes(limit=5, resource_type="Vm")

    answer = await anyio.to_thread.run_sync(ask)
    assert [event.resource_id for event in answer.data] == [vm]
    assert answer.current_revision == sim.changes.current_revision
