"""Output formats of resources. All but the table are streamed, as it needs every row's width."""

from __future__ import annotations

import csv
import importlib
import io
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast

import msgspec
from cyclopts import Parameter
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..control_characters import escaped, printable
from .columns import cell
from .errors import UsageError

if TYPE_CHECKING:
    from .columns import Columns

Format: TypeAlias = Literal["table", "json", "jsonl", "csv", "yaml"]
Chunks: TypeAlias = AsyncGenerator[bytes]
Formatter: TypeAlias = "Callable[[AsyncIterable[object], Columns, bool], Chunks]"
"""Formats resources; takes them, their columns, and whether the user chose the columns."""

RAW_CSV_ONLY = "--raw-csv goes with --output csv only"
RawCsv = Annotated[bool, Parameter(negative="", show_default=False)]

_AT_ONCE = 1 << 16  # bytes, to write_output
_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # and full-width characters
_CUT_OFF = frozenset("\t\r\n")  # spreadsheets drop them first


def json_text(value: object) -> bytes:
    """Encode a value as one line of JSON, with control characters escaped."""
    return escaped(msgspec.json.encode(value).decode()).encode()


def formatter_for(kind: Format, *, raw_csv: bool = False) -> Formatter:
    """Return the function that formats resources.

    Args:
        kind: Name of the format.
        raw_csv: Do not change CSV cells that a spreadsheet would run as formulas.

    Raises:
        UsageError: `raw_csv` with another format.
    """
    if not raw_csv:
        return _FORMATS[kind]
    if kind != "csv":
        raise UsageError(RAW_CSV_ONLY)
    return partial(_csv, raw=True)


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
    # YAML keeps some control characters. Escape everything that is not ASCII then.
    yaml: Any = importlib.import_module("yaml")
    plain = msgspec.to_builtins(value)
    return cast("str", yaml.safe_dump(plain, allow_unicode=False, sort_keys=False)).encode()


async def _csv(
    rows: AsyncIterable[object], columns: Columns, _: bool, *, raw: bool = False
) -> Chunks:
    def line(cells: list[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode()

    to_text = cell if raw else _no_formula
    # For programs, a line break within quotes is part of the text.
    safe = printable if sys.stdout.isatty() else _printable_lines
    yield line(columns.names)
    async for row in rows:
        yield line([safe(to_text(value)) for value in columns.values(row)])


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _no_formula(value: object) -> str:
    """Return the text of a cell, changed so that no spreadsheet runs it as a formula."""
    text = cell(value)
    if isinstance(value, int | float):
        return text
    start = printable(text).lstrip()[:1]
    return f"'{text}" if start in _FORMULA or text[:1] in _CUT_OFF else text


async def _table(rows: AsyncIterable[object], columns: Columns, _: bool) -> Chunks:
    yield format_table(columns.names, [columns.cells(row) async for row in rows])


def format_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Format a table with a heading. It fits the terminal; in a pipe nothing is cut."""
    names = [name.upper() for name in columns]
    lines = [[printable(cell) or "-" for cell in row] for row in rows]
    console = Console(highlight=False)
    if console.is_terminal:
        return _drawn(console, names, lines)
    widths = [max(map(cell_len, column)) for column in zip(names, *lines, strict=True)]
    padded = ("  ".join(map(_padded, line, widths)).rstrip() for line in (names, *lines))
    return "".join(f"{line}\n" for line in padded).encode()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _drawn(console: Console, names: list[str], lines: list[list[str]]) -> bytes:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        # An id must stay on one line, to be copied.
        table.add_column(name, no_wrap=name == "ID", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    with console.capture() as captured:
        console.print(table)
    return captured.get().encode(console.encoding, errors="replace")


_FORMATS: dict[Format, Formatter] = {
    "table": _table,
    "json": _json,
    "jsonl": _json_lines,
    "csv": _csv,
    "yaml": _yaml,
}
