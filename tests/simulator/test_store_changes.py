"""Side effects of creating, updating and deleting in the simulator, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.calls.registry import operation_at
from cloudtower_async.testing import Clock, Failure, Simulator
from tests.simulator.bodies import factory_of, fresh, seed
from tests.simulator.client import Client, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    sim = Simulator(clock=Clock(running=False), task_duration=10.0, clusters=1, vms=6)
    async with connected(sim) as client:
        yield client


def a(client: Client, resource: str) -> str:
    return seed(client.sim, factory_of(client), resource)


def new(client: Client, resource: str, **values: object) -> str:
    identifier = fresh(client.sim, factory_of(client), resource)
    client.sim.store.change(resource, identifier, **values)
    return identifier


async def do(client: Client, path: str, body: object) -> Any:  # noqa: ANN401
    """Send a mutation, check the answer against the schema, and wait until it ends."""
    answer = await client.send(path, body)
    assert answer.status == 200, answer.content
    operation_at(f"/{path}").decoder.decode(answer.content)
    client.sim.clock.advance(20)
    await client.ask("get-tasks-connection", {})
    return answer.json


async def refusal(client: Client, path: str, body: object, status: int) -> str:
    answer = await client.send(path, body)
    assert answer.status == status, answer.content
    return str(answer.json["message"]) if answer.content else ""


def label(client: Client, key: str = "team") -> str:
    return new(client, "Label", key=key)


async def test_a_new_thing_is_being_created_until_its_task_has_ended(client: Client) -> None:
    [body] = [{"cluster_id": a(client, "Cluster"), "name": "blue"}]
    [made] = await client.ask("create-vm-folder", [body])
    folders = client.sim.store.table("VmFolder")
    assert made["data"]["name"] == "blue"
    [task] = await client.ask("get-tasks", {"where": {"id": made["task_id"]}}, content_language="*")
    assert task["resource_mutation"] == "createVmFolder"
    assert '"en-US":"Create VM folder blue"' in task["description"]
    assert "创建虚拟机组 blue" in task["description"]
    volume = {"cluster_id": body["cluster_id"], "name": "v", "sharing": False, "size": 2}
    [created] = await client.ask("create-vm-volume", [volume | {"size_unit": "GB"}])
    assert created["data"]["entityAsyncStatus"] == "CREATING"
    client.sim.clock.advance(11)
    [shown] = await client.ask("get-vm-volumes", {"where": {"id": created["data"]["id"]}})
    assert (shown["entityAsyncStatus"], shown["size"]) == (None, 2 * 2**30)
    assert shown["elf_storage_policy_replica_num"] == 2
    assert made["data"]["id"] in folders


async def test_a_resource_whose_creation_fails_is_gone(client: Client) -> None:
    client.sim.tasks.fail_next(Failure())
    body = [{"cluster_id": a(client, "Cluster"), "name": "blue"}]
    [made] = await do(client, "create-vm-folder", body)
    assert made["data"]["id"] not in client.sim.store.table("VmFolder")


async def test_deleting_a_resource_during_its_mutation_fails_the_task(client: Client) -> None:
    everything: dict[str, Any] = {"vms": {}}
    for path, body in (
        ("update-label", {"data": {"key": "new"}}),
        ("delete-label", {}),
        ("add-labels-to-resources", {"data": everything}),
    ):
        identifier = label(client)
        [begun] = await client.ask(path, {**body, "where": {"id": identifier}})
        client.sim.store.remove("Label", identifier)
        client.sim.clock.advance(20)
        [task] = await client.ask("get-tasks", {"where": {"id": begun["task_id"]}})
        assert (task["status"], task["error_code"]) == ("FAILED", "RESOURCE_NOT_FOUND")
    [made] = await client.ask("create-label", [{"key": "x"}])
    client.sim.store.remove("Label", made["data"]["id"])
    client.sim.clock.advance(20)
    [task] = await client.ask("get-tasks", {"where": {"id": made["task_id"]}})
    assert task["status"] == "FAILED"


WRONG: list[tuple[str, Any, str]] = [
    ("create-label", [{}], "body[0].key: required"),
    ("create-label", {}, "body: expected a list"),
    ("create-label", [{"key": 1}], "body[0].key: expected a string, got 1"),
    ("create-label", [{"key": "a", "kye": "b"}], "body[0].kye: there is no such key"),
    ("create-label", [{"key": None}], "body[0].key: expected a string, got None"),
    ("update-label", {"where": {"kye": "a"}, "data": {}}, "where.kye: Label has no such key"),
    ("update-view", {"where": {}, "data": {"time_unit": "EON"}}, "time_unit: expected one of"),
    ("update-view", {"where": {}, "data": {"time_span": True}}, "expected a whole number"),
    ("update-snapshot-plan", {"where": {}, "data": {"exec_h_m": "noon"}}, "a time like 10:30"),
    ("create-root-user", {"password": "x"}, "there is a root user already"),
    (
        "batch-create-virtual-private-cloud-floating-ips",
        {"vpc_id": ""},
        "neither addresses nor a number",
    ),
]


@pytest.mark.parametrize(("path", "body", "message"), WRONG)
async def test_arguments_that_the_schema_does_not_allow_are_400(
    client: Client,
    path: str,
    body: dict[str, Any] | list[Any],
    message: str,
) -> None:
    for resource in ("View", "SnapshotPlan", "VirtualPrivateCloud"):
        one = a(client, resource)
        if "vpc_id" in body and resource == "VirtualPrivateCloud":
            body = {"vpc_id": one}
    assert message in await refusal(client, path, body, 400)


async def test_unknown_paths_are_404(client: Client) -> None:
    body = [{"cluster_id": "nobody", "name": "x"}]
    assert "there is no Cluster nobody" in await refusal(client, "create-vm-folder", body, 404)
    target = {"data": {"cluster": {"id": "nobody"}}, "where": {"id": a(client, "Graph")}}
    assert "no Cluster matches cluster" in await refusal(client, "update-graph", target, 404)
    mount = {"data": {"vms": {"id": "nobody"}}, "where": {"id": a(client, "UsbDevice")}}
    await refusal(client, "mount-usb-device", mount, 404)
    clone = [{"data": {"name": "x"}, "where": {"id": "nobody"}}]
    await refusal(client, "clone-vm-volume", clone, 404)


async def test_operations_that_are_not_simulated_are_501(client: Client) -> None:
    nothing: list[object] = []
    body = {"where": {"id": a(client, "Vlan")}, "data": {"extra_ip": nothing}}
    message = await refusal(client, "update-management-vlan", body, 501)
    assert "does not model extra_ip of Vlan" in message


async def test_nothing_to_change_is_304(client: Client) -> None:
    identifier = label(client)
    same = {"where": {"id": identifier}, "data": {"key": "team"}}
    assert (await client.send("update-label", same)).status == 304
    none = {"where": {"id": "nobody"}, "data": {"key": "team"}}
    assert (await client.send("update-label", none)).status == 304
    assert (await client.send("update-vsphere-esxi-account", {"data": []})).status == 304


async def test_labels_are_put_on_and_taken_off(client: Client) -> None:
    identifier = label(client)
    vms = [vm["id"] for vm in client.sim.store.select("Vm")[:2]]
    body = {"where": {"id": identifier}, "data": {"vms": {"id_in": vms}, "clusters": {}}}
    await do(client, "add-labels-to-resources", body)
    [shown] = await client.ask("get-labels", {"where": {"id": identifier}})
    assert (shown["vm_num"], len(shown["vms"])) == (2, 2)
    found = await client.ask("get-vms", {"where": {"labels_some": {"id": identifier}}})
    assert [vm["id"] for vm in found] == vms
    assert (await client.send("add-labels-to-resources", body)).status == 304
    await do(client, "remove-labels-from-resources", body)
    [shown] = await client.ask("get-labels", {"where": {"id": identifier}})
    assert (shown["vm_num"], shown["total_num"]) == (0, 0)
    assert (await client.send("remove-labels-from-resources", body)).status == 304


async def test_volumes_are_locked_while_something_is_done_to_them(client: Client) -> None:
    volume = new(client, "VmVolume")
    body = {"where": {"id": volume}, "data": {"name": "other"}}
    await client.ask("update-vm-volume", body)
    answer = await client.send("delete-vm-volume", {"where": {"id": volume}})
    assert answer.status == 400
    assert answer.json["code"] == "ResourceLocked"
    assert answer.json["props"]["locked_resources"] == [{"id": volume, "type": "VM_VOLUME"}]


async def test_a_resource_in_use_is_not_deleted(client: Client) -> None:
    volume = next(iter(client.sim.store.table("VmDisk").values()))["vm_volume"]
    where = {"where": {"id": volume}}
    assert "mounted in a VM" in await refusal(client, "delete-vm-volume", where, 400)
    root = {"where": {"username": client.sim.username}}
    assert "cannot delete themselves" in await refusal(client, "delete-user", root, 400)
    role = new(client, "UserRoleNext")
    new(client, "User", roles=[role])
    where = {"where": {"id": role}}
    assert "users have the role" in await refusal(client, "delete-role", where, 400)
    subsystem = a(client, "NvmfSubsystem")
    where = {"where": {"id": subsystem}}
    message = await refusal(client, "delete-nvmf-subsystem", where, 400)
    assert "is in use by " in message


async def test_deleting_a_target_with_luns_is_accepted_and_its_task_fails(client: Client) -> None:
    target = a(client, "IscsiTarget")
    new(client, "IscsiLun", iscsi_target=target, name="lun-1")
    [answer] = await client.ask("delete-iscsi-target", {"where": {"id": target}})
    client.sim.clock.advance(20)
    [task] = await client.ask("get-tasks", {"where": {"id": answer["task_id"]}})
    assert task["status"] == "FAILED"
    assert "is in use by IscsiLun" in task["error_message"]
    assert target in client.sim.store.table("IscsiTarget")


async def test_dependent_resources_are_deleted_with_their_owner(client: Client) -> None:
    view = new(client, "View")
    graph = new(client, "Graph", view=view)
    await do(client, "delete-view", {"where": {"id": view}})
    assert graph not in client.sim.store.table("Graph")
    cluster = next(iter(client.sim.store.table("Cluster")))
    await do(client, "delete-cluster", {"where": {"id": cluster}})
    store = client.sim.store
    for resource in ("Host", "Vm", "Vds", "IscsiTarget"):
        assert not [one for one in store.table(resource).values() if one["cluster"] == cluster]
    known = store.table("Vm")
    assert all(disk["vm"] in known for disk in store.table("VmDisk").values())


@pytest.mark.parametrize("too", [True, False])
async def test_snapshots_stay_unless_they_are_to_go(client: Client, too: bool) -> None:
    lun = new(client, "IscsiLun")
    snapshot = new(client, "IscsiLunSnapshot", iscsi_lun=lun)
    body = {"where": {"id": lun}, "data": {"remove_snapshot": too}}
    await do(client, "delete-iscsi-lun", body)
    assert (snapshot not in client.sim.store.table("IscsiLunSnapshot")) is too


async def test_users_log_in_with_the_password_that_they_were_given(client: Client) -> None:
    role = new(client, "UserRoleNext")
    body = {"name": "Ada", "username": "ada", "password": "first", "role_id": role}
    [made] = await do(client, "create-user", [body])
    await client.ask("login", {"username": "ada", "password": "first"})
    where = {"id": made["data"]["id"]}
    await do(client, "update-user", {"where": where, "data": {"password": "second"}})
    await refusal(client, "login", {"username": "ada", "password": "first"}, 400)
    await client.ask("login", {"username": "ada", "password": "second"})
    await do(client, "update-user", {"where": where, "data": {"email_address": None}})
    [shown] = await client.ask("get-users", {"where": where})
    assert (shown["display_username"], shown["roles"][0]["id"]) == ("ada", role)
    await do(client, "update-user", {"where": where, "data": {"username": "lovelace"}})
    await refusal(client, "login", {"username": "ada", "password": "second"}, 400)
    await client.ask("login", {"username": "lovelace", "password": "second"})


async def test_a_password_of_an_unknown_user_is_rejected(client: Client) -> None:
    with pytest.raises(ValueError, match="there is no user ada"):
        client.sim.accounts.set_password("ada", "first")


async def test_a_switch_comes_with_its_network(client: Client) -> None:
    vlan: dict[str, Any] = {"vlan_id": 7, "subnetmask": "255.255.255.0", "extra_ip": []}
    ties: dict[str, Any] = {"cluster_id": a(client, "Cluster"), "nic_ids": []}
    body = {"name": "sw", "vlan": vlan, **ties}
    [made] = await do(client, "create-vds-with-migrate-vlan", [body])
    [shown] = await client.ask("get-vdses", {"where": {"id": made["data"]["id"]}})
    assert (shown["type"], shown["vlans_num"]) == ("MIGRATION", 1)
    [network] = await client.ask("get-vlans", {"where": {"vds": {"id": shown["id"]}}})
    assert (network["vlan_id"], network["type"]) == (7, "MIGRATION")


async def test_settings_of_a_cluster_are_changed_by_the_id_of_the_cluster(client: Client) -> None:
    settings = new(client, "ClusterSettings")
    cluster = client.sim.store.get("ClusterSettings", settings)["cluster"]
    where = {"where": {"id": cluster}}
    body = where | {"data": {"enabled": True, "retain": 9}}
    await do(client, "create-cluster-recycle-bin-setting", body)
    shown = client.sim.store.get("ClusterSettings", settings)
    assert shown["vm_recycle_bin"] == {"enabled": True, "retain": 9}
    await do(client, "update-cluster-ha-setting", where | {"ha": True})
    assert shown["default_ha"] is True
    await do(client, "delete-cluster-recycle-bin-setting", where)
    assert shown["vm_recycle_bin"] is None
    assert cluster in client.sim.store.table("Cluster")


async def test_members_of_a_setting_are_changed_one_by_one(client: Client) -> None:
    settings = a(client, "GlobalSettings")
    await do(client, "update-session-timeout", {"session_max_age": 600})
    await do(client, "update-password-security", {"password_expire_days": 30})
    shown = client.sim.store.get("GlobalSettings", settings)
    assert (shown["auth"]["session_max_age"], shown["auth"]["password_expire_days"]) == (600, 30)


async def test_alert_rules_are_customised_for_clusters(client: Client) -> None:
    rule = new(client, "GlobalAlertRule", alert_rules=[])
    cluster = a(client, "Cluster")
    for disabled in (True, False):
        data = {"clusters": {"id": cluster}, "disabled": disabled}
        body = {"where": {"id": rule}, "data": data}
        await do(client, "update-customize-alert-rule", body)
        [own] = client.sim.store.select("AlertRule", {"global_alert_rule": {"id": rule}})
        assert (own["cluster"], own["customized"], own["disabled"]) == (cluster, True, disabled)


async def test_accounts_of_esxi_hosts_are_changed_together(client: Client) -> None:
    account = a(client, "VsphereEsxiAccount")
    data = [{"esxi_account_id": account, "ip": "10.0.0.9", "username": "me", "password": "x"}]
    await do(client, "update-vsphere-esxi-account", {"data": data})
    assert client.sim.store.get("VsphereEsxiAccount", account)["ip"] == "10.0.0.9"


async def test_policies_store_the_resources_that_their_filters_match(client: Client) -> None:
    team, group = label(client), new(client, "SecurityGroup", name="web")
    target = {"label_groups": [{"id": team}], "security_groups": {"id": group}}
    flow: dict[str, Any] = {
        "target": {"ips": [{"ip_block": "10.0.0.0/8"}], **target},
        "service_ids": [],
    }
    body: dict[str, Any] = {
        "name": "p",
        "everoute_cluster_id": a(client, "EverouteCluster"),
        "apply_to": [{"communicable": True, "target": target}],
        "ingress": [flow, {}],
    }
    made = await do(client, "create-security-policy", body)
    where = {"where": {"id": made["data"]["id"]}}
    [shown] = await client.ask("get-security-policies", where)
    kinds = [rule["type"] for rule in shown["ingress"]]
    assert kinds == ["IP_BLOCK", "SELECTOR", "SECURITY_GROUP", "ALL"]
    assert shown["apply_to"][0]["selector"] == [{"id": team, "key": "team", "value": None}]
    assert shown["apply_to"][1]["security_group"]["name"] == "web"


async def test_snapshots_store_the_state_of_a_volume_and_restore_it(client: Client) -> None:
    volume = new(client, "VmVolume", size=5, sharing=True)
    body = {"volume_id": volume, "name": "s", "description": ""}
    [snapshot] = await do(client, "create-vm-volume-snapshot", [body])
    of = {"volume_snapshot_id": snapshot["data"]["id"]}
    await do(client, "update-vm-volume", {"where": {"id": volume}, "data": {"size": 8}})
    [copy] = await do(client, "rebuild-vm-volume", [of | {"name": "c", "description": "d"}])
    made = client.sim.store.get("VmVolume", copy["data"]["id"])
    assert (made["size"], made["name"], made["sharing"], made["description"]) == (5, "c", True, "d")
    await do(client, "rollback-vm-volume", [of])
    assert client.sim.store.get("VmVolume", volume)["size"] == 5
    clone = {"data": {"name": "k"}, "where": {"id": volume}}
    [cloned] = await do(client, "clone-vm-volume", [clone])
    assert client.sim.store.get("VmVolume", cloned["data"]["id"])["size"] == 5
    include = {"where": {"id": volume}, "effect": {"include_snapshots": True}}
    await do(client, "delete-vm-volume", include)
    assert snapshot["data"]["id"] not in client.sim.store.table("VmVolumeSnapshot")


@pytest.mark.parametrize("size", [None, 107_374_182_400.5])
async def test_a_rebuilt_volume_has_a_whole_size(client: Client, size: float | None) -> None:
    store = client.sim.store
    [snapshot, *_] = store.select("VmVolumeSnapshot")
    volume = store.get("VmVolume", snapshot["vm_volume"])
    if size is not None:
        snapshot["volume_size"] = size
    body = {"volume_snapshot_id": snapshot["id"], "name": "again", "description": ""}
    [copy] = await do(client, "rebuild-vm-volume", [body])
    made = store.get("VmVolume", copy["data"]["id"])
    assert type(made["size"]) is int
    assert made["size"] == (volume["size"] if size is None else 107_374_182_401)


@pytest.mark.parametrize(
    ("kind", "belongs", "paths", "keys"),
    [
        (
            "IscsiLun",
            "iscsi_target",
            ("create-iscsi-lun-snapshot", "clone-iscsi-lun-from-snapshot"),
            ("iscsi_lun_id", "iscsi_target_id"),
        ),
        (
            "NvmfNamespace",
            "nvmf_subsystem",
            ("create-nvmf-namespace-snapshot", "clone-nvmf-namespace-from-snapshot"),
            ("nvmf_namespace_id", "nvmf_subsystem_id"),
        ),
    ],
)
async def test_luns_and_namespaces_are_cloned_and_rolled_back(
    client: Client, kind: str, belongs: str, paths: tuple[str, str], keys: tuple[str, str]
) -> None:
    store = client.sim.store
    one = new(client, kind, unique_size=5, assigned_size=9)
    parent = store.get(kind, one)[belongs]
    [snapshot] = await do(client, paths[0], [{keys[0]: one, keys[1]: parent, "name": "s"}])
    taken = {"snapshot_id": snapshot["data"]["id"]}
    [made] = await do(client, paths[1], [taken | {"name": "c", keys[1]: parent}])
    copy = store.get(kind, made["data"]["id"])
    assert (copy["assigned_size"], copy[belongs], copy["name"]) == (9, parent, "c")
    store.change(kind, one, unique_size=7)
    key = "lun_id" if kind == "IscsiLun" else "namespace_id"
    path = paths[1].replace("clone", "rollback")
    await do(client, path, [taken | {key: one}])
    assert store.get(kind, one)["unique_size"] == 5
    assert "of something else" in await refusal(client, path, [taken | {key: "other"}], 400)
    begun = await client.ask(path, [taken | {key: one}])
    store.remove(kind, one)
    client.sim.clock.advance(20)
    [task] = await client.ask("get-tasks", {"where": {"id": begun[0]["task_id"]}})
    assert task["status"] == "FAILED"


async def test_luns_are_copied(client: Client) -> None:
    lun = new(client, "IscsiLun", assigned_size=9)
    [made] = await do(client, "copy-iscsi-lun", [{"src_lun_id": lun, "name": "c"}])
    store = client.sim.store
    copy = store.get("IscsiLun", made["data"]["id"])
    assert copy["iscsi_target"] == store.get("IscsiLun", lun)["iscsi_target"]


async def test_consistency_groups_are_taken_and_rolled_back_as_one(client: Client) -> None:
    store = client.sim.store
    lun, space = new(client, "IscsiLun", unique_size=5), new(client, "NvmfNamespace", unique_size=6)
    members = {"iscsi_luns_ids": [lun], "namespaces_ids": [space]}
    body = {"cluster_id": a(client, "Cluster"), "name": "g", **members}
    [group] = await do(client, "create-consistency-group", [body])
    of = {"consistency_group_id": group["data"]["id"], "name": "s"}
    [made] = await do(client, "create-consistency-snapshot-group", [of])
    where = {"where": {"id": made["data"]["id"]}}
    [shown] = await client.ask("get-consistency-group-snapshots", where)
    assert len(shown["Iscsi_lun_snapshots"]) == len(shown["nvmf_namespace_snapshots"]) == 1
    store.change("IscsiLun", lun, unique_size=50)
    store.remove("NvmfNamespace", space)
    await do(client, "rollback-consistency-snapshot-group", where)
    assert store.get("IscsiLun", lun)["unique_size"] == 5
    begun = await client.ask("rollback-consistency-snapshot-group", where)
    store.remove("ConsistencyGroupSnapshot", made["data"]["id"])
    client.sim.clock.advance(20)
    [task] = await client.ask("get-tasks", {"where": {"id": begun[0]["task_id"]}})
    assert task["status"] == "FAILED"


async def test_floating_ips_are_made_by_the_number(client: Client) -> None:
    path = "batch-create-virtual-private-cloud-floating-ips"
    ties = {
        "vpc_id": a(client, "VirtualPrivateCloud"),
        "external_subnet_id": a(client, "VirtualPrivateCloudExternalSubnet"),
    }
    made = await do(client, path, {**ties, "ip_addresses": ["10.0.0.1"], "auto_allocate_number": 2})
    assert len(made) == 3
    where = {"where": {"local_id": made[0]["data"]["local_id"]}}
    [shown] = await client.ask("get-virtual-private-cloud-floating-ips", where)
    assert shown["external_ip"] == "10.0.0.1"


async def test_reports_are_generated(client: Client) -> None:
    template = new(client, "ReportTemplate", name="weekly")
    where = {"where": {"id": template}}
    [made] = await do(client, "generate-from-report-template", where)
    [shown] = await client.ask("get-report-tasks", {"where": {"id": made["data"]["id"]}})
    assert (shown["name"], shown["template"]["id"]) == ("weekly", template)
    await do(client, "delete-report-template", where)
    assert made["data"]["id"] not in client.sim.store.table("ReportTask")


async def test_images_of_the_library_are_where_they_are_distributed_to(client: Client) -> None:
    image = new(client, "ContentLibraryImage", name="iso", clusters=[], elf_images=[])
    cluster = a(client, "Cluster")
    body = {"where": {"id": image}, "data": {"clusters": {"id": cluster}}}
    for _ in range(2):  # the second time there is nothing left to do
        await do(client, "distribute-content-library-image-clusters", body)
    where = {"where": {"content_library_image": {"id": image}}}
    [elf] = await client.ask("get-elf-images", where)
    assert (elf["name"], elf["cluster"]["id"]) == ("iso", cluster)
    await do(client, "remove-content-library-image-clusters", body)
    assert await client.ask("get-elf-images", where) == []


async def test_usb_devices_are_at_the_vms_that_they_are_mounted_to(client: Client) -> None:
    device = new(client, "UsbDevice", vms=[])
    first, second = list(client.sim.store.table("Vm"))[:2]
    where = {"where": {"id": device}}
    await do(client, "mount-usb-device", where | {"data": {"vm_id": first}})
    await do(client, "mount-usb-device", where | {"data": {"vms": {"id": second}}})
    shown = client.sim.store.get("UsbDevice", device)
    assert (shown["vms"], shown["binded"]) == ([first, second], True)
    await do(client, "unmount-usb-device", where | {"data": {"vms": {"id": first}}})
    assert (shown["vms"], shown["vm"]["id"]) == ([second], second)
    await do(client, "unmount-usb-device", where)
    assert (shown["vms"], shown["vm"], shown["binded"]) == ([], None, False)


async def test_creating_a_task_record_needs_no_task(client: Client) -> None:
    said = {"en-US": "Did it", "zh-CN": "做了"}
    who = client.sim.store.select("User", {"username": client.sim.username})[0]["id"]
    steps = [{"finished": True, "key": "one", "description": "first"}]
    body = {"description": said, "resource_mutation": "x", "resource_type": "Vm", "steps": steps}
    [made] = await do(client, "create-task", [body | {"user_id": who}])
    assert made["task_id"] is None
    where = {"where": {"id": made["data"]["id"]}}
    [shown] = await client.ask("get-tasks", where, content_language="zh-CN")
    assert shown["description"] == "做了"
    assert shown["steps"][0]["key"] == "one"


async def test_a_snapshot_of_a_volume_without_a_cluster_is_rejected(client: Client) -> None:
    snapshot = new(client, "VmVolume")
    client.sim.store.get("VmVolume", snapshot)["cluster"] = None
    body = [{"volume_id": snapshot, "name": "s", "description": ""}]
    message = await refusal(client, "create-vm-volume-snapshot", body, 400)
    assert message == "cluster of the VM volume snapshot: not given"


async def test_erasure_coding_is_a_storage_policy(client: Client) -> None:
    coding = {"ec_k": 4, "ec_m": 2, "thin_provision": True}
    body = {"cluster_id": a(client, "Cluster"), "name": "v", "sharing": False, "size": 2}
    [made] = await do(client, "create-vm-volume", [body | {"elf_ec_storage_policy": coding}])
    shown = client.sim.store.get("VmVolume", made["data"]["id"])
    assert (shown["elf_storage_policy"], shown["elf_storage_policy_ec_k"]) == ("EC", 4)
    assert shown["elf_storage_policy_replica_num"] is None


async def test_routes_of_a_table_are_replaced(client: Client) -> None:
    vpc = a(client, "VirtualPrivateCloud")
    route = {"next_hop_local_id": "", "next_hop_type": "NAT_GATEWAY"}
    first, second = ({**route, "destination": f"10.{number}.0.0/16"} for number in range(2))
    body = {"vpc_id": vpc, "name": "t", "routes": [first]}
    [made] = await do(client, "create-virtual-private-cloud-route-table", [body])
    where = {"where": {"id": made["data"]["id"]}}
    path = "update-virtual-private-cloud-route-table"
    await do(client, path, {**where, "data": {"routes": [second]}})
    [shown] = await client.ask("get-virtual-private-cloud-route-tables", where)
    assert [one["destination"] for one in shown["routes"]] == ["10.1.0.0/16"]
