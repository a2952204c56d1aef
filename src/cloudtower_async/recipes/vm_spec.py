"""Disks and NICs of a new VM, and the cluster in which names are looked up."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from .. import inputs, models
from ..client import Cloudtower
from ..errors import Ambiguous, NotFound

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDisk:
    """A disk with a new volume. The volume is created together with the VM.

    Attributes:
        size: Size in bytes.
        name: Name of the volume. None means the name of the VM and the position of the disk:
            ``web-9-1``.
        bus: Bus on which the guest sees the disk.
        policy: Storage policy of the volume: number of replicas and type of provisioning.
    """

    size: int
    name: str | None = None
    bus: inputs.Bus = "VIRTIO"
    policy: inputs.VmVolumeElfStoragePolicyType = "REPLICA_2_THIN_PROVISION"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingVolume:
    """A disk with an existing volume.

    Attributes:
        volume: Name or id of a volume in the VM's cluster.
        bus: Bus on which the guest sees the disk.
    """

    volume: str
    bus: inputs.Bus = "VIRTIO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A NIC of a new VM.

    Attributes:
        vlan: Name or id of a VM network in the VM's cluster.
        model: Model of the NIC that the guest sees.
        mac_address: MAC address. None means that the cluster chooses an address.
        enabled: Whether the NIC is connected.
    """

    vlan: str
    model: inputs.VmNicModel = "VIRTIO"
    mac_address: str | None = None
    enabled: bool = True


Disk: TypeAlias = NewDisk | ExistingVolume
"""A disk of a new VM."""


@dataclass(frozen=True, slots=True)
class Place:
    """Cluster for a new VM. The methods find resources of the cluster by name or id."""

    tower: Cloudtower
    cluster: models.Cluster | models.NestedCluster

    @classmethod
    async def find(cls, tower: Cloudtower, name: str) -> Place:
        """Find the cluster with this name or id, and return it as a `Place`."""
        asked = tower.resolve(tower.cluster.get_clusters, name)
        return cls(tower, await _one("cluster", name, asked))

    async def template(self, name: str) -> models.ContentLibraryVmTemplate:
        """Return the template with this name or id, if it is available on the cluster."""
        library = self.tower.content_library_vm_template
        asked = self.tower.get_one(
            library.get_content_library_vm_templates,
            where={
                "OR": [{"id": name}, {"name": name}],
                "clusters_some": {"id": self.cluster.id},
            },
        )
        return await self._one("template", name, asked)

    async def disks(
        self, vm_name: str, disks: Sequence[Disk], *, first: int
    ) -> inputs.VmDiskParams:
        """Return the API parameters for disks. The boot order is the order of the disks."""
        new: list[inputs.MountNewCreateDisksParams] = []
        mounted: list[inputs.MountDisksParams] = []
        for boot, disk in enumerate(disks, first):
            if isinstance(disk, NewDisk):
                volume: inputs.MountNewCreateDisksParamsVmVolume = {
                    "name": disk.name or f"{vm_name}-{boot}",
                    "size": disk.size,
                    "size_unit": "B",
                    "elf_storage_policy": disk.policy,  # the key that all servers accept
                }
                new.append({"boot": boot, "bus": disk.bus, "vm_volume": volume})
            else:
                found = await self.volume(disk.volume)
                mounted.append({"boot": boot, "bus": disk.bus, "vm_volume_id": found.id})
        return {"mount_new_create_disks": new, "mount_disks": mounted}

    async def volume(self, name: str) -> models.VmVolume:
        """Return the volume of the cluster with this name or id."""
        asked = self.tower.get_one(
            self.tower.vm_volume.get_vm_volumes,
            where={"OR": [{"id": name}, {"name": name}], "cluster": {"id": self.cluster.id}},
        )
        return await self._one("volume", name, asked)

    async def cd_rom(self, image: str | None, boot: int) -> inputs.VmCdRomParams:
        """Return the API parameters for a CD-ROM drive."""
        if image is None:
            return {"boot": boot}
        asked = self.tower.get_one(
            self.tower.content_library_image.get_content_library_images,
            where={
                "OR": [{"id": image}, {"name": image}],
                "clusters_some": {"id": self.cluster.id},
            },
        )
        found = await self._one("image", image, asked)
        return {"boot": boot, "content_library_image_id": found.id}

    async def nic(self, nic: Nic) -> inputs.VmNicParams:
        """Return the API parameters for a NIC."""
        asked = self.tower.get_one(
            self.tower.vlan.get_vlans,
            where={
                "OR": [{"id": nic.vlan}, {"name": nic.vlan}],
                "type": "VM",
                "vds": {"cluster": {"id": self.cluster.id}},
            },
        )
        vlan = await self._one("VM network", nic.vlan, asked)
        params: inputs.VmNicParams = {
            "connect_vlan_id": vlan.id,
            "model": nic.model,
            "enabled": nic.enabled,
        }
        if nic.mac_address is not None:
            params["mac_address"] = nic.mac_address
        return params

    async def _one(self, what: str, name: str, asked: Awaitable[T]) -> T:
        return await _one(what, name, asked, f" in cluster {self.cluster.name or self.cluster.id}")


async def _one(what: str, name: str, asked: Awaitable[T], place: str = "") -> T:
    """Return the result of a lookup. If it fails, raise an error that names the resource."""
    try:
        return await asked
    except NotFound as error:
        if error.status is not None:  # the server has no such query
            raise
        raise NotFound(
            f"there is no {what} {name!r}{place}",
            operation=error.operation,
            endpoint=error.endpoint,
            hint="Check the name or id, and the permissions of this user.",
        ) from error
    except Ambiguous as error:
        raise Ambiguous(
            f"there are {error.count} of {what} {name!r}{place}: {', '.join(error.ids)}",
            operation=error.operation,
            endpoint=error.endpoint,
            count=error.count,
            ids=error.ids,
        ) from error
