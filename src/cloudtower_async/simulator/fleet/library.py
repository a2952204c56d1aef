"""The VM templates of the content library, with their copies in the clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .generic import plain_fields
from .plan import GIB
from .storage_policies import policy_uuid
from .values import Values

if TYPE_CHECKING:
    from ..factory import Maker
    from ..store.filters import Document

_TEMPLATES = (("rocky-9", "Rocky Linux 9", 2, 4), ("windows-2022", "Windows Server 2022", 4, 8))
_SIZE = 40 * GIB
_POLICY = "REPLICA_2_THIN_PROVISION"


def add_templates(maker: Maker) -> None:
    """Make up the templates; there is a copy of each in every cluster that runs VMs."""
    store = maker.store
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
        values = Values(maker, name, number)
        copies = [_add_copy(maker, values, cluster, same) for cluster in clusters]
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
        fields["vm_nics"][0] |= _nic(maker, clusters[0]) if clusters else {}
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


def fill_in_images(maker: Maker) -> None:
    """Say of the images of the library where they are, as their copies do."""
    for image in maker.store.table("ContentLibraryImage").values():
        copies = [maker.store.get("ElfImage", one) for one in image.get("elf_images") or ()]
        image["elf_image_uuids"] = [copy["local_id"] for copy in copies]


def _add_copy(maker: Maker, values: Values, cluster: Document, same: dict[str, Any]) -> Document:
    fields = plain_fields("VmTemplate", values)
    local_id = maker.ids.uuid()
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
        "storage_policy_uuid": policy_uuid(maker, cluster["id"], _POLICY),
        "svt_image_local_id": "",
        "type": "DISK",
        "vm_volume_local_id": local_id,
        "vm_volume_template_uuid": local_id,
    }
    fields["vm_nics"][0] |= _nic(maker, cluster)
    return maker.store.add("VmTemplate", {**fields, **same, "cluster": cluster["id"]})


def _nic(maker: Maker, cluster: Document) -> dict[str, Any]:
    """A NIC in the first network of a cluster."""
    store = maker.store
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
