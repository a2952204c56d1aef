"""Structs that make up a dashboard."""

from __future__ import annotations

from datetime import datetime

import msgspec

from .. import models
from .amounts import Amount


class AlertCounts(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Number of active alerts by severity; `other` counts every other severity."""

    critical: int
    notice: int
    info: int
    other: int
    total: int


class AlertSummary(msgspec.Struct, kw_only=True, frozen=True):
    """Active alerts by severity, newest first.

    Alerts that belong to no cluster are included only when no clusters were chosen.
    """

    counts: AlertCounts
    critical: list[models.Alert]
    notice: list[models.Alert]
    info: list[models.Alert]
    other: list[models.Alert]


class DiskSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Number of disks of one type by health; each disk counts once.

    Attributes:
        healthy: Healthy disks.
        warning: Disks that are not mounted, or only partly.
        error: Disks that are unhealthy, subhealthy, or failed by SMART or software RAID.
        unknown: Disks whose health is unknown, or has a value that this version does not know.
        total: All disks of the type.
    """

    healthy: int
    warning: int
    error: int
    unknown: int
    total: int


class CpuSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """CPU of the SMTX OS clusters: cores, total and used frequency in Hz, and usage in percent."""

    cores: Amount
    total: Amount
    used: Amount
    usage: Amount


class MemorySummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Memory in bytes, and its usage in percent."""

    total: Amount
    used: Amount
    usage: Amount


class StorageSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Data space in bytes, and its usage in percent.

    `failed` is space that is currently unusable. `available` is the space that is neither used nor
    failed. An overfull cluster counts as 0 available bytes, so it does not reduce the sum of the
    others.
    """

    total: Amount
    used: Amount
    failed: Amount
    available: Amount
    usage: Amount


class ClusterSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Figures of one cluster. A figure is None if it is unknown or does not apply to the type.

    Attributes:
        type: Type of the cluster, such as ``"SMTX_OS"``.
        hypervisor: Hypervisor, such as ``"ELF"``.
        connect_state: Connection from CloudTower to the cluster, such as ``"CONNECTED"``.
        hosts: Number of hosts, including hosts that the server did not list and whose figures are
            therefore unknown.
        vms: Number of VMs, running or not.
        running_vms: Number of running VMs.
        alerts: Number of active alerts.
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
    """State of a CloudTower, or of chosen clusters, at one moment.

    Pass the struct to `msgspec.json.encode` to get JSON.

    Attributes:
        built_at: Time when the last answer arrived, in UTC.
        clusters: Clusters, sorted by name.
        alerts: Active alerts.
        disks: Disks by type, with the API's names of the types: ``"HDD"``, ``"SSD"``,
            ``"NVMe_SSD"``, … Contains every type that this version knows, and every further type
            that the server reports.
        cpu: CPU of all the clusters together.
        memory: Memory of all the clusters together.
        storage: Storage of all the clusters together.
    """

    built_at: datetime
    clusters: list[ClusterSummary]
    alerts: AlertSummary
    disks: dict[str, DiskSummary]
    cpu: CpuSummary
    memory: MemorySummary
    storage: StorageSummary
