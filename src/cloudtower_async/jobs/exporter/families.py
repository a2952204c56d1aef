"""The metrics of the exporter: name, type, help text and labels of each."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Family(NamedTuple):
    """A metric and the names of its labels.

    Attributes:
        name: Name of the metric. The names of counters end with ``_total``.
        help: Text of the line ``# HELP``.
        labels: Names of the labels after ``tower``.
        kind: Type of the metric: ``"gauge"`` or ``"counter"``.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"


FAMILIES: list[Family] = []
"""All metrics of Towers, in the order in which `Exporter.page` returns them."""


def _family(
    name: str, text: str, *labels: str, kind: Literal["gauge", "counter"] = "gauge"
) -> Family:
    family = Family(f"cloudtower_{name}", text, labels, kind)
    FAMILIES.append(family)
    return family


# The state of the exporter itself.
UP = _family("up", "1 if the last collection reached the Tower, 0 if not.")
COLLECTOR_SUCCESS = _family(
    "collector_success", "1 if the last run of a collector succeeded, 0 if not.", "collector"
)
DATA_AGE = _family(
    "data_age_seconds",
    "Seconds since the last successful run of a collector.",
    "collector",
)
COLLECTION_DURATION = _family(
    "collection_duration_seconds", "Duration of the last collection from the Tower."
)
COLLECTIONS = _family(
    "collections_total",
    "Number of collections from the Tower, including failed collections.",
    kind="counter",
)
COLLECTION_FAILURES = _family(
    "collection_failures_total",
    "Number of failed runs of a collector, by the class of the error.",
    "collector",
    "error",
    kind="counter",
)
OMITTED = _family(
    "resources_omitted",
    "Number of resources that are omitted because the Tower has more resources than the limit.",
    "kind",
)
INFO = _family("info", "Version of the Tower; the value is 1.", "version")

# Clusters.
_CLUSTER = ("cluster_id", "cluster")
CLUSTER_INFO = _family(
    "cluster_info",
    "Description of a cluster; the value is 1.",
    *_CLUSTER,
    "type",
    "hypervisor",
    "version",
)
CLUSTER_CONNECTED = _family(
    "cluster_connected", "1 if the Tower is connected to the cluster, 0 if not.", *_CLUSTER
)
CLUSTER_HOSTS = _family("cluster_hosts", "Number of hosts of a cluster.", *_CLUSTER)
CLUSTER_VMS = _family(
    "cluster_vms", "Number of VMs that a cluster reports, by status.", *_CLUSTER, "status"
)
CLUSTER_CPU_CORES = _family("cluster_cpu_cores", "Number of CPU cores of a cluster.", *_CLUSTER)
CLUSTER_CPU_CAPACITY = _family(
    "cluster_cpu_capacity_hertz", "CPU capacity of a cluster.", *_CLUSTER
)
CLUSTER_CPU_USED = _family("cluster_cpu_used_hertz", "CPU in use in a cluster.", *_CLUSTER)
CLUSTER_MEMORY_CAPACITY = _family(
    "cluster_memory_capacity_bytes", "Memory capacity of a cluster.", *_CLUSTER
)
CLUSTER_MEMORY_USED = _family("cluster_memory_used_bytes", "Memory in use in a cluster.", *_CLUSTER)
CLUSTER_STORAGE_CAPACITY = _family(
    "cluster_storage_capacity_bytes", "Data capacity of a cluster.", *_CLUSTER
)
CLUSTER_STORAGE_USED = _family(
    "cluster_storage_used_bytes", "Data space in use in a cluster.", *_CLUSTER
)
CLUSTER_STORAGE_FAILED = _family(
    "cluster_storage_failed_bytes",
    "Data space that a cluster cannot use now because of a failure.",
    *_CLUSTER,
)
CLUSTER_STORAGE_AVAILABLE = _family(
    "cluster_storage_available_bytes",
    "Free data space of a cluster: the capacity minus the used and the failed space.",
    *_CLUSTER,
)
CLUSTER_LICENSE_EXPIRY = _family(
    "cluster_license_expiry_timestamp_seconds",
    "Unix time at which the license of a cluster expires.",
    *_CLUSTER,
)

# Hosts.
_HOST = ("cluster_id", "cluster", "host_id", "host")
HOST_STATUS = _family("host_status", "Current status of a host; the value is 1.", *_HOST, "status")
HOST_STATE = _family(
    "host_state",
    "Current state of a host, such as MAINTENANCE_MODE; the value is 1.",
    *_HOST,
    "state",
)
HOST_CPU_CAPACITY = _family("host_cpu_capacity_hertz", "CPU capacity of a host.", *_HOST)
HOST_CPU_USED = _family("host_cpu_used_hertz", "CPU in use on a host.", *_HOST)
HOST_MEMORY_CAPACITY = _family("host_memory_capacity_bytes", "Memory capacity of a host.", *_HOST)
HOST_MEMORY_USED = _family("host_memory_used_bytes", "Memory in use on a host.", *_HOST)
HOST_STORAGE_CAPACITY = _family("host_storage_capacity_bytes", "Data capacity of a host.", *_HOST)
HOST_STORAGE_USED = _family("host_storage_used_bytes", "Data space in use on a host.", *_HOST)
HOST_STORAGE_FAILED = _family(
    "host_storage_failed_bytes",
    "Data space that a host cannot use now because of a failure.",
    *_HOST,
)

# Other resources of a Tower.
DISKS = _family(
    "disks", "Number of disks of a host, by type and health.", "host_id", "host", "type", "health"
)
VMS = _family("vms", "Number of VMs, by status.", "status")
VMS_IN_RECYCLE_BIN = _family("vms_in_recycle_bin", "Number of VMs in the recycle bin.")
ALERTS = _family(
    "alerts",
    "Number of alerts that have not ended, by severity. For alerts without a cluster, the cluster "
    "labels are empty.",
    *_CLUSTER,
    "severity",
)
TASKS = _family(
    "tasks",
    "Number of unfinished and failed tasks in the task list of the Tower, by status.",
    "status",
)
LICENSE_EXPIRY = _family(
    "license_expiry_timestamp_seconds",
    "Unix time at which a license of the Tower expires.",
    "license_id",
    "type",
    "edition",
)

# Single VMs, which are opt-in.
_VM = ("vm_id", "vm")
VM_INFO = _family(
    "vm_info",
    "Cluster, host and status of a VM; the value is 1.",
    *_VM,
    "cluster",
    "host",
    "status",
)
VM_RUNNING = _family("vm_running", "1 if a VM is running, 0 if not.", *_VM)
VM_VCPUS = _family("vm_vcpus", "Number of virtual CPUs of a VM.", *_VM)
VM_MEMORY = _family("vm_memory_bytes", "Memory of a VM.", *_VM)
VM_PROVISIONED = _family(
    "vm_provisioned_bytes", "Sum of the provisioned sizes of the volumes of a VM.", *_VM
)
VM_USED = _family("vm_used_bytes", "Storage that the volumes of a VM use.", *_VM)
VM_GUEST_USED = _family(
    "vm_guest_used_bytes", "Disk space in use in the guest, as the VM tools report it.", *_VM
)
VM_CPU_USAGE = _family(
    "vm_cpu_usage", "CPU usage of a VM, as the Tower reports it. The API documents no unit.", *_VM
)
VM_MEMORY_USAGE = _family(
    "vm_memory_usage",
    "Memory usage of a VM, as the Tower reports it. The API documents no unit.",
    *_VM,
)
