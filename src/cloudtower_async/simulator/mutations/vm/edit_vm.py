"""Mutations that edit VMs: settings, guest options, owner and folder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...http_errors import HttpError
from ...tasks import Failure, do_nothing
from ..duplicate_names import check_name, taken_name
from .devices import disks_of
from .vm_body import find_owner, settings
from .vm_builder import check_hardware
from .vm_mutation import VmMutation, check_cluster, checked, get_document

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler
    from .vm_mutation import Apply


_STOPPED = frozenset({"STOPPED"})
_RUNNING = frozenset({"RUNNING"})


def _basic_info(context: Context, vm: Document, data: Body) -> Apply:
    changes = settings(data, {name: vm[name] for name in ("name", "memory", "cpu", "ha")})
    check_hardware(changes)
    name_taken = check_name(context, "Vm", changes["name"], own=vm["id"])
    more_memory = changes["memory"] - vm["memory"]
    smaller = more_memory < 0 or changes["vcpu"] < vm["vcpu"]
    if smaller and vm["status"] != "STOPPED":
        raise HttpError(400, f"VM {vm['name']} is {vm['status']}: it cannot become smaller")

    def apply() -> Failure | None:
        # Since the request, another VM may have been given the name.
        taken = name_taken or taken_name(context, "Vm", changes["name"], own=vm["id"])
        if taken is not None and changes["name"] != vm["name"]:
            return taken
        host = context.store.get("Host", vm["host"])
        if vm["status"] != "STOPPED" and more_memory > host["allocatable_memory_bytes"]:
            return Failure("not enough memory on the host", "VM_UPDATE_FAILED", "NO_MEMORY")
        vm.update(changes)
        return None

    return apply


def _advanced(context: Context, vm: Document, data: Body) -> Apply:
    changes = {name: value for name, value in data.items() if name != "windows_optimize"}
    if "windows_optimize" in data:
        changes["win_opt"] = data["windows_optimize"]
    cluster = context.store.get("Cluster", vm["cluster"])
    model = data.get("cpu_model", "cluster_default")
    known = {"cluster_default", "host_passthrough", *(cluster["total_cpu_models"] or ())}
    if model not in known:
        raise HttpError(400, f"cpu_model: the cluster has no {model}")
    return partial(vm.update, changes)


def _in_guest(context: Context, vm: Document, data: Body) -> None:
    """Reject a change of settings in the guest if the VM tools are not running."""
    if vm["vm_tools_status"] != "RUNNING":
        raise HttpError(400, f"the VM tools of {vm['name']} are {vm['vm_tools_status']}")


def _guest_options(context: Context, vm: Document, data: Body) -> Apply:
    _in_guest(context, vm, data)
    changes: Fields = {"hostname": data["hostname"]} if "hostname" in data else {}
    if "dns_servers" in data:
        changes["dns_servers"] = ",".join(data["dns_servers"])
    return partial(vm.update, changes)  # responses do not contain the NTP servers of a VM


def _reset_password(context: Context, vm: Document, data: Body) -> Apply:
    _in_guest(context, vm, data)
    if not data["password"]:
        raise HttpError(400, "password: must not be empty")
    return do_nothing  # responses never contain passwords


def _owner(context: Context, vm: Document, data: Body) -> Apply:
    find_owner(context, data)
    return do_nothing  # responses do not contain the owner of a VM


def _add_to_folder(context: Context, vm: Document, data: Body) -> Apply:
    folder = check_cluster(get_document(context, "VmFolder", data["folder_id"]), vm["cluster"])
    return _belong(context, vm, folder["id"])


def _leave_folder(context: Context, vm: Document, data: Body) -> Apply:
    return _belong(context, vm, None)


def _belong(context: Context, vm: Document, folder: str | None) -> Apply:
    def apply() -> None:
        context.store.change("Vm", vm["id"], folder=folder)

    return apply


def _install_tools(context: Context, vm: Document, data: Body | None) -> Apply:
    """Insert the ISO of the VM tools into a CD-ROM. The tools are not installed."""
    store = context.store
    cd_roms = [disk for disk in disks_of(store, vm) if disk["type"] == "CD_ROM"]
    if data is not None:
        cd_roms = [disk for disk in cd_roms if disk["id"] == data["cd_rom_id"]]
        images = [
            check_cluster(get_document(context, "SvtImage", data["svt_image_id"]), vm["cluster"])
        ]
    else:
        images = store.select("SvtImage", {"cluster": {"id": vm["cluster"]}})
    if not cd_roms:
        raise HttpError(400, f"VM {vm['name']} has no such CD-ROM")
    if not images:
        raise HttpError(400, "the cluster has no image of the VM tools")
    newest = max(images, key=lambda image: image["version"])

    def apply() -> None:
        store.change("VmDisk", cd_roms[0]["id"], svt_image=newest["id"], elf_image=None)

    return apply


MUTATIONS: dict[str, Handler] = checked(
    {
        "update-vm-basic-info": VmMutation("updateVm", _basic_info),
        "update-vm-advanced-options": VmMutation("updateVm", _advanced, _STOPPED),
        "update-vm-host-options": VmMutation("updateVm", _guest_options, _RUNNING),
        "update-vm-owner": VmMutation("updateVmOwner", _owner),
        "reset-vm-guest-os-password": VmMutation(
            "resetVmGuestOsPassword", _reset_password, _RUNNING
        ),
        "install-vmtools": VmMutation("installVmTools", _install_tools, _RUNNING),
        "add-vm-to-folder": VmMutation("addVmToFolder", _add_to_folder),
        "remove-vm-from-folder": VmMutation("removeVmFromFolder", _leave_folder),
    }
)
