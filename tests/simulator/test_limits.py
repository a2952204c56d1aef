"""Limits of values, locks and languages of older servers, and the URL paths of GraphQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import Client, connected
from tests.simulator.machines import DURATION, a_vm, create, do, ended, refused, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(clock=Clock(running=False), task_duration=DURATION)) as client:
        yield client


def target(client: Client, **values: object) -> list[dict[str, Any]]:
    """Arguments of create-iscsi-target."""
    cluster = client.sim.store.select("Cluster")[0]["id"]
    same = {"cluster_id": cluster, "name": "t", "replica_num": 2, "thin_provision": True}
    return [{**same, "stripe_num": 4, "stripe_size": 262_144, **values}]


@pytest.mark.parametrize(
    ("fits", "values"),
    [
        (True, {"stripe_size": 4096}),
        (True, {"stripe_size": 256, "stripe_size_unit": "KB"}),
        (False, {"stripe_size": 2048}),
        (False, {"stripe_size": 5000}),
        (False, {"stripe_size": 512, "stripe_size_unit": "KB"}),
        (True, {"chap_secret": "abcDEF123456"}),
        (False, {"chap_secret": "abcDEF12345"}),
        (False, {"chap_secret": "abcDEF12345678901"}),
        (False, {"chap_secret": "abcDEF-123456"}),
        (
            False,
            {"initiator_chaps": [{"chap_name": "n", "chap_secret": "x", "initiator_iqn": "i"}]},
        ),
    ],
)
async def test_stripes_and_chap_secrets_have_limits(
    client: Client, fits: bool, values: dict[str, Any]
) -> None:
    body = target(client, **values)
    if fits:
        await do(client, "create-iscsi-target", body)
    else:
        key = next(name for name in values if not name.endswith("unit")).partition("_")[0]
        assert key in await refused(client, "create-iscsi-target", body)


@pytest.mark.parametrize(("number", "fits"), [(0, True), (4095, True), (4096, False), (-1, False)])
async def test_vlan_ids_have_limits(client: Client, number: int, fits: bool) -> None:
    vds = client.sim.store.select("Vds")[0]["id"]
    body = [{"name": "v", "vds_id": vds, "vlan_id": number, "mode_type": "VLAN_ACCESS"}]
    vlan = client.sim.store.select("Vlan")[0]["id"]
    change = {"where": {"id": vlan}, "data": {"vlan_id": number}}
    if fits:
        await do(client, "create-vm-vlan", body)
        await do(client, "update-vm-vlan", change)
    else:
        message = "body[0].vlan_id: expected a number from 0 to 4095"
        assert await refused(client, "create-vm-vlan", body) == message
        assert "data.vlan_id" in await refused(client, "update-vm-vlan", change)


@pytest.mark.parametrize(
    ("key", "most", "more"),
    [
        ("nameservers", ["1.1.1.1"] * 3, ["1.1.1.1"] * 4),
        ("public_keys", ["ssh-rsa x"] * 10, ["ssh-rsa x"] * 11),
        ("user_data", "é" * 16_384, "é" * 16_384 + "x"),
    ],
)
async def test_cloud_init_has_limits(client: Client, key: str, most: object, more: object) -> None:
    template = client.sim.store.select("ContentLibraryVmTemplate", {"cloud_init_supported": True})
    cluster = template[0]["clusters"][0]
    path = "create-vm-from-content-library-template"
    body = {"template_id": template[0]["id"], "cluster_id": cluster, "is_full_copy": False}
    wrong = [{**body, "name": "no", "cloud_init": {key: more}}]
    assert f"body[0].cloud_init.{key}: expected at most" in await refused(client, path, wrong)
    await do(client, path, [{**body, "name": "yes", "cloud_init": {key: most}}])


async def test_a_priority_needs_high_availability(client: Client) -> None:
    vm = await create(client, ha=True, ha_priority="LEVEL_3_HIGH")
    assert vm["ha_priority"] == "LEVEL_3_HIGH"
    clone = {"src_vm_id": vm["id"], "name": "c", "ha": False, "ha_priority": "LEVEL_1_LOW"}
    assert "ha_priority" in await refused(client, "clone-vm", [clone])


@pytest.mark.parametrize(("tools", "status"), [("RUNNING", "SUCCESSED"), ("NOT_RUNNING", "FAILED")])
async def test_a_file_system_consistent_snapshot_needs_vm_tools(
    client: Client, tools: str, status: str
) -> None:
    vm = a_vm(client, "RUNNING")
    vm["vm_tools_status"] = tools
    wanted = {"vm_id": vm["id"], "name": "s", "consistent_type": "FILE_SYSTEM_CONSISTENT"}
    [answer] = await send(client, "create-vm-snapshot", {"data": [wanted]})
    [task] = await ended(client, [answer])
    assert task["status"] == status
    kept = answer["data"]["id"] in client.sim.store.table("VmSnapshot")
    assert kept is (status == "SUCCESSED")


async def test_a_lock_says_what_is_locked_and_by_which_path(client: Client) -> None:
    vm = await create(client)
    disk = next(iter(vm["vm_disks"]))
    await send(client, "start-vm", {"where": {"id": vm["id"]}})
    body = {"where": {"id": vm["id"]}, "data": {"disk_ids": [disk]}}
    answer = await client.send("remove-vm-disk", body)
    assert answer.status == 400
    assert answer.json == {
        "message": f"Resource [VM-{vm['id']}] locked",
        "status": 400,
        "path": "/remove-vm-disk",
        "code": "ResourceLocked",
        "props": {"locked_resources": [{"id": vm["id"], "type": "VM"}]},
    }


@pytest.mark.parametrize(("version", "locks"), [("3.0.0", False), ("3.3.0", True)])
async def test_old_servers_have_no_locks(version: str, locks: bool) -> None:
    sim = Simulator(clock=Clock(running=False), task_duration=DURATION, version=version)
    async with connected(sim) as client:
        vm = a_vm(client, "RUNNING")
        first = {"where": {"id": vm["id"]}, "data": {"description": "one"}}
        second = {"where": {"id": vm["id"]}, "data": {"description": "two"}}
        [one] = await send(client, "update-vm-basic-info", first)
        if locks:
            assert "locked" in await refused(client, "update-vm-basic-info", second)
            return
        [other] = await send(client, "update-vm-basic-info", second)
        assert [task["status"] for task in await ended(client, [one, other])] == ["SUCCESSED"] * 2
        assert (vm["description"], vm["entityAsyncStatus"]) == (
            "two",
            None,
        )  # overwritten


@pytest.mark.parametrize(("version", "status"), [("3.0.0", 400), ("4.3.9", 400), ("4.4.0", 200)])
async def test_old_servers_do_not_know_all_languages_at_once(version: str, status: int) -> None:
    async with connected(Simulator(version=version)) as client:
        answer = await client.send("get-alerts", {"first": 1}, content_language="*")
        assert answer.status == status
        assert (await client.send("get-alerts", {}, content_language="zh-CN")).status == 200


@pytest.mark.parametrize("root", ["/api", "/api/"])
async def test_graphql_answers_with_and_without_a_slash(client: Client, root: str) -> None:
    answer = await client.send("", {"query": "{authnStrategies{id type}}"}, root=root)
    assert (answer.status, list(answer.json["data"])) == (200, ["authnStrategies"])
