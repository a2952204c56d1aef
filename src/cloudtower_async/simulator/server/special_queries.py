"""Handlers of queries whose results are not simply the resources that match a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import models
from ..fleet.field_values import fields_of
from ..fleet.sizing import REPLICAS
from ..http_errors import HttpError, require_member
from .queries import parse_page

if TYPE_CHECKING:
    import msgspec

    from ..store.filters import Document
    from .context import Handler, RequestContext

_LOG_SERVICES = {
    "system": ["kernel", "systemd"],
    "storage": ["chunk", "meta"],
    "compute": ["libvirt", "vm-agent"],
    "network": ["network-agent"],
}


def _selected(context: RequestContext, resource: str) -> list[Document]:
    """Return the documents that match the filter ``where``, which the body must contain."""
    where = require_member(context.request.body, "where", dict[str, Any])
    return context.store.select(resource, where)


def _one(context: RequestContext, resource: str, name: str) -> Document:
    """Return the document that matches a filter, which is the value of the key `name` in the body.

    Raises:
        HttpError: The filter is empty, or the number of matching documents is not 1.
    """
    where = require_member(context.request.body, name, dict[str, Any])
    found = context.store.select(resource, where)
    if len(found) != 1 or not where:
        raise HttpError(404, f"{name}: not one {resource}, but {len(found)}")
    return found[0]


def _my_info(context: RequestContext) -> object:
    store = context.store
    return store.render("User", store.get("User", context.user), context.language)


def _ntp_service_url(_: RequestContext) -> object:
    return {"ntp_service_url": "ntp.example"}


def _meta_leader(context: RequestContext) -> object:
    store = context.store
    return [
        {"cluster_id": cluster["id"], "meta_leader": store.get("Host", hosts[0])["data_ip"]}
        for cluster in _selected(context, "Cluster")
        if (hosts := cluster.get("hosts"))
    ]


def _storage_info(context: RequestContext) -> object:
    effect = require_member(context.request.body, "effect", dict[str, Any])
    replicas = require_member(effect, "replica", list[int]) if effect.get("replica") else [REPLICAS]
    ec = require_member(effect, "ec", list[dict[str, Any]]) if effect.get("ec") else []
    codes = [(require_member(code, "k", int), require_member(code, "m", int)) for code in ec]

    def info(cluster: Document) -> dict[str, Any]:
        free = max(0, cluster["valid_data_space"] - cluster["used_data_space"])
        return {
            **{name: cluster[name] for name in ("id", "name", "type", "stretch")},
            "total_data_capacity": cluster["total_data_capacity"],
            "used_data_space": cluster["used_data_space"],
            "failure_data_space": cluster["failure_data_space"],
            "free_data_space": free,
            "storage_cluster": [],
            "allocable_storage_capacity": {
                "replica": [
                    {"replica_num": number, "capacity": free / max(1, number)}
                    for number in replicas
                ],
                "ec": [{"k": k, "m": m, "capacity": free * k / max(1, k + m)} for k, m in codes],
            },
        }

    return [info(cluster) for cluster in _selected(context, "Cluster")]


def _pinned(context: RequestContext) -> object:
    store = context.store

    def host_figures(host: Document) -> dict[str, Any]:
        pools = [store.get("DiskPool", one) for one in host.get("disk_pools") or ()]
        shown = [_only(models.DiskPoolPinInPerformanceInfo, pool) for pool in pools]
        return {**_only(models.HostPinInPerformanceInfo, host), "disk_pools": shown}

    return [
        {
            **_only(models.ClusterPinInPerformanceInfo, cluster),
            "pin_in_performance_enabled": False,
            "hosts": [host_figures(store.get("Host", one)) for one in cluster.get("hosts") or ()],
        }
        for cluster in _selected(context, "Cluster")
    ]


def _only(struct: type[msgspec.Struct], document: Document) -> dict[str, Any]:
    """Return the fields of a document, without fields that the struct does not have."""
    return {name: document[name] for name, _ in fields_of(struct) if name in document}


def _vm_gpus(context: RequestContext) -> object:
    """Return VMs with all fields of their GPUs."""
    return [
        _only(models.VmGpuInfo, vm)
        | {"gpu_devices": [_only(models.VmGpuDetail, gpu) for gpu in vm["gpu_devices"]]}
        for vm in _in_full(context, "Vm", "gpu_devices", "GpuDevice")
    ]


def _gpu_vms(context: RequestContext) -> object:
    """Return GPUs with all fields of their VMs."""
    return [
        {**gpu, "vms": [_only(models.GpuVmDetail, vm) for vm in gpu["vms"]]}
        for gpu in _in_full(context, "GpuDevice", "vms", "Vm")
    ]


def _in_full(
    context: RequestContext, resource: str, field: str, other: str
) -> list[dict[str, Any]]:
    """Return the documents that match the body's filter, with all fields of related documents.

    Args:
        context: Context of the request.
        resource: Resource type of the documents.
        field: Relation to the related documents, such as ``gpu_devices``.
        other: Resource type of the related documents.
    """
    store = context.store
    body: dict[str, Any] = context.request.body or {}
    shown: list[dict[str, Any]] = []
    for document in store.select(resource, body.get("where"), parse_page(resource, body)):
        ends = [store.get(other, one) for one in document.get(field) or ()]
        full = [store.render(other, end, context.language) for end in ends]
        inner = [{**end, "vgpu_instance_on_vm_num": 1} for end in full]
        shown.append({**store.render(resource, document, context.language), field: inner})
    return shown


def _log_services(context: RequestContext) -> object:
    wanted = require_member(context.request.body, "input", dict[str, Any])
    if not context.store.select("Cluster", require_member(wanted, "cluster", dict[str, Any])):
        raise HttpError(404, "input.cluster: there is no such cluster")
    return [
        {"group_name": group, "service_list": services} for group, services in _LOG_SERVICES.items()
    ]


def _witness_services(context: RequestContext) -> object:
    witness = _one(context, "Witness", "where")
    return [
        {
            "id": f"{witness['id']}-{name}",
            "name": name,
            "role": "WITNESS",
            "state": "RUNNING",
            "state_duration": 86_400.0,
        }
        for name in ("meta", "zookeeper")
    ]


def _discovered_hosts(context: RequestContext) -> object:
    """Return an empty list, because all hosts already belong to clusters."""
    _one(context, "Cluster", "cluster")
    return []


def _download_links(context: RequestContext) -> object:
    exported = _one(context, "VmExportFile", "where")
    return [
        {"filename": file["fileName"], "link": f"https://tower.example/files/{file['fileName']}"}
        for file in exported["files"]
    ]


def _restore_point(context: RequestContext) -> object:
    """Return the metadata of the VM in a backup restore point."""
    store = context.store
    point = _one(context, "BackupRestorePoint", "where")
    if not point.get("vm"):
        raise HttpError(404, "the VM of the restore point is gone")
    vm = store.get("Vm", point["vm"])
    cluster = store.get("Cluster", vm["cluster"])
    disks = [store.get("VmDisk", one) for one in vm.get("vm_disks") or ()]
    nics = [store.get("VmNic", one) for one in vm.get("vm_nics") or ()]
    vlans = [store.get("Vlan", nic["vlan"]) if nic.get("vlan") else {} for nic in nics]
    volumes = [
        store.get("VmVolume", disk["vm_volume"]) if disk.get("vm_volume") else {} for disk in disks
    ]
    same = (
        *("clock_offset", "cpu_model", "description", "firmware", "guest_os_type", "ha", "name"),
        *("ha_priority", "internal", "io_policy", "local_id", "max_bandwidth", "max_iops", "vcpu"),
        *("max_bandwidth_policy", "max_iops_policy", "memory", "nested_virtualization"),
        *("protected", "video_type", "vm_tools_status", "win_opt"),
    )
    of_disk = ("boot", "bus", "disabled", "max_bandwidth", "max_iops", "type")
    of_nic = ("enabled", "local_id", "mac_address", "mirror", "model")
    of_volume = ("elf_storage_policy", "mounting", "name", "path", "sharing", "size")
    return {
        **{name: vm[name] for name in same},
        "cpu_cores": vm["cpu"]["cores"],
        "cpu_sockets": vm["cpu"]["sockets"],
        **{
            f"cluster_{name}": cluster[name]
            for name in ("architecture", "local_id", "type", "version", "vhost_enabled")
        },
        "host_local_id": store.get("Host", vm["host"])["local_id"] if vm.get("host") else None,
        "vm_disks": [
            {name: disk[name] for name in of_disk}
            | {f"vm_volume_{name}": volume.get(name) for name in of_volume}
            for disk, volume in zip(disks, volumes, strict=True)
        ],
        "vm_nics": [
            {name: nic[name] for name in of_nic}
            | {f"vlan_{name}": vlan.get(name) for name in ("local_id", "mode_type", "name")}
            for nic, vlan in zip(nics, vlans, strict=True)
        ],
    }


HANDLERS: dict[str, Handler] = {
    "get-backup-restore-point-metadata": _restore_point,
    "get-cluster-pin-in-performance-info": _pinned,
    "get-cluster-storage-info": _storage_info,
    "get-detail-vm-info-by-gpu-devices": _gpu_vms,
    "get-discover-hosts": _discovered_hosts,
    "get-export-file-download-links": _download_links,
    "get-log-service-configs": _log_services,
    "get-meta-leader": _meta_leader,
    "get-my-info": _my_info,
    "get-ntp-service-url": _ntp_service_url,
    "get-vm-gpu-device-info": _vm_gpus,
    "get-witness-services": _witness_services,
}
