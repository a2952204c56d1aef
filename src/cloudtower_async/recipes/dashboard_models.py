"""Structs that make up a dashboard."""

from __future__ import annotations

from datetime import datetime

import msgspec

from .. import models
from .amounts import Amount


class AlertCounts(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Number of active alerts by severity. `other` counts the remaining alerts."""

    critical: int
    notice: int
    info: int
    other: int
    total: int


class AlertSummary(msgspec.Struct, kw_only=True, frozen=True):
    """Active alerts: their number, and a list for each severity. The newest alerts come first.

    If the caller chose clusters, alerts that belong to no cluster are missing.
    """

    counts: AlertCounts
    critical: list[models.Alert]
    notice: list[models.Alert]
    info: list[models.Alert]
    other: list[models.Alert]


class DiskSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Number of disks of one type by health. Each disk is counted once.

    Attributes:
        healthy: Healthy disks.
        warning: Disks without an error that are not mounted, or only partly mounted.
        error: Disks that are unhealthy or subhealthy, or whose SMART or software RAID reports a
            failure.
        unknown: Disks whose health the server does not report, or whose health is a value that
            this version of the package does not know.
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
    """Total and used memory in bytes, and usage in percent."""

    total: Amount
    used: Amount
    usage: Amount


class StorageSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Storage space for data. Sizes are in bytes, and the usage is in percent.

    `failed` is space that is currently unusable. `available` is `total` minus `used` and `failed`.
    An overfull cluster counts as 0 available bytes, so that the cluster does not reduce the sum of
    the other clusters.
    """

    total: Amount
    used: Amount
    failed: Amount
    available: Amount
    usage: Amount


class ClusterSummary(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Figures of one cluster.

    A figure is None if it is unknown, or if it does not apply to this type of cluster.

    Attributes:
        type: Type of the cluster, such as ``"SMTX_OS"``.
        hypervisor: Hypervisor, such as ``"ELF"``.
        connect_state: State of the connection from CloudTower to the cluster, such as
            ``"CONNECTED"``.
        hosts: Number of hosts. Hosts that the server's list of hosts lacks are counted, too, but
            their memory is unknown.
        vms: Number of all VMs.
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
    """State of a CloudTower or of chosen clusters at one point in time.

    Pass the struct to `msgspec.json.encode` to get JSON.

    Attributes:
        built_at: Time when the last answer of the server arrived, in UTC.
        clusters: Clusters, sorted by name.
        alerts: Active alerts.
        disks: Summary of the disks by type. The keys are the API's names of the types: ``"HDD"``,
            ``"SSD"``, ``"NVMe_SSD"``, … The dict has every type that this version of the
            package knows, and every further type that the server reports.
        cpu: CPU of all SMTX OS clusters together.
        memory: Memory of all ELF clusters and of SMTX OS clusters with VMware, together.
        storage: Storage of all clusters that have storage, together.
    """

    built_at: datetime
    clusters: list[ClusterSummary]
    alerts: AlertSummary
    disks: dict[str, DiskSummary]
    cpu: CpuSummary
    memory: MemorySummary
    storage: StorageSummary
