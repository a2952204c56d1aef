"""Output formats of resources.

A table is printed after all resources are known, because the width of a column depends on all of
its cells. All other formats are streamed.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import anyio.to_thread
import msgspec
from cyclopts import Parameter

from ..control_characters import escaped, printable
from .columns import cell
from .errors import UsageError
from .language import tr
from .tables import format_table

if TYPE_CHECKING:
    from .columns import Columns

Format: TypeAlias = Literal["table", "json", "jsonl", "csv", "yaml"]
Chunks: TypeAlias = AsyncGenerator[bytes]
Formatter: TypeAlias = "Callable[[AsyncIterable[object], Columns, bool], Chunks]"
"""Function that formats resources. Its arguments are the resources, their columns, and whether the
user chose the columns."""

RAW_CSV_ONLY = "--raw-csv goes with --output csv only"
RawCsv = Annotated[bool, Parameter(negative="", show_default=False)]

_AT_ONCE = 1 << 16  # bytes in one call of `write_output`
_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # ASCII and full-width characters
_CUT_OFF = frozenset("\t\r\n")  # spreadsheets drop these characters at the start of a cell


def json_text(value: object) -> bytes:
    """Return a value as one line of JSON, with control characters escaped."""
    return escaped(msgspec.json.encode(value).decode()).encode()


def formatter_for(kind: Format, *, raw_csv: bool = False, headings: bool = True) -> Formatter:
    """Return the function that formats resources.

    Args:
        kind: Name of the format.
        raw_csv: Whether to leave CSV cells unchanged. If False, an apostrophe is put before cells
            that a spreadsheet would run as formulas.
        headings: Whether a table or CSV begins with the names of the columns.

    Raises:
        UsageError: `raw_csv` is True and the format is not CSV, or `headings` is False and the
            format is neither a table nor CSV.
    """
    if raw_csv and kind != "csv":
        raise UsageError(RAW_CSV_ONLY)
    if kind == "csv":
        return partial(_csv, raw=raw_csv, headings=headings)
    if kind == "table":
        return partial(_table, headings=headings)
    if not headings:
        raise UsageError(tr("--no-headers goes with --output table, wide and csv only"))
    return _FORMATS[kind]


async def _json(rows: AsyncIterable[object], columns: Columns, chosen: bool) -> Chunks:
    before = b"["
    async for row in rows:
        yield before + b"\n" + json_text(columns.picked(row) if chosen else row)
        before = b","
    yield b"[]\n" if before == b"[" else b"\n]\n"


async def _json_lines(rows: AsyncIterable[object], columns: Columns, chosen: bool) -> Chunks:
    async for row in rows:
        yield json_text(columns.picked(row) if chosen else row) + b"\n"


async def _yaml(rows: AsyncIterable[object], columns: Columns, chosen: bool) -> Chunks:
    empty = True
    async for row in rows:
        yield _yaml_text([columns.picked(row) if chosen else row])
        empty = False
    if empty:
        yield b"[]\n"


def _yaml_text(value: object) -> bytes:
    data = msgspec.yaml.encode(value)
    text = data.decode()
    if escaped(text.replace("\n", "")) == text.replace("\n", ""):
        return data
    # YAML does not escape all control characters. If there are any, escape all characters that are
    # not ASCII.
    yaml: Any = importlib.import_module("yaml")
    plain = msgspec.to_builtins(value)
    return cast("str", yaml.safe_dump(plain, allow_unicode=False, sort_keys=False)).encode()


async def _csv(
    rows: AsyncIterable[object], columns: Columns, _: bool, *, raw: bool, headings: bool
) -> Chunks:
    import csv

    def line(cells: list[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode()

    to_text = cell if raw else _no_formula
    # If a program reads the output, a line break within quotes is part of the text.
    safe = printable if sys.stdout.isatty() else _printable_lines
    if headings:
        yield line(columns.names)
    async for row in rows:
        yield line([safe(to_text(value)) for value in columns.values(row)])


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _no_formula(value: object) -> str:
    """Return the text of a CSV cell. A text that looks like a formula gets a leading ``'``."""
    text = cell(value)
    if isinstance(value, int | float):
        return text
    start = printable(text).lstrip()[:1]
    return f"'{text}" if start in _FORMULA or text[:1] in _CUT_OFF else text


async def _table(
    rows: AsyncIterable[object], columns: Columns, _: bool, *, headings: bool = True
) -> Chunks:
    cells = [columns.cells(row) async for row in rows]
    # Run in a thread, because the function imports rich, which reads files.
    yield await anyio.to_thread.run_sync(
        partial(format_table, columns.names, cells, headings=headings)
    )


_FORMATS: dict[Format, Formatter] = {"json": _json, "jsonl": _json_lines, "yaml": _yaml}
