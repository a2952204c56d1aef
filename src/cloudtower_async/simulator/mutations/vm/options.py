"""Editing VMs, what is in their guests, and where they belong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...http_errors import RefusedError
from ...tasks import Failure
from ..unique_names import check_name, taken_name
from .devices import disks_of
from .vm_body import find_owner, settings
from .vm_builder import check_hardware
from .vms import OnVms, checked, find_one, of_cluster

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..world import Effect, World
    from .vms import Apply


_STOPPED = frozenset({"STOPPED"})
_RUNNING = frozenset({"RUNNING"})


def _basic_info(world: World, vm: Document, data: Body) -> Apply:
    changes = settings(data, {name: vm[name] for name in ("name", "memory", "cpu", "ha")})
    check_hardware(changes)
    name_taken = check_name(world, "Vm", changes["name"], own=vm["id"])
    more_memory = changes["memory"] - vm["memory"]
    smaller = more_memory < 0 or changes["vcpu"] < vm["vcpu"]
    if smaller and vm["status"] != "STOPPED":
        raise RefusedError(400, f"VM {vm['name']} is {vm['status']}: it cannot become smaller")

    def apply() -> Failure | None:
        # Another task may have taken the name in the meantime.
        taken = name_taken or taken_name(world, "Vm", changes["name"], own=vm["id"])
        if taken is not None and changes["name"] != vm["name"]:
            return taken
        host = world.maker.store.get("Host", vm["host"])
        if vm["status"] != "STOPPED" and more_memory > host["allocatable_memory_bytes"]:
            return Failure("not enough memory on the host", "VM_UPDATE_FAILED", "NO_MEMORY")
        vm.update(changes)
        return None

    return apply


def _advanced(world: World, vm: Document, data: Body) -> Apply:
    changes = {name: value for name, value in data.items() if name != "windows_optimize"}
    if "windows_optimize" in data:
        changes["win_opt"] = data["windows_optimize"]
    cluster = world.maker.store.get("Cluster", vm["cluster"])
    model = data.get("cpu_model", "cluster_default")
    known = {"cluster_default", "host_passthrough", *(cluster["total_cpu_models"] or ())}
    if model not in known:
        raise RefusedError(400, f"cpu_model: the cluster has no {model}")
    return partial(vm.update, changes)


def _in_guest(world: World, vm: Document, data: Body) -> None:
    """What goes through the VM tools needs them."""
    if vm["vm_tools_status"] != "RUNNING":
        raise RefusedError(400, f"the VM tools of {vm['name']} are {vm['vm_tools_status']}")


def _guest_options(world: World, vm: Document, data: Body) -> Apply:
    _in_guest(world, vm, data)
    changes: Fields = {"hostname": data["hostname"]} if "hostname" in data else {}
    if "dns_servers" in data:
        changes["dns_servers"] = ",".join(data["dns_servers"])
    return partial(vm.update, changes)  # an API to read NTP servers of a VM there is none


def _reset_password(world: World, vm: Document, data: Body) -> Apply:
    _in_guest(world, vm, data)
    if not data["password"]:
        raise RefusedError(400, "password: must not be empty")
    return _nothing  # to be seen: passwords can be set, never read


def _owner(world: World, vm: Document, data: Body) -> Apply:
    find_owner(world, data)
    return _nothing  # to be seen: the API does not tell whose a VM is


def _nothing() -> None:
    pass


def _add_to_folder(world: World, vm: Document, data: Body) -> Apply:
    folder = of_cluster(find_one(world, "VmFolder", data["folder_id"]), vm["cluster"])
    return _belong(world, vm, folder["id"])


def _leave_folder(world: World, vm: Document, data: Body) -> Apply:
    return _belong(world, vm, None)


def _belong(world: World, vm: Document, folder: str | None) -> Apply:
    def apply() -> None:
        world.maker.store.change("Vm", vm["id"], folder=folder)

    return apply


def _install_tools(world: World, vm: Document, data: Body | None) -> Apply:
    """Put the ISO of the VM tools into a CD-ROM; running what is on it is up to the guest."""
    store = world.maker.store
    cd_roms = [disk for disk in disks_of(store, vm) if disk["type"] == "CD_ROM"]
    if data is not None:
        cd_roms = [disk for disk in cd_roms if disk["id"] == data["cd_rom_id"]]
        images = [of_cluster(find_one(world, "SvtImage", data["svt_image_id"]), vm["cluster"])]
    else:
        images = store.select("SvtImage", {"cluster": {"id": vm["cluster"]}})
    if not cd_roms:
        raise RefusedError(400, f"VM {vm['name']} has no such CD-ROM")
    if not images:
        raise RefusedError(400, "the cluster has no image of the VM tools")
    newest = max(images, key=lambda image: image["version"])

    def apply() -> None:
        store.change("VmDisk", cd_roms[0]["id"], svt_image=newest["id"], elf_image=None)

    return apply


EFFECTS: dict[str, Effect] = checked(
    {
        "update-vm-basic-info": OnVms("updateVm", _basic_info),
        "update-vm-advanced-options": OnVms("updateVm", _advanced, _STOPPED),
        "update-vm-host-options": OnVms("updateVm", _guest_options, _RUNNING),
        "update-vm-owner": OnVms("updateVmOwner", _owner),
        "reset-vm-guest-os-password": OnVms("resetVmGuestOsPassword", _reset_password, _RUNNING),
        "install-vmtools": OnVms("installVmTools", _install_tools, _RUNNING),
        "add-vm-to-folder": OnVms("addVmToFolder", _add_to_folder),
        "remove-vm-from-folder": OnVms("removeVmFromFolder", _leave_folder),
    }
)
