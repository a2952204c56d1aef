"""The commands ``snapshot …``: take, list, revert to and delete snapshots of VMs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from cyclopts import App

from .changes import ChangeOptions, ChangeTarget, CommandChange, Flag, question, run_change
from .connect import ConnectOptions
from .errors import UsageError
from .language import tr
from .listing import list_resources
from .output_options import ListOptions, OutputOptions
from .resolve_names import Where, find_one, select
from .vm import vm_targets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from .. import inputs, models
    from ..client import Cloudtower
    from ..types import WithTask

snapshot: App = App(name="snapshot", help="Take, list, revert to and delete snapshots of VMs.")


@snapshot.command(name="list")
def list_(
    *,
    vm: str | None = None,
    listing: ListOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """List snapshots of VMs.

    Args:
        vm: Name or id of the VM of the snapshots.
        listing: Options such as --where.
        output: Output options.
        connection: Connection options.
    """
    if vm is not None and listing is not None and listing.profiles is not None:
        raise UsageError(tr("--vm goes with one server: with --profiles, use --where vm.name=NAME"))
    within = None if vm is None else partial(_of_vm, vm=vm)
    list_resources("vm-snapshots", listing, output, connection, within=within)


@snapshot.command
def create(
    *vms: str,
    where: Where = None,
    name: str | None = None,
    quiesce: Flag = False,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Take a snapshot of each VM.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs, as in `vm list --where`. Use it instead of names or ids.
        name: Name of the snapshot. With several VMs, the name of the VM is put before this name.
            [default: name of the VM and time in UTC]
        quiesce: Make the file systems of the guest consistent. Requires VM tools running in the
            guest.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")

    async def plan(tower: Cloudtower) -> CommandChange:
        targets = vm_targets(await select(tower, "vm.get_vms", vms, where, noun="VM"))

        def send(one: ChangeTarget) -> Awaitable[list[WithTask[models.VmSnapshot]]]:
            named = name if name and len(targets) == 1 else f"{one.name}-{name or stamp}"
            data: inputs.VmSnapshotCreationParamsData = {
                "vm_id": one.resource.id,
                "name": named,
                "consistent_type": "FILE_SYSTEM_CONSISTENT" if quiesce else "CRASH_CONSISTENT",
            }
            return tower.vm_snapshot.create_vm_snapshot(data=[data])

        return CommandChange(
            ask=question(
                "Take a snapshot of {number} VM on {place}?",
                "Take snapshots of {number} VMs on {place}?",
            ),
            noun="VM",
            kind="VmSnapshot",
            step="snapshot",
            targets=targets,
            send=send,
        )

    run_change("snapshot create", plan, change, output, connection)


@snapshot.command
def revert(
    name: str,
    /,
    *,
    vm: str | None = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Revert a stopped VM to a snapshot. Data written after the snapshot is lost.

    Args:
        name: Name or id of the snapshot.
        vm: Name or id of the VM. Required if several snapshots have the same name.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        found = await find_one(
            tower,
            "vm_snapshot.get_vm_snapshots",
            name,
            noun="snapshot",
            within=await _of_vm(tower, vm),
        )
        if found.vm is None:
            raise UsageError(tr("the VM of snapshot {name!r} no longer exists", name=name))
        owner = await find_one(tower, "vm.get_vms", found.vm.id, noun="VM")
        return CommandChange(
            ask=question(
                "Revert {number} VM to snapshot {snapshot} on {place}?",
                "Revert {number} VMs to snapshot {snapshot} on {place}?",
                snapshot=found.name or found.id,
            ),
            noun="VM",
            kind="Vm",
            step="revert",
            destructive=True,
            targets=vm_targets([owner]),
            send=lambda one: tower.vm.rollback_vm(
                where={"id": one.resource.id}, data={"snapshot_id": found.id}
            ),
        )

    run_change("snapshot revert", plan, change, output, connection)


@snapshot.command
def delete(
    *names: str,
    vm: str | None = None,
    where: Where = None,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Delete snapshots of VMs.

    Args:
        names: Names or ids of the snapshots.
        vm: Name or id of the VM of the snapshots.
        where: Filter that selects the snapshots, as in `list --where`. Use it instead of names or
            ids.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """

    async def plan(tower: Cloudtower) -> CommandChange:
        found = await select(
            tower,
            "vm_snapshot.get_vm_snapshots",
            names,
            where,
            noun="snapshot",
            within=await _of_vm(tower, vm),
        )
        return CommandChange(
            ask=question(
                "Delete {number} snapshot on {place}?",
                "Delete {number} snapshots on {place}?",
            ),
            noun="snapshot",
            kind="VmSnapshot",
            step="delete",
            destructive=True,
            deletes=True,
            targets=_targets(found),
            send=lambda one: tower.vm_snapshot.delete_vm_snapshot(where={"id": one.resource.id}),
        )

    run_change("snapshot delete", plan, change, output, connection)


async def _of_vm(tower: Cloudtower, vm: str | None) -> dict[str, Any] | None:
    """Return a filter for the snapshots of a VM, or None if `vm` is None."""
    if vm is None:
        return None
    found = await find_one(tower, "vm.get_vms", vm, noun="VM")
    return {"vm": {"id": found.id}}


def _targets(snapshots: Sequence[models.VmSnapshot]) -> list[ChangeTarget]:
    return [
        ChangeTarget(
            one.name or one.id,
            "" if one.vm is None else tr("of {vm}", vm=one.vm.name or one.vm.id),
            one,
        )
        for one in snapshots
    ]
