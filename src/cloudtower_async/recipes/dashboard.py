"""State of a CloudTower on one page: alerts, disks, CPU, memory and storage of its clusters."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any, Generic, Literal, TypeVar

import msgspec

from .. import inputs, models
from ..client import Cloudtower
from ..concurrency import map_concurrently
from ..errors import InvalidInput
from ..queries.projection import select_fields
from ..types import OMITTED, ContentLanguage, Texts
from .amounts import total, usage
from .dashboard_models import (
    AlertCounts,
    AlertSummary,
    ClusterSummary,
    CpuSummary,
    Dashboard,
    DiskSummary,
    MemorySummary,
    StorageSummary,
)

T = TypeVar("T")

_UNTOLD = "UNKNOWN"  # text in place of a string that the server left out


class Related(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Related resource. The dashboard reads only its id."""

    id: str


class ClusterRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Cluster fields that the dashboard needs."""

    id: str
    name: str
    type: models.ClusterType
    hypervisor: models.Hypervisor | None = None
    version: str
    connect_state: models.ConnectState
    hosts: list[Related] | None = None
    host_num: int | None = None
    vm_num: int | None = None
    running_vm_num: int | None = None
    total_cpu_cores: int | None = None
    total_cpu_hz: int | None = None
    used_cpu_hz: float | None = None
    total_memory_bytes: int | None = None
    used_memory_bytes: float | None = None
    total_data_capacity: int | None = None
    used_data_space: int | None = None
    failure_data_space: int | None = None


class HostRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Host fields that the dashboard needs."""

    cluster: Related
    total_memory_bytes: int
    used_memory_bytes: float | None = None


class DiskRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Disk fields that the dashboard needs.

    The fields are strings instead of enums, because strings are hashed faster.
    """

    type: str
    health_status: str | None = None
    healthy: bool
    usage_status: str | None = None


async def build_dashboard(
    tower: Cloudtower,
    cluster_ids: Texts | None = None,
    *,
    content_language: ContentLanguage | None = None,
) -> Dashboard:
    """Read clusters, hosts, disks and alerts concurrently, and return a summary.

    The CPU figures cover all clusters of type SMTX OS. The memory figures cover all clusters with
    the hypervisor ELF, and clusters of type SMTX OS with the hypervisor VMware. For figures that
    are only partly known, see `Amount`.

    Args:
        tower: The session to read with.
        cluster_ids: Ids of the clusters to show. None means all clusters. If a cluster does not
            exist, or the user may not see it, the cluster is missing from `Dashboard.clusters`.
        content_language: Language of the texts of alerts. None means the language of the session.

    Raises:
        InvalidInput: `cluster_ids` is empty, which could mean no clusters or all clusters.
        CallError: A call failed. The other calls were cancelled.

    Example:
        ::

            board = await build_dashboard(tower)
            print(board.cpu.usage, board.storage.available)  # 43.21% 12.50TiB
            print(board.alerts.counts.critical, board.disks["HDD"].error)
    """
    if isinstance(cluster_ids, str):
        raise InvalidInput("cluster_ids: expected a list of ids, got a single string")
    ids = None if cluster_ids is None else list(cluster_ids)
    if ids is not None and not ids:
        raise InvalidInput("cluster_ids: expected at least one id; pass None for all clusters")
    of_clusters: inputs.ClusterWhereInput = OMITTED
    of_hosts: inputs.HostWhereInput = OMITTED
    of_disks: inputs.DiskWhereInput = OMITTED
    of_alerts: inputs.AlertWhereInput = {"ended": False}
    if ids is not None:
        of_clusters = {"id_in": ids}
        of_hosts = {"cluster": {"id_in": ids}}
        of_disks = {"host": {"cluster": {"id_in": ids}}}
        of_alerts["cluster"] = {"id_in": ids}

    get_clusters = select_fields(tower.cluster.get_clusters, ClusterRow)
    get_hosts = select_fields(tower.host.get_hosts, HostRow)
    get_disks = select_fields(tower.disk.get_disks, DiskRow)
    clusters = _Request(partial(get_clusters, where=of_clusters))
    hosts = _Request(partial(get_hosts, where=of_hosts))
    disks = _Request(partial(get_disks, where=of_disks))
    alerts = _Request(
        partial(tower.alert.get_alerts, where=of_alerts, content_language=content_language)
    )
    requests: list[_Request[Any]] = [clusters, hosts, disks, alerts]
    await map_concurrently(lambda request: request.send(), requests)
    return summarise(clusters.answer, hosts.answer, disks.answer, alerts.answer)


class _Request(Generic[T]):
    """One of several concurrent requests. `send` stores the answer in `answer`."""

    answer: T

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call

    async def send(self) -> None:
        self.answer = await self._call()


def summarise(
    clusters: Sequence[ClusterRow],
    hosts: Iterable[HostRow],
    disks: Iterable[DiskRow],
    alerts: Iterable[models.Alert],
) -> Dashboard:
    """Return the dashboard for these clusters, hosts, disks and alerts.

    Hosts of clusters that are not in `clusters` are ignored.

    Any field of a row may be None, even if its type does not allow None, because a server may
    violate its schema. Only the figures that need this field are then unknown.
    """
    hosts_of: dict[str, list[HostRow]] = defaultdict(list)
    for host in hosts:
        if cluster_id := _id(host.cluster):
            hosts_of[cluster_id].append(host)
    alerts = list(alerts)
    alerts_of: dict[str, list[models.Alert]] = defaultdict(list)
    for alert in alerts:
        if cluster_id := _id(alert.cluster):
            alerts_of[cluster_id].append(alert)
    return Dashboard(
        clusters=[
            _cluster(cluster, hosts_of.get(cluster.id, ()), alerts_of.get(cluster.id, ()))
            for cluster in sorted(clusters, key=lambda each: (each.name or "", each.id or ""))
        ],
        alerts=_alerts(alerts),
        disks=_disks(disks),
        cpu=_cpu(filter(_has_cpu, clusters)),
        memory=_memory(
            part
            for cluster in clusters
            for part in _memory_parts(cluster, hosts_of.get(cluster.id, ())) or ()
        ),
        storage=_storage(filter(_has_storage, clusters)),
        built_at=datetime.now(UTC),
    )


def _id(nested: Related | models.NestedCluster | None) -> str | None:
    return None if nested is None else nested.id


def _cluster(
    cluster: ClusterRow, hosts: Sequence[HostRow], alerts: Sequence[models.Alert]
) -> ClusterSummary:
    memory = _memory_parts(cluster, hosts)
    return ClusterSummary(
        id=cluster.id or _UNTOLD,
        name=cluster.name or cluster.id or _UNTOLD,
        type=cluster.type or _UNTOLD,
        hypervisor=cluster.hypervisor,
        version=cluster.version or _UNTOLD,
        connect_state=cluster.connect_state or _UNTOLD,
        hosts=len(hosts) + _missing_hosts(cluster, hosts),
        vms=cluster.vm_num,
        running_vms=cluster.running_vm_num,
        alerts=_alerts(alerts).counts,
        cpu=_cpu([cluster]) if _has_cpu(cluster) else None,
        memory=None if memory is None else _memory(memory),
        storage=_storage([cluster]) if _has_storage(cluster) else None,
    )


def _alerts(alerts: Iterable[models.Alert]) -> AlertSummary:
    by_severity: dict[str, list[models.Alert]] = {"CRITICAL": [], "NOTICE": [], "INFO": []}
    other: list[models.Alert] = []
    for alert in sorted(alerts, key=lambda each: each.local_start_time or "", reverse=True):
        by_severity.get(alert.severity, other).append(alert)
    critical, notice, info = by_severity.values()
    counts = AlertCounts(
        critical=len(critical),
        notice=len(notice),
        info=len(info),
        other=len(other),
        total=len(critical) + len(notice) + len(info) + len(other),
    )
    return AlertSummary(counts=counts, critical=critical, notice=notice, info=info, other=other)


_ERRORS = {
    models.DiskHealthStatus.UNHEALTHY,
    models.DiskHealthStatus.SUBHEALTHY,
    models.DiskHealthStatus.SMART_FAILED,
    models.DiskHealthStatus.SOFTWARE_RAID_FAILURE,
}
_FIELDS_OF_DISK = attrgetter("type", "health_status", "healthy", "usage_status")
_WARNINGS = {models.DiskUsageStatus.UNMOUNTED, models.DiskUsageStatus.PARTIAL_MOUNTED}


def _disks(disks: Iterable[DiskRow]) -> dict[str, DiskSummary]:
    states_of: dict[str, Counter[str]] = {kind.value: Counter() for kind in models.DiskType}
    for (kind, *fields), number in Counter(map(_FIELDS_OF_DISK, disks)).items():
        states_of.setdefault(kind or _UNTOLD, Counter())[disk_state(*fields)] += number
    return {kind: _disk_summary(states) for kind, states in states_of.items()}


def disk_state(
    health: str | None, healthy: bool | None, usage_status: str | None
) -> Literal["healthy", "warning", "error", "unknown"]:
    """Return the state of a disk, such as ``"warning"``, which is a field of `DiskSummary`."""
    if health is None and healthy is not None:
        health = "HEALTHY" if healthy else "UNHEALTHY"
    if health in _ERRORS:
        return "error"
    if usage_status in _WARNINGS:
        return "warning"
    return "healthy" if health == models.DiskHealthStatus.HEALTHY else "unknown"


def _disk_summary(states: Mapping[str, int]) -> DiskSummary:
    return DiskSummary(
        healthy=states.get("healthy", 0),
        warning=states.get("warning", 0),
        error=states.get("error", 0),
        unknown=states.get("unknown", 0),
        total=sum(states.values()),
    )


def _has_cpu(cluster: ClusterRow) -> bool:
    return cluster.type == models.ClusterType.SMTX_OS


def _cpu(clusters: Iterable[ClusterRow]) -> CpuSummary:
    clusters = list(clusters)
    return CpuSummary(
        cores=total((cluster.total_cpu_cores for cluster in clusters), "cores"),
        total=total((cluster.total_cpu_hz for cluster in clusters), "Hz"),
        used=total((cluster.used_cpu_hz for cluster in clusters), "Hz"),
        usage=usage((cluster.used_cpu_hz, cluster.total_cpu_hz) for cluster in clusters),
    )


def _memory_parts(
    cluster: ClusterRow, hosts: Sequence[HostRow]
) -> list[tuple[float | None, float | None]] | None:
    """Return (used, total) memory of each host (ELF), or of the whole cluster (VMware).

    Return None if the dashboard does not count the memory of the cluster.
    """
    if cluster.hypervisor == models.Hypervisor.ELF:
        missing = [(None, None)] * _missing_hosts(cluster, hosts)
        return [*((host.used_memory_bytes, host.total_memory_bytes) for host in hosts), *missing]
    if cluster.type != models.ClusterType.SMTX_OS:
        return None
    if cluster.hypervisor == models.Hypervisor.VMWARE:
        return [(cluster.used_memory_bytes, cluster.total_memory_bytes)]
    # The memory of other hypervisors is not counted. If the hypervisor is unknown, the memory is
    # also unknown.
    return [(None, None)] if cluster.hypervisor is None else None


def _missing_hosts(cluster: ClusterRow, hosts: Sequence[HostRow]) -> int:
    """Return how many hosts of a cluster the server did not list."""
    there = max(cluster.host_num or 0, len(cluster.hosts or ()))
    return max(0, there - len(hosts))


def _memory(parts: Iterable[tuple[float | None, float | None]]) -> MemorySummary:
    parts = list(parts)
    return MemorySummary(
        total=total((part_total for _, part_total in parts), "B"),
        used=total((part_used for part_used, _ in parts), "B"),
        usage=usage(parts),
    )


def _has_storage(cluster: ClusterRow) -> bool:
    # SMTX ELF clusters have no storage, so a missing figure does not mean unknown storage.
    return cluster.type != models.ClusterType.SMTX_ELF or cluster.total_data_capacity is not None


def _storage(clusters: Iterable[ClusterRow]) -> StorageSummary:
    clusters = list(clusters)
    return StorageSummary(
        total=total((cluster.total_data_capacity for cluster in clusters), "B"),
        used=total((cluster.used_data_space for cluster in clusters), "B"),
        failed=total((cluster.failure_data_space for cluster in clusters), "B"),
        available=total(map(_available, clusters), "B"),
        usage=usage((cluster.used_data_space, cluster.total_data_capacity) for cluster in clusters),
    )


def _available(cluster: ClusterRow) -> int | None:
    capacity, used = cluster.total_data_capacity, cluster.used_data_space
    failed = cluster.failure_data_space
    if capacity is None or used is None or failed is None:
        return None
    # An overfull cluster must not reduce the sum of the other clusters.
    return max(0, capacity - used - failed)
