"""Progress display of changes on standard error: bars on a terminal, otherwise lines of text."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from ..control_characters import printable
from ..recipes.progress import ENDS
from .language import tr
from .nouns import plural, step_text
from .streams import print_error

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.progress import TaskID

    from ..recipes import Progress as RecipeProgress

Show: TypeAlias = Callable[["RecipeProgress"], None]
PrintLine: TypeAlias = Callable[[str], None]


@contextmanager
def progress_display(noun: str, *, lines: bool) -> Generator[tuple[Show, PrintLine]]:
    """Yield two functions: the first displays progress, the second prints a line.

    On a terminal, each resource that is being changed has a progress bar. Printed lines appear
    above the bars.

    Args:
        noun: Noun for a resource in messages: ``"VM"``.
        lines: Whether to print a line for each step of a resource if standard error is not a
            terminal.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _step_lines() if lines else lambda _: None, print_error
        return
    bars = Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[step]}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[done]}", markup=False, table_column=Column(no_wrap=True)),
        console=console,
        auto_refresh=False,
        transient=True,
        expand=True,
    )
    shown: dict[str, TaskID] = {}

    def show(progress: RecipeProgress) -> None:
        name = printable(progress.subject)
        if progress.step in ENDS:
            if name in shown:
                bars.remove_task(shown.pop(name))
        else:
            if name not in shown:
                shown[name] = bars.add_task(name, total=1.0, step="", done="")
            bars.update(shown[name], completed=progress.fraction, step=step_text(progress.step))
        for bar in shown.values():
            bars.update(
                bar,
                done=tr(
                    "({done} of {total} {nouns} done)",
                    done=progress.done,
                    total=progress.total,
                    nouns=plural(noun),
                ),
            )
        bars.refresh()

    with bars:
        yield show, lambda line: console.print(Text(line), soft_wrap=True)


def _step_lines() -> Show:
    steps: dict[str, str] = {}

    def show(progress: RecipeProgress) -> None:
        if steps.get(progress.subject) != progress.step:
            steps[progress.subject] = progress.step
            print_error(printable(f"{progress.subject}: {step_text(progress.step)}"))

    return show
