"""The command ``backup``: snapshots of VMs, of which the newest are kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

import anyio
from cyclopts import Parameter, validators
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from ..calls import registry
from ..calls.empty_filter import matches_all
from ..control_characters import printable
from ..errors import CloudtowerError
from ..recipes import backup_vms
from .connect import ConnectOptions, connect
from .exit_codes import UsageError, one_line
from .outputs import show_any_text
from .streams import tell
from .where_option import where_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rich.progress import TaskID

    from ..client import Cloudtower
    from ..models import Vm
    from ..recipes import Backup
    from ..recipes import Progress as News

Whole: validators.Number = validators.Number(gte=1)
Tell: TypeAlias = Callable[["News"], None]


def backup(
    *vms: str,
    where: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    keep: Annotated[int | None, Parameter(validator=Whole)] = None,
    prefix: str = "backup",
    at_a_time: Annotated[int, Parameter(validator=Whole)] = 5,
    quiesce: Annotated[bool, Parameter(negative="--no-quiesce")] = True,
    missing_ok: Annotated[bool, Parameter(negative="")] = False,
    timeout: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 300.0,
    connection: ConnectOptions | None = None,
) -> None:
    """Take a snapshot of each VM, and keep the newest of these backups.

    Each VM is a line on the standard error as soon as it is done, and again on the standard output
    at the end. The exit status is 1 when one could not be backed up; that does not end the others.

    Args:
        vms: Names or ids of the VMs.
        where: Which VMs instead, as for get: name_starts_with=web, cluster.name=prod; repeat it for
            more, all of which must hold.
        keep: How many of these backups a VM is to have afterwards: older ones, whose names are the
            prefix and a time, are deleted. Without it: none.
        prefix: What the names of these backups begin with.
        at_a_time: Most VMs that are worked on at once.
        quiesce: Have the file systems of the guest consistent, where its VM tools are running.
        missing_ok: Succeed when no VM matches --where, instead of failing.
        timeout: Seconds to wait for each task; 0: without limit.
        connection: How to reach the server.
    """
    if bool(vms) is bool(where):
        raise UsageError("backup: pass the VMs by name or id, or with --where; one of the two")
    if missing_ok and not where:
        raise UsageError("backup: --missing-ok needs --where: VMs given by name or id must exist")
    wanted: Any = where_of(where or (), registry.operation("vm.get_vms"))
    if where and matches_all(wanted):
        raise UsageError("backup: --where: this may match every VM; say which ones are meant")
    how = {
        "keep": keep,
        "prefix": prefix,
        "limit": at_a_time,
        "quiesce": quiesce,
        "missing_ok": missing_ok,
        "timeout": timeout or None,
    }
    tower = connect(connection or ConnectOptions(), all_languages=False)
    anyio.run(_backup, tower, vms, wanted, how)


async def _backup(tower: Cloudtower, vms: Sequence[str], where: Any, how: dict[str, Any]) -> None:  # noqa: ANN401
    async with tower:
        if vms:
            where = {"id_in": await _ids(tower, vms)}
        with _outlet() as (put, told):
            report = _Report(put, told)
            try:
                backups = await backup_vms(
                    tower, where, on_progress=report.progress, on_backup=report.backup, **how
                )
            except BaseException:
                report.interrupted()
                raise
    # On a terminal that shows both outputs the lines are there already.
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        show_any_text()
        for each in backups:
            print(_line(each))
    sys.stdout.flush()
    failed = [each.vm.name or each.vm.id for each in backups if each.error is not None]
    if failed:
        raise CloudtowerError(
            f"{len(failed)} of {len(backups)} VMs could not be backed up; the first: {failed[0]}"
        )


async def _ids(tower: Cloudtower, names: Sequence[str]) -> list[str]:
    """The ids of the VMs with these names or ids.

    Raises:
        UsageError: There is no such VM, or there are several.
    """
    one_of = {"OR": [{"id_in": list(names)}, {"name_in": list(names)}]}
    found = await tower.vm.get_vms(where=cast("Any", one_of))
    return [_only(name, found) for name in names]


def _only(name: str, vms: Sequence[Vm]) -> str:
    found = [vm.id for vm in vms if vm.id == name] or [vm.id for vm in vms if vm.name == name]
    if not found:
        raise UsageError(f"there is no VM {name!r}; nothing was backed up")
    if len(found) > 1:
        raise UsageError(f"several VMs are called {name!r}: pass an id, of {', '.join(found)}")
    return found[0]


class _Report:
    """Tells at once what was done, as the command may be interrupted at any time.

    Args:
        put: Shows how far it is.
        tell: Prints a line.
    """

    def __init__(self, put: Tell, tell: Callable[[str], None]) -> None:
        self._put = put
        self._tell = tell
        self._under_way: dict[str, str] = {}

    def progress(self, news: News) -> None:
        if news.step in ("done", "failed"):
            self._under_way.pop(news.subject, None)
        else:
            self._under_way[news.subject] = news.step
        self._put(news)

    def backup(self, backup: Backup) -> None:
        self._tell(_line(backup))

    def interrupted(self) -> None:
        """Tell which VMs are left half done."""
        for name, step in self._under_way.items():
            rest = "; the snapshot may still be made" if step == "snapshot" else ""
            self._tell(printable(f"{name}  INTERRUPTED: {step}{rest}"))


def _line(backup: Backup) -> str:
    parts = [backup.vm.name or backup.vm.id]
    if backup.snapshot is not None:
        name = backup.snapshot.name or backup.snapshot.id
        parts += [name, str(backup.snapshot.consistent_type or "")]
    if backup.removed:
        parts.append(f"removed {', '.join(old.name or old.id for old in backup.removed)}")
    line = printable("  ".join(parts))
    return line if backup.error is None else f"{line}  FAILED: {one_line(backup.error)}"


@contextmanager
def _outlet() -> Generator[tuple[Tell, Callable[[str], None]]]:
    """Yield where news and lines go: on a terminal each VM that is worked on has a bar."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda _: None, tell
        return
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[step]}", markup=False),
        console=console,
        auto_refresh=False,
        transient=True,
    )
    shown: dict[str, TaskID] = {}

    def put(news: News) -> None:
        name = printable(news.subject)
        if news.step in ("done", "failed"):
            if name in shown:
                bars.remove_task(shown.pop(name))
        else:
            if name not in shown:
                shown[name] = bars.add_task(name, total=1.0, step="")
            step = f"{news.step} ({news.done} of {news.total} VMs done)"
            bars.update(shown[name], completed=news.fraction, step=step)
        bars.refresh()

    with bars:
        # Above the bars.
        yield put, lambda line: console.print(Text(line), soft_wrap=True)
