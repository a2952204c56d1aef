"""NICs of VMs: adding, changing, removing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...http_errors import NothingMatchesError, RefusedError
from ..body import part
from ..world import Outcome, refuse_locked
from .devices import add_nic, nics_of
from .guests import plug_in
from .vm_body import nic_drafts, nic_fields, qos_fields, vlan_of
from .vms import OnParts, OnVms, change_vm, checked, find

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..world import Effect, World
    from .vms import Apply


def _add(world: World, vm: Document, data: Body) -> Apply:
    drafts = nic_drafts(world, data["vm_nics"], vm["cluster"])
    if not drafts:
        raise RefusedError(400, "vm_nics: at least one")

    def apply() -> None:
        for draft in drafts:
            add_nic(world.maker, vm, draft)
        plug_in(world, vm)

    return apply


def _at(world: World, vm: Document, index: int) -> Document:
    nics = nics_of(world.maker.store, vm)
    if not 0 <= index < len(nics):
        raise RefusedError(400, f"nic_index: VM {vm['name']} has no NIC {index}")
    return nics[index]


def _remove(world: World, vm: Document, data: Body) -> Apply:
    nics = [_at(world, vm, index) for index in dict.fromkeys(data["nic_index"])]
    return _removal(world, vm, nics)


def _removal(world: World, vm: Document, nics: list[Document]) -> Apply:
    store = world.maker.store

    def apply() -> None:
        for nic in nics:
            store.remove("VmNic", nic["id"])
        for place, nic in enumerate(nics_of(store, vm)):
            nic["order"] = place

    return apply


def _remove_by_where(world: World, body: Body) -> list[Outcome]:
    """Remove the NICs that match, of these VMs only where any are named."""
    only = body["effect"].get("vm_ids")
    by_vm: dict[str, list[Document]] = {}
    for nic in find(world, "VmNic", body["where"]):
        if only is None or nic["vm"] in only:
            by_vm.setdefault(nic["vm"], []).append(nic)
    if not by_vm:
        raise NothingMatchesError("where: no VmNic matches")
    vms = [world.maker.store.get("Vm", one) for one in by_vm]
    refuse_locked(world, vms)
    return [change_vm(world, "removeVmNic", vm, _removal(world, vm, by_vm[vm["id"]])) for vm in vms]


def _changes(world: World, nic: Document, data: Body) -> Fields:
    """The fields of a NIC that are to change."""
    vm = world.maker.store.get("Vm", nic["vm"])
    _refuse_without_tools(vm, data)
    changes = {**nic_fields(data), **qos_fields(part(data, "qos"))}
    if data.keys() & {"connect_vlan_id", "nic_id", "vpc_nic"}:
        changes["vlan"] = vlan_of(world, data, vm["cluster"])["id"]
    return changes


_ADDRESS = {"ip_address", "gateway", "subnet_mask"}
_OUTSIDE = {"nic_index", "qos"}
"""What says which NIC is meant, and what the host does without the guest."""


def _refuse_without_tools(vm: Document, data: Body) -> None:
    """Refuse what the guest has to do itself: IP settings, and any change while it runs."""
    concerned = data.keys() - _OUTSIDE if vm["status"] == "RUNNING" else data.keys() & _ADDRESS
    if concerned and vm["vm_tools_status"] != "RUNNING":
        raise RefusedError(
            400,
            f"{min(concerned)}: VM {vm['name']} needs running VM tools for this;"
            f" they are {vm['vm_tools_status']}",
        )


def _update_at(world: World, vm: Document, data: Body) -> Apply:
    nic = _at(world, vm, data["nic_index"])
    return _change(world, nic, _changes(world, nic, data))


def _update(world: World, nic: Document, body: Body) -> Apply:
    return _change(world, nic, _changes(world, nic, body["data"]))


def _change(world: World, nic: Document, changes: Fields) -> Apply:
    def apply() -> None:
        world.maker.store.change("VmNic", nic["id"], **changes)

    return apply


EFFECTS: dict[str, Effect] = checked(
    {
        "add-vm-nic": OnVms("addVmNic", _add),
        "remove-vm-nic": OnVms("removeVmNic", _remove),
        "remove-vm-nic-by-where": _remove_by_where,
        "update-vm-nic": OnVms("updateVmNic", _update_at),
        "update-vm-nic-advance-info": OnParts("VmNic", "updateVmNic", _update),
        "update-vm-nic-basic-info": OnParts("VmNic", "updateVmNic", _update),
        "update-vm-nic-qos-option": OnParts("VmNic", "updateVmNic", _update),
    }
)
