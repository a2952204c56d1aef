"""Data of the page: the parts of a dashboard that the page shows."""

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

MOST_ALERTS = 200  # of each severity, because every state contains all of them


class AlertRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One alert. `kind` is its list in the dashboard, `severity` the server's value."""

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
    """Why there are no newer values, and since when."""

    message: str
    since: datetime


class State(msgspec.Struct, kw_only=True, frozen=True):
    """Everything on the page except the curves; without a board, no answer has arrived yet.

    `interval` is the number of seconds until the next state, if calls are fast.
    """

    endpoint: str
    interval: float
    board: Board | None
    trouble: Trouble | None


class Use(msgspec.Struct, kw_only=True, frozen=True, gc=False, array_like=True):
    """A point of the curves: percentages at a time in milliseconds; None if unknown."""

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
    """Return the usage of CPU, memory and storage."""
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
    # Any text may be missing. A server that violates its schema must not break the page.
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
