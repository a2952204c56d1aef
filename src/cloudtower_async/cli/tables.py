"""Layout of tables of texts, for a pipe or for the width of a terminal."""

from __future__ import annotations

from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from ..control_characters import printable
from .language import heading
from .terminal import is_plain, make_console

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Console
    from rich.text import Text

Room: TypeAlias = Literal["fit", "fold", "whole"]

_GAP = "  "
_FLEXIBLE_WIDTH = 32  # minimum width of a column whose texts may be cut
_STYLES = {
    "green": "RUNNING CONNECTED_HEALTHY CONNECTED HEALTHY SUCCESSED NORMAL",
    "yellow": "SUSPENDED PAUSED PENDING EXECUTING CONNECTING NOTICE SUBHEALTHY WARNING "
    "INITIALIZING MAINTENANCE_MODE ENTERING_MAINTENANCE_MODE",
    "bold red": "FAILED CONNECTED_ERROR DISCONNECTED SESSION_EXPIRED UNHEALTHY SMART_FAILED "
    "CRITICAL ERROR",
    "dim": "STOPPED DELETED",
}
_STYLE_OF = {word: style for style, words in _STYLES.items() for word in words.split()}


class Fit(NamedTuple):
    """Layout of a column, especially on a terminal that is too narrow for the table.

    Attributes:
        kept: Whether the column is shown even if other columns are left out.
        flexible: Whether the texts of the column may be cut.
        right: Whether the texts of the column are aligned to the right.
    """

    kept: bool = False
    flexible: bool = False
    right: bool = False


class Cell(NamedTuple):
    """Table cell: a text with padding, and a style of the package rich, which may be empty."""

    text: str
    style: str


def format_table(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    fits: Sequence[Fit] | None = None,
    *,
    headings: bool = True,
    room: Room = "fold",
) -> bytes:
    """Return a table as encoded text. In a pipe, no text is cut.

    Args:
        names: Names of the columns.
        rows: Texts of the cells.
        fits: Layouts of the columns. None means the default layout.
        headings: Whether to print a line with the names of the columns.
        room: How to handle long lines on a terminal. ``fit`` leaves out columns, then cuts texts.
            ``fold`` breaks long texts into several lines. ``whole`` lets the terminal wrap the
            lines.
    """
    heads, lines = table_texts(names if headings else [""] * len(names), rows)
    fits = fits or [Fit()] * len(heads)
    if is_plain():
        return plain_text(islice(_laid_out(heads, lines, fits, None), not headings, None)).encode()
    console = make_console()
    if console.is_terminal and room == "fold":
        return _folded(console, heads, lines, fits, headings=headings)
    width = console.width if console.is_terminal and room == "fit" else None
    laid_out = lay_out(heads, lines, fits, width)
    text = painted(console, laid_out if headings else laid_out[1:])
    return text.encode(console.encoding, "replace") if console.is_terminal else text.encode()


def table_texts(
    names: Sequence[str], rows: Iterable[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """Return translated headings and printable cells. An empty cell becomes a dash."""
    lines = [[printable(cell) or "-" for cell in row] for row in rows]
    return [heading(name) if name else "" for name in names], lines


def lay_out(
    heads: list[str], lines: list[list[str]], fits: Sequence[Fit], width: int | None
) -> list[list[Cell]]:
    """Return a table as lines of cells. The first line has the headings.

    If the table is too wide, columns without `Fit.kept` are left out, from the right, until the
    remaining columns fit. If that is not enough, the remaining columns are cut.

    Args:
        heads: Headings.
        lines: Printable texts of the cells.
        fits: Layouts of the columns.
        width: Width of the terminal. None means that the width is not limited.
    """
    return list(_laid_out(heads, lines, fits, width))


def _laid_out(
    heads: list[str], lines: list[list[str]], fits: Sequence[Fit], width: int | None
) -> Iterator[list[Cell]]:
    widths = [max(map(cell_width, column)) for column in zip(heads, *lines, strict=True)]
    shown = list(range(len(heads)))
    if width is not None:
        shown, widths = _fitted(widths, fits, width)

    def cells(line: list[str]) -> list[Cell]:
        return [
            _cell(line[place], widths[place], fits[place], last=place == shown[-1])
            for place in shown
        ]

    yield [cell._replace(style="bold") for cell in cells(heads)]
    yield from map(cells, lines)


def line_text(line: Sequence[Cell], style: str = "") -> Text:
    """Return a line of a table as a `Text` of the package rich.

    Args:
        line: The cells.
        style: Style for cells that have no style.
    """
    from rich.text import Text

    text = Text(no_wrap=True, overflow="crop")
    for place, cell in enumerate(line):
        text.append((_GAP if place else "") + cell.text, cell.style or style or None)
    return text


def _fitted(widths: list[int], fits: Sequence[Fit], width: int) -> tuple[list[int], list[int]]:
    """Return the indexes of the columns to show, and the new widths of all columns."""
    least = [
        min(natural, _FLEXIBLE_WIDTH) if fit.flexible else natural
        for natural, fit in zip(widths, fits, strict=True)
    ]
    shown = list(range(len(widths)))

    def excess(chosen: Sequence[int]) -> int:
        return sum(chosen[place] for place in shown) + len(_GAP) * (len(shown) - 1) - width

    for place in reversed(range(len(widths))):
        if excess(least) <= 0:
            break
        if not fits[place].kept:
            shown.remove(place)
    final = list(least)
    room = -excess(least)
    for place in shown:
        more = min(max(room, 0), widths[place] - least[place])
        final[place] += more
        room -= more
    while room < 0:  # only columns with `kept` are left
        widest = max(shown, key=lambda place: final[place])
        if final[widest] <= 1:
            break
        cut = min(-room, max(1, final[widest] // 2))
        final[widest] -= cut
        room += cut
    return shown, final


def _cell(text: str, width: int, fit: Fit, *, last: bool) -> Cell:
    style = _STYLE_OF.get(text, "")
    length = cell_width(text)
    if length > width:
        from rich.cells import set_cell_size

        text = f"{set_cell_size(text, width - 1)}…" if width > 1 else "…"
        length = cell_width(text)
    padding = " " * (width - length)
    if fit.right:
        return Cell(padding + text, style)
    return Cell(text if last else text + padding, style)


def cell_width(text: str) -> int:
    """Return the width of a text in terminal columns."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def plain_text(lines: Iterable[Sequence[Cell]]) -> str:
    """Return the lines as one text without escape sequences."""
    joined = StringIO()
    for line in lines:
        joined.write(f"{_GAP.join([cell.text for cell in line]).rstrip()}\n")
    return joined.getvalue()


def painted(console: Console, lines: Sequence[Sequence[Cell]]) -> str:
    """Return the lines as one text, with escape sequences if the console has colors."""
    if console.color_system is None:
        return plain_text(lines)
    styles = {cell.style for line in lines for cell in line}
    escapes = {style: _escapes(console, style) if style else ("", "") for style in styles}
    plain = escapes.get("", ("", ""))
    text: list[str] = []
    for line in lines:
        cells: list[str] = []
        for cell in line:
            before, after = escapes.get(cell.style, plain)
            cells.append(f"{before}{cell.text}{after}" if before else cell.text)
        text.append(f"{_GAP.join(cells).rstrip()}\n")
    return "".join(text)


def _escapes(console: Console, style: str) -> tuple[str, str]:
    """Return the escape sequence that begins a style and the one that ends it."""
    from rich.text import Text

    with console.capture() as captured:
        console.print(Text("|", style=style), end="")
    before, _, after = captured.get().partition("|")
    return before, after


def _folded(
    console: Console,
    heads: list[str],
    lines: list[list[str]],
    fits: Sequence[Fit],
    *,
    headings: bool,
) -> bytes:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=headings
    )
    for head, fit in zip(heads, fits, strict=True):
        # Do not break an id, so that the user can copy it.
        justify: Literal["right", "left"] = "right" if fit.right else "left"
        table.add_column(head, no_wrap=head == heading("id"), overflow="fold", justify=justify)
    for line in lines:
        table.add_row(*map(Text, line))
    with console.capture() as captured:
        console.print(table)
    return captured.get().encode(console.encoding, errors="replace")
