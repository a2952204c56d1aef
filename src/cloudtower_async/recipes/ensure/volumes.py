"""Make sure that a volume is attached to a VM, or that it is detached from the VM."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ... import inputs, models
from ...client import Cloudtower
from ...errors import CloudtowerError
from ...validators import check_argument, choice_fault
from ..batch import identified
from ..progress import read_back
from ..vm_spec import Place
from .flow import RECONCILE_TIMEOUT, Ensured, check_texts, check_times, ensure, if_planned

_Buses: TypeAlias = Literal["IDE", "SCSI", "USB", "VIRTIO"]


async def ensure_volume_attached(
    tower: Cloudtower,
    vm: str,
    volume: str,
    *,
    bus: inputs.Bus = "VIRTIO",
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> Ensured[models.VmVolume]:
    """Make sure that a VM has a disk with this volume; add the disk if it is missing.

    A new disk comes last in the boot order. An existing disk is left unchanged, even if its bus
    differs. The VM and the volume are locked with `Cloudtower.lock` during the call.

    A server refuses to attach a volume that is already in use. But a server lets several disks use
    a shared volume: if two programs call this function at the same time, they could attach the
    volume twice. Names of volumes are not unique: pass the id if several volumes of the cluster
    have the name.

    Args:
        tower: The session to work with.
        vm: Name or id of the VM.
        volume: Name or id of the volume, which must be in the VM's cluster.
        bus: Bus of a new disk.
        reconcile_timeout: Seconds to look for the disk if the response to the request is lost. If
            the disk does not appear in this time, the request is sent once more.
        timeout: Maximum number of seconds for each wait. The call waits for the task, and until the
            VM and the volume are no longer changing. None means no limit.

    Returns:
        An `Ensured`: `resource` is the volume, and `result` is ``"changed"`` or ``"unchanged"``.

    Raises:
        Ambiguous: Several VMs or volumes have the name.
        NotFound: The VM does not exist, or its cluster lacks the volume.
        BadRequest: The server refused to attach the volume.
        TaskError: The task failed, or the volume was not attached within `timeout`.
        OutcomeUnknown: The disk did not appear within `reconcile_timeout` after the last request.
        CloudtowerError: Another VM uses the volume, and the volume cannot be shared.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            await ensure_volume_attached(tower, "web-1", "web-data")
    """
    check_argument("ensure_volume_attached", "bus", choice_fault(bus, _Buses))
    pair = await _Pair.find("ensure_volume_attached", tower, vm, volume, timeout, reconcile_timeout)

    async def look() -> models.VmVolume | None:
        return await pair.settled_volume() if await pair.disks() else None

    async def attach() -> models.VmVolume | None:
        users = await tower.vm_disk.get_vm_disks(where={"vm_volume": {"id": pair.volume.id}})
        others = [disk.vm for disk in users if disk.vm and disk.vm.id != pair.vm.id]
        if others and not pair.volume.sharing:
            raise CloudtowerError(
                f"volume {volume!r} is attached to VM {others[0].name or others[0].id} and cannot "
                "be shared; detach it there first"
            )
        disks = await tower.vm_disk.get_vm_disks(where={"vm": {"id": pair.vm.id}})
        boot = max((disk.boot or 0 for disk in disks), default=0) + 1
        answers = await tower.vm.add_vm_disk(
            where={"id": pair.vm.id},
            data={
                "vm_disks": {
                    "mount_disks": [{"boot": boot, "bus": bus, "vm_volume_id": pair.volume.id}]
                }
            },
        )
        await tower.wait(answers, timeout=timeout)
        return if_planned(tower, pair.volume)

    async with tower.lock(pair.vm.id, pair.volume.id):
        return await ensure(look, attach, "changed", reconcile_timeout)


async def ensure_volume_detached(
    tower: Cloudtower,
    vm: str,
    volume: str,
    *,
    reconcile_timeout: float = RECONCILE_TIMEOUT,
    timeout: float | None = 300.0,
) -> Ensured[models.VmVolume]:
    """Make sure that a VM has no disk with this volume; remove the disk if there is one.

    The API does not document whether the server keeps the volume when it removes the disk. Test the
    call on your server with a volume that you do not need. The VM and the volume are locked with
    `Cloudtower.lock` during the call. Names of volumes are not unique: pass the id if several
    volumes of the cluster have the name.

    Args:
        tower: The session to work with.
        vm: Name or id of the VM.
        volume: Name or id of the volume, which must be in the VM's cluster.
        reconcile_timeout: Seconds to wait for the removal of the disk if the response to the
            request is lost. If the disk is not removed in this time, the request is sent once more.
        timeout: Maximum number of seconds for each wait. The call waits for the task, and until the
            VM and the volume are no longer changing. None means no limit.

    Returns:
        An `Ensured`: `resource` is the volume, and `result` is ``"changed"`` or ``"unchanged"``.

    Raises:
        Ambiguous: Several VMs or volumes have the name.
        NotFound: The VM does not exist, its cluster lacks the volume, or the server deleted the
            volume with the disk.
        BadRequest: The server refused to remove the disk.
        TaskError: The task failed, or the disk was not removed within `timeout`.
        OutcomeUnknown: The disk was still attached `reconcile_timeout` seconds after the last
            request.
        CallError: A call failed for another reason.
        InvalidInput: An argument cannot be used.

    Example:
        ::

            await ensure_volume_detached(tower, "web-1", "web-data")
            await ensure_volume_attached(tower, "web-2", "web-data")
    """
    pair = await _Pair.find("ensure_volume_detached", tower, vm, volume, timeout, reconcile_timeout)

    async def look() -> models.VmVolume | None:
        return None if await pair.disks() else await pair.settled_volume()

    async def detach() -> models.VmVolume | None:
        answers = await tower.vm.remove_vm_disk(
            where={"id": pair.vm.id}, data={"disk_ids": await pair.disks()}
        )
        await tower.wait(answers, timeout=timeout)
        return if_planned(tower, pair.volume)

    async with tower.lock(pair.vm.id, pair.volume.id):
        return await ensure(look, detach, "changed", reconcile_timeout)


class _Pair:
    """VM and volume of a recipe, both in the same cluster."""

    def __init__(
        self, tower: Cloudtower, vm: models.Vm, volume: models.VmVolume, timeout: float | None
    ) -> None:
        self.vm = vm
        self.volume = volume
        self._tower = tower
        self._timeout = timeout

    @classmethod
    async def find(
        cls,
        recipe: str,
        tower: Cloudtower,
        vm: str,
        volume: str,
        timeout: float | None,
        reconcile_timeout: float,
    ) -> _Pair:
        """Check the arguments, and find the VM and the volume."""
        check_texts(recipe, vm=vm, volume=volume)
        check_times(recipe, timeout, reconcile_timeout)
        owner = identified(await tower.resolve(tower.vm.get_vms, vm), "vm.get_vms")
        if owner.cluster is None:
            raise CloudtowerError(f"the server does not say which cluster VM {vm!r} is in")
        return cls(tower, owner, await Place(tower, owner.cluster).volume(volume), timeout)

    async def disks(self) -> list[str]:
        """Wait until the VM is no longer changing. Return the ids of its disks with the volume."""
        await read_back(self._tower, self.vm, self._timeout)
        found = await self._tower.vm_disk.get_vm_disks(
            where={"vm": {"id": self.vm.id}, "vm_volume": {"id": self.volume.id}}
        )
        return [
            disk.id
            for disk in found
            if disk.id and disk.vm_volume is not None and disk.vm_volume.id == self.volume.id
        ]

    async def settled_volume(self) -> models.VmVolume:
        """Wait until the volume is no longer changing, and return the volume."""
        return await read_back(self._tower, self.volume, self._timeout)
