"""Table with the state of the fleet, as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloudtower_async.recipes import Dashboard

    from .watch import Sight

_HEAD = ("TOWER", "AGE", "CLUSTERS", "HOSTS", "VMS", "CRITICAL", "CPU", "MEMORY", "STORAGE", "")
_UNTOLD = ("-",) * 8
_LONGEST = 60  # maximum number of characters of an error


def table(sights: Mapping[str, Sight]) -> str:
    """Return a text with a line for each Tower, and a line with the sums of all Towers."""
    now = datetime.now(UTC)
    rows: list[tuple[str, ...]] = [_HEAD]
    for name, sight in sights.items():
        figures = _UNTOLD if sight.board is None else _figures(sight.board, now)
        rows.append((name, *figures, (sight.error or "")[:_LONGEST]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", _total(sights)])


def _figures(board: Dashboard, now: datetime) -> tuple[str, ...]:
    return (
        f"{(now - board.built_at).total_seconds():.0f}s",
        str(len(board.clusters)),
        str(sum(cluster.hosts for cluster in board.clusters)),
        str(_vms(board)),
        str(board.alerts.counts.critical),
        str(board.cpu.usage),
        str(board.memory.usage),
        str(board.storage.usage),
    )


def _vms(board: Dashboard) -> int:
    return sum(cluster.vms or 0 for cluster in board.clusters)


def _total(sights: Mapping[str, Sight]) -> str:
    boards = [sight.board for sight in sights.values() if sight.board is not None]
    answering = sum(sight.rounds > 0 and sight.error is None for sight in sights.values())
    return (
        f"{answering} of {len(sights)} Towers answer. "
        f"Totals from the last known state of {len(boards)} Towers: "
        f"{sum(len(board.clusters) for board in boards)} clusters, "
        f"{sum(map(_vms, boards))} VMs, "
        f"{sum(board.alerts.counts.critical for board in boards)} critical alerts"
    )
