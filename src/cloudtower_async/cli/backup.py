"""The command ``backup``: take snapshots of VMs, and delete old snapshots."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from cyclopts import Parameter, validators

from ..calls import registry
from ..calls.empty_filter import matches_all
from ..control_characters import printable
from ..errors import CloudtowerError
from ..recipes import backup_vms
from ..recipes.progress import ENDS
from .change_display import progress_display
from .changes import running_tasks
from .connect import ConnectOptions, connect, planning
from .errors import UsageError
from .language import tr
from .messages import error_line
from .nouns import step_text
from .resolve_names import find
from .sent_tasks import SentTasks
from .streams import replace_unencodable
from .where_option import parse_where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..client import Cloudtower
    from ..recipes import Backup, Progress
    from .change_display import PrintLine, Show

Positive: validators.Number = validators.Number(gte=1)


def backup(
    *vms: str,
    where: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    keep: Annotated[int | None, Parameter(validator=Positive)] = None,
    prefix: str = "backup",
    at_a_time: Annotated[int, Parameter(validator=Positive)] = 5,
    quiesce: Annotated[bool, Parameter(negative="--no-quiesce")] = True,
    missing_ok: Annotated[bool, Parameter(negative="")] = False,
    timeout: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 300.0,
    connection: ConnectOptions | None = None,
) -> None:
    """Take a snapshot of each VM. With --keep, delete old backups.

    When the backup of a VM is finished, a line about the VM is printed to standard error. At the
    end, all lines are printed to standard output. If the backup of a VM fails, the other VMs are
    still backed up, and the exit status is 1.

    Args:
        vms: Names or ids of the VMs.
        where: Filter that selects the VMs: name_starts_with=web, cluster.name=prod. Use it instead
            of names or ids. If you repeat the option, a VM must match all filters.
        keep: Number of backups to keep for each VM. Older snapshots whose names consist of the
            prefix and a time are deleted. [default: keep all backups]
        prefix: Prefix of the names of the backups.
        at_a_time: Maximum number of VMs to back up concurrently.
        quiesce: Make the file systems of the guest consistent if VM tools are running in the guest.
        missing_ok: Succeed even if no VM matches --where. By default, the command fails.
        timeout: Time-out in seconds for each task. 0 means no limit.
        connection: Connection options.
    """
    if bool(vms) is bool(where):
        raise UsageError(tr("backup: pass the VMs by name or id, or with --where; one of the two"))
    if missing_ok and not where:
        raise UsageError(
            tr("backup: --missing-ok needs --where: VMs given by name or id must exist")
        )
    wanted: Any = parse_where(where or (), registry.operation("vm.get_vms"))
    if where and matches_all(wanted):
        raise UsageError(tr("backup: --where: this may match every VM; pass a narrower filter"))
    how = {
        "keep": keep,
        "prefix": prefix,
        "limit": at_a_time,
        "quiesce": quiesce,
        "missing_ok": missing_ok,
        "timeout": timeout or None,
    }
    sent = SentTasks()
    tower = connect(connection or ConnectOptions(), all_languages=False, middleware=[sent])
    anyio.run(_backup, tower, sent, vms, wanted, how)


async def _backup(
    tower: Cloudtower,
    sent: SentTasks,
    vms: Sequence[str],
    where: Any,  # noqa: ANN401
    how: dict[str, Any],
) -> None:
    async with planning(tower):
        if vms:
            found = await find(tower, "vm.get_vms", vms, noun="VM")
            where = {"id_in": [vm.id for vm in found]}
        with progress_display("VM", lines=False) as (show, print_line):
            report = _Report(show, print_line, sent)
            try:
                backups = await backup_vms(
                    tower, where, on_progress=report.progress, on_backup=report.backup, **how
                )
            except BaseException:
                report.interrupted()
                raise
    # If both streams are terminals, the terminal already shows the lines.
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        replace_unencodable()
        for each in backups:
            print(_line(each))
    sys.stdout.flush()
    failed = [each.vm.name or each.vm.id for each in backups if each.error is not None]
    if failed:
        raise CloudtowerError(
            tr(
                "{failed} of {total} VMs could not be backed up; the first: {name}",
                failed=len(failed),
                total=len(backups),
                name=failed[0],
            )
        )


class _Report:
    """Report of the backups on standard error.

    Each step is printed at once, because the user may interrupt the command at any time.

    Args:
        show: Function that displays the progress of a VM.
        print_line: Function that prints a line about a VM.
        sent: Tasks that the command has started. `interrupted` prints those that still run.
    """

    def __init__(self, show: Show, print_line: PrintLine, sent: SentTasks) -> None:
        self._show = show
        self._print_line = print_line
        self._sent = sent
        self._running: dict[str, str] = {}

    def progress(self, progress: Progress) -> None:
        if progress.step in ENDS:
            self._running.pop(progress.subject, None)
        else:
            self._running[progress.subject] = progress.step
        self._show(progress)

    def backup(self, backup: Backup) -> None:
        self._print_line(_line(backup))

    def interrupted(self) -> None:
        """Print the VMs whose backup was interrupted, and the tasks that are still running."""
        for name, step in self._running.items():
            rest = tr("; the snapshot may still be created") if step == "snapshot" else ""
            self._print_line(printable(f"{name}  INTERRUPTED: {step_text(step)}{rest}"))
        for line in running_tasks(self._sent, {}):
            self._print_line(line)


def _line(backup: Backup) -> str:
    parts = [backup.vm.name or backup.vm.id]
    if backup.snapshot is not None:
        name = backup.snapshot.name or backup.snapshot.id
        parts += [name, str(backup.snapshot.consistent_type or "")]
    if backup.removed:
        parts.append(f"removed {', '.join(old.name or old.id for old in backup.removed)}")
    line = printable("  ".join(parts))
    return line if backup.error is None else f"{line}  FAILED: {error_line(backup.error)}"
