"""The commands ``host …``: list hosts, and put them into maintenance mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

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
from .confirm import listed
from .connect import ConnectOptions
from .errors import UsageError
from .language import mark, tr
from .output_options import OutputOptions
from .reading_commands import add_list, add_show
from .resolve_names import find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .. import models
    from ..client import Cloudtower
    from ..recipes import OnProgress

host: App = App(name="host", help="List hosts, and put them into maintenance mode.")
add_list(host, "hosts", "hosts")
add_show(host, "host.get_hosts", "host")
maintenance: App = App(name="maintenance", help="Enter and exit the maintenance mode of hosts.")
host.command(maintenance)


@maintenance.command
def enter(
    *hosts: str,
    stop_vms: Flag = False,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Put hosts into maintenance mode, one after the other. Their VMs are moved to other hosts.

    Args:
        hosts: Names or ids of the hosts.
        stop_vms: Shut down VMs that cannot be moved. Without this option, such VMs prevent
            maintenance mode.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    _check(hosts)
    ask = question(
        "Put {number} host into maintenance mode on {place}?",
        "Put {number} hosts into maintenance mode on {place}?",
    )
    if stop_vms:
        ask = question(
            "Put {number} host into maintenance mode and shut down VMs that cannot be moved, on "
            "{place}?",
            "Put {number} hosts into maintenance mode and shut down VMs that cannot be moved, on "
            "{place}?",
        )

    async def plan(tower: Cloudtower) -> CommandChange:
        from ..recipes import enter_maintenance

        async def run(
            targets: Sequence[ChangeTarget], on_progress: OnProgress, timeout: float | None
        ) -> list[ChangeOutcome]:
            async def one(target: ChangeTarget) -> ChangeOutcome:
                entered = await enter_maintenance(
                    tower,
                    target.resource.id,
                    stop_vms=stop_vms,
                    timeout=timeout,
                    on_progress=on_progress,
                )
                note = _note(
                    {
                        mark("moved: {names}"): entered.moved,
                        mark("stopped: {names}"): entered.stopped,
                        mark("unclear: {names}"): entered.unclear,
                    }
                )
                return ChangeOutcome(target, [entered.host], note=note)

            return await one_by_one(one, targets)

        return CommandChange(
            ask=ask,
            noun="host",
            kind="Host",
            step="enter maintenance",
            destructive=True,
            targets=await _targets(tower, hosts),
            run=run,
            sends="host.enter_maintenance_mode",
        )

    run_change("host maintenance enter", plan, change, output, connection)


@maintenance.command(name="exit")
def exit_(
    *hosts: str,
    bring_back: bool = True,
    change: ChangeOptions | None = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Take hosts out of maintenance mode.

    Args:
        hosts: Names or ids of the hosts.
        bring_back: Move VMs back to the host. Start the VMs that were shut down for the
            maintenance.
        change: Options such as --yes.
        output: Output options.
        connection: Connection options.
    """
    _check(hosts)

    async def plan(tower: Cloudtower) -> CommandChange:
        from ..recipes import leave_maintenance

        async def run(
            targets: Sequence[ChangeTarget], on_progress: OnProgress, timeout: float | None
        ) -> list[ChangeOutcome]:
            async def one(target: ChangeTarget) -> ChangeOutcome:
                left = await leave_maintenance(
                    tower,
                    target.resource.id,
                    bring_back=bring_back,
                    timeout=timeout,
                    on_progress=on_progress,
                )
                note = _note(
                    {
                        mark("moved back: {names}"): left.back,
                        mark("started: {names}"): left.started,
                        mark("not moved back: {names}"): left.not_back,
                    }
                )
                return ChangeOutcome(target, [left.host], note=note)

            return await one_by_one(one, targets)

        return CommandChange(
            ask=question(
                "Take {number} host out of maintenance mode on {place}?",
                "Take {number} hosts out of maintenance mode on {place}?",
            ),
            noun="host",
            kind="Host",
            step="exit maintenance",
            targets=await _targets(tower, hosts),
            run=run,
            sends="host.exit_maintenance_mode",
        )

    run_change("host maintenance exit", plan, change, output, connection)


def _check(hosts: Sequence[str]) -> None:
    if not hosts:
        raise UsageError(tr("pass the hosts by name or id"))


async def _targets(tower: Cloudtower, hosts: Sequence[str]) -> list[ChangeTarget]:
    found: list[models.Host] = await find(tower, "host.get_hosts", hosts, noun="host")
    return [ChangeTarget(one.name or one.id, resource=one) for one in found]


def _note(groups: Mapping[str, Sequence[models.Vm]]) -> str:
    """Return a note that lists the affected VMs: ``moved: web-1, web-2; stopped: web-3``."""
    return "; ".join(
        tr(text, names=listed([vm.name or vm.id for vm in vms]))
        for text, vms in groups.items()
        if vms
    )
