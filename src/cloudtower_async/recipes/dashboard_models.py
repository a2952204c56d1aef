"""What a dashboard consists of."""

from __future__ import annotations

from datetime import datetime

import msgspec

from .. import models
from .amounts import Amount


class AlertCounts(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """How many alerts are active. `other` has a severity that is none of the three."""

    critical: int
    notice: int
    info: int
    other: int
    total: int


class AlertSummary(msgspec.Struct, kw_only=True, frozen=True):
    """The active alerts by severity, the newest first.

    An alert that belongs to no cluster is here when no clusters were chosen.
    """

    counts: AlertCounts
    critical: list[models.Alert]
    notice: list[models.Alert]
    info: list[models.Alert]
    other: list[models.Alert]


class DiskSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """How many disks of one type there are, each counted once.

    Attributes:
        healthy: In order.
        warning: Not or only partly mounted.
        error: Unhealthy, subhealthy, or failed by SMART or software RAID.
        unknown: Nobody knows their health, or this version does not know the word for it.
        total: All of these.
    """

    healthy: int
    warning: int
    error: int
    unknown: int
    total: int


class CpuSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """CPUs of the SMTX OS clusters: cores, Hz, and how many percent of the Hz are in use."""

    cores: Amount
    total: Amount
    used: Amount
    usage: Amount


class MemorySummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Memory in bytes, and how many percent are in use."""

    total: Amount
    used: Amount
    usage: Amount


class StorageSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Data space in bytes, and how many percent are in use.

    `failed` can't be used for now. `available` is what neither is used nor failed: never below 0,
    in no cluster, so an overfull cluster takes nothing from the free space of the others.
    """

    total: Amount
    used: Amount
    failed: Amount
    available: Amount
    usage: Amount


class ClusterSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One cluster. What does not count for its kind of cluster is None, as what is unknown is.

    Attributes:
        type: Such as ``"SMTX_OS"``.
        hypervisor: Such as ``"ELF"``.
        connect_state: Whether the Tower reaches it: ``"CONNECTED"``.
        hosts: How many, including those that the server did not list: their figures are unknown.
        vms: How many, running or not.
        running_vms: How many of these run.
        alerts: How many are active.
    """

    id: str
    name: str
    type: str
    hypervisor: str | None
    version: str
    connect_state: str
    hosts: int
    vms: int | None
    running_vms: int | None
    alerts: AlertCounts
    cpu: CpuSummary | None
    memory: MemorySummary | None
    storage: StorageSummary | None


class Dashboard(msgspec.Struct, kw_only=True, frozen=True):
    """A CloudTower, or chosen clusters of it, at one moment. `msgspec.json.encode` takes it as is.

    Attributes:
        built_at: When the last of the answers was there; UTC.
        clusters: Each cluster, by name.
        alerts: The active alerts.
        disks: By disk type as the API names it: ``"HDD"``, ``"SSD"``, ``"NVMe_SSD"``, … Every
            type known to this version is there, and what else the server has.
        cpu: Of all the clusters together, as are the next.
    """

    built_at: datetime
    clusters: list[ClusterSummary]
    alerts: AlertSummary
    disks: dict[str, DiskSummary]
    cpu: CpuSummary
    memory: MemorySummary
    storage: StorageSummary
