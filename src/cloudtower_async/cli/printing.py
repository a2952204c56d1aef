"""Printing of resources, as a table for people or in a format for programs."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, cast

import anyio.to_thread

from ..control_characters import printable
from .columns import Columns, Path, field_path, has_column, value_at
from .errors import UsageError
from .formats import Format, formatter_for
from .human import plain
from .language import tr
from .pager import write_paged
from .streams import write_chunks
from .tables import format_table
from .views import SortOrder, View, name_column, query_struct, table_headings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable

    import msgspec

    from .formats import Formatter
    from .output_options import OutputOptions


class Printer:
    """Printer of resources.

    The constructor checks the options, so that errors are raised before any resource is read.

    Args:
        kind: Struct type of the resources, such as `models.Vm`.
        options: Options from the command line.
        or_else: Advice in the error message about an unknown column if no name is similar.

    Raises:
        UsageError: A column is unknown, or an option is invalid.
    """

    def __init__(
        self, kind: type[msgspec.Struct], options: OutputOptions, *, or_else: str = ""
    ) -> None:
        names = options.columns and [name.strip() for name in options.columns.split(",")]
        _check(options)
        self.kind = kind
        self.view: View | None = None
        """Columns of a table for people, or None for other formats."""
        self.options = options
        self._paths: list[Path] | None = None  # None means that every field is printed
        self._format: Formatter
        self._columns: Columns | None = None
        if options.quiet or options.output == "name":
            name = "id" if options.quiet else name_column(kind)
            if not has_column(kind, name):
                option = "--quiet" if options.quiet else "--output name"
                raise UsageError(
                    tr(
                        "{option}: these rows have no {name}; pass --columns instead",
                        option=option,
                        name=name,
                    )
                )
            self._paths = [field_path(kind, name)]
        elif options.output in ("table", "wide"):
            wide = options.output == "wide"
            self.view = View(kind, names or None, wide=wide, or_else=or_else)
            self._paths = self.view.paths
        else:
            _refuse_headings(kind, names or [], options)
            self._columns = Columns(kind, names or None, or_else=or_else)
            if names or options.output == "csv":
                self._paths = self._columns.paths
            self._format = formatter_for(
                cast("Format", options.output),
                raw_csv=options.raw_csv,
                headings=not options.no_headers,
            )
        order_view = self.view or View(kind, or_else=or_else)
        self.order: SortOrder | None = order_view.order(options.sort) if options.sort else None

    def struct(self, order_by: str | None) -> type[msgspec.Struct] | None:
        """Return a struct with only the fields that the output needs, or None for all fields.

        Args:
            order_by: Value of ``orderBy`` in the request. None means that the server sorts by id.
        """
        if self._paths is None:
            return None
        more = self.order.paths if self.order else ()
        return query_struct(self.kind, [*self._paths, *more], order_by)

    async def print(self, rows: AsyncIterable[object], limit: int | None = None) -> None:
        """Print resources.

        Args:
            rows: Resources to print.
            limit: With ``--sort``, the maximum number of resources to print. Without ``--sort``,
                the caller limits `rows`.
        """
        if self.order is not None:
            rows = each(self.order.sort([row async for row in rows])[:limit])
        if self.view is not None:
            # Collect cells instead of resources, because cells take less memory.
            cells = [self.view.cells(row) async for row in rows]
            data = await anyio.to_thread.run_sync(  # importing rich reads files
                partial(
                    format_table,
                    self.view.names,
                    cells,
                    self.view.fits,
                    headings=not self.options.no_headers,
                    room=self.view.room,
                )
            )
            await write_paged(data, pager=not self.options.no_pager)
        elif self._columns is None:
            await write_chunks(self._lines(rows))
        else:
            chosen = self.options.columns is not None
            async with aclosing(self._format(rows, self._columns, chosen)) as chunks:
                await write_chunks(chunks)

    async def _lines(self, rows: AsyncIterable[object]) -> AsyncGenerator[bytes]:
        [path] = cast("list[Path]", self._paths)
        async for row in rows:
            yield f"{printable(plain(value_at(row, path)))}\n".encode()


def _check(options: OutputOptions) -> None:
    if options.quiet and options.output != "table":
        raise UsageError(
            tr("--quiet prints ids only: leave out --output {output}", output=options.output)
        )
    lines = "--quiet" if options.quiet else f"--output {options.output}"
    if options.columns and (options.quiet or options.output == "name"):
        raise UsageError(tr("{lines} prints one column only: leave out --columns", lines=lines))
    if options.no_headers and (options.quiet or options.output not in ("table", "wide", "csv")):
        raise UsageError(tr("{lines} has no headings: leave out --no-headers", lines=lines))
    if options.no_pager and (options.quiet or options.output not in ("table", "wide")):
        raise UsageError(tr("{lines} uses no pager: leave out --no-pager", lines=lines))
    if options.raw_csv and options.output != "csv":
        raise UsageError(tr("--raw-csv goes with --output csv only"))


def _refuse_headings(
    kind: type[msgspec.Struct], names: Iterable[str], options: OutputOptions
) -> None:
    """Raise `UsageError` for a name that is not a field but a table heading, such as ``age``."""
    headings = table_headings(kind)
    for name in names:
        if fields := headings.get(name.lower()):
            raise UsageError(
                tr(
                    "--columns: only tables have the column {name!r}; with -o {output}, pass "
                    "{fields}",
                    name=name,
                    output=options.output,
                    fields=",".join(fields),
                )
            )


async def each(rows: Iterable[object]) -> AsyncGenerator[object]:
    """Yield the items of an iterable, as an async iterator."""
    for row in rows:
        yield row
