"""VM templates of the content library, and their copies in the clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .field_values import FieldValues
from .resource_generator import plain_fields
from .sizing import GIB
from .storage_policies import policy_uuid

if TYPE_CHECKING:
    from ..factory import Factory
    from ..store.filters import Document

_TEMPLATES = (("rocky-9", "Rocky Linux 9", 2, 4), ("windows-2022", "Windows Server 2022", 4, 8))
_SIZE = 40 * GIB
_POLICY = "REPLICA_2_THIN_PROVISION"


def add_templates(factory: Factory) -> None:
    """Add the templates to the content library, and a copy of each template to each ELF cluster."""
    store = factory.store
    clusters = [one for one in store.table("Cluster").values() if one["hypervisor"] == "ELF"]
    for number, (name, system, vcpu, memory) in enumerate(_TEMPLATES):
        windows = "Windows" in system
        same: dict[str, Any] = {
            "name": name,
            "vcpu": vcpu,
            "memory": memory * GIB,
            "cpu": {"cores": vcpu, "sockets": 1},
            "cpu_model": "cluster_default",
            "size": _SIZE,
            "cloud_init_supported": not windows,
            "win_opt": windows,
            "clock_offset": "LOCALTIME" if windows else "UTC",
            "firmware": "UEFI" if windows else "BIOS",
            "ha": True,
            "video_type": "VIRTIO",
        }
        values = FieldValues(factory, name, number)
        copies = [_add_copy(factory, values, cluster, same) for cluster in clusters]
        fields = plain_fields("ContentLibraryVmTemplate", values)
        fields["vm_disks"][0] |= {
            "boot": 1,
            "bus": "VIRTIO",
            "disk_name": f"{name}-disk-1",
            "index": 0,
            "size": _SIZE,
            "storage_policy": _POLICY,
            "type": "DISK",
        }
        fields["vm_nics"][0] |= _nic(factory, clusters[0]) if clusters else {}
        store.add(
            "ContentLibraryVmTemplate",
            {
                **fields,
                **same,
                "os": system,
                "clusters": [cluster["id"] for cluster in clusters],
                "vm_templates": [copy["id"] for copy in copies],
                "vm_template_uuids": [copy["local_id"] for copy in copies],
                "zbs_storage_info": [
                    {"cluster_id": cluster["id"], "snapshot_info": []} for cluster in clusters
                ],
            },
        )


def fill_in_images(factory: Factory) -> None:
    """Set ``elf_image_uuids`` of the content library images to the UUIDs of their ELF images."""
    for image in factory.store.table("ContentLibraryImage").values():
        copies = [factory.store.get("ElfImage", one) for one in image.get("elf_images") or ()]
        image["elf_image_uuids"] = [copy["local_id"] for copy in copies]


def _add_copy(
    factory: Factory, values: FieldValues, cluster: Document, same: dict[str, Any]
) -> Document:
    fields = plain_fields("VmTemplate", values)
    local_id = factory.ids.uuid()
    fields["vm_disks"][0] |= {
        "boot": 1,
        "bus": "VIRTIO",
        "disabled": False,
        "disk_name": f"{values.name}-disk-1",
        "elf_image_local_id": "",
        "index": 0,
        "key": 1,
        "path": f"iscsi://{local_id}",
        "size": _SIZE,
        "storage_policy_uuid": policy_uuid(factory, cluster["id"], _POLICY),
        "svt_image_local_id": "",
        "type": "DISK",
        "vm_volume_local_id": local_id,
        "vm_volume_template_uuid": local_id,
    }
    fields["vm_nics"][0] |= _nic(factory, cluster)
    return factory.store.add("VmTemplate", {**fields, **same, "cluster": cluster["id"]})


def _nic(factory: Factory, cluster: Document) -> dict[str, Any]:
    """Return the field values of a NIC that uses the first VLAN of a cluster."""
    store = factory.store
    vds = store.get("Vds", cluster["vdses"][0])
    vlan = store.get("Vlan", vds["vlans"][0])
    return {
        "index": 0,
        "enabled": True,
        "mirror": False,
        "model": "VIRTIO",
        "type": "VLAN",
        "vlan": {
            "name": vlan["name"],
            "network_ids": vlan["network_ids"],
            "vds_ovs": vds["ovsbr_name"],
            "vlan_id": vlan["vlan_id"],
            "vlan_local_id": vlan["local_id"],
        },
    }
