"""The commands ``disk …``: list, add, grow and detach the disks of VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import anyio
from cyclopts import App

from ..units import format_bytes
from .amount_options import parse_size
from .changes import ChangeOptions, ChangeTarget, CommandChange, question, run_change
from .connect import ConnectOptions, connect
from .errors import UsageError
from .language import tr
from .listing import print_resources
from .output_options import OutputOptions
from .resolve_names import find_one
from .vm import vm_targets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .. import inputs, models
    from ..client import Cloudtower
    from ..types import WithTask
    from .changes import Ask

disk: App = App(name="disk", help="List, add, grow and detach the disks of VMs.")


@disk.command(name="list")
def list_(
    vm: str,
    /,
    *,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """List the disks of a VM.

    Args:
        vm: Name or id of the VM.
        output: Output options.
        connection: Connection options.
    """
    anyio.run(_list, connect(connection or ConnectOptions(), all_languages=False), vm, output)


async def _list(tower: Cloudtower, name: str, output: OutputOptions | None) -> None:
    from ..models import VmVolume

    async with tower:
        vm = await find_one(tower, "vm.get_vms", name, noun="VM")
        volumes = await _volumes(tower, vm.id)
    await print_resources(volumes, VmVolume, output)


@disk.command
def add(
    vm: str,
    /,
    *,
    size: str | None = None,
    volume: str | None = None,
    name: str | None = None,
    bus: Literal["VIRTIO", "SCSI", "IDE"] = "VIRTIO",
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Add a new disk or an existing volume to a VM.

    Args:
        vm: Name or id of the VM.
        size: Size of the new disk, such as 40GiB.
        volume: Name or id of the existing volume.
        name: Name of the volume of the new disk. [default: name of the VM and a number]
        bus: Bus on which the guest sees the disk.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    if (size is None) is (volume is None):
        raise UsageError(tr("disk add: pass --size for a new disk, or --volume; one of the two"))
    if volume is not None and name is not None:
        raise UsageError(tr("disk add: --name is for a new disk; the volume has its name"))
    new = None if size is None else parse_size("--size", size)

    async def plan(tower: Cloudtower) -> CommandChange:
        owner = await find_one(tower, "vm.get_vms", vm, noun="VM")
        boot = 1 + max((one.boot or 0 for one in await _disks(tower, owner.id)), default=0)
        added: inputs.VmAddDiskParamsDataVmDisks
        if new is not None:
            created: inputs.MountNewCreateDisksParamsVmVolume = {
                "name": name or f"{owner.name}-{boot}",
                "size": new,
                "size_unit": "B",
                "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
            }
            added = {"mount_new_create_disks": [{"boot": boot, "bus": bus, "vm_volume": created}]}
            ask = question(
                "Add a new disk of {size} to {number} VM on {place}?",
                "Add a new disk of {size} to {number} VMs on {place}?",
                size=str(size),
            )
        else:
            found = await find_one(tower, "vm_volume.get_vm_volumes", str(volume), noun="volume")
            added = {"mount_disks": [{"boot": boot, "bus": bus, "vm_volume_id": found.id}]}
            ask = question(
                "Add volume {volume} to {number} VM on {place}?",
                "Add volume {volume} to {number} VMs on {place}?",
                volume=found.name or found.id,
            )
        return _change(
            tower,
            owner,
            ask=ask,
            step="add disk",
            send=lambda one: tower.vm.add_vm_disk(
                where={"id": one.resource.id}, data={"vm_disks": added}
            ),
        )

    run_change("disk add", plan, change, output, connection)


@disk.command
def grow(
    vm: str,
    name: str,
    /,
    *,
    size: str,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Make a disk of a VM larger.

    Args:
        vm: Name or id of the VM.
        name: Name of the disk's volume, or id of the disk.
        size: New size of the disk, such as 80GiB.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    wanted = parse_size("--size", size)

    async def plan(tower: Cloudtower) -> CommandChange:
        owner, found = await _find(tower, vm, name)
        if found.vm_volume is not None:
            volume = await find_one(
                tower, "vm_volume.get_vm_volumes", found.vm_volume.id, noun="volume"
            )
            if volume.size is not None and wanted <= volume.size:
                now = format_bytes(volume.size)
                raise UsageError(
                    tr(
                        "--size: disk {name!r} has {now}, and disks can only grow",
                        name=name,
                        now=now,
                    )
                )
        return _change(
            tower,
            owner,
            ask=question(
                "Grow disk {disk} of {number} VM to {size} on {place}?",
                "Grow disk {disk} of {number} VMs to {size} on {place}?",
                disk=_label(found),
                size=size,
            ),
            step="grow disk",
            send=lambda _: tower.vm.expand_vm_disk(
                where={"id": found.id}, size=wanted, size_unit="B"
            ),
        )

    run_change("disk grow", plan, change, output, connection)


@disk.command
def detach(
    vm: str,
    /,
    *names: str,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Detach disks from a VM. The volumes of the disks are not deleted.

    Args:
        vm: Name or id of the VM.
        names: Names of the disks' volumes, or ids of the disks.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    if not names:
        raise UsageError(tr("disk detach: pass the disks, by the name of the volume or by id"))

    async def plan(tower: Cloudtower) -> CommandChange:
        found = [await _find(tower, vm, name) for name in dict.fromkeys(names)]
        ids = [one.id for _, one in found]
        return _change(
            tower,
            found[0][0],
            ask=question(
                "Detach disks ({disks}) of {number} VM on {place}?",
                "Detach disks ({disks}) of {number} VMs on {place}?",
                disks=", ".join(_label(one) for _, one in found),
            ),
            step="detach disk",
            send=lambda one: tower.vm.remove_vm_disk(
                where={"id": one.resource.id}, data={"disk_ids": ids}
            ),
        )

    run_change("disk detach", plan, change, output, connection)


def _change(
    tower: Cloudtower,
    owner: models.Vm,
    *,
    ask: Ask,
    step: str,
    send: Callable[[ChangeTarget], Awaitable[Sequence[WithTask[Any]]]],
) -> CommandChange:
    """Return a `CommandChange` for the disks of a VM."""
    return CommandChange(
        ask=ask,
        noun="VM",
        kind="VmVolume",
        step=step,
        destructive=True,
        targets=vm_targets([owner]),
        send=send,
        read=lambda one: _volumes(tower, one.resource.id),
    )


async def _disks(tower: Cloudtower, vm_id: str) -> list[models.VmDisk]:
    found = await tower.fetch_all(
        tower.vm_disk.get_vm_disks, where={"vm": {"id": vm_id}, "type": "DISK"}
    )
    return sorted(found, key=lambda one: (one.boot or 0, one.id))


async def _volumes(tower: Cloudtower, vm_id: str) -> list[models.VmVolume]:
    """Return the volumes of a VM's disks, sorted by name.

    Only volumes have names and sizes; disks have neither.
    """
    found = await tower.fetch_all(
        tower.vm_volume.get_vm_volumes, where={"vm_disks_some": {"vm": {"id": vm_id}}}
    )
    return sorted(found, key=lambda one: (one.name or "", one.id))


async def _find(tower: Cloudtower, vm: str, name: str) -> tuple[models.Vm, models.VmDisk]:
    """Return a VM and one of its disks.

    `name` is the id of the disk, or the name or id of the volume of the disk.
    """
    owner = await find_one(tower, "vm.get_vms", vm, noun="VM")
    disks = await _disks(tower, owner.id)
    found = [one for one in disks if name == one.id]
    found = found or [
        one
        for one in disks
        if one.vm_volume is not None and name in (one.vm_volume.id, one.vm_volume.name)
    ]
    if not found:
        known = ", ".join(map(_label, disks)) or tr("none")
        raise UsageError(
            tr("VM {vm!r} has no disk {name!r}; it has {known}", vm=vm, name=name, known=known)
        )
    if len(found) > 1:
        ids = ", ".join(one.id for one in found)
        raise UsageError(
            tr(
                "several disks of VM {vm!r} are called {name!r}: pass an id, of {ids}",
                vm=vm,
                name=name,
                ids=ids,
            )
        )
    return owner, found[0]


def _label(found: models.VmDisk) -> str:
    volume = found.vm_volume
    return (volume.name or found.id) if volume is not None else found.id
