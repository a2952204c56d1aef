"""The option ``--watch``: refresh a table, and mark the rows that have changed."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import anyio
from rich.console import Group

from ..errors import CallError
from .columns import value_at
from .live_screen import LiveScreen, ScreenPage
from .messages import error_line
from .streams import print_error, replace_unencodable, write_output
from .tables import Fit, lay_out, line_text, painted, table_texts
from .terminal import make_console

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from .live_screen import Draw
    from .printing import Printer
    from .tables import Cell
    from .views import View

_NEW, _CHANGED, _GONE, _SAME = "+", "*", "-", " "
_STYLES = {_NEW: "bold", _CHANGED: "bold", _GONE: "dim"}


async def watch(
    read: Callable[[], AsyncGenerator[object]],
    printer: Printer,
    limit: int | None,
    interval: float,
) -> None:
    """Refresh a table until the user quits.

    On a terminal, the whole table is redrawn at each refresh. Otherwise, the table is printed once,
    followed by the rows that change. New rows are marked with ``+``, changed rows with ``*`` and
    deleted rows with ``-``.

    Args:
        read: Function that yields the resources.
        printer: Printer with the columns and the order of the table.
        limit: Maximum number of resources. None means all resources.
        interval: Seconds between two refreshes.
    """
    table = _WatchedTable(printer, headings=not printer.options.no_headers)

    async def refresh() -> Draw:
        async with aclosing(read()) as rows:
            found = [row async for row in rows]
        if printer.order is not None:
            found = printer.order.sort(found)
        table.update(found[:limit])
        return table.page

    replace_unencodable()
    console = make_console()
    first = await refresh()
    if console.is_terminal and not console.is_dumb_terminal and sys.stdout.isatty():
        await LiveScreen(console, interval).show(first, refresh)
        return
    await anyio.to_thread.run_sync(write_output, table.text(everything=True))
    while True:
        await anyio.sleep(interval)
        try:
            await refresh()
        except CallError as exc:
            print_error(f"cloudtower-async: {error_line(exc)}")
            continue
        if text := table.text(everything=False):
            await anyio.to_thread.run_sync(write_output, text)


class _WatchedTable:
    """Table that marks the rows that have changed since its last update."""

    def __init__(self, printer: Printer, *, headings: bool) -> None:
        self._view = cast("View", printer.view)
        self._headings = headings
        self._fits = [Fit(kept=True), *self._view.fits]
        self._marked: list[tuple[str, list[str]]] = []
        self._before: dict[object, tuple[list[object], object]] | None = None

    def update(self, rows: list[object]) -> None:
        """Store new rows, and mark how they differ from the previous rows."""
        before, self._before = self._before, {}
        self._marked = []
        for row in rows:
            identity = value_at(row, ("id",))
            # Compare the values from the server. Texts cannot be compared, because the text of an
            # age always changes.
            values = [value_at(row, path) for path in self._view.paths]
            mark = _SAME
            if before is not None:
                earlier = before.pop(identity, None)
                mark = _NEW if earlier is None else _SAME if earlier[0] == values else _CHANGED
            self._before[identity] = values, row
            self._marked.append((mark, self._view.cells(row)))
        for _, gone in (before or {}).values():
            self._marked.append((_GONE, self._view.cells(gone)))

    def page(self, height: int | None) -> ScreenPage:
        """Return the table as a page for a terminal."""
        head, *lines = self._lines(make_console().width)
        styled = [
            line_text(line, _STYLES.get(mark, ""))
            for line, (mark, _) in zip(lines, self._marked, strict=True)
            if height is not None or mark != _GONE
        ]
        return ScreenPage(Group(*styled), [line_text(head)] if self._headings else [])

    def text(self, *, everything: bool) -> bytes:
        """Return the table as text for a pipe. Unless `everything` is set, omit unchanged rows."""
        head, *lines = self._lines(None)
        shown = [
            line
            for line, (mark, _) in zip(lines, self._marked, strict=True)
            if everything or mark != _SAME
        ]
        if everything and self._headings:
            shown.insert(0, head)
        return painted(make_console(), shown).encode()

    def _lines(self, width: int | None) -> list[list[Cell]]:
        heads, lines = table_texts(
            ["", *self._view.names], [[mark, *cells] for mark, cells in self._marked]
        )
        return lay_out(heads, lines, self._fits, width)
