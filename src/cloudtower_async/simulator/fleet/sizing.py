"""Sizes of VMs, and sizes of hosts that are large enough for their VMs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

GIB = 2**30
TB = 10**12

VCPUS_PER_CORE = 3
"""Maximum number of virtual CPUs per core."""

REPLICAS = 2
_MEMORY_USE = 0.8  # maximum share of a host's memory for VMs
_STORAGE_USE = 0.6  # maximum share of a cluster's capacity for data

_VM_SIZES = ((1, 2), (2, 4), (2, 8), (4, 8), (4, 16), (8, 16), (8, 32))  # vCPUs, GiB
_VM_SIZE_WEIGHTS = (10, 30, 20, 20, 10, 6, 4)
_DISK_GIB = (20, 40, 80, 100, 200)


@dataclass(frozen=True, slots=True)
class VmPlan:
    """Plan of a VM.

    Args:
        number: Number of the VM in the fleet.
        vcpu: Number of virtual CPUs.
        memory: Memory in bytes.
        disks: Size of each disk in bytes.
        written: Number of bytes written to each disk.
    """

    number: int
    vcpu: int
    memory: int
    disks: tuple[int, ...]
    written: tuple[int, ...]


@dataclass(slots=True)
class HostPlan:
    """Plan of a host.

    Args:
        vms: Plans of the VMs on the host.
        memory: Total memory of the VMs in bytes.
        vcpus: Total number of virtual CPUs of the VMs.
    """

    vms: list[VmPlan] = field(default_factory=lambda: list[VmPlan]())
    memory: int = 0
    vcpus: int = 0


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """Plan of a cluster. All hosts have the same size and are large enough for their VMs.

    Args:
        hosts: Plans of the hosts.
        host_memory: Memory of each host in bytes.
        host_cores: Number of CPU cores of each host.
        data_disks: Number of data disks of each host.
        data_disk_size: Size of each data disk in bytes.
        data_written: Number of bytes written in the cluster, with all replicas.
    """

    hosts: list[HostPlan]
    host_memory: int
    host_cores: int
    data_disks: int
    data_disk_size: int
    data_written: int


def plan_vm(number: int, random: Random) -> VmPlan:
    """Return a plan for a VM with a random size."""
    vcpu, gib = random.choices(_VM_SIZES, _VM_SIZE_WEIGHTS)[0]
    disks = [random.choice(_DISK_GIB) * GIB for _ in range(random.choice((1, 1, 1, 2, 3)))]
    # Round down to whole MiB.
    written = [int(size * random.uniform(0.1, 0.8)) >> 20 << 20 for size in disks]
    return VmPlan(number, vcpu, gib * GIB, tuple(disks), tuple(written))


def plan_cluster(vms: list[VmPlan], hosts: int) -> ClusterPlan:
    """Distribute VMs over hosts, and return the plan of the cluster.

    The VM with the most memory is assigned first. Each VM goes to the host with the most free
    memory.
    """
    plans = [HostPlan() for _ in range(hosts)]
    for vm in sorted(vms, key=lambda vm: (-vm.memory, vm.number)):
        emptiest = min(plans, key=lambda plan: plan.memory)
        emptiest.vms.append(vm)
        emptiest.memory += vm.memory
        emptiest.vcpus += vm.vcpu
    memory, cores, disk_size, disks = 128 * GIB, 32, 2 * TB, 6
    while memory * _MEMORY_USE < max(plan.memory for plan in plans):
        memory *= 2
    while cores * VCPUS_PER_CORE < max(plan.vcpus for plan in plans):
        cores *= 2
    written = REPLICAS * sum(sum(vm.written) for vm in vms)
    while hosts * disks * disk_size * _STORAGE_USE < written:
        if disk_size < 16 * TB:
            disk_size *= 2
        else:
            disks += 6
    return ClusterPlan(plans, memory, cores, disks, disk_size, written)
