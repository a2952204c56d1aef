"""The commands ``vm …``: list, start, stop, move, create and delete VMs."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
from cyclopts import App, Parameter, validators

from ..control_characters import printable
from ..types import OMITTED
from .amount_options import parse_duration, parse_size
from .changes import (
    ChangeOptions,
    ChangeOutcome,
    ChangeTarget,
    CommandChange,
    Flag,
    one_by_one,
    question,
    run_change,
)
from .connect import ConnectOptions, connect
from .errors import UsageError
from .language import mark, tr
from .messages import warn
from .output_options import OutputOptions
from .reading_commands import add_list, add_show
from .resolve_names import Where, find_one, select

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .. import inputs, models
    from ..client import Cloudtower
    from ..recipes import OnProgress, PowerOutcome
    from ..types import WithTask

    Answer = Awaitable[Sequence[WithTask[models.Vm]]]
    Recipe = Callable[..., Awaitable[list[PowerOutcome]]]

Positive: validators.Number = validators.Number(gte=1)
Vcpu = Annotated[int | None, Parameter(validator=Positive)]
Repeated = Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)]

_NOTES = {
    "already": mark("nothing to do"),
    "forced": mark("powered off, because it did not shut down in time"),
}
_STATES = {"RUNNING": mark("running"), "SUSPENDED": mark("suspended")}

vm: App = App(name="vm", help="List, start, stop, move, create and delete VMs.")
add_list(vm, "vms", "VMs")
add_show(vm, "vm.get_vms", "VM")


@vm.command
def start(
    *vms: str,
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Start VMs. VMs that are already running are not changed.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        from ..recipes import start_vms

        return CommandChange(
            ask=question(
                "Start {number} VM on {place}?",
                "Start {number} VMs on {place}?",
            ),
            noun="VM",
            kind="Vm",
            step="start",
            targets=await _targets(tower, vms, where),
            send=lambda one: tower.vm.start_vm(where={"id": one.resource.id}),
            run=partial(_switch, tower, start_vms),
        )

    run_change("vm start", plan, change, output, connection)


@vm.command
def stop(
    *vms: str,
    where: Where = None,
    force: Flag = False,
    force_after: str | None = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Shut down VMs through their guest operating systems, or power off VMs.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        force: Power off the VMs at once, without shutting down the guests.
        force_after: Shut down the guests, and power off VMs that are still running after this time,
            such as 2m.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    if force and force_after is not None:
        raise UsageError(tr("vm stop: pass --force or --force-after, not both"))
    seconds = None if force_after is None else parse_duration("--force-after", force_after)

    async def plan(tower: Cloudtower) -> CommandChange:
        from ..recipes import shut_down_vms

        def cut_power(one: ChangeTarget) -> Answer:
            return tower.vm.poweroff_vm(where={"id": one.resource.id})

        stopping = CommandChange(
            ask=question(
                "Shut down {number} VM on {place}?",
                "Shut down {number} VMs on {place}?",
            ),
            noun="VM",
            kind="Vm",
            step="shut down",
            targets=await _targets(tower, vms, where),
            send=lambda one: tower.vm.shut_down_vm(where={"id": one.resource.id}),
            run=partial(_switch, tower, shut_down_vms),
        )
        if force:
            return dataclasses.replace(
                stopping,
                ask=question(
                    "Power off {number} VM on {place}?",
                    "Power off {number} VMs on {place}?",
                ),
                step="power off",
                destructive=True,
                send=cut_power,
                run=None,
            )
        if seconds is None:
            return stopping
        return dataclasses.replace(
            stopping,
            ask=question(
                "Shut down {number} VM (power off after {time}) on {place}?",
                "Shut down {number} VMs (power off after {time}) on {place}?",
                time=str(force_after),
            ),
            destructive=True,
            send=None,
            run=partial(_switch, tower, partial(shut_down_vms, force_after=seconds)),
        )

    run_change("vm stop", plan, change, output, connection)


@vm.command
def restart(
    *vms: str,
    where: Where = None,
    force: Flag = False,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Restart VMs through their guest operating systems, or reset VMs.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        force: Reset the VMs at once, without shutting down the guests.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        from ..recipes import restart_vms

        def reset(one: ChangeTarget) -> Answer:
            return tower.vm.force_restart_vm(where={"id": one.resource.id})

        restarting = CommandChange(
            ask=question(
                "Restart {number} VM on {place}?",
                "Restart {number} VMs on {place}?",
            ),
            noun="VM",
            kind="Vm",
            step="restart",
            targets=await _targets(tower, vms, where),
            send=lambda one: tower.vm.restart_vm(where={"id": one.resource.id}),
            run=partial(_switch, tower, restart_vms),
        )
        if not force:
            return restarting
        return dataclasses.replace(
            restarting,
            ask=question(
                "Reset {number} VM on {place}?",
                "Reset {number} VMs on {place}?",
            ),
            step="reset",
            destructive=True,
            send=reset,
            run=None,
        )

    run_change("vm restart", plan, change, output, connection)


@vm.command
def suspend(
    *vms: str,
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Suspend VMs. The contents of the memory are preserved.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        return CommandChange(
            ask=question(
                "Suspend {number} VM on {place}?",
                "Suspend {number} VMs on {place}?",
            ),
            noun="VM",
            kind="Vm",
            step="suspend",
            targets=await _targets(tower, vms, where),
            send=lambda one: tower.vm.suspend_vm(where={"id": one.resource.id}),
        )

    run_change("vm suspend", plan, change, output, connection)


@vm.command
def resume(
    *vms: str,
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Resume suspended VMs.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        return CommandChange(
            ask=question(
                "Resume {number} VM on {place}?",
                "Resume {number} VMs on {place}?",
            ),
            noun="VM",
            kind="Vm",
            step="resume",
            targets=await _targets(tower, vms, where),
            send=lambda one: tower.vm.resume_vm(where={"id": one.resource.id}),
        )

    run_change("vm resume", plan, change, output, connection)


@vm.command
def migrate(
    *vms: str,
    where: Where = None,
    to: str | None = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Migrate VMs to another host of the same cluster.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        to: Name or id of the host. By default, the server chooses a host for each VM.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        targets = await _targets(tower, vms, where)
        host_id = "AUTO_SCHEDULE"
        ask = question(
            "Migrate {number} VM to a host that the server chooses on {place}?",
            "Migrate {number} VMs to hosts that the server chooses on {place}?",
        )
        if to is not None:
            host = await find_one(tower, "host.get_hosts", to, noun="host")
            host_id = host.id
            ask = question(
                "Migrate {number} VM to host {host} on {place}?",
                "Migrate {number} VMs to host {host} on {place}?",
                host=host.name or host.id,
            )
        return CommandChange(
            ask=ask,
            noun="VM",
            kind="Vm",
            step="migrate",
            targets=targets,
            send=lambda one: tower.vm.migrate_vm(
                where={"id": one.resource.id}, data={"host_id": host_id}
            ),
        )

    run_change("vm migrate", plan, change, output, connection)


@vm.command
def clone(
    source: str,
    /,
    *names: str,
    full_copy: Flag = False,
    start: Flag = False,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Clone a VM.

    Args:
        source: Name or id of the VM to clone.
        names: Names of the clones.
        full_copy: Copy the disks completely. By default, a clone shares unchanged data with the VM.
        start: Start the clones after creating them.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    targets = new_targets("vm clone", names)

    async def plan(tower: Cloudtower) -> CommandChange:
        found = await find_one(tower, "vm.get_vms", source, noun="VM")

        def send(one: ChangeTarget) -> Answer:
            params: inputs.VmCloneParams = {
                "src_vm_id": found.id,
                "name": one.name,
                "is_full_copy": full_copy,
                "status": "RUNNING" if start else "STOPPED",
            }
            return tower.vm.clone_vm([params])

        return CommandChange(
            ask=question(
                "Create {number} clone of VM {vm} on {place}?",
                "Create {number} clones of VM {vm} on {place}?",
                vm=found.name or found.id,
            ),
            noun="clone",
            kind="Vm",
            step="clone",
            targets=targets,
            send=send,
        )

    run_change("vm clone", plan, change, output, connection)


@vm.command
def create(
    *names: str,
    cluster: str,
    vcpu: Annotated[int, Parameter(validator=Positive)] = 1,
    memory: str = "1GiB",
    disk: Repeated = None,
    volume: Repeated = None,
    cd_rom: Repeated = None,
    network: Repeated = None,
    description: str = "",
    firmware: Literal["BIOS", "UEFI"] = "BIOS",
    ha: bool = True,
    start: Flag = False,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Create blank VMs. To create VMs from a template, use `template deploy`.

    Args:
        names: Names of the new VMs.
        cluster: Name or id of the cluster.
        vcpu: Number of virtual CPUs.
        memory: Memory of each VM, such as 8GiB.
        disk: Size of a new disk, such as 40GiB. Repeat the option for several disks.
        volume: Name or id of a volume to attach. Repeat the option for several volumes.
        cd_rom: Name or id of an image of the content library for a CD-ROM drive. Repeat the option
            for several drives.
        network: Name or id of a VM network for a NIC. Repeat the option for several NICs.
        description: Description of the VMs.
        firmware: Firmware of the VMs.
        ha: High availability: if the host of a VM fails, start the VM on another host.
        start: Start the VMs after creating them.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    targets = new_targets("vm create", names)
    memory_bytes = parse_size("--memory", memory)
    sizes = [parse_size("--disk", size) for size in disk or ()]
    if volume and len(names) > 1:
        raise UsageError(tr("--volume: a volume can be attached to one VM only"))

    async def plan(tower: Cloudtower) -> CommandChange:
        from ..recipes import ExistingVolume, NewDisk, Nic, create_blank_vm

        disks = [NewDisk(size=size) for size in sizes]
        place = await find_one(tower, "cluster.get_clusters", cluster, noun="cluster")

        async def run(
            targets: Sequence[ChangeTarget], on_progress: OnProgress, timeout: float | None
        ) -> list[ChangeOutcome]:
            async def one(target: ChangeTarget) -> ChangeOutcome:
                made = await create_blank_vm(
                    tower,
                    target.name,
                    cluster=place.id,
                    vcpu=vcpu,
                    memory=memory_bytes,
                    disks=[*disks, *(ExistingVolume(volume=each) for each in volume or ())],
                    cd_roms=cd_rom or (),
                    nics=[Nic(vlan=each) for each in network or ()],
                    description=description,
                    firmware=firmware,
                    ha=ha,
                    start=start,
                    timeout=timeout,
                    on_progress=on_progress,
                )
                return ChangeOutcome(target, [made])

            return await one_by_one(one, targets)

        return CommandChange(
            ask=question(
                "Create {number} VM in cluster {cluster} on {place}?",
                "Create {number} VMs in cluster {cluster} on {place}?",
                cluster=place.name or place.id,
            ),
            noun="VM",
            kind="Vm",
            step="create",
            targets=targets,
            run=run,
            sends="vm.create_vm",
        )

    run_change("vm create", plan, change, output, connection)


@vm.command
def resize(
    *vms: str,
    where: Where = None,
    vcpu: Vcpu = None,
    memory: str | None = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Change the number of virtual CPUs and the memory of VMs.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        vcpu: Number of virtual CPUs.
        memory: Memory of each VM, such as 8GiB.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    if vcpu is None and memory is None:
        raise UsageError(tr("vm resize: pass --vcpu or --memory"))
    size = None if memory is None else parse_size("--memory", memory)

    async def plan(tower: Cloudtower) -> CommandChange:
        def send(one: ChangeTarget) -> Answer:
            data: inputs.VmUpdateParamsData = {}
            if vcpu is not None:
                sockets = _sockets(one.resource, vcpu)
                data.update({"vcpu": vcpu, "cpu_sockets": sockets, "cpu_cores": vcpu // sockets})
            if size is not None:
                data.update({"memory": size, "memory_unit": "B"})
            return tower.vm.update_vm(where={"id": one.resource.id}, data=data)

        sizes = [tr("{number} vCPU", number=vcpu)] if vcpu is not None else []
        sizes += [tr("{size} of memory", size=memory)] if memory is not None else []
        return CommandChange(
            ask=question(
                "Resize {number} VM to {sizes} on {place}?",
                "Resize {number} VMs to {sizes} on {place}?",
                sizes=tr(" and ").join(sizes),
            ),
            noun="VM",
            kind="Vm",
            step="resize",
            targets=await _targets(tower, vms, where),
            send=send,
        )

    run_change("vm resize", plan, change, output, connection)


@vm.command
def delete(
    *vms: str,
    where: Where = None,
    with_snapshots: Flag = False,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Delete VMs and their disks.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `list --where`. Use it instead of names or ids.
        with_snapshots: Also delete the snapshots of the VMs.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    ask = question("Delete {number} VM on {place}?", "Delete {number} VMs on {place}?")
    if with_snapshots:
        ask = question(
            "Delete {number} VM and its snapshots on {place}?",
            "Delete {number} VMs and their snapshots on {place}?",
        )

    async def plan(tower: Cloudtower) -> CommandChange:
        return CommandChange(
            ask=ask,
            noun="VM",
            kind="Vm",
            step="delete",
            destructive=True,
            deletes=True,
            targets=await _targets(tower, vms, where),
            send=lambda one: tower.vm.delete_vm(
                where={"id": one.resource.id},
                effect={"include_snapshots": True} if with_snapshots else OMITTED,
            ),
        )

    run_change("vm delete", plan, change, output, connection)


@vm.command
def console(name: str, /, *, connection: ConnectOptions | None = None) -> None:
    """Print the address of a VM's console. Open the address in a browser.

    Args:
        name: Name or id of the VM.
        connection: Connection options.
    """
    tower = connect(connection or ConnectOptions(), all_languages=False)
    address = anyio.run(_console_address, tower, name)
    warn(tr("the address contains a ticket: anyone who has it can use the console of the VM"))
    print(printable(address), flush=True)


async def _console_address(tower: Cloudtower, name: str) -> str:
    async with tower:
        found = await find_one(tower, "vm.get_vms", name, noun="VM")
        info = await tower.vm.get_vm_vnc_info(vm={"id": found.id})
    return info.terminal


async def _targets(
    tower: Cloudtower, names: Sequence[str], where: Sequence[str] | None
) -> list[ChangeTarget]:
    return vm_targets(await select(tower, "vm.get_vms", names, where, noun="VM"))


def vm_targets(vms: Sequence[Any]) -> list[ChangeTarget]:
    """Return a `ChangeTarget` for each VM. The target of a stopped VM has no state to show."""
    return [
        ChangeTarget(
            one.name or one.id,
            _state(one.status),
            one,
        )
        for one in vms
    ]


def _state(status: object) -> str:
    if status is None or status == "STOPPED":
        return ""
    known = _STATES.get(str(status))
    return str(status).lower() if known is None else tr(known)


def new_targets(command: str, names: Sequence[str]) -> list[ChangeTarget]:
    """Return a `ChangeTarget` for each name of a VM that the command will create.

    Raises:
        UsageError: `names` is empty or contains a name twice.
    """
    if not names:
        raise UsageError(tr("{command}: pass the name of each VM to create", command=command))
    if len(set(names)) < len(names):
        raise UsageError(tr("{command}: a name is given twice", command=command))
    return [ChangeTarget(name) for name in names]


async def _switch(
    tower: Cloudtower,
    recipe: Recipe,
    targets: Sequence[ChangeTarget],
    on_progress: OnProgress,
    timeout: float | None,
) -> list[ChangeOutcome]:
    """Run a recipe for a power operation on the targets, and return the outcomes."""
    by_id = {one.resource.id: one for one in targets}
    outcomes = await recipe(
        tower,
        {"id_in": list(by_id)},
        missing_ok=True,
        timeout=timeout,
        on_progress=on_progress,
    )
    found = {one.vm.id: one for one in outcomes}
    return [
        _outcome(target, found[identifier])
        if identifier in found
        else ChangeOutcome(
            target, error=UsageError(tr("VM {name} no longer exists", name=target.name))
        )
        for identifier, target in by_id.items()
    ]


def _outcome(target: ChangeTarget, outcome: PowerOutcome) -> ChangeOutcome:
    note = tr(_NOTES.get(outcome.result, ""))
    if outcome.error is not None:
        return ChangeOutcome(target, error=outcome.error)
    return ChangeOutcome(target, [outcome.vm], note=note)


def _sockets(found: Any, vcpu: int) -> int:  # noqa: ANN401 - a VM
    """Return the number of CPU sockets for a VM with `vcpu` virtual CPUs.

    This is the current number of sockets if it divides `vcpu`, otherwise 1.
    """
    sockets = found.cpu.sockets if found.cpu is not None else None
    return sockets if sockets and vcpu % sockets == 0 else 1
