"""Drawing of a dashboard that fits the width of a terminal with at least 60 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group
from rich.measure import Measurement
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..control_characters import printable
from .language import heading, is_translated, mark, tr
from .messages import error_line
from .nouns import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleDimensions, ConsoleOptions, RenderableType, RenderResult

    from ..errors import CallError
    from ..models import Alert
    from ..recipes import AlertCounts, Amount, ClusterSummary, Dashboard

_MAX_PRINTED = 20  # maximum number of alerts in a picture that does not scroll
_MAX_SCROLLED = 200  # maximum number of alerts on a screen that scrolls
_NARROW = 76  # columns; on a narrower terminal, panels are stacked and sizes are left out
_MEDIUM = 96  # columns; from this width on, the kind of a cluster is shown
_WIDE = 120  # columns; from this width on, a cluster's version and alerts are shown
_BROAD = 140  # columns; from this width on, disks and alerts are side by side
_DISKS = 58  # columns of the disks panel if it is beside the alerts
_NAMES = 12  # minimum columns for a cluster's name; the word "disconnected" also fits
_METER = 7  # lines of the highest meter; meters side by side all have this height
_GOOD, _WARNING, _BAD, _CALM, _FAINT = "green", "yellow", "red", "cyan", "dim"

_ASCII = str.maketrans("●·≈≥…", "*-~>.")  # for terminals that can show only ASCII

_SEVERITIES = {
    "critical": f"bold {_BAD}",
    "notice": _WARNING,
    "info": _CALM,
    "other": "magenta",
}


_COUNTS = {
    "critical": mark("{number} critical"),
    "notice": mark("{number} notice"),
    "info": mark("{number} info"),
    "other": mark("{number} other"),
}
_FIGURES = {
    "used": mark("used"),
    "total": mark("total"),
    "cores": mark("cores"),
    "failed": mark("failed"),
    "available": mark("available"),
}


def picture(
    board: Dashboard,
    title: str,
    *,
    error: CallError | None = None,
    room: ConsoleDimensions | None = None,
) -> RenderableType:
    """Return a dashboard as a picture that the package rich can print.

    Args:
        board: The dashboard.
        title: Name of the server.
        error: Error of the last refresh, or None if the refresh succeeded.
        room: Size of the screen. If the picture is higher than the screen, the alerts are moved to
            the top. None means that the height is not limited.
    """
    return _Picture(board, title, error, room)


class _Picture:
    def __init__(
        self,
        board: Dashboard,
        title: str,
        error: CallError | None,
        room: ConsoleDimensions | None,
    ) -> None:
        self._board = board
        self._title = title
        self._error = error
        self._room = room

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not options.ascii_only:
            yield from self._parts(console, options)
            return
        for line in console.render_lines(Group(*self._parts(console, options)), options):
            for text, style, control in line:
                yield Segment(text.translate(_ASCII), style, control)
            yield Segment.line()

    def _parts(self, console: Console, options: ConsoleOptions) -> list[RenderableType]:
        board, width = self._board, options.max_width
        head: list[RenderableType] = [_head(board, self._title)]
        if self._error is not None:
            head.append(
                Text(
                    tr("Refresh failed: {error}", error=error_line(self._error)),
                    style=f"bold {_BAD}",
                )
            )
        middle = [_meters(board, stacked=width < _NARROW), _clusters(board.clusters, width)]
        if self._room is None:
            alerts = _alerts(board, _MAX_PRINTED, wrap=True)
            return [*head, *middle, *_lower(board, alerts, width)]
        alerts = _alerts(board, _MAX_SCROLLED, wrap=False)
        whole = [*head, *middle, *_lower(board, alerts, width)]
        if len(console.render_lines(Group(*whole), options)) <= self._room.height:
            return whole
        # If the picture is higher than the screen, show the worst alerts first, and all alerts at
        # the end.
        most = max(1, self._room.height // 3 - 4)  # less borders, heading, footer
        rest = [_disks(board)]
        if board.alerts.counts.total > most:
            rest.append(_alerts(board, _MAX_SCROLLED, wrap=True))
        return [*head, _alerts(board, most, wrap=False), *middle, *rest]


def _lower(board: Dashboard, alerts: RenderableType, width: int) -> list[RenderableType]:
    """Return the panel of the disks and the panel `alerts`, side by side if there is room."""
    if width < _BROAD:
        return [_disks(board), alerts]
    both = Table.grid(expand=True)
    both.add_column(width=_DISKS)
    both.add_column(ratio=1)
    both.add_row(_disks(board), alerts)
    return [both]


class Meter:
    """A bar that shows a percentage, followed by a text.

    Args:
        percent: Percentage from 0 to 100, or None if unknown.
        text: Text to show after the bar: ``42%``.
    """

    def __init__(self, percent: float | None, text: str) -> None:
        self._percent = percent
        self._text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(len(self._text), options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        length = options.max_width - len(self._text) - 1
        if self._percent is None:
            yield Segment(self._text.rjust(options.max_width), Style.parse(_FAINT))
            yield Segment.line()
            return
        color = Style.parse(_use_color(self._percent))
        if length >= 4:
            filled = round(length * self._percent / 100)
            if self._percent > 0:
                filled = max(1, filled)
            full, empty = ("#", "-") if options.ascii_only else ("━", "─")
            yield Segment(full * filled, color)
            yield Segment(empty * (length - filled) + " ", Style.parse(_FAINT))
        yield Segment(self._text, color)
        yield Segment.line()


def _use_color(percent: float) -> str:
    return _BAD if percent >= 90 else _WARNING if percent >= 75 else _GOOD


def _percent(usage: Amount) -> Meter:
    """Return a bar with a percentage for a table cell.

    ``≈`` before the percentage means that it leaves out hosts or clusters with unknown values.
    """
    if usage.value is None:
        return Meter(None, usage.text)
    about = "≈" if usage.unknown else ""
    return Meter(usage.value, f"{about}{usage.value:.0f}%".rjust(4))


def _title_of(name: str) -> str:
    """Return the heading of a column. English headings are in lowercase."""
    return heading(name) if is_translated() else name


def _head(board: Dashboard, title: str) -> RenderableType:
    clusters = board.clusters
    hosts = sum(cluster.hosts for cluster in clusters)
    vms = sum(cluster.vms or 0 for cluster in clusters)
    running = sum(cluster.running_vms or 0 for cluster in clusters)
    fleet = " · ".join(
        [
            counted(len(clusters), "cluster"),
            counted(hosts, "host"),
            tr("{vms}, {running} running", vms=counted(vms, "VM"), running=running),
        ]
    )
    alerts = board.alerts.counts
    return Panel(
        Text(f"{fleet} · ").append_text(_alert_counts(alerts)) if alerts.total else fleet,
        title=Text.assemble("CloudTower ", (printable(title), "bold")),
        title_align="left",
        subtitle=f"{board.built_at.astimezone():%Y-%m-%d %H:%M:%S}",
        subtitle_align="right",
        border_style=_health(board),
        padding=(0, 1),
    )


def _health(board: Dashboard) -> str:
    disks, alerts = board.disks.values(), board.alerts.counts
    lost = any(cluster.connect_state != "CONNECTED" for cluster in board.clusters)
    if lost or alerts.critical or any(each.error for each in disks):
        return _BAD
    doubtful = any(each.warning or each.unknown for each in disks)
    return _WARNING if doubtful or alerts.notice else _GOOD


def _meters(board: Dashboard, *, stacked: bool) -> RenderableType:
    cpu, memory, storage = board.cpu, board.memory, board.storage
    height = None if stacked else _METER
    meters = (
        _meter("CPU", cpu.usage, height, used=cpu.used, total=cpu.total, cores=cpu.cores),
        _meter(tr("Memory"), memory.usage, height, used=memory.used, total=memory.total),
        _meter(
            tr("Storage"),
            storage.usage,
            height,
            used=storage.used,
            total=storage.total,
            failed=storage.failed,
            available=storage.available,
        ),
    )
    if stacked:
        return Group(*meters)
    grid = Table.grid(expand=True)
    for _ in meters:
        grid.add_column(ratio=1)
    grid.add_row(*meters)
    return grid


def _meter(title: str, usage: Amount, height: int | None, **figures: Amount) -> Panel:
    rows = Table.grid(expand=True, padding=(0, 1))
    rows.add_column(style=_FAINT, no_wrap=True)
    rows.add_column(justify="right", ratio=1, no_wrap=True)
    for name, figure in figures.items():
        failed = name == "failed" and figure.value
        rows.add_row(
            tr(_FIGURES[name]), Text(figure.text, style=_BAD if failed else _figure_style(figure))
        )
    return Panel(
        Group(Meter(usage.value, usage.text), rows),
        title=title,
        title_align="left",
        border_style=_FAINT,
        height=height,
    )


def _figure_style(figure: Amount) -> str:
    return _FAINT if figure.value is None else ""


def _clusters(clusters: list[ClusterSummary], width: int) -> RenderableType:
    if not clusters:
        return _panel(tr("Clusters"), Text(tr("none"), style=_FAINT))
    table = Table(box=None, expand=True, padding=(0, 1), pad_edge=False, header_style=_FAINT)
    table.add_column("", width=1)
    names = max(_NAMES, *(cell_len(cluster.name) for cluster in clusters))
    table.add_column(_title_of("cluster"), overflow="fold", width=min(names, width // 5))
    if width >= _MEDIUM:
        table.add_column(_title_of("kind"), no_wrap=True)
    if width >= _NARROW:
        table.add_column(_title_of("hosts"), justify="right")
        table.add_column(_title_of("VMs"), justify="right", no_wrap=True)
    for name in ("CPU", "memory", "storage"):
        table.add_column(_title_of(name), ratio=1, no_wrap=True)
    table.add_column(_title_of("alerts"), no_wrap=True)
    for cluster in clusters:
        cells: list[RenderableType] = [
            Text("●", style=_cluster_color(cluster)),
            _cluster_name(cluster),
        ]
        if width >= _MEDIUM:
            cells.append(_kind(cluster, versions=width >= _WIDE))
        if width >= _NARROW:
            cells += [str(cluster.hosts), _running(cluster)]
        for summary in (cluster.cpu, cluster.memory, cluster.storage):
            cells.append(Text("-", style=_FAINT) if summary is None else _percent(summary.usage))
        table.add_row(*cells, _alert_counts(cluster.alerts, only_worst=width < _WIDE))
    return _panel(tr("Clusters"), table)


def _cluster_name(cluster: ClusterSummary) -> Text:
    name = Text(printable(cluster.name))
    if cluster.connect_state != "CONNECTED":
        name.append(f"\n{_words(cluster.connect_state)}", style=_BAD)
    return name


def _cluster_color(cluster: ClusterSummary) -> str:
    if cluster.connect_state != "CONNECTED" or cluster.alerts.critical:
        return _BAD
    return _WARNING if cluster.alerts.notice else _GOOD


def _kind(cluster: ClusterSummary, *, versions: bool) -> Text:
    parts = [_title(cluster.type or tr("unknown")), *([cluster.version or ""] if versions else [])]
    if cluster.hypervisor:
        parts += ["·", cluster.hypervisor]
    return Text(printable(" ".join(parts)), style=_FAINT)


def _title(word: str) -> str:
    return printable(str(word)).replace("_", " ")


def _words(word: str) -> str:
    return _title(word).lower()


def _running(cluster: ClusterSummary) -> Text:
    running = "?" if cluster.running_vms is None else str(cluster.running_vms)
    return Text(f"{running}/{'?' if cluster.vms is None else cluster.vms}")


def _alert_counts(counts: AlertCounts, *, only_worst: bool = False) -> Text:
    """Return a text such as ``2 critical, 1 notice``, with `only_worst` only ``2 critical``."""
    parts = [
        Text(tr(_COUNTS[name], number=number), style=style)
        for name, style in _SEVERITIES.items()
        if (number := getattr(counts, name))
    ]
    return Text(", ").join(parts[:1] if only_worst else parts) if parts else Text(tr("none"), _GOOD)


def _disks(board: Dashboard) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), header_style=_FAINT)
    table.add_column(_title_of("type"), no_wrap=True)
    colors = {"healthy": _GOOD, "warning": _WARNING, "error": _BAD}
    if any(disks.unknown for disks in board.disks.values()):
        colors["unknown"] = _WARNING
    for name in ("total", *colors):
        table.add_column(_title_of(name), justify="right")
    for kind, disks in board.disks.items():
        if disks.total:
            counts = [_number(getattr(disks, name), color) for name, color in colors.items()]
            table.add_row(Text(_title(kind).replace(" OR ", tr(" or "))), str(disks.total), *counts)
    return _panel(tr("Disks"), table if table.row_count else Text(tr("none"), style=_FAINT))


def _number(number: int, color: str) -> Text:
    return Text(str(number), style=color if number else _FAINT)


def _alerts(board: Dashboard, most: int, *, wrap: bool) -> RenderableType:
    counts = board.alerts.counts
    title = Text(tr("Alerts"))
    if not counts.total:
        return _panel(title, Text(tr("none"), style=_GOOD))
    title.append(": ").append_text(_alert_counts(counts))
    table = Table(box=None, expand=True, padding=(0, 1), header_style=_FAINT)
    table.add_column(_title_of("severity"), no_wrap=True)
    table.add_column(
        _title_of("alert"), ratio=3, overflow="fold" if wrap else "ellipsis", no_wrap=not wrap
    )
    table.add_column(
        _title_of("where"), ratio=2, overflow="fold" if wrap else "ellipsis", no_wrap=not wrap
    )
    table.add_column(_title_of("since"), no_wrap=True, style=_FAINT)
    shown = list(_by_severity(board))
    for style, alert in shown[:most]:
        table.add_row(
            Text(_words(alert.severity or tr("unknown")), style=style),
            Text(printable(alert.message or "")),
            Text(_where(alert), style=_FAINT),
            Text(_since(alert)),
        )
    hidden = len(shown) - most
    more = (
        [Text(tr(" and {number} more; --format json has all", number=hidden), style=_FAINT)]
        if hidden > 0
        else []
    )
    return _panel(title, Group(table, *more))


def _by_severity(board: Dashboard) -> Iterator[tuple[str, Alert]]:
    for name, style in _SEVERITIES.items():
        for alert in getattr(board.alerts, name):
            yield style, alert


def _where(alert: Alert) -> str:
    places = (alert.cluster, alert.host, alert.disk)
    return printable(" / ".join(place.name for place in places if place and place.name))


def _since(alert: Alert) -> str:
    """Return the start time of an alert: ``2026-11-29 10:00``."""
    return printable((alert.local_start_time or tr("unknown"))[:16]).replace("T", " ")


def _panel(title: str | Text, content: RenderableType) -> Panel:
    return Panel(content, title=title, title_align="left", border_style=_FAINT, padding=(0, 1))
