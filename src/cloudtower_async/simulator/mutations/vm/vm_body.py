"""Functions that read disks, CD-ROMs, NICs and settings of a VM from the body of a mutation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...http_errors import HttpError
from ..body import amount, io_limits, part
from .devices import THIN, CdRomDraft, DiskDraft, NicDraft
from .gpu_passthrough import attach_gpu, check_gpu, check_pci_nic
from .placement import wanted_host
from .vm_mutation import check_cluster, find, get_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context
    from .vm_builder import VmDraft


_SAME = ("description", "firmware", "guest_os_type", "ha", "ha_priority", "io_policy", "name")
_NIC_FIELDS = ("enabled", "gateway", "ip_address", "mac_address", "mirror", "model", "subnet_mask")


def settings(values: Body, base: Fields) -> Fields:
    """Return the settings of a VM from the body `values`. Missing settings come from `base`."""
    fields = {
        **base,
        **{name: values[name] for name in _SAME if name in values},
        **io_limits(values),
    }
    if (memory := amount(values, "memory")) is not None:
        fields["memory"] = memory
    if "ha_priority" in values and fields.get("ha") is False:
        raise HttpError(400, "ha_priority: high availability of the VM is off")
    return {**fields, **cpu(values, base)}


def cpu(values: Body, base: Fields) -> Fields:
    """Return the values of ``cpu`` and ``vcpu`` of a VM.

    If the body has no value for cores, sockets or vCPUs, the missing value is calculated from the
    other values and from `base`.
    """
    before = base.get("cpu") or {"cores": 1, "sockets": 1}
    sockets, cores = values.get("cpu_sockets"), values.get("cpu_cores")
    vcpu = values.get("vcpu")
    if cores is None and vcpu is not None:
        sockets = sockets or 1
        cores = vcpu // sockets if sockets > 0 else 0
    cores = before["cores"] if cores is None else cores
    if sockets is None:
        sockets = before["sockets"] if vcpu is None else vcpu // max(1, cores)
    vcpu = cores * sockets if vcpu is None else vcpu
    return {"cpu": {"cores": cores, "sockets": sockets}, "vcpu": vcpu}


def disk_drafts(context: Context, values: Body, cluster: str) -> list[DiskDraft]:
    """Return drafts of the disks in ``mount_disks`` and ``mount_new_create_disks``."""
    mounted = [_mounted(context, one, cluster) for one in values.get("mount_disks") or ()]
    return mounted + [_new_disk(one) for one in values.get("mount_new_create_disks") or ()]


def _mounted(context: Context, values: Body, cluster: str) -> DiskDraft:
    volume = mountable(context, values["vm_volume_id"], cluster)
    return DiskDraft(
        bus=values["bus"],
        boot=values["boot"],
        key=values.get("key"),
        volume=volume["id"],
        more=io_limits(values),
    )


def mountable(context: Context, identifier: str, cluster: str) -> Document:
    """Return the volume with the given id.

    Raises:
        HttpError: The volume does not exist, or a VM in the cluster cannot use the volume.
    """
    volume = check_cluster(get_document(context, "VmVolume", identifier), cluster)
    if volume["mounting"] and not volume["sharing"]:
        raise HttpError(400, f"volume {volume['name']} is mounted and cannot be shared")
    return volume


def _new_disk(values: Body) -> DiskDraft:
    volume = values["vm_volume"]
    size = amount(volume, "size") or 0
    if size <= 0:
        raise HttpError(400, "vm_volume.size: must be more than 0")
    return DiskDraft(
        bus=values["bus"],
        boot=values["boot"],
        key=values.get("key"),
        name=volume["name"],
        size=size,
        policy=policy(volume),
        more=io_limits(values),
    )


def policy(values: Body) -> str:
    """Return the name of the requested storage policy. By default, use thin provisioning.

    Old and new servers use different keys of the body for the storage policy.
    """
    chosen: str = (
        values.get("elf_replica_storage_policy")
        or values.get("elf_storage_policy")
        or ("EC" if values.get("elf_ec_storage_policy") else THIN)
    )
    return chosen


def cd_rom_drafts(context: Context, values: Iterable[Body], cluster: str) -> list[CdRomDraft]:
    """Return drafts of the CD-ROMs in a body."""
    return [
        CdRomDraft(boot=one["boot"], key=one.get("key"), image=image_of(context, one, cluster))
        for one in values
    ]


def image_of(context: Context, values: Body, cluster: str) -> str | None:
    """Return the id of the ELF image in a body, or None if the body has no image.

    If the body contains the id of a content library image, return the id of its ELF image in the
    cluster.

    Raises:
        HttpError: The image does not exist, or the image is not in the cluster.
    """
    if identifier := values.get("elf_image_id"):
        return str(check_cluster(get_document(context, "ElfImage", identifier), cluster)["id"])
    identifier = values.get("content_library_image_id")
    if not identifier:
        return None
    image = get_document(context, "ContentLibraryImage", identifier)
    for one in image.get("elf_images") or ():
        if context.store.get("ElfImage", one)["cluster"] == cluster:
            return str(one)
    raise HttpError(400, f"image {image['name']} is not on this cluster")


def nic_drafts(context: Context, values: Iterable[Body], cluster: str) -> list[NicDraft]:
    """Return a draft of each NIC in a body. The VLANs must be in the cluster with id `cluster`."""
    return [
        NicDraft(
            vlan=vlan_of(context, one, cluster)["id"],
            more={**nic_fields(one), **qos_fields(part(one, "qos"))},
        )
        for one in values
    ]


def vlan_of(context: Context, values: Body, cluster: str) -> Document:
    """Return the VLAN of a NIC in a body.

    Raises:
        HttpError: The body has no VLAN, the VLAN is not in the cluster, or the simulator does not
            model this type of NIC.
    """
    if values.get("type") == "VPC" or values.get("vpc_nic") or values.get("nic_id"):
        raise HttpError(501, "the simulator does not model NICs of a VPC, nor SR-IOV")
    if "connect_vlan_id" not in values:
        raise HttpError(400, "connect_vlan_id: required")
    vlan = get_document(context, "Vlan", values["connect_vlan_id"])
    check_cluster(context.store.get("Vds", vlan["vds"]), cluster)
    return vlan


def nic_fields(values: Body) -> Fields:
    """Return the values that the body has for fields of a NIC."""
    return {name: values[name] for name in _NIC_FIELDS if name in values}


def qos_fields(values: Body) -> Fields:
    """Return the traffic limits in a body, as field values of a NIC."""
    fields: Fields = {}
    for way in ("egress", "ingress"):
        if traffic := values.get(way):
            fields[f"{way}_rate_limit_enabled"] = traffic["enabled"]
            fields[f"{way}_rate_limit_max_rate_in_bitps"] = amount(traffic, "rate_limit")
            fields[f"{way}_rate_limit_burst_in_bit"] = amount(traffic, "burst")
    return fields


def complete(context: Context, draft: VmDraft, values: Body) -> VmDraft:
    """Add host, status, owner, folder, placement groups, GPUs and PCI NICs to a draft.

    All operations that create VMs have parameters for these values.
    """
    draft.host = wanted_host(values)
    draft.running = values.get("status") == "RUNNING"
    if values.get("status") not in {None, "RUNNING", "STOPPED"}:
        raise HttpError(400, "status: a new VM is RUNNING or STOPPED")
    if owner := values.get("owner"):
        find_owner(context, owner)
    if "folder_id" in values:
        folder = check_cluster(
            get_document(context, "VmFolder", values["folder_id"]), draft.cluster
        )
        draft.finish.append(partial(_tied, context, "folder", folder["id"]))
    for wanted in values.get("gpu_devices") or ():
        check_gpu(context, wanted, draft.cluster)
        draft.finish.append(partial(_with_gpu, context, wanted))
    if values.get("gpu_devices"):
        _check_gpu_host(draft, values)
    if "pci_nics" in values:
        nics = find(context, "Nic", values["pci_nics"], "pci_nics")
        found = [check_pci_nic(context, nic, draft.cluster)["id"] for nic in nics]
        draft.finish.append(partial(_tied, context, "pci_nics", found))
    if "vm_placement_group" in values:
        groups = find(
            context, "VmPlacementGroup", values["vm_placement_group"], "vm_placement_group"
        )
        ids = [check_cluster(group, draft.cluster)["id"] for group in groups]
        draft.finish.append(partial(_tied, context, "vm_placement_group", ids))
    return draft


def _check_gpu_host(draft: VmDraft, values: Body) -> None:
    """Reject a VM with GPUs if the body names no host or requests HA. Otherwise, turn HA off."""
    if draft.host is None:
        raise HttpError(400, "host_id: required for a VM with GPUs")
    if values.get("ha"):
        raise HttpError(400, "ha: not possible for a VM with GPUs")
    draft.fields["ha"] = False


def _with_gpu(context: Context, wanted: Body, vm: Document) -> None:
    attach_gpu(context, vm, wanted)


def _tied(context: Context, field: str, ends: object, vm: Document) -> None:
    context.store.change("Vm", vm["id"], **{field: ends})


def find_owner(context: Context, values: Body) -> Document:
    """Return the user who will be the owner of a VM.

    Raises:
        HttpError: The user does not exist.
    """
    field = "id" if values["search_for"] == "id" else "username"
    return find(context, "User", {field: values["value"]}, "owner")[0]
