"""Exporting and importing VMs, templates and volumes, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import Client, connected
from tests.simulator.machines import (
    DURATION,
    GIB,
    a_vm,
    assert_in_step,
    create,
    do,
    ended,
    figures,
    matches_nothing,
    new_vm,
    nics,
    parts,
    refused,
    send,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(clock=Clock(running=False), task_duration=DURATION)) as client:
        yield client


OVF: dict[str, Any] = {
    "name": "appliance",
    "description": "made elsewhere",
    "cpu": {"cores": 2, "sockets": 1},
    "vcpu": 2,
    "memory": 2 * GIB,
    "firmware": "UEFI",
    "disks": [
        {"bus": "SCSI", "name": "disk1.vmdk", "size": 8 * GIB, "type": "DISK"},
        {"bus": "IDE", "name": "cd", "size": 0, "type": "CD_ROM"},
    ],
    "nics": [{"mac": "52:54:00:00:00:01"}],
}


def an_upload(client: Client, status: str = "SUCCESSED") -> str:
    identifier = f"upload-{status}"
    values: dict[str, Any] = {"id": identifier, "status": status, "size": GIB, "args": {}}
    client.sim.store.add("UploadTask", values)
    return identifier


def wanted(client: Client, **values: object) -> dict[str, Any]:
    cluster = client.sim.store.select("Cluster")[0]["id"]
    upload = values.pop("upload", None) or an_upload(client)
    common = {"cluster_id": cluster, "name": "imported", "parsed_ovf": OVF}
    return {**common, "upload_tasks": [upload], **values}


async def test_a_vm_is_exported_to_files(client: Client) -> None:
    vm = await create(client)
    body = {"where": {"id": vm["id"]}, "data": {"type": "OVF"}}
    [answer] = await send(client, "export-vm", body)
    assert (answer["data"]["files"], answer["data"]["entityAsyncStatus"]) == ([], "CREATING")
    assert vm["entityAsyncStatus"] == "UPDATING"
    await ended(client, [answer])
    where = {"where": {"id": answer["data"]["id"]}}
    [file] = await client.ask("get-vm-export-files", where)
    assert [one["fileName"] for one in file["files"]] == ["new.ovf", "data.vmdk"]
    assert (file["type"], file["vm"]["id"]) == ("OVF", vm["id"])
    assert vm["entityAsyncStatus"] is None


async def test_templates_and_volumes_are_exported(client: Client) -> None:
    store = client.sim.store
    vm = await create(client)
    volume = parts(client, vm)[0]["vm_volume"]
    body = {"where": {"id": volume}, "data": {"type": "QCOW2"}}
    [answer] = await send(client, "export-vm-volume", body)
    await ended(client, [answer])
    [file] = store.get("VmExportFile", answer["data"]["id"])["files"]
    assert (file["fileName"], file["type"]) == ("data.qcow2", "QCOW2")
    template = [{"vm": {"id": vm["id"]}, "name": "golden", "clusters": {"id": vm["cluster"]}}]
    [made] = await send(client, "clone-content-library-vm-template-from-vm", template)
    await ended(client, [made])
    body = {"where": {"id": made["data"]["id"]}}
    [answer] = await send(client, "export-content-library-vm-template", body)
    await ended(client, [answer])
    names = [one["fileName"] for one in store.get("VmExportFile", answer["data"]["id"])["files"]]
    assert names == ["golden.ovf", "data.vmdk"]


async def test_an_export_that_fails_leaves_no_file(client: Client) -> None:
    vm = await create(client)
    number = len(client.sim.store.table("VmExportFile"))
    client.sim.tasks.fail_next()
    body = {"where": {"id": vm["id"]}, "data": {"type": "RAW"}}
    await ended(client, await send(client, "export-vm", body))
    assert len(client.sim.store.table("VmExportFile")) == number
    running = a_vm(client, "RUNNING")
    body["where"] = {"id": running["id"]}
    assert "RUNNING" in await refused(client, "export-vm", body)
    await matches_nothing(client, "export-vm", {**body, "where": {"id": "none"}})


async def test_a_vm_is_imported(client: Client) -> None:
    vlan = new_vm(client)["vm_nics"][0]["connect_vlan_id"]
    user = client.sim.store.select("User")[0]["id"]
    operate = {
        "modify_vmdk_disks": [{"vmdk_name": "disk1.vmdk", "volume_name": "v", "bus": "VIRTIO"}],
        "modify_cd_roms": [{"index": 0, "removed": True}],
        "new_disks": {"mount_cd_roms": [{"boot": 7}]},
    }
    values = wanted(
        client,
        disk_operate=operate,
        owner_id=user,
        memory=4,
        memory_unit="GB",
        status="RUNNING",
        vm_nics=[{"connect_vlan_id": vlan}],
    )
    [answer] = await send(client, "import-vm", [values])
    await ended(client, [answer])
    vm = client.sim.store.get("Vm", answer["data"]["id"])
    assert (vm["vcpu"], vm["memory"], vm["firmware"]) == (2, 4 * GIB, "UEFI")
    assert (vm["status"], vm["description"]) == ("RUNNING", "made elsewhere")
    assert (vm["provisioned_size"], vm["used_size"]) == (8 * GIB, GIB)
    [disk], [cd_rom] = parts(client, vm), parts(client, vm, "CD_ROM")
    assert (disk["bus"], cd_rom["boot"], len(nics(client, vm))) == ("VIRTIO", 7, 1)
    assert_in_step(client)


async def test_a_template_is_imported_and_a_vm_created_from_it(client: Client) -> None:
    store = client.sim.store
    values = wanted(client, vm_nics=[{"model": "VIRTIO", "enabled": True}])
    [answer] = await send(client, "import-content-library-vm-template", [values])
    assert answer["data"]["entityAsyncStatus"] == "CREATING"
    await ended(client, [answer])
    template = store.get("ContentLibraryVmTemplate", answer["data"]["id"])
    assert (template["size"], template["clusters"]) == (8 * GIB, [values["cluster_id"]])
    body = {
        "template_id": template["id"],
        "cluster_id": values["cluster_id"],
        "name": "one",
        "is_full_copy": False,
    }
    path = "create-vm-from-content-library-template"
    [answer] = await send(client, path, [body])
    await ended(client, [answer])
    vm = store.get("Vm", answer["data"]["id"])
    assert (vm["vcpu"], vm["provisioned_size"], nics(client, vm)) == (2, 8 * GIB, [])


async def test_a_volume_is_imported(client: Client) -> None:
    cluster = client.sim.store.select("Cluster")[0]["id"]
    values = {"cluster_id": cluster, "name": "v", "upload_task_id": an_upload(client)}
    body = [{**values, "storage_policy": "REPLICA_3_THICK_PROVISION"}]
    [answer] = await send(client, "import-vm-volume", body)
    await ended(client, [answer])
    volume = client.sim.store.get("VmVolume", answer["data"]["id"])
    assert (volume["size"], volume["mounting"]) == (GIB, False)
    assert volume["elf_storage_policy_thin_provision"] is False
    assert volume["entityAsyncStatus"] is None
    mount = {"mount_disks": [{"boot": 1, "bus": "SCSI", "vm_volume_id": volume["id"]}]}
    assert (await create(client, vm_disks=mount))["provisioned_size"] == GIB


@pytest.mark.parametrize(
    ("path", "table"),
    [
        ("import-vm", "Vm"),
        ("import-content-library-vm-template", "ContentLibraryVmTemplate"),
    ],
)
async def test_a_failed_import_leaves_nothing(client: Client, path: str, table: str) -> None:
    before = figures(client), len(client.sim.store.table(table))
    client.sim.tasks.fail_next()
    await ended(client, await send(client, path, [wanted(client)]))
    assert (figures(client), len(client.sim.store.table(table))) == before


async def test_a_volume_that_fails_to_be_imported_leaves_nothing(client: Client) -> None:
    before = figures(client)
    cluster = client.sim.store.select("Cluster")[0]["id"]
    values = {"cluster_id": cluster, "name": "v", "upload_task_id": an_upload(client)}
    client.sim.tasks.fail_next()
    [answer] = await send(client, "import-vm-volume", [values])
    await ended(client, [answer])
    assert answer["data"]["id"] not in client.sim.store.table("VmVolume")
    assert figures(client) == before


async def test_imports_require_an_upload(client: Client) -> None:
    values = wanted(client)
    path = "import-vm"
    await refused(client, path, [{**values, "upload_tasks": ["none"]}], 404)
    without: dict[str, Any] = {**values, "upload_tasks": []}
    assert "one for each disk" in await refused(client, path, [without])
    half = an_upload(client, "EXECUTING")
    message = await refused(client, path, [{**values, "upload_tasks": [half]}])
    assert "is EXECUTING" in message
    await refused(client, path, [{**values, "owner_id": "nobody"}], 404)
    await do(client, path, [values])
