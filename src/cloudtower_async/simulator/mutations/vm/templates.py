"""Mutations that create templates from VMs, in a cluster or in the content library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...fleet.snapshots import frozen_disk, frozen_nics
from ...fleet.storage_policies import policy_name, policy_uuid
from ...http_errors import HttpError
from ...tasks import Work
from ..context import Result, reject_locked
from .clone_sources import settings_of
from .devices import disks_of, policy_fields, volumes_of
from .vm_builder import discard_vm
from .vm_mutation import check_cluster, checked, find, get_document, reject_status

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler


LOCAL, LIBRARY = "VmTemplate", "ContentLibraryVmTemplate"
_SETTINGS = (
    *("clock_offset", "cpu", "cpu_model", "firmware", "ha", "io_policy", "max_bandwidth"),
    *("max_bandwidth_policy", "max_iops", "max_iops_policy", "memory", "vcpu", "video_type"),
    "win_opt",
)
_DISK = (
    *("boot", "bus", "disabled", "disk_name", "index", "path", "resident_in_cache", "size", "type"),
    *("max_bandwidth", "max_bandwidth_policy", "max_iops", "max_iops_policy"),
)
_NIC = ("enabled", "index", "mirror", "model", "vlan")


@dataclass(frozen=True, slots=True)
class _FromVm:
    """Handler of an operation that creates templates from VMs.

    Args:
        mutation: Name of the mutation on the server.
        resource: Resource type of the template.
        convert: Whether the operation converts the VM and thus removes the VM.
    """

    mutation: str
    resource: str
    convert: bool

    def __call__(self, context: Context, body: list[Body]) -> list[Result]:
        wanted = [(values, self._check(context, values)) for values in body]
        return [self._make(context, values, vm) for values, vm in wanted]

    def _check(self, context: Context, values: Body) -> Document:
        if not values["name"].strip():
            raise HttpError(400, "name: must not be empty")
        if self.resource == LIBRARY:
            vm = find(context, "Vm", values["vm"], "vm")[0]
            find(context, "Cluster", values["clusters"], "clusters")
        else:
            vm = get_document(context, "Vm", values["vm_id"])
            check_cluster(vm, values["cluster_id"] if "cluster_id" in values else vm["cluster"])
        reject_locked(context, [vm])
        if self.convert:
            reject_status(vm, {"STOPPED"}, self.mutation)
        return vm

    def _make(self, context: Context, values: Body, vm: Document) -> Result:
        template = _placeholder(context, self.resource, values, vm)
        clusters = [vm["cluster"]]
        if self.resource == LIBRARY:
            clusters = [
                one["id"] for one in find(context, "Cluster", values["clusters"], "clusters")
            ]
        store = context.store

        def succeed() -> None:
            if self.resource == LIBRARY:
                template.update(_library_parts(context, vm), size=_size(context, vm))
                for cluster in clusters:
                    spread(context, template, cluster)
            else:
                template.update(
                    _local_parts(context, vm),
                    size=_size(context, vm),
                    local_id=context.factory.ids.uuid(),
                )
            if self.convert:
                discard_vm(context, vm)

        def fail() -> None:
            store.remove(self.resource, template["id"])

        task_id = context.start(
            self.mutation,
            self.resource,
            template,
            Work(succeed, fail),
            locks=[template, vm],
            status="DELETING" if self.convert else "UPDATING",
        )
        return Result(self.resource, template["id"], task_id)


def _placeholder(context: Context, resource: str, values: Body, vm: Document) -> Document:
    factory = context.factory
    identifier = factory.ids.cuid()
    cluster = factory.store.get("Cluster", vm["cluster"])
    own: Fields = {
        "architecture": cluster["architecture"],
        "createdAt": factory.clock.timestamp(),
        "os": vm["os"],
        "vm_template_uuids": [],
    }
    if resource == LOCAL:
        own = {
            "cluster": cluster["id"],
            "local_id": f"placeholder-{factory.ids.uuid()}",
            "local_created_at": factory.clock.timestamp(),
        }
    return factory.store.add(
        resource,
        {
            "id": identifier,
            "name": values["name"],
            "description": values.get("description", ""),
            "cloud_init_supported": values.get("cloud_init_supported", False),
            "entityAsyncStatus": "CREATING",
            "size": 0,
            "vm_disks": [],
            "vm_nics": [],
            **{name: value for name, value in settings_of(vm).items() if name in _SETTINGS},
            **own,
        },
    )


def _size(context: Context, vm: Document) -> int:
    return sum(volume["size"] or 0 for volume in volumes_of(context.store, vm))


def _local_parts(context: Context, vm: Document) -> Fields:
    """Return the disks and NICs of a VM as fields of a cluster-local VM template."""
    store = context.store
    disks = _disks(context, vm)
    for disk in disks:
        if disk["type"] == "DISK":
            disk["vm_volume_template_uuid"] = context.factory.ids.uuid()
    fields = (*_NIC, "ip_address", "mac_address")
    nics = [
        {"type": "VLAN", "vpc_nic": None, **{name: nic[name] for name in fields}}
        for nic in frozen_nics(store, vm)
    ]
    return {"vm_disks": disks, "vm_nics": nics}


def _disks(context: Context, vm: Document) -> list[Fields]:
    disks = enumerate(disks_of(context.store, vm))
    return [frozen_disk(context.factory, disk, place, None) for place, disk in disks]


def _library_parts(context: Context, vm: Document) -> Fields:
    """Return the disks and NICs of a VM as fields of a content library template."""
    store = context.store
    disks = [
        library_disk(disk, policy_name(store, disk["storage_policy_uuid"]))
        for disk in _disks(context, vm)
    ]
    nics = [
        {"type": "VLAN", "vpc_nic": None, **{name: nic[name] for name in _NIC}}
        for nic in frozen_nics(store, vm)
    ]
    return {"vm_disks": disks, "vm_nics": nics}


def library_disk(disk: Fields, policy: str | None) -> Fields:
    """Return a disk in the format of a content library template.

    Args:
        disk: Disk in the format of a snapshot.
        policy: Name of the storage policy, or None if the disk has no policy.
    """
    fields = policy_fields(policy) if policy else {}
    replicas, thin = "elf_storage_policy_replica_num", "elf_storage_policy_thin_provision"
    return {
        **{name: disk.get(name) for name in _DISK},
        "content_library_image_id": None,
        "elf_storage_policy_ec_k": None,
        "elf_storage_policy_ec_m": None,
        replicas: fields.get(replicas),
        thin: fields.get(thin),
        "storage_encrypted": False,
        "storage_policy": policy,
    }


def _local_disk(context: Context, cluster: str, disk: Fields) -> Fields:
    """Convert a disk of a content library template to the form that templates in a cluster have."""
    ids, policy = context.factory.ids, disk["storage_policy"]
    volume = ids.uuid() if disk["type"] == "DISK" else ""
    return {
        **{name: disk.get(name) for name in _DISK},
        "disabled": bool(disk["disabled"]),
        "elf_image_local_id": "",
        "image_name": None,
        "key": disk["index"] + 1,
        "path": f"iscsi://{volume}" if volume else "",
        "resident_in_cache": bool(disk["resident_in_cache"]),
        "snapshot_local_id": None,
        "storage_policy_uuid": policy_uuid(context.factory, cluster, policy) if policy else "",
        "svt_image_local_id": "",
        "vm_volume_local_id": volume,
        "vm_volume_snapshot_uuid": None,
        "vm_volume_template_uuid": volume or None,
    }


def spread(context: Context, template: Document, cluster: str) -> None:
    """Distribute a template of the content library to a cluster."""
    factory = context.factory
    local_id = factory.ids.uuid()
    clusters = [*(template.get("clusters") or ()), cluster]
    factory.store.change(LIBRARY, template["id"], clusters=clusters)
    template["vm_template_uuids"] = [*template["vm_template_uuids"], local_id]
    same = ("name", "description", "cloud_init_supported", "size", "vm_nics")
    factory.store.add(
        LOCAL,
        {
            "id": factory.ids.cuid(),
            "local_id": local_id,
            "local_created_at": factory.clock.timestamp(),
            "cluster": cluster,
            "content_library_vm_template": template["id"],
            "vm_disks": [
                _local_disk(context, cluster, disk) for disk in template["vm_disks"] or ()
            ],
            **{name: template[name] for name in (*same, *_SETTINGS)},
            "vm_nics": [nic for nic in template["vm_nics"] or () if nic["vlan"]],
        },
    )


def _withdraw(context: Context, template: Document, cluster: str) -> None:
    """Remove a content library template from a cluster."""
    store = context.store
    left = [one for one in template.get("clusters") or () if one != cluster]
    store.change(LIBRARY, template["id"], clusters=left)
    for identifier in list(template.get("vm_templates") or ()):
        local = store.get(LOCAL, identifier)
        if local["cluster"] == cluster:
            uuids = template["vm_template_uuids"]
            template["vm_template_uuids"] = [one for one in uuids if one != local["local_id"]]
            store.remove(LOCAL, identifier)


def _change_clusters(context: Context, body: Body, *, add: bool) -> list[Result]:
    templates = find(context, LIBRARY, body["where"])
    reject_locked(context, templates)
    wanted = [one["id"] for one in find(context, "Cluster", body["data"]["clusters"], "clusters")]
    for template in templates:
        if not add and set(template.get("clusters") or ()) <= set(wanted):
            raise HttpError(400, f"template {template['name']} would be on no cluster")
    return [_change_one(context, template, wanted, add=add) for template in templates]


def _change_one(context: Context, template: Document, wanted: list[str], *, add: bool) -> Result:
    there: set[str] = set(template.get("clusters") or ())
    concerned = [one for one in wanted if (one in there) is not add]
    if not concerned:  # nothing to change
        return Result(LIBRARY, template["id"], None)

    def succeed() -> None:
        for cluster in concerned:
            (spread if add else _withdraw)(context, template, cluster)

    mutation = "distributeVmTemplate" if add else "removeVmTemplateClusters"
    task_id = context.start(mutation, LIBRARY, template, Work(succeed), locks=[template])
    return Result(LIBRARY, template["id"], task_id)


def _distribute(context: Context, body: Body) -> list[Result]:
    return _change_clusters(context, body, add=True)


def _remove_clusters(context: Context, body: Body) -> list[Result]:
    return _change_clusters(context, body, add=False)


MUTATIONS: dict[str, Handler] = checked(
    {
        "clone-vm-template-from-vm": _FromVm("cloneVmTemplateFromVm", LOCAL, convert=False),
        "convert-vm-template-from-vm": _FromVm("convertVmTemplateFromVm", LOCAL, convert=True),
        "clone-content-library-vm-template-from-vm": _FromVm(
            "cloneVmTemplateFromVm", LIBRARY, convert=False
        ),
        "convert-content-library-vm-template-from-vm": _FromVm(
            "convertVmTemplateFromVm", LIBRARY, convert=True
        ),
        "distribute-content-library-vm-template-clusters": _distribute,
        "remove-content-library-vm-template-clusters": _remove_clusters,
    }
)
