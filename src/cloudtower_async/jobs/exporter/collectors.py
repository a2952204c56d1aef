"""Collectors, which read resources of a Tower and turn them into samples."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from ... import models
from ...concurrency import map_concurrently
from ...dates import parse_time
from ...queries.projection import select_fields
from ...recipes.dashboard import ClusterRow, DiskRow, HostRow, Related, disk_state, summarise
from . import families

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ... import inputs
    from ...client import Cloudtower
    from ...queries.batches import Resource
    from ...recipes.amounts import Amount
    from ...recipes.dashboard_models import ClusterSummary
    from .families import Family
    from .samples import Samples

    R = TypeVar("R", bound=Resource)

Collect: TypeAlias = Callable[["Cloudtower", "Samples"], Awaitable[None]]
"""Async function that reads from a session and adds samples."""

LIMITS = {"clusters": 1_000, "hosts": 5_000, "disks": 50_000, "alerts": 10_000, "licenses": 100}
"""Maximum number of resources of each kind to read from a Tower; VMs have a separate limit."""

OTHER = "OTHER"
"""Label for enum values that this version does not know, so that the set of labels is bounded."""

_CONCURRENCY = 2  # concurrent requests of one read
_AT_ONCE = 3  # concurrent counts
_TASK_STATUSES = ("PENDING", "EXECUTING", "PAUSED", "FAILED")


class Named(Related, kw_only=True, frozen=True, gc=False):
    """A related resource and its name."""

    name: str


class ClusterFigures(ClusterRow, kw_only=True, frozen=True, gc=False):
    """The cluster fields that the exporter shows."""

    stopped_vm_num: int | None = None
    suspended_vm_num: int | None = None
    license_expire_date: str | None = None


class HostCondition(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Whether a host is in maintenance mode."""

    state: models.MaintenanceModeEnum


class HostFigures(HostRow, kw_only=True, frozen=True, gc=False):
    """The host fields that the exporter shows."""

    id: str
    name: str
    cluster: Named
    status: models.HostStatus
    state: models.HostState
    host_state: HostCondition | None = None
    total_cpu_hz: int
    used_cpu_hz: float | None = None
    total_data_capacity: int
    used_data_space: int
    failure_data_space: int


class DiskFigures(DiskRow, kw_only=True, frozen=True, gc=False):
    """The fields that the exporter needs to count disks."""

    id: str
    host: Named


class AlertFigures(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The fields that the exporter needs to count alerts."""

    id: str
    severity: str
    cluster: Named | None = None


class LicenseFigures(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The license fields that the exporter shows."""

    id: str
    type: models.LicenseType
    software_edition: models.SoftwareEdition
    expire_date: str


class VmFigures(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The VM fields that the exporter shows."""

    id: str
    name: str
    status: models.VmStatus
    cluster: Named | None = None
    host: Named | None = None
    vcpu: int
    memory: int
    provisioned_size: int | None = None
    used_size: int | None = None
    guest_used_size: int | None = None
    cpu_usage: float | None = None
    memory_usage: float | None = None


async def collect_clusters(tower: Cloudtower, samples: Samples) -> None:
    """Add samples of clusters and hosts, and of the version of the Tower."""
    samples.add(families.INFO, 1, await tower.api_info.get_api_version())
    get_clusters = select_fields(tower.cluster.get_clusters, ClusterFigures)
    get_hosts = select_fields(tower.host.get_hosts, HostFigures)
    clusters = await _read(tower, samples, "clusters", get_clusters)
    hosts = await _read(tower, samples, "hosts", get_hosts)
    for cluster in clusters:
        _add_vm_counts(samples, cluster)
        expires = _timestamp(cluster.license_expire_date)
        samples.add(families.CLUSTER_LICENSE_EXPIRY, expires, cluster.id, cluster.name)
    # The rules of the dashboard say which figures count for which kind of cluster.
    for summary in summarise(clusters, hosts, (), ()).clusters:
        labels = (summary.id, summary.name)
        samples.add(
            families.CLUSTER_INFO,
            1,
            *labels,
            _choice(summary.type, models.ClusterType),
            _choice(summary.hypervisor, models.Hypervisor),
            summary.version,
        )
        connected = summary.connect_state == models.ConnectState.CONNECTED
        samples.add(families.CLUSTER_CONNECTED, connected, *labels)
        samples.add(families.CLUSTER_HOSTS, summary.hosts, *labels)
        for family, amount in _amounts(summary):
            # A sum that lacks an unknown part would look like the whole sum.
            samples.add(family, None if amount.unknown else amount.value, *labels)
    for host in hosts:
        _add_host(samples, host)


def _amounts(summary: ClusterSummary) -> Iterator[tuple[Family, Amount]]:
    if (cpu := summary.cpu) is not None:
        yield families.CLUSTER_CPU_CORES, cpu.cores
        yield families.CLUSTER_CPU_CAPACITY, cpu.total
        yield families.CLUSTER_CPU_USED, cpu.used
    if (memory := summary.memory) is not None:
        yield families.CLUSTER_MEMORY_CAPACITY, memory.total
        yield families.CLUSTER_MEMORY_USED, memory.used
    if (storage := summary.storage) is not None:
        yield families.CLUSTER_STORAGE_CAPACITY, storage.total
        yield families.CLUSTER_STORAGE_USED, storage.used
        yield families.CLUSTER_STORAGE_FAILED, storage.failed
        yield families.CLUSTER_STORAGE_AVAILABLE, storage.available


def _add_vm_counts(samples: Samples, cluster: ClusterFigures) -> None:
    counts = (cluster.running_vm_num, cluster.stopped_vm_num, cluster.suspended_vm_num)
    for status, count in zip(("RUNNING", "STOPPED", "SUSPENDED"), counts, strict=True):
        samples.add(families.CLUSTER_VMS, count, cluster.id, cluster.name, status)


def _add_host(samples: Samples, host: HostFigures) -> None:
    labels = (_id(host.cluster), _name(host.cluster), host.id, host.name)
    status = _choice(host.status, models.HostStatus)
    samples.add(families.HOST_STATUS, 1, *labels, status)
    state = host.state if host.host_state is None else host.host_state.state
    known = (*models.HostState, *models.MaintenanceModeEnum)
    samples.add(families.HOST_STATE, 1, *labels, _choice(state, known))
    for family, value in (
        (families.HOST_CPU_CAPACITY, host.total_cpu_hz),
        (families.HOST_CPU_USED, host.used_cpu_hz),
        (families.HOST_MEMORY_CAPACITY, host.total_memory_bytes),
        (families.HOST_MEMORY_USED, host.used_memory_bytes),
        (families.HOST_STORAGE_CAPACITY, host.total_data_capacity),
        (families.HOST_STORAGE_USED, host.used_data_space),
        (families.HOST_STORAGE_FAILED, host.failure_data_space),
    ):
        samples.add(family, value, *labels)


async def collect_disks(tower: Cloudtower, samples: Samples) -> None:
    """Add one sample per host, disk type and health: the number of such disks."""
    get_disks = select_fields(tower.disk.get_disks, DiskFigures)
    for disk in await _read(tower, samples, "disks", get_disks):
        health = disk_state(disk.health_status, disk.healthy, disk.usage_status)
        kind = _choice(disk.type, models.DiskType)
        samples.increase(families.DISKS, _id(disk.host), _name(disk.host), kind, health)


async def collect_vms(tower: Cloudtower, samples: Samples) -> None:
    """Add the number of VMs with each status, and the number of VMs in the recycle bin."""

    async def count(status: models.VmStatus) -> None:
        where: inputs.VmWhereInput = {"status": status, "in_recycle_bin": False}
        samples.add(families.VMS, await tower.count(tower.vm.get_vms, where=where), status)

    await map_concurrently(count, models.VmStatus, _AT_ONCE)
    recycled = await tower.count(tower.vm.get_vms, where={"in_recycle_bin": True})
    samples.add(families.VMS_IN_RECYCLE_BIN, recycled)


async def collect_alerts(tower: Cloudtower, samples: Samples) -> None:
    """Add one sample per cluster and severity: the number of alerts that have not ended."""
    known = ("CRITICAL", "NOTICE", "INFO")
    for severity in known:  # so that the sum over the Tower always exists
        samples.add(families.ALERTS, 0, None, None, severity)
    get_alerts = select_fields(tower.alert.get_alerts, AlertFigures)
    where: inputs.AlertWhereInput = {"ended": False}
    for alert in await _read(tower, samples, "alerts", get_alerts, where=where):
        severity = _choice(alert.severity, known)
        samples.increase(families.ALERTS, _id(alert.cluster), _name(alert.cluster), severity)


async def collect_tasks(tower: Cloudtower, samples: Samples) -> None:
    """Add one sample per status: the number of tasks with that status."""

    async def count(status: str) -> None:
        where: Any = {"status": status}
        samples.add(families.TASKS, await tower.count(tower.task.get_tasks, where=where), status)

    await map_concurrently(count, _TASK_STATUSES, _AT_ONCE)


async def collect_licenses(tower: Cloudtower, samples: Samples) -> None:
    """Add one sample per license of the Tower: the date at which the license expires."""
    get_licenses = select_fields(tower.license.get_licenses, LicenseFigures)
    for one in await _read(tower, samples, "licenses", get_licenses):
        samples.add(
            families.LICENSE_EXPIRY,
            _timestamp(one.expire_date),
            one.id,
            _choice(one.type, models.LicenseType),
            _choice(one.software_edition, models.SoftwareEdition),
        )


async def collect_single_vms(
    where: inputs.VmWhereInput | None, limit: int, tower: Cloudtower, samples: Samples
) -> None:
    """Add samples of each chosen VM.

    Args:
        where: Filter of the VMs. None means all VMs.
        limit: Maximum number of VMs. The VMs are read in the order of their ids.
        tower: Session to read from.
        samples: Destination of the samples.
    """
    get_vms = select_fields(tower.vm.get_vms, VmFigures)
    for vm in await _read(tower, samples, "vms", get_vms, limit=limit, where=where):
        labels = (vm.id, vm.name)
        status = _choice(vm.status, models.VmStatus)
        samples.add(families.VM_INFO, 1, *labels, _name(vm.cluster), _name(vm.host), status)
        for family, value in (
            (families.VM_RUNNING, vm.status == models.VmStatus.RUNNING),
            (families.VM_VCPUS, vm.vcpu),
            (families.VM_MEMORY, vm.memory),
            (families.VM_PROVISIONED, vm.provisioned_size),
            (families.VM_USED, vm.used_size),
            (families.VM_GUEST_USED, vm.guest_used_size),
            (families.VM_CPU_USAGE, vm.cpu_usage),
            (families.VM_MEMORY_USAGE, vm.memory_usage),
        ):
            samples.add(family, value, *labels)


COLLECTORS: dict[str, Collect] = {
    "clusters": collect_clusters,
    "disks": collect_disks,
    "vms": collect_vms,
    "alerts": collect_alerts,
    "tasks": collect_tasks,
    "licenses": collect_licenses,
}
"""Collectors that run for every Tower, by the value of the label ``collector``."""


async def _read(
    tower: Cloudtower,
    samples: Samples,
    kind: str,
    method: Callable[..., Awaitable[list[R]]],
    *,
    limit: int | None = None,
    where: Any = None,  # noqa: ANN401 - the filter of the method
) -> list[R]:
    """Return up to `limit` resources, and add a sample with the number of omitted resources."""
    limit = limit or LIMITS[kind]
    rows = await tower.fetch_all(method, _CONCURRENCY, where=where, first=limit)
    more = 0
    if len(rows) >= limit:
        more = max(0, await tower.count(method, where=where) - len(rows))
    samples.add(families.OMITTED, more, kind)
    return rows


def _choice(value: str | None, known: Iterable[str]) -> str:
    """Return the label for a value: `OTHER` for an unknown value, and an empty text for None."""
    if value is None:
        return ""
    return str(value) if value in set(known) else OTHER


def _id(related: Related | None) -> str | None:
    return None if related is None else related.id


def _name(related: Named | None) -> str | None:
    return None if related is None else related.name


def _timestamp(date: str | None) -> float | None:
    try:
        moment = parse_time(date)
    except (ValueError, TypeError):
        return None
    return None if moment is None else moment.timestamp()
