"""The commands ``task …``: list and show tasks, and wait until they have ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import anyio
from cyclopts import App, Parameter, validators
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column
from rich.text import Text

from ..control_characters import printable
from ..tasks.subscription import ENDED
from ..tasks.task_errors import task_failed
from .connect import ConnectOptions, connect
from .errors import UsageError
from .language import tr
from .output_options import OutputOptions
from .reading_commands import add_list
from .show import show_resources
from .streams import replace_unencodable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ..client import Cloudtower
    from ..models import Task

_STYLES = {"SUCCESSED": "green", "FAILED": "bold red"}

Show: TypeAlias = Callable[["Task"], None]


tasks: App = App(name="tasks", help="Older name of task, only with the command wait.")
task: App = App(name="task", help="List and show tasks, and wait for them.")
add_list(task, "tasks", "tasks")


@task.command
def show(
    *ids: str,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show tasks in detail.

    Args:
        ids: Ids of the tasks.
        output: Output options.
        connection: Connection options.
    """
    show_resources("task.get_tasks", ids, None, "task", output, connection, by_name=False)


@task.command
@tasks.command
def wait(
    *ids: str,
    timeout: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 300.0,
    connection: ConnectOptions | None = None,
) -> None:
    """Wait until tasks have ended, and show their progress.

    On a terminal, each task has a progress bar. Otherwise, a line is printed for each change of a
    task. The exit status is 1 if a task failed, was still running after the time-out, or was
    unknown to the server for 30 seconds.

    Args:
        ids: Ids of the tasks.
        timeout: Time-out in seconds for all tasks together. 0 means no limit.
        connection: Connection options.
    """
    if not ids:
        raise UsageError(tr("task wait: pass the ids of the tasks to wait for"))
    tower = connect(connection or ConnectOptions(), all_languages=False)
    anyio.run(_wait, tower, ids, timeout or None)


async def _wait(tower: Cloudtower, ids: Sequence[str], timeout: float | None) -> None:
    ended: list[Task] = []
    async with tower:
        with _display(ids) as show:
            async for task in tower.progress(ids, timeout=timeout):
                show(task)
                if task.status in ENDED:
                    ended.append(task)
        await tower.wait(ended)  # raises the errors of failed tasks


@contextmanager
def _display(ids: Sequence[str]) -> Generator[Show]:
    """Yield a function that displays a task. Call it after each change of the task."""
    replace_unencodable()
    console = Console(highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda task: print(_line(task), flush=True)
        return
    bars = Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=console,
        auto_refresh=False,
        expand=True,
    )
    task_bars = {
        task_id: bars.add_task(printable(task_id), total=1.0, status="")
        for task_id in dict.fromkeys(ids)
    }

    def show(task: Task) -> None:
        bar = task_bars[task.id]
        if task.status in ENDED:
            # Replace the bar with a line above the bars of the running tasks.
            bars.remove_task(bar)
            console.print(Text(_line(task), style=_STYLES[task.status]), soft_wrap=True)
        else:
            bars.update(
                bar,
                completed=task.progress or 0.0,
                status=printable(_status(task)),
                description=printable(_description(task)),
            )
        bars.refresh()

    with bars:
        yield show


def _status(task: Task) -> str:
    # A server that violates its schema may send null as the status.
    return str(task.status or tr("(no status)"))


def _description(task: Task) -> str:
    return task.description or ""


def _line(task: Task) -> str:
    line = f"{task.id} {_status(task)} {task.progress or 0.0:.0%} {_description(task)}"
    reason = task_failed(task).message if task.status == "FAILED" else None
    return printable(f"{line}: {' '.join(reason.split())}" if reason else line)
