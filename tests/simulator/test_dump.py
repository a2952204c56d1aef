"""Saving a fleet to a file, and loading the fleet of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from cloudtower_async.simulator.store.dump import save
from cloudtower_async.simulator.store.schema import queried_resources
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.simulator.client import connected
from tests.simulator.machines import create, send
from tests.simulator.queries import LISTS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

SIZE = FleetSize(clusters=3, vms=30, snapshots=3)


async def test_a_saved_fleet_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    async with connected(Simulator(SIZE)) as client:
        client.sim.add_vm(name="mine", status="STOPPED")
        await client.sim.save(path)
        before = {one: await client.ask(query) for one, query in LISTS.items()}
        chinese = await client.ask("get-alerts", content_language="zh-CN")
    async with connected(Simulator.load(path)) as client:
        for resource, query in LISTS.items():
            assert await client.ask(query) == before[resource], resource
        assert await client.ask("get-alerts", content_language="zh-CN") == chinese
        # Later documents have new ids.
        known = {one for name in queried_resources() for one in client.sim.store.table(name)}
        vm = client.sim.add_vm()
        assert vm["id"] not in known
        assert client.sim.add_cluster(hosts=1)["id"] not in known


async def test_some_answers_of_a_server_are_enough(tmp_path: Path) -> None:
    async with connected(Simulator(SIZE)) as client:
        dump: dict[str, Any] = {"/get-vms": await client.ask("get-vms")}
    dump["/get-vms"][0]["of_a_newer_server"] = 1
    path = tmp_path / "dump.json"
    await anyio.Path(path).write_bytes(msgspec.json.encode(dump))
    async with connected(Simulator.load(path, username="me", password="mine")) as client:
        vms = await client.ask("get-vms")
        assert [vm["id"] for vm in vms] == [vm["id"] for vm in dump["/get-vms"]]
        assert [vm["host"] for vm in vms] == [vm["host"] for vm in dump["/get-vms"]]
        # A mentioned resource has its name; the other fields are generated.
        hosts = await client.ask("get-hosts")
        assert {host["id"] for host in hosts} == {vm["host"]["id"] for vm in vms}
        assert sum(host["vm_num"] for host in hosts) == len(vms)
        assert client.sim.add_vm()["vm_disks"]


async def test_saving_and_loading_again_and_again_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    lost: list[str] = []
    async with connected(Simulator(SIZE)) as client:
        await client.sim.save(path)
    for number in range(3):
        sim = Simulator.load(path, clock=Clock(running=False))
        async with connected(sim) as client:
            before = ids(sim)
            sim.add_vm(name=f"added-{number}")
            sim.add_alert()
            await create(client, name=f"created-{number}")
            lost += before - ids(sim)
            known = ids(sim)
            uuids = [vm["local_id"] for vm in sim.store.table("Vm").values()]
            assert len(set(uuids)) == len(uuids)
            await sim.save(path)
        async with connected(Simulator.load(path)) as client:
            assert ids(client.sim) == known
            vms = await client.ask("get-vms", {"where": {"name_contains": "ed-"}})
            assert len(vms) == 2 * (number + 1)
    assert lost == []


def ids(sim: Simulator) -> set[str]:
    return {one for name in queried_resources() for one in sim.store.table(name)}


async def test_nothing_of_a_dump_is_under_way(tmp_path: Path) -> None:
    path = tmp_path / "fleet.json"
    async with connected(Simulator(SIZE, clock=Clock(running=False))) as client:
        vm = client.sim.add_vm(status="STOPPED")
        where = {"where": {"id": vm["id"]}}
        [started] = await send(client, "start-vm", where)
        [host] = client.sim.add_cluster(hosts=1)["hosts"]
        entering = await send(
            client, "enter-maintance-mode", {"where": {"host_id": host}, "data": {}}
        )
        await client.sim.save(path)
    async with connected(Simulator(fleet=str(path))) as client:
        store = client.sim.store
        assert store.get("Vm", vm["id"])["entityAsyncStatus"] is None
        assert store.get("Host", host)["host_state"] is None
        for answer in (started, entering):
            task = store.get("Task", answer["task_id"])
            assert task["status"] == "FAILED"
            assert "the server was started anew" in task["error_message"]
            assert task["finished_at"] is not None
        await send(client, "start-vm", where)


async def test_deleted_documents_stay_deleted() -> None:
    async with connected(Simulator(SIZE)) as client:
        dump = save(client.sim.store)
    gone = dump["get-vms"].pop()
    async with connected(Simulator(fleet=dump)) as client:
        assert gone["id"] not in client.sim.store.table("Vm")
        assert len(await client.ask("get-vms")) == len(dump["get-vms"])


@pytest.mark.parametrize(
    ("dump", "message"),
    [
        ({"get-cows": []}, "get-cows: not the answer of a query"),
        ({"get-vms-connection": []}, "get-vms-connection: not the answer"),
        ({"get-vms": {}}, "get-vms: not the answer"),
        ({"start-vm": []}, "start-vm: not the answer"),
        ({"get-vms": [{"name": "x"}]}, "Vm: a document has no id"),
        ({"get-vms": [{"id": "x"}, {"id": "x"}]}, "there is a Vm x already"),
    ],
)
async def test_other_files_than_dumps_are_rejected(dump: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        async with Simulator(fleet=dump):
            pass
