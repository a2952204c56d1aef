"""Recipes that create blank VMs, and VMs from templates of the content library."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from .. import inputs, models
from ..client import Cloudtower
from ..errors import InvalidInput
from ..types import WithTask
from ..validators import check_seconds
from .batch import check_number
from .progress import OnProgress, Telling, created_resource
from .vm_spec import Disk, ExistingVolume, NewDisk, Nic, Place


async def create_blank_vm(
    tower: Cloudtower,
    name: str,
    *,
    cluster: str,
    vcpu: int,
    memory: int,
    disks: Sequence[Disk] = (),
    cd_roms: Sequence[str | None] = (),
    nics: Sequence[Nic] = (),
    description: str = "",
    firmware: inputs.VmFirmware = "BIOS",
    ha: bool = True,
    start: bool = False,
    timeout: float | None = 3600.0,
    on_progress: OnProgress | None = None,
) -> models.Vm:
    """Create a blank VM with new or existing volumes, CD-ROMs and NICs.

    The boot order is the order of `disks`, followed by the order of `cd_roms`. `on_progress`
    reports the step ``"create"``. If the call is cancelled, the VM may still be created.

    Args:
        tower: The session to work with.
        name: Name of the VM.
        cluster: Name or id of the cluster.
        vcpu: Number of virtual CPUs.
        memory: Memory in bytes.
        disks: Disks of the VM.
        cd_roms: CD-ROM drives of the VM. Each item is the name or id of an image of the content
            library, or None for an empty drive.
        nics: NICs of the VM.
        description: Description of the VM.
        firmware: Firmware: BIOS or UEFI.
        ha: Whether to restart the VM on another host if its host fails (high availability).
        start: Whether to start the VM after creating it.
        timeout: Seconds to wait for the task. None means no limit.
        on_progress: Function to call with each `Progress`.

    Returns:
        The VM, read after the server has completed all changes (see `Cloudtower.settle`).

    Raises:
        NotFound: The cluster does not exist, or a resource that the VM needs is not in the cluster.
            Nothing was created.
        Ambiguous: A name in the arguments matches several resources. Nothing was created.
        TaskError: The task that creates the VM failed, or did not end within `timeout`. The error's
            `resource_ids` contains the id that the server chose for the VM. The subclass
            `ReadBackFailed` means that the VM was created, but could not be read.
        OutcomeUnknown: It is unknown whether the server creates the VM. Search for a VM with this
            name.
        CallError: A call failed for another reason.
        InvalidInput: An argument is invalid.

    Example:
        ::

            vm = await create_blank_vm(
                tower,
                "web-9",
                cluster="prod",
                vcpu=4,
                memory=8 * 2**30,
                disks=[NewDisk(size=40 * 2**30), ExistingVolume(volume="web-data")],
                cd_roms=["rocky-9.iso"],
                nics=[Nic(vlan="production")],
            )
    """
    _check("create_blank_vm", name, vcpu, memory, timeout, disks=disks, nics=nics)
    place = await Place.find(tower, cluster)
    last = len(disks) + 1
    vm_disks = await place.disks(name, disks, first=1)
    vm_disks["mount_cd_roms"] = [
        await place.cd_rom(image, boot) for boot, image in enumerate(cd_roms, last)
    ]
    params: inputs.VmCreationParams = {
        "name": name,
        "description": description,
        "cluster_id": place.cluster.id,
        "cpu_cores": vcpu,
        "cpu_sockets": 1,
        "vcpu": vcpu,
        "memory": memory,
        "memory_unit": "B",
        "firmware": firmware,
        "ha": ha,
        "status": "RUNNING" if start else "STOPPED",
        "vm_disks": vm_disks,
        "vm_nics": [await place.nic(nic) for nic in nics],
    }
    create = partial(tower.vm.create_vm, [params])
    return await _made(tower, name, "vm.create_vm", create, timeout, on_progress)


async def create_vm_from_template(
    tower: Cloudtower,
    name: str,
    *,
    template: str,
    cluster: str,
    vcpu: int | None = None,
    memory: int | None = None,
    new_disks: Sequence[Disk] = (),
    change_disks: Sequence[inputs.DiskOperateModifyDisk] = (),
    remove_disks: Sequence[int] = (),
    nics: Sequence[Nic] | None = None,
    cloud_init: inputs.TemplateCloudInit | None = None,
    full_copy: bool = False,
    start: bool = False,
    timeout: float | None = 3600.0,
    on_progress: OnProgress | None = None,
) -> models.Vm:
    """Create a VM from a template of the content library, optionally with changes.

    `on_progress` reports the step ``"create"``. If the call is cancelled, the VM may still be
    created.

    Args:
        tower: The session to work with.
        name: Name of the VM.
        template: Name or id of the template.
        cluster: Name or id of the cluster. The template must be available on this cluster.
        vcpu: Number of virtual CPUs. None means the number in the template.
        memory: Memory in bytes. None means the memory in the template.
        new_disks: Disks to add to the disks of the template. The added disks come last in the boot
            order.
        change_disks: Changes of the bus of template disks. Each change has the index of a disk,
            counted from 0.
        remove_disks: Indexes of template disks to leave out, counted from 0.
        nics: NICs that replace the NICs of the template. None means the NICs of the template.
        cloud_init: Configuration for the first boot of the guest: host name, networks, keys and
            more. The task fails if the template does not support cloud-init.
        full_copy: Whether to copy the disks completely. If False, the VM shares unchanged data with
            the template.
        start: Whether to start the VM after creating it.
        timeout: Seconds to wait for the task. None means no limit.
        on_progress: Function to call with each `Progress`.

    Returns:
        The VM, read after the server has completed all changes (see `Cloudtower.settle`).

    Raises:
        NotFound: The cluster does not exist, or a resource that the VM needs is not in the cluster.
            Nothing was created.
        Ambiguous: A name in the arguments matches several resources. Nothing was created.
        TaskError: The task that creates the VM failed, or did not end within `timeout`. The error's
            `resource_ids` contains the id that the server chose for the VM. The subclass
            `ReadBackFailed` means that the VM was created, but could not be read.
        OutcomeUnknown: It is unknown whether the server creates the VM. Search for a VM with this
            name.
        CallError: A call failed for another reason.
        InvalidInput: An argument is invalid.

    Example:
        ::

            vm = await create_vm_from_template(
                tower,
                "web-9",
                template="rocky-9",
                cluster="prod",
                nics=[Nic(vlan="production")],
                cloud_init={"hostname": "web-9", "public_keys": [key]},
                start=True,
            )
    """
    recipe = "create_vm_from_template"
    _check(recipe, name, vcpu, memory, timeout, new_disks=new_disks, nics=nics or ())
    place = await Place.find(tower, cluster)
    found = await place.template(template)
    params: inputs.VmCreateVmFromContentLibraryTemplateParams = {
        "name": name,
        "template_id": found.id,
        "cluster_id": place.cluster.id,
        "is_full_copy": full_copy,
        "status": "RUNNING" if start else "STOPPED",
    }
    operate: inputs.VmDiskOperate = {}
    if new_disks:
        last = max((disk.boot or 0 for disk in found.vm_disks or ()), default=0)
        operate["new_disks"] = await place.disks(name, new_disks, first=last + 1)
    if change_disks:
        operate["modify_disks"] = change_disks
    if remove_disks:
        operate["remove_disks"] = {"disk_index": remove_disks}
    if operate:
        params["disk_operate"] = operate
    if vcpu is not None:
        params.update({"vcpu": vcpu, "cpu_cores": vcpu, "cpu_sockets": 1})
    if memory is not None:
        params.update({"memory": memory, "memory_unit": "B"})
    if nics is not None:
        params["vm_nics"] = [await place.nic(nic) for nic in nics]
    if cloud_init is not None:
        params["cloud_init"] = cloud_init
    create = partial(tower.vm.create_vm_from_content_library_template, [params])
    operation = "vm.create_vm_from_content_library_template"
    return await _made(tower, name, operation, create, timeout, on_progress)


def _check(
    recipe: str,
    name: str,
    vcpu: int | None,
    memory: int | None,
    timeout: float | None,
    **parts: Sequence[object],
) -> None:
    if not name:
        raise InvalidInput(f"{recipe}: name: must not be empty")
    check_number(recipe, vcpu=vcpu, memory=memory)
    check_seconds(recipe, "timeout", timeout, none_ok=True)
    for argument, wanted in parts.items():
        kinds = (Nic,) if argument == "nics" else (NewDisk, ExistingVolume)
        for place, part in enumerate(wanted):
            if not isinstance(part, kinds):
                expected = " or ".join(kind.__name__ for kind in kinds)
                raise InvalidInput(
                    f"{recipe}: {argument}[{place}]: expected {expected}, got {type(part).__name__}"
                )
            if isinstance(part, NewDisk):
                check_number(recipe, **{f"{argument}[{place}].size": part.size})


async def _made(
    tower: Cloudtower,
    name: str,
    operation: str,
    create: Callable[[], Awaitable[list[WithTask[models.Vm]]]],
    timeout: float | None,
    on_progress: OnProgress | None,
) -> models.Vm:
    tell = Telling(on_progress)
    with tell.about(name):
        tell.step(name, "create")
        told = partial(tell.step, name, "create")
        return await created_resource(tower, await create(), operation, timeout, told)
