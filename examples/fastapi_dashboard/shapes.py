"""Data that the page receives: the parts of a dashboard that the page shows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from cloudtower_async.recipes import (
    AlertCounts,
    ClusterSummary,
    CpuSummary,
    Dashboard,
    DiskSummary,
    MemorySummary,
    StorageSummary,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloudtower_async.models import Alert

MOST_ALERTS = 200  # maximum number of alerts of each severity in a state


class AlertRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One alert. `kind` is critical, notice, info or other. `severity` is the server's value."""

    id: str
    kind: str
    severity: str
    message: str
    cause: str
    impact: str
    solution: str
    where: str
    since: str


class Board(msgspec.Struct, kw_only=True, frozen=True):
    """A dashboard with the newest `MOST_ALERTS` alerts of each severity."""

    built_at: datetime
    clusters: list[ClusterSummary]
    alert_counts: AlertCounts
    alerts: list[AlertRow]
    disks: dict[str, DiskSummary]
    cpu: CpuSummary
    memory: MemorySummary
    storage: StorageSummary


class Trouble(msgspec.Struct, kw_only=True, frozen=True):
    """Error of the latest poll, and the time when polls began to fail."""

    message: str
    since: datetime


class State(msgspec.Struct, kw_only=True, frozen=True):
    """State of the page: everything except the curves. `board` is None before the first answer.

    `interval` is the number of seconds until the next state, not counting the time of the calls.
    """

    endpoint: str
    interval: float
    board: Board | None
    trouble: Trouble | None


class Use(msgspec.Struct, kw_only=True, frozen=True, gc=False, array_like=True):
    """Point of the curves: a time in milliseconds, and percentages, which are None if unknown."""

    at: int
    cpu: float | None
    memory: float | None
    storage: float | None


def board_of(dashboard: Dashboard) -> Board:
    """Return the parts of a dashboard that the page shows."""
    return Board(
        built_at=dashboard.built_at,
        clusters=dashboard.clusters,
        alert_counts=dashboard.alerts.counts,
        alerts=list(_alerts(dashboard)),
        disks={kind: disks for kind, disks in dashboard.disks.items() if disks.total},
        cpu=dashboard.cpu,
        memory=dashboard.memory,
        storage=dashboard.storage,
    )


def use_of(dashboard: Dashboard) -> Use:
    """Return the usage of CPU, memory and storage as a point of the curves."""
    return Use(
        at=round(dashboard.built_at.timestamp() * 1000),
        cpu=dashboard.cpu.usage.value,
        memory=dashboard.memory.usage.value,
        storage=dashboard.storage.usage.value,
    )


def _alerts(dashboard: Dashboard) -> Iterator[AlertRow]:
    alerts = dashboard.alerts
    by_kind = {
        "critical": alerts.critical,
        "notice": alerts.notice,
        "info": alerts.info,
        "other": alerts.other,
    }
    for kind, rows in by_kind.items():
        for alert in rows[:MOST_ALERTS]:
            yield _row(kind, alert)


def _row(kind: str, alert: Alert) -> AlertRow:
    # Replace missing texts, because a server that violates its schema must not break the page.
    return AlertRow(
        id=alert.id or "",
        kind=kind,
        severity=alert.severity or "",
        message=alert.message or "",
        cause=alert.cause or "",
        impact=alert.impact or "",
        solution=alert.solution or "",
        where=_where(alert),
        since=alert.local_start_time or "",
    )


def _where(alert: Alert) -> str:
    places = (alert.cluster, alert.host, alert.disk, *(alert.vms or ()))
    return " / ".join(place.name for place in places if place and place.name)
