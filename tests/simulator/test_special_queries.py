"""Queries that do not list resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.calls.registry import operation_at
from cloudtower_async.simulator.server.special_queries import HANDLERS
from cloudtower_async.testing import FleetSize, Simulator
from tests.simulator.client import Client, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(FleetSize())) as client:
        store = client.sim.store
        gpu = store.select("GpuDevice")[0]
        store.change("GpuDevice", gpu["id"], vms=[store.select("Vm")[0]["id"]])
        [exported] = store.select("VmExportFile")
        file = {"fileName": "disk.qcow2", "fileSecret": "", "fileSize": 1, "fileUUID": "x"}
        exported["files"] = [{**file, "md5": "0", "type": "QCOW2"}]
        yield client


def bodies(client: Client) -> dict[str, dict[str, Any]]:
    def first(resource: str) -> dict[str, Any]:
        return {"id": client.sim.store.select(resource)[0]["id"]}

    return {
        "get-backup-restore-point-metadata": {"where": first("BackupRestorePoint")},
        "get-cluster-pin-in-performance-info": {"where": {}},
        "get-cluster-storage-info": {
            "where": {"name": "atlas-01"},
            "effect": {"replica": [2, 3], "ec": [{"k": 2, "m": 1}]},
        },
        "get-detail-vm-info-by-gpu-devices": {"orderBy": "name_ASC", "first": 1},
        "get-discover-hosts": {"cluster": first("Cluster")},
        "get-export-file-download-links": {"where": first("VmExportFile")},
        "get-log-service-configs": {"input": {"cluster": first("Cluster")}},
        "get-meta-leader": {"where": {}},
        "get-my-info": {},
        "get-ntp-service-url": {},
        "get-vm-gpu-device-info": {"where": {"gpu_devices_some": {}}},
        "get-witness-services": {"where": first("Witness")},
    }


@pytest.mark.parametrize("path", sorted(HANDLERS))
async def test_answers_fit_the_models(client: Client, path: str) -> None:
    asked = operation_at(f"/{path}")
    body = bodies(client)[path]
    answer = await client.send(path, body or None, method=asked.method)
    assert answer.status == 200, answer.content
    assert asked.decoder.decode(answer.content) is not None


async def test_my_info_is_that_of_the_logged_in_user(client: Client) -> None:
    me = await client.ask("get-my-info")
    assert (me["username"], me["role"], me["roles"][0]["name"]) == ("root", "ROOT", "ROOT")


async def test_allocable_storage_follows_from_the_free_space(client: Client) -> None:
    [info] = await client.ask(
        "get-cluster-storage-info", bodies(client)["get-cluster-storage-info"]
    )
    [cluster] = client.sim.store.select("Cluster", {"name": "atlas-01"})
    used, free = cluster["used_data_space"], info["free_data_space"]
    assert used + free == cluster["valid_data_space"]
    capacity = info["allocable_storage_capacity"]
    assert [one["capacity"] for one in capacity["replica"]] == [free / 2, free / 3]
    assert [one["capacity"] for one in capacity["ec"]] == [pytest.approx(free * 2 / 3)]
    [plain] = await client.ask(
        "get-cluster-storage-info", {"where": {"name": "atlas-01"}, "effect": {}}
    )
    assert [one["replica_num"] for one in plain["allocable_storage_capacity"]["replica"]] == [2]
    assert plain["allocable_storage_capacity"]["ec"] == []


async def test_gpus_and_their_vms(client: Client) -> None:
    [vm] = await client.ask("get-vm-gpu-device-info", {"where": {"gpu_devices_some": {}}})
    gpus = await client.ask("get-detail-vm-info-by-gpu-devices", {})
    [used] = [gpu for gpu in gpus if gpu["vms"]]
    assert used["vms"][0]["id"] == vm["id"]
    assert vm["gpu_devices"][0]["id"] == used["id"]
    assert len(gpus) == len(client.sim.store.table("GpuDevice"))


async def test_a_restore_point_describes_its_vm(client: Client) -> None:
    [point] = client.sim.store.select("BackupRestorePoint")[:1]
    vm = client.sim.store.get("Vm", point["vm"])
    told = await client.ask("get-backup-restore-point-metadata", {"where": {"id": point["id"]}})
    assert (told["name"], told["memory"]) == (vm["name"], vm["memory"])
    assert len(told["vm_disks"]) == len(vm["vm_disks"])
    client.sim.store.change("BackupRestorePoint", point["id"], vm=None)
    gone = await client.send("get-backup-restore-point-metadata", {"where": {"id": point["id"]}})
    assert gone.status == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("get-witness-services", {"where": {"id": "nobody"}}, 404),
        ("get-witness-services", {"where": {}}, 404),
        ("get-witness-services", {}, 400),
        ("get-discover-hosts", {"cluster": {"id": "nowhere"}}, 404),
        ("get-log-service-configs", {"input": {"cluster": {"id": "nowhere"}}}, 404),
        ("get-meta-leader", {}, 400),
        ("get-cluster-storage-info", {"where": {}}, 400),
        ("get-cluster-storage-info", {"where": {}, "effect": {"ec": [{"k": 1}]}}, 400),
        ("get-vm-gpu-device-info", {"orderBy": "colour_ASC"}, 400),
        ("get-detail-vm-info-by-gpu-devices", {"first": "1"}, 400),
    ],
)
async def test_invalid_requests_are_rejected(
    client: Client, path: str, body: object, status: int
) -> None:
    assert (await client.send(path, body)).status == status
