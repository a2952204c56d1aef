"""Mutations that add, update and remove NICs of VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...http_errors import HttpError, NoMatchError
from ..body import part
from ..context import Result, reject_locked
from .devices import add_nic, nics_of
from .guests import plug_in
from .vm_body import nic_drafts, nic_fields, qos_fields, vlan_of
from .vm_mutation import DeviceMutation, VmMutation, change_vm, checked, find

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..body import Body, Fields
    from ..context import Context, Handler
    from .vm_mutation import Apply


def _add(context: Context, vm: Document, data: Body) -> Apply:
    drafts = nic_drafts(context, data["vm_nics"], vm["cluster"])
    if not drafts:
        raise HttpError(400, "vm_nics: at least one")

    def apply() -> None:
        for draft in drafts:
            add_nic(context.factory, vm, draft)
        plug_in(context, vm)

    return apply


def _at(context: Context, vm: Document, index: int) -> Document:
    nics = nics_of(context.store, vm)
    if not 0 <= index < len(nics):
        raise HttpError(400, f"nic_index: VM {vm['name']} has no NIC {index}")
    return nics[index]


def _remove(context: Context, vm: Document, data: Body) -> Apply:
    nics = [_at(context, vm, index) for index in dict.fromkeys(data["nic_index"])]
    return _removal(context, vm, nics)


def _removal(context: Context, vm: Document, nics: list[Document]) -> Apply:
    store = context.store

    def apply() -> None:
        for nic in nics:
            store.remove("VmNic", nic["id"])
        for place, nic in enumerate(nics_of(store, vm)):
            nic["order"] = place

    return apply


def _remove_by_where(context: Context, body: Body) -> list[Result]:
    """Remove the NICs that match a filter. If the body names VMs, keep the NICs of other VMs."""
    only = body["effect"].get("vm_ids")
    by_vm: dict[str, list[Document]] = {}
    for nic in find(context, "VmNic", body["where"]):
        if only is None or nic["vm"] in only:
            by_vm.setdefault(nic["vm"], []).append(nic)
    if not by_vm:
        raise NoMatchError("where: no VmNic matches")
    vms = [context.store.get("Vm", one) for one in by_vm]
    reject_locked(context, vms)
    return [
        change_vm(context, "removeVmNic", vm, _removal(context, vm, by_vm[vm["id"]])) for vm in vms
    ]


def _changes(context: Context, nic: Document, data: Body) -> Fields:
    """Convert the object ``data`` of a body to new field values of a NIC."""
    vm = context.store.get("Vm", nic["vm"])
    _refuse_without_tools(vm, data)
    changes = {**nic_fields(data), **qos_fields(part(data, "qos"))}
    if data.keys() & {"connect_vlan_id", "nic_id", "vpc_nic"}:
        changes["vlan"] = vlan_of(context, data, vm["cluster"])["id"]
    return changes


_ADDRESS = {"ip_address", "gateway", "subnet_mask"}
_OUTSIDE = {"nic_index", "qos"}
"""Keys of the data that do not require VM tools.

These keys are the index of the NIC and the QoS settings, which the host applies.
"""


def _refuse_without_tools(vm: Document, data: Body) -> None:
    """If the VM tools are not running, reject a NIC change that requires VM tools.

    If the VM is running, all changes except changes of QoS settings require VM tools. If the VM is
    not running, only changes of IP settings require VM tools.
    """
    concerned = data.keys() - _OUTSIDE if vm["status"] == "RUNNING" else data.keys() & _ADDRESS
    if concerned and vm["vm_tools_status"] != "RUNNING":
        raise HttpError(
            400,
            f"{min(concerned)}: VM {vm['name']} needs running VM tools for this;"
            f" they are {vm['vm_tools_status']}",
        )


def _update_at(context: Context, vm: Document, data: Body) -> Apply:
    nic = _at(context, vm, data["nic_index"])
    return _change(context, nic, _changes(context, nic, data))


def _update(context: Context, nic: Document, body: Body) -> Apply:
    return _change(context, nic, _changes(context, nic, body["data"]))


def _change(context: Context, nic: Document, changes: Fields) -> Apply:
    def apply() -> None:
        context.store.change("VmNic", nic["id"], **changes)

    return apply


MUTATIONS: dict[str, Handler] = checked(
    {
        "add-vm-nic": VmMutation("addVmNic", _add),
        "remove-vm-nic": VmMutation("removeVmNic", _remove),
        "remove-vm-nic-by-where": _remove_by_where,
        "update-vm-nic": VmMutation("updateVmNic", _update_at),
        "update-vm-nic-advance-info": DeviceMutation("VmNic", "updateVmNic", _update),
        "update-vm-nic-basic-info": DeviceMutation("VmNic", "updateVmNic", _update),
        "update-vm-nic-qos-option": DeviceMutation("VmNic", "updateVmNic", _update),
    }
)
