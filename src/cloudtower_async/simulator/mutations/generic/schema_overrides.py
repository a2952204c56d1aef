"""Exceptions to the generic rules for mutations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...fleet.storage_policies import is_thin, replicas_of
from ...http_errors import BadRequestError, HttpError
from ..policy import security_policies
from ..resource_names import title
from ..storage import volume_snapshots
from .default_documents import new_document
from .field_rules import ignored, listed, member_of, renamed, resolve_ids, to_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...store.filters import Document
    from ...store.store import Store
    from ..body import Body, Fields
    from ..context import Context
    from .field_rules import FieldRule

NOT_GENERIC: Mapping[str, str] = {
    "create-host": "a new host has disks, networks and a password, and joins a cluster",
    "update-cluster-license": "the effect of a license is encrypted in its text",
    "update-license": "the effect of a license is encrypted in its text",
}
"""Paths of operations that the simulator does not model, with the reason."""

VERBS: Mapping[str, str] = {"create-cluster-recycle-bin-setting": "update"}
"""Verbs of operations whose path has a misleading verb.

For example, ``create-cluster-recycle-bin-setting`` updates settings that each cluster already has.
"""

REFUSED_BY_TASK = frozenset({"IscsiTarget"})
"""Resource types whose deletion task fails if other resources prevent the deletion.

For all other resource types, the request fails.
"""

AT_ONCE = frozenset({"Task", "UserAuditLog"})
"""Resource types whose mutations run without a task. External programs create the documents."""


def _excluded(context: Context, resource: str, data: Mapping[str, Any], value: object) -> Fields:
    del resource, data
    return {"exclude_ids": resolve_ids(context, "Vm", value)}


def _policy(context: Context, resource: str, data: Mapping[str, Any], value: str) -> Fields:
    """Return the fields of a volume for a policy such as ``REPLICA_2_THIN_PROVISION``."""
    del context, data, resource
    return {"elf_storage_policy": value, **storage_policy(value)}


def storage_policy(policy: str) -> Fields:
    """Return the number of replicas and the provisioning of a policy, as fields of a volume.

    For policies with erasure coding, the result is empty.
    """
    replicas = replicas_of(policy)
    if replicas is None:
        return {}
    return {
        "elf_storage_policy_replica_num": replicas,
        "elf_storage_policy_thin_provision": is_thin(policy),
    }


def _erasure_coding(
    context: Context, resource: str, data: Mapping[str, Any], value: Mapping[str, Any]
) -> Fields:
    del context, data, resource
    figures = {f"elf_storage_policy_{name}": figure for name, figure in value.items()}
    return {"elf_storage_policy": "EC", **figures}


def _two_languages(field: str) -> FieldRule:
    def rule(
        context: Context, resource: str, data: Mapping[str, Any], value: Mapping[str, str]
    ) -> Fields:
        del resource, data
        context.store.translations[value["en-US"]] = value["zh-CN"]
        return {field: value["en-US"]}

    return rule


def _steps(context: Context, resource: str, data: Mapping[str, Any], value: list[Body]) -> Fields:
    """Convert the steps of a task from the form of requests to the form of responses."""
    del context, resource, data
    blank = {"current": None, "per_second": None, "total": None, "unit": None}
    shown = [{**blank, "finished": step["finished"], "key": step["key"]} for step in value]
    return {"steps": shown}


def _time_of_day(context: Context, resource: str, data: Mapping[str, Any], value: str) -> Fields:
    """Convert ``"10:30"`` to the field ``exec_h_m`` with ``{"hour": 10, "minute": 30}``."""
    del context, resource, data
    hour, _, minute = value.partition(":")
    if not (hour.isdecimal() and minute.isdecimal()):
        raise BadRequestError(f"exec_h_m: expected a time like 10:30, got {value!r}")
    return {"exec_h_m": {"hour": int(hour), "minute": int(minute)}}


def _services(
    context: Context, resource: str, data: Mapping[str, Any], value: list[Body]
) -> Fields:
    """Return the fields of a log collection for the service groups in a request.

    ``service_groups`` has the services by group, ``groups`` the group names, and ``services`` all
    services.
    """
    del context, resource, data
    groups: dict[str, list[str]] = {part["group_name"]: part.get("services", []) for part in value}
    services = [service for group in groups.values() for service in group]
    return {"service_groups": groups, "groups": list(groups), "services": services}


RULES: Mapping[tuple[str, str], FieldRule | None] = {
    **security_policies.RULES,
    ("AlertNotifier", "smtp_server_id"): renamed("smtp_server_config"),
    ("BackupPlan", "disconnect_strategy"): ignored,  # has no effect on responses
    ("Cluster", "datacenter_id"): listed("datacenters"),
    ("Cluster", "mgt_ip_mapper"): None,  # changes the addresses of hosts
    ("Cluster", "password"): ignored,  # responses never contain passwords
    ("Cluster", "primary_zone_datacenter_id"): None,  # responses do not contain the roles of zones
    ("Cluster", "primary_zone_id"): None,
    ("Cluster", "secondary_zone_datacenter_id"): None,
    ("Cluster", "secondary_zone_id"): None,
    ("Cluster", "username"): ignored,
    ("ClusterSettings", "enable_iscsi"): renamed("enabled_iscsi"),
    ("ClusterSettings", "enabled"): member_of("vm_recycle_bin", "enabled"),
    ("ClusterSettings", "ha"): renamed("default_ha"),
    ("ClusterSettings", "retain"): member_of("vm_recycle_bin", "retain"),
    ("ConsistencyGroup", "remain_volume_snapshot"): ignored,  # former members keep their snapshots
    ("EntityFilter", "exclude_vms"): _excluded,
    ("GlobalSettings", "enabled"): member_of("vm_recycle_bin", "enabled"),
    ("GlobalSettings", "retain"): member_of("vm_recycle_bin", "retain"),
    **{
        ("GlobalSettings", key): member_of("auth", key)
        for key in (
            *("access_list", "access_mode", "login_miss_num_threshold"),
            *("login_miss_time_threshold", "password_complexity", "password_expire_days"),
            "session_max_age",
        )
    },
    ("GpuDevice", "usage"): renamed("user_usage"),
    ("GpuDevice", "vgpu_spec"): renamed("user_vgpu_type_name"),
    ("Graph", "connect_id"): renamed("instance_ids"),
    ("Host", "ipmi"): None,  # a separate resource, whose values the server tests
    ("IscsiLunSnapshot", "effect"): ignored,  # has no effect on responses
    ("IscsiTarget", "bps_wr_max_size"): ignored,  # a misnamed unit of bps_wr_max
    ("LogCollection", "service_groups"): _services,
    ("Nic", "nic_user_usage"): renamed("user_usage"),
    ("NvmfNamespace", "group_id"): renamed("namespace_group"),
    ("SnapshotPlan", "exec_h_m"): _time_of_day,
    ("Task", "api_key_name"): ignored,
    ("Task", "description"): _two_languages("description"),
    ("Task", "steps"): _steps,
    ("User", "password"): ignored,  # `follow` sets the password
    ("User", "role_id"): listed("roles"),
    ("UserAuditLog", "api_key_name"): ignored,
    ("UserAuditLog", "key"): ignored,
    ("UserAuditLog", "message"): _two_languages("message"),
    ("VcenterAccount", "password"): ignored,
    ("Vds", "nicIds"): renamed("nics"),
    ("Vds", "vlan"): ignored,  # `follow` creates the VLAN
    ("Vlan", "extra_ip"): None,  # changes the addresses of hosts
    ("VirtualPrivateCloudRouteTable", "routes"): ignored,  # `follow` creates the routes
    ("VmPlacementGroup", "must_hosts"): renamed("vm_host_must_host_uuids"),
    ("VmPlacementGroup", "prefer_hosts"): renamed("vm_host_prefer_host_uuids"),
    ("VmVolume", "elf_ec_storage_policy"): _erasure_coding,
    ("VmVolume", "elf_replica_storage_policy"): _policy,
    ("VmVolume", "elf_storage_policy"): _policy,
    ("VmVolumeSnapshot", "volume_id"): renamed("vm_volume"),
}
"""Rules for keys that `rule_by_name` does not know, by resource type and key.

None means that the simulator does not model the key and rejects the request.
"""

_DEFAULTS: Mapping[str, Fields] = {
    "BackupPlan": {
        "last_execute_status": "NEVER_EXECUTE",
        "last_manual_execute_status": "NEVER_EXECUTE",
        "status": "WORKING",
    },
    "EntityFilter": {"filter_status": "SUCCESSED"},
    "LogCollection": {"status": "SUCCESSED", "progress": 1.0},
    "SnapshotPlan": {"healthy": True, "last_execute_status": "CREATED"},
    "User": {"source": "LOCAL"},
    "UserRoleNext": {"platform": "MANAGEMENT"},
    "Vds": {"type": "VM"},
    "VcenterAccount": {"is_valid": True},
    "Vlan": {"type": "VM", "mode_type": "VLAN_ACCESS"},
    "VmVolume": {"elf_storage_policy": "REPLICA_2_THIN_PROVISION", "type": "KVM_VOLUME"},
}


def defaults(store: Store, resource: str, document: Document, given: Fields) -> Fields:
    """Return the server's defaults for a new document, without the fields in `given`."""
    found = {**_DEFAULTS.get(resource, {}), **_named_after(resource, document)}
    found |= volume_snapshots.frozen_fields(store, resource, document)
    if resource == "VmVolume" and "elf_storage_policy" not in given:
        found |= storage_policy(found["elf_storage_policy"])
    return {name: value for name, value in found.items() if name not in given}


def _named_after(resource: str, document: Document) -> Fields:
    name = document.get("name")
    match resource:
        case "User":
            return {"display_username": document["username"]}
        case "IscsiTarget":
            return {"iqn_name": f"iqn.2016-02.com.example:{name}"}
        case "NvmfSubsystem":
            return {"nqn_name": f"nqn.2016-02.com.example:{name}"}
        case "IscsiLun" | "NvmfNamespace":
            return {"zbs_volume_id": document["local_id"]}
        case "NfsExport":
            return {"export_inode_id": document["local_id"]}
        case "VmVolume":
            return {"path": f"iscsi://iqn.2016-02.com.example:volumes/{document['local_id']}"}
        case "Vds":
            return {"ovsbr_name": f"ovsbr-{document['local_id'][:8]}"}
        case _:
            return {}


def follow(context: Context, path: str, resource: str, document: Document, data: Body) -> None:
    """Apply the effects of an operation other than setting fields, such as a new password.

    This function runs when the task of the operation ends.
    """
    if path in {"create-user", "update-user"} and "password" in data:
        context.accounts.set_password(document["username"], data["password"])
    if resource == "VirtualPrivateCloudRouteTable" and "routes" in data:
        store = context.store
        for route in list(document.get("routes") or ()):
            store.remove("VirtualPrivateCloudRoute", route)
        for said in data["routes"]:
            route = new_document(context.factory, "VirtualPrivateCloudRoute") | said
            store.add("VirtualPrivateCloudRoute", {**route, "route_table": document["id"]})
    if path == "create-consistency-snapshot-group":
        volume_snapshots.snapshot_members(context, document)
    if path in _NETWORKS:
        said = {key: value for key, value in data["vlan"].items() if key != "extra_ip"}
        network = new_document(context.factory, "Vlan") | to_fields(context, "Vlan", said, RULES)
        kind = _NETWORKS[path]
        named = {"name": f"{document['name']}-{kind.lower()}", "type": kind, "vds": document["id"]}
        context.store.add("Vlan", network | named)
        context.store.change("Vds", document["id"], type=kind)


_NETWORKS: Mapping[str, str] = {
    "create-vds-with-access-vlan": "ACCESS",
    "create-vds-with-migrate-vlan": "MIGRATION",
}
"""Types of VLANs, by path of the operation that creates such a VLAN together with a switch."""


def refuse(context: Context, resource: str, document: Document) -> None:
    """Reject a deletion if the current state of the document does not allow the deletion.

    Raises:
        HttpError: The document cannot be deleted. The message contains the reason.
    """
    reason = _REFUSALS[resource](context, document) if resource in _REFUSALS else None
    if reason is not None:
        raise HttpError(400, f"{title(document)}: {reason}")


def _mounted(context: Context, document: Document) -> str | None:
    del context
    return "the volume is mounted in a VM" if document.get("vm_disks") else None


def _oneself(context: Context, document: Document) -> str | None:
    return "users cannot delete themselves" if document["id"] == context.user else None


def _role_in_use(context: Context, document: Document) -> str | None:
    users = context.store.table("User").values()
    held = any(document["id"] in (user.get("roles") or ()) for user in users)
    return "users have the role" if held else None


_REFUSALS: Mapping[str, Callable[[Context, Document], str | None]] = {
    "User": _oneself,
    "UserRoleNext": _role_in_use,
    "VmVolume": _mounted,
}
