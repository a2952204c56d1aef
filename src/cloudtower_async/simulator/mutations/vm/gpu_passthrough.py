"""Mutations that attach GPUs and NICs of hosts to VMs, and detach these devices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...http_errors import HttpError
from .vm_builder import release_gpu
from .vm_mutation import VmMutation, check_cluster, checked, find, get_document

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body
    from ..context import Context, Handler
    from .vm_mutation import Apply

_STOPPED = frozenset({"STOPPED"})


def check_gpu(context: Context, wanted: Body, cluster: str) -> Document:
    """Return the requested GPU, after checking that a VM in the cluster can use the GPU.

    Raises:
        HttpError: The GPU is in use, or the GPU is not in the cluster.
    """
    store = context.store
    gpu = get_document(context, "GpuDevice", wanted["gpu_id"])
    check_cluster(store.get("Host", gpu["host"]), cluster)
    if gpu["user_usage"] == "VGPU":
        if (gpu["available_vgpus_num"] or 0) < wanted.get("amount", 1):
            raise HttpError(400, f"GPU {gpu['name']} has not so many vGPUs left")
    elif gpu.get("vms"):
        raise HttpError(400, f"GPU {gpu['name']} belongs to another VM")
    return gpu


def attach_gpu(context: Context, vm: Document, wanted: Body) -> None:
    """Attach a GPU to a VM. If the GPU is divided into vGPUs, attach ``amount`` vGPUs."""
    store = context.store
    gpu = store.get("GpuDevice", wanted["gpu_id"])
    release_gpu(gpu, -wanted.get("amount", 1))
    gpus = [*(vm.get("gpu_devices") or ()), gpu["id"]]
    store.change("Vm", vm["id"], gpu_devices=list(dict.fromkeys(gpus)))


def check_pci_nic(context: Context, nic: Document, cluster: str) -> Document:
    """Check that a VM in the cluster can use a NIC, and return the NIC.

    Raises:
        HttpError: The NIC is in use, or the NIC is not in the cluster.
    """
    check_cluster(context.store.get("Host", nic["host"]), cluster)
    if nic.get("vms"):
        raise HttpError(400, f"NIC {nic['name']} belongs to another VM")
    return nic


def _add_gpus(context: Context, vm: Document, data: list[Body]) -> Apply:
    for wanted in data:
        check_gpu(context, wanted, vm["cluster"])

    def apply() -> None:
        for wanted in data:
            attach_gpu(context, vm, wanted)

    return apply


def _remove_gpus(context: Context, vm: Document, data: list[Body]) -> Apply:
    for wanted in data:
        if wanted["gpu_id"] not in (vm.get("gpu_devices") or ()):
            raise HttpError(404, f"VM {vm['name']} has no GPU {wanted['gpu_id']}")

    def apply() -> None:
        store = context.store
        for wanted in data:
            release_gpu(store.get("GpuDevice", wanted["gpu_id"]), wanted.get("amount", 1))
        gone = {wanted["gpu_id"] for wanted in data}
        left = [one for one in vm["gpu_devices"] if one not in gone]
        store.change("Vm", vm["id"], gpu_devices=left)

    return apply


def _change_pci_nics(context: Context, vm: Document, data: Body, *, add: bool) -> Apply:
    nics = find(context, "Nic", data["pci_nics"], "pci_nics")
    ids = [nic["id"] for nic in nics]
    before: list[str] = list(vm.get("pci_nics") or ())
    if add:
        for nic in nics:
            check_pci_nic(context, nic, vm["cluster"])
    elif not set(ids) <= set(before):
        raise HttpError(404, f"VM {vm['name']} has not all of these NICs")
    after = before + ids if add else [one for one in before if one not in ids]

    def apply() -> None:
        context.store.change("Vm", vm["id"], pci_nics=after)

    return apply


_add_pci_nics = partial(_change_pci_nics, add=True)
_remove_pci_nics = partial(_change_pci_nics, add=False)

MUTATIONS: dict[str, Handler] = checked(
    {
        "add-vm-gpu-device": VmMutation("addVmGpuDevice", _add_gpus, _STOPPED),
        "remove-vm-gpu-device": VmMutation("removeVmGpuDevice", _remove_gpus, _STOPPED),
        "add-vm-pci-nic": VmMutation("addVmPciNic", _add_pci_nics, _STOPPED),
        "remove-vm-pci-nic": VmMutation("removeVmPciNic", _remove_pci_nics, _STOPPED),
    }
)
