"""Resources as text, as they come: only a table must have them all to know how wide it is."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import anyio.to_thread
import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .endings import printable

if TYPE_CHECKING:
    from .columns import Columns

Format: TypeAlias = Literal["table", "json", "jsonl", "csv", "yaml"]
Chunks: TypeAlias = AsyncGenerator[bytes]

_AT_ONCE = 1 << 16  # bytes, to write


async def put(chunks: AsyncIterable[bytes]) -> None:
    """Write to the standard output, in a thread: whoever reads may take their time."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _AT_ONCE:
            await anyio.to_thread.run_sync(write, bytes(waiting))
            waiting.clear()
    await anyio.to_thread.run_sync(write, bytes(waiting))


def write(data: bytes) -> None:
    """Write to the standard output now."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def show_any_text() -> None:
    """Let no character end the command that the standard output can't show; it gets another."""
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="replace")


def json_text(value: object) -> bytes:
    """JSON without what would steer a terminal; the ends of lines between values stay."""
    return _STEERING.sub(_escaped, msgspec.json.encode(value))


_STEERING = re.compile(rb"\x7f|\xc2[\x80-\x9f]")  # which JSON lets stand in texts


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found.group().decode())


def pages_of(kind: Format) -> Callable[[AsyncIterable[object], Columns, bool], Chunks]:
    """What makes text of resources, of their columns; True: of those that were asked for."""
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
        yield msgspec.yaml.encode([columns.picked(row) if chosen else row])
        empty = False
    if empty:
        yield b"[]\n"


async def _csv(rows: AsyncIterable[object], columns: Columns, _: bool) -> Chunks:
    def line(cells: list[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode()

    watched = sys.stdout.isatty()
    yield line(columns.names)
    async for row in rows:
        cells = columns.cells(row)
        yield line([printable(one) for one in cells] if watched else cells)


async def _table(rows: AsyncIterable[object], columns: Columns, _: bool) -> Chunks:
    yield table(columns.names, [columns.cells(row) async for row in rows])


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A table with a line of names above. On a terminal it fits; in a pipe nothing is cut."""
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
        # An id must stay whole, to be copied.
        table.add_column(name, no_wrap=name == "ID", overflow="fold")
    for line in lines:
        table.add_row(*map(Text, line))
    with console.capture() as captured:
        console.print(table)
    return captured.get().encode(console.encoding, errors="replace")


_FORMATS: dict[Format, Callable[[AsyncIterable[object], Columns, bool], Chunks]] = {
    "table": _table,
    "json": _json,
    "jsonl": _json_lines,
    "csv": _csv,
    "yaml": _yaml,
}
