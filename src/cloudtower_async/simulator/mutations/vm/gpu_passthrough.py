"""GPUs and NICs of hosts that VMs get for themselves."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...http_errors import RefusedError
from .vm_builder import release_gpu
from .vms import OnVms, checked, find, find_one, of_cluster

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body
    from ..world import Effect, World
    from .vms import Apply

_STOPPED = frozenset({"STOPPED"})


def check_gpu(world: World, wanted: Body, cluster: str) -> Document:
    """The GPU that a VM of the cluster is to get, unless it is taken."""
    store = world.maker.store
    gpu = find_one(world, "GpuDevice", wanted["gpu_id"])
    of_cluster(store.get("Host", gpu["host"]), cluster)
    if gpu["user_usage"] == "VGPU":
        if (gpu["available_vgpus_num"] or 0) < wanted.get("amount", 1):
            raise RefusedError(400, f"GPU {gpu['name']} has not so many vGPUs left")
    elif gpu.get("vms"):
        raise RefusedError(400, f"GPU {gpu['name']} belongs to another VM")
    return gpu


def attach_gpu(world: World, vm: Document, wanted: Body) -> None:
    """Give a VM a GPU, or so many parts of it."""
    store = world.maker.store
    gpu = store.get("GpuDevice", wanted["gpu_id"])
    release_gpu(gpu, -wanted.get("amount", 1))
    gpus = [*(vm.get("gpu_devices") or ()), gpu["id"]]
    store.change("Vm", vm["id"], gpu_devices=list(dict.fromkeys(gpus)))


def check_pci_nic(world: World, nic: Document, cluster: str) -> Document:
    """The NIC that a VM of the cluster is to get, unless it is taken."""
    of_cluster(world.maker.store.get("Host", nic["host"]), cluster)
    if nic.get("vms"):
        raise RefusedError(400, f"NIC {nic['name']} belongs to another VM")
    return nic


def _add_gpus(world: World, vm: Document, data: list[Body]) -> Apply:
    for wanted in data:
        check_gpu(world, wanted, vm["cluster"])

    def apply() -> None:
        for wanted in data:
            attach_gpu(world, vm, wanted)

    return apply


def _remove_gpus(world: World, vm: Document, data: list[Body]) -> Apply:
    for wanted in data:
        if wanted["gpu_id"] not in (vm.get("gpu_devices") or ()):
            raise RefusedError(404, f"VM {vm['name']} has no GPU {wanted['gpu_id']}")

    def apply() -> None:
        store = world.maker.store
        for wanted in data:
            release_gpu(store.get("GpuDevice", wanted["gpu_id"]), wanted.get("amount", 1))
        gone = {wanted["gpu_id"] for wanted in data}
        left = [one for one in vm["gpu_devices"] if one not in gone]
        store.change("Vm", vm["id"], gpu_devices=left)

    return apply


def _change_pci_nics(world: World, vm: Document, data: Body, *, add: bool) -> Apply:
    nics = find(world, "Nic", data["pci_nics"], "pci_nics")
    ids = [nic["id"] for nic in nics]
    before: list[str] = list(vm.get("pci_nics") or ())
    if add:
        for nic in nics:
            check_pci_nic(world, nic, vm["cluster"])
    elif not set(ids) <= set(before):
        raise RefusedError(404, f"VM {vm['name']} has not all of these NICs")
    after = before + ids if add else [one for one in before if one not in ids]

    def apply() -> None:
        world.maker.store.change("Vm", vm["id"], pci_nics=after)

    return apply


_add_pci_nics = partial(_change_pci_nics, add=True)
_remove_pci_nics = partial(_change_pci_nics, add=False)

EFFECTS: dict[str, Effect] = checked(
    {
        "add-vm-gpu-device": OnVms("addVmGpuDevice", _add_gpus, _STOPPED),
        "remove-vm-gpu-device": OnVms("removeVmGpuDevice", _remove_gpus, _STOPPED),
        "add-vm-pci-nic": OnVms("addVmPciNic", _add_pci_nics, _STOPPED),
        "remove-vm-pci-nic": OnVms("removeVmPciNic", _remove_pci_nics, _STOPPED),
    }
)
