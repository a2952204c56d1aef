"""Names of metrics, and the series that each metric has, with their labels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, TypeAlias

from ..http_errors import require_member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..store.filters import Document
    from ..store.store import Store

_READ_WRITE = ("read", "write", "readwrite")
_BOTH_WAYS = ("receive", "transmit")
_SERVICES = frozenset(
    (
        *("zbs-chunkd", "zbs-metad", "zbs-iscsi-redirectord", "zbs-taskd", "zookeeper", "mongod"),
        *("elf-vm-monitor", "elf-vm-scheduler", "elf-exporter", "job-center-worker", "tuna-rest"),
    )
)


@dataclass(frozen=True, slots=True)
class LabeledSeries:
    """Series of a metric, before its values are calculated.

    Args:
        labels: Labels that identify the measured resource, for example with its ``local_id``.
        document: Document of the measured resource.
    """

    labels: dict[str, str]
    document: Document

    @property
    def key(self) -> str:
        """Unique key of the series."""
        return " ".join(self.labels.values())


_Expand: TypeAlias = "Callable[[Store, Document, Any], Iterable[LabeledSeries]]"


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """Metrics that one operation returns.

    Args:
        subject: Key of the body that contains the filter for the resources.
        resource: Resource type of the filter.
        names: Names of the metrics.
        expand: Function that returns the series of a resource. Its arguments are the store, the
            document of the resource, and the body.
        echoes: Whether the response contains series without points for unknown metric names.
    """

    subject: str
    resource: str
    names: frozenset[str]
    expand: _Expand
    echoes: bool = False

    def has_empty_series(self, name: str) -> bool:
        """Return whether a response contains an empty series for `name`, an unknown metric."""
        return self.echoes or name.startswith("iostat_")

    def find(self, store: Store, body: object) -> Iterator[LabeledSeries]:
        """Yield the series of all resources that match the filter in a body."""
        for document in store.select(
            self.resource, require_member(body, self.subject, dict[str, Any])
        ):
            if _measured(store, self.resource, document):
                yield from self.expand(store, document, body)


def group_of(name: str) -> MetricGroup | None:
    """Return the group that contains a metric, or None if the metric does not exist."""
    return next((group for group in METRIC_GROUPS.values() if name in group.names), None)


def within(store: Store, group: MetricGroup, clusters: set[str]) -> Iterator[LabeledSeries]:
    """Yield the series of a metric group, for the resources of the given clusters."""
    body: dict[str, Any] = {"services": sorted(_SERVICES)}
    for document in store.select(group.resource):
        if _cluster_of(store, group.resource, document) in clusters and _measured(
            store, group.resource, document
        ):
            yield from group.expand(store, document, body)


_HOMES = {
    "Disk": ("host", "Host"),
    "IscsiLun": ("iscsi_target", "IscsiTarget"),
    "NvmfNamespace": ("nvmf_subsystem", "NvmfSubsystem"),
}


def _cluster_of(store: Store, resource: str, document: Document) -> str | None:
    if resource == "Cluster":
        return str(document["id"])
    if home := _HOMES.get(resource):
        field, owner = home
        return _cluster_of(store, owner, store.get(owner, document[field]))
    cluster: str | None = document["cluster"]
    return cluster


def _measured(store: Store, resource: str, document: Document) -> bool:
    """Return whether a resource has metrics.

    Its cluster must be connected. A VM must be running as well.
    """
    if resource == "Vm" and document["status"] != "RUNNING":
        return False
    cluster = _cluster_of(store, resource, document)
    if cluster is None:
        return False
    return bool(store.get("Cluster", cluster)["connect_state"] == "CONNECTED")


def _io(
    prefix: str, latency: str = "avg_{}_latency_ns", size: str = "avg_{}_size_bytes"
) -> set[str]:
    shapes = ("{}_iops", "{}_speed_bps", latency, size)
    return {f"{prefix}_{shape.format(way)}" for shape, way in product(shapes, _READ_WRITE)}


def _network(prefix: str, *lost: str) -> set[str]:
    what = ("speed_bps", "speed_bitps", "bytes", "packets", "errors", *lost)
    return {f"{prefix}_{way}_{one}" for way, one in product(_BOTH_WAYS, what)}


def _itself(label: str, field: str = "local_id") -> _Expand:
    return lambda _, document, __: [LabeledSeries({label: document[field]}, document)]


def _interfaces(label: str, resource: str, relation: str, named: tuple[str, str]) -> _Expand:
    """Return a function that yields one series for each network interface of a resource.

    If the body contains the filter ``nics``, the function skips interfaces that do not match.
    """
    device, field = named

    def expand(store: Store, document: Document, body: Any) -> Iterator[LabeledSeries]:  # noqa: ANN401
        ids = document[relation]
        where = body.get("nics")
        if where is not None:
            ids = [nic["id"] for nic in store.select(resource, {"id_in": ids, "AND": [where]})]
        for nic in (store.get(resource, one) for one in ids):
            yield LabeledSeries({label: document["local_id"], device: nic[field] or ""}, document)

    return expand


def _services(label: str) -> _Expand:
    def expand(_: Store, host: Document, body: object) -> Iterator[LabeledSeries]:
        for service in require_member(body, "services", list[str]):
            if service in _SERVICES:
                yield LabeledSeries({label: host["local_id"], "_service": service}, host)

    return expand


def _scvm(expand: _Expand) -> _Expand:
    """Return a variant of `expand` that returns no series for hosts outside VMware clusters.

    Hosts of other clusters have no storage controller VM (SCVM).
    """

    def only(store: Store, document: Document, body: object) -> Iterable[LabeledSeries]:
        host = store.get("Host", document["host"]) if "host" in document else document
        under = store.get("Cluster", host["cluster"])["hypervisor"]
        return expand(store, document, body) if under == "VMWARE" else ()

    return only


def _disk(label: str) -> _Expand:
    def expand(store: Store, disk: Document, _: object) -> list[LabeledSeries]:
        host = store.get("Host", disk["host"])["local_id"]
        labels = {label: host, "_device": disk["name"], "serial_number": disk["serial"] or ""}
        return [LabeledSeries(labels, disk)]

    return expand


def _volume(store: Store, volume: Document, body: Any) -> Iterator[LabeledSeries]:  # noqa: ANN401
    """Yield the series of a LUN or a namespace.

    If the body contains the filter ``hosts``, yield one series for each matching host.
    """
    where = body.get("hosts")
    if where is None:
        yield LabeledSeries({"_volume": volume["zbs_volume_id"]}, volume)
        return
    for host in store.select("Host", where):
        address = f"{host['data_ip']}:10201"
        yield LabeledSeries({"_volume": volume["zbs_volume_id"], "instance": address}, volume)


def _witness(store: Store, cluster: Document, _: object) -> Iterator[LabeledSeries]:
    for witness in store.select("Witness", {"cluster": {"id": cluster["id"]}}):
        yield LabeledSeries({"_witness": witness["local_id"] or witness["id"]}, witness)


def _zones(store: Store, cluster: Document, body: Any) -> Iterator[LabeledSeries]:  # noqa: ANN401
    """Yield the series of the traffic between the zones of a stretched cluster."""
    zones = store.select("Zone", {"cluster": {"id": cluster["id"]}})
    zones.sort(key=lambda zone: not zone["is_preferred"])
    if body.get("type") == "secondary-to-primary":
        zones.reverse()
    for start, end in pairwise(zones):
        yield LabeledSeries({"_zone": start["local_id"], "_to_uuid": end["local_id"]}, start)


_VM = {
    *("elf_vm_cpu_overall_usage_percent", "elf_vm_cpu_overall_used_hz"),
    *("elf_vm_cpu_overall_steal_time_percent", "elf_vm_consumed_host_memory_bytes"),
    *("elf_vm_memory_usage_percent", "elf_vm_memory_used_bytes"),
    *("elf_vm_logical_disk_used_bytes", "elf_vm_physical_disk_used_bytes"),
    *_io("elf_vm_disk_overall"),
}
_HOST = {
    *("host_cpu_overall_usage_percent", "host_cpu_overall_used_hz"),
    *("host_cpu_overall_1m_avg_load", "host_cpu_overall_5m_avg_load"),
    *("host_cpu_overall_15m_avg_load", "host_cpu_temperature_celsius"),
    *("host_memory_usage_percent", "host_memory_used_bytes"),
    *("host_memory_swap_usage_percent", "host_memory_swap_used_bytes"),
    *("host_memory_swap_size_bytes", "host_memory_swap_in_speed_bps"),
    *("host_memory_swap_out_speed_bps", "host_uptime_seconds", "host_power_is_on"),
    *("host_sys_partition_usage_percent", "elf_host_vcpus_provisioned"),
    *("host_network_ping_packet_loss_percent", "host_network_ping_time_ns"),
    *_io("host_disk_overall"),
    *_io("zbs_chunk"),
}
_CLUSTER = {
    *("cluster_cpu_usage_percent", "cluster_cpu_used_hz", "cluster_cpu_total_hz"),
    *("cluster_memory_usage_percent", "cluster_memory_used_bytes", "cluster_memory_total_bytes"),
    *("zbs_cluster_used_data_space_bytes", "zbs_cluster_data_capacity_bytes"),
    *("zbs_cluster_logical_used_size_bytes", "zbs_cluster_data_reduction_ratio"),
    *("elf_cluster_vcpus_provisioned", "elf_cluster_memory_provisioned_bytes"),
    *_io("zbs_cluster"),
}
_LUN = _io("zbs_volume") | _io("zbs_volume", "{}_latency_ns", "{}_size_bytes")
_SCVM = {"scvm_cpu_overall_usage_percent", "scvm_memory_usage_percent"}
_WITNESS = {"witness_cpu_overall_usage_percent", "witness_memory_usage_percent"}
_SERVICE = (
    *("cpu_usage_percent", "resident_memory_bytes", "shared_memory_bytes"),
    *("virtual_memory_bytes", "health", "is_running"),
)
_DISK = (
    *("avg_readwrite_queue_length", "remaining_life_percent", "smart_test_failed"),
    *("utilization_percent", "temperature_celsius"),
)
_HOST_NETWORK = {
    *_network("host_network", "dropped_packets", "fifo_errors"),
    *("host_network_loss_rate", "host_network_nic_bandwidth_usage_percent", "nic_bandwidth_usage"),
}
_ZONE = ("data", "readwrite", "migrate", "recover")

_VM_NICS = _interfaces("_vm", "VmNic", "vm_nics", ("_mac", "mac_address"))
_NICS = _interfaces("_host", "Nic", "nics", ("_device", "name"))
_SCVM_NICS = _interfaces("_scvm", "Nic", "nics", ("_device", "name"))


def _group(
    subject: str, resource: str, names: Iterable[str], expand: _Expand, *, echoes: bool = False
) -> MetricGroup:
    return MetricGroup(subject, resource, frozenset(names), expand, echoes)


METRIC_GROUPS: dict[str, MetricGroup] = {
    "get-vm-metrics": _group("vms", "Vm", _VM, _itself("_vm")),
    "get-vm-network-metrics": _group("vms", "Vm", _network("elf_vm_network", "drop"), _VM_NICS),
    "get-vm-volume-metrics": _group(
        "vmVolumes",
        "VmVolume",
        _io("elf_vm_disk") | {"elf_vm_disk_logical_size_bytes"},
        _itself("_volume"),
    ),
    "get-host-metrics": _group("hosts", "Host", _HOST, _itself("_host")),
    "get-host-network-metrics": _group("hosts", "Host", _HOST_NETWORK, _NICS, echoes=True),
    "get-host-service-metrics": _group(
        "hosts", "Host", (f"host_service_{name}" for name in _SERVICE), _services("_host")
    ),
    "get-disk-metrics": _group(
        "disks",
        "Disk",
        _io("host_disk") | {f"host_disk_{name}" for name in _DISK},
        _disk("_host"),
    ),
    "get-cluster-metrics": _group("clusters", "Cluster", _CLUSTER, _itself("_cluster")),
    "get-lun-metrics": _group("luns", "IscsiLun", _LUN, _volume),
    "get-nvmf-namespace-metrics": _group("nvmfNamespaces", "NvmfNamespace", _LUN, _volume),
    "get-scvm-metrics": _group("hosts", "Host", _SCVM, _scvm(_itself("_scvm"))),
    "get-scvm-network-metrics": _group(
        "hosts", "Host", _network("scvm_network", "drop"), _scvm(_SCVM_NICS)
    ),
    "get-scvm-service-metrics": _group(
        "hosts", "Host", (f"scvm_service_{name}" for name in _SERVICE), _scvm(_services("_scvm"))
    ),
    "get-scvm-disk-metrics": _group("disks", "Disk", _io("scvm_disk"), _scvm(_disk("_scvm"))),
    "get-witness-metrics": _group("clusters", "Cluster", _WITNESS, _witness),
    "get-zone-metrics": _group(
        "clusters", "Cluster", (f"zbs_zone_cross_zone_{name}_speed_bps" for name in _ZONE), _zones
    ),
}
"""Metric groups by path of the operation."""
