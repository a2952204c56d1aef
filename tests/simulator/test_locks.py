"""Resources are locked during a mutation, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.simulator.mutations.catalogue import MUTATIONS
from cloudtower_async.simulator.mutations.context import Context
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.simulator.bodies import factory_of
from tests.simulator.client import Client, connected
from tests.simulator.machines import DURATION, Document, create, ended, parts, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    sim = Simulator(FleetSize(vms=12), clock=Clock(running=False), task_duration=DURATION)
    async with connected(sim) as client:
        yield client


def body_of(client: Client, path: str, vm: Document) -> Any:  # noqa: ANN401
    """Return a valid body of a mutation that changes the VM."""
    store = client.sim.store
    where = {"id": vm["id"]}
    host = {"host_id": store.select("Cluster", {"id_not": vm["cluster"]})[0]["hosts"][0]}
    match path:
        case "create-vm-snapshot":
            return {"data": [{"vm_id": vm["id"], "name": "s"}]}
        case "export-vm":
            return {"where": where, "data": {"type": "OVF", "keep_mac": False}}
        case "convert-vm-template-from-vm":
            return [{"name": "t", "vm_id": vm["id"], "cloud_init_supported": False}]
        case "migrate-vm-across-cluster":
            other = store.select("Cluster", {"id_not": vm["cluster"]})[0]["id"]
            config: dict[str, Any] = {"migrate_type": "COLD_MIGRATE", "network_mapping": []}
            return {"where": where, "data": {"cluster_id": other, "vm_config": config}}
        case "convert-vm-template-to-vm":
            template = store.select("VmTemplate")[0]["id"]
            return [{"converted_from_template_id": template, "name": "v"}]
        case "update-vm-volume":
            where = {"id": parts(client, vm)[0]["vm_volume"]}
            return {"where": where, "data": {"name": "d"}}
        case "enter-maintance-mode":
            return {"where": host, "data": {}}
        case "operate-host-power":
            return {"where": host, "data": {"action": "reboot", "force": True}}
        case _:
            return {"where": where}


def locked(client: Client) -> dict[str, str]:
    """Return the locked documents and the reasons."""
    store = client.sim.store
    return {
        one["id"]: one["entityAsyncStatus"]
        for name, described in store.resources.items()
        if "entityAsyncStatus" in described.fields
        for one in store.table(name).values()
        if one["entityAsyncStatus"]
    }


LOCKING = [
    ("start-vm", {"UPDATING"}),
    ("delete-vm", {"DELETING"}),
    ("export-vm", {"CREATING", "UPDATING"}),
    ("create-vm-snapshot", {"CREATING", "UPDATING"}),
    ("convert-vm-template-from-vm", {"CREATING", "DELETING"}),
    ("convert-vm-template-to-vm", {"CREATING", "DELETING"}),
    ("migrate-vm-across-cluster", {"UPDATING"}),
    ("update-vm-volume", {"UPDATING"}),
    ("enter-maintance-mode", {"UPDATING"}),
    ("operate-host-power", {"UPDATING"}),
]


@pytest.mark.parametrize(("path", "statuses"), LOCKING)
async def test_resources_are_locked_until_the_task_has_ended(
    client: Client, path: str, statuses: set[str]
) -> None:
    vm = await create(client, vm_nics=[])
    answer = await send(client, path, body_of(client, path, vm))
    assert set(locked(client).values()) == statuses
    [task] = await ended(client, answer)
    assert task["status"] == "SUCCESSED"
    assert locked(client) == {}


@pytest.mark.parametrize("path", [path for path, _ in LOCKING])
async def test_rejected_mutations_lock_nothing(client: Client, path: str) -> None:
    vm = await create(client, vm_nics=[])
    sim, body = client.sim, body_of(client, path, vm)
    context = Context(factory_of(client), sim.tasks, "nobody", sim.accounts)
    with pytest.raises(KeyError, match="there is no User nobody"):
        MUTATIONS[path](context, body)
    assert set(locked(client).values()) <= {"CREATING"}  # existing resources are not locked


async def test_a_locked_volume_is_reported_as_such(client: Client) -> None:
    vm = await create(client, vm_nics=[])
    volume = parts(client, vm)[0]["vm_volume"]
    update = {"where": {"id": volume}, "data": {"name": "d"}}
    await send(client, "update-vm-volume", update)
    for path, body in (
        ("update-vm-volume", update),
        ("export-vm-volume", {"where": {"id": volume}, "data": {"type": "RAW"}}),
    ):
        answer = await client.send(path, body)
        assert (answer.status, answer.json["code"]) == (400, "ResourceLocked")
        assert answer.json["props"]["locked_resources"] == [{"id": volume, "type": "VM_VOLUME"}]
