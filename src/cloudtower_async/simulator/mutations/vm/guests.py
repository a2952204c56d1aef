"""Guests of VMs: they react to power operations, and report to the server after delays.

A starting guest first runs its VM tools. Later, its NICs get their IP addresses one after another.
If a NIC has a static address, the NIC keeps this address. For other NICs, the address comes from
DHCP and is always the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...fleet.aggregates import refresh_around
from ...fleet.vms import activity, lease
from ...http_errors import HttpError
from .devices import nics_of, refresh_addresses

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..context import Context

_TOOLS_VERSION = "4.1.0"


def switch(context: Context, vm: Document, status: str) -> None:
    """Set the status of a VM. Start its guest if the status is ``RUNNING``, else stop it."""
    vm.update(activity(context.factory.random, status))
    if status == "STOPPED":
        vm["last_shutdown_time"] = context.factory.clock.timestamp()
    _halt(context, vm)
    if status == "RUNNING":
        _boot(context, vm)
    refresh_around(context.store, vm)


def stop(context: Context, vm: Document) -> None:
    """Power off a VM. If the VM is already stopped, do nothing."""
    if vm["status"] != "STOPPED":
        switch(context, vm, "STOPPED")


def plug_in(context: Context, vm: Document) -> None:
    """Make the guest of a VM detect new NICs, if the VM and its VM tools are running."""
    if vm["status"] == "RUNNING" and vm["vm_tools_status"] == "RUNNING":
        _look_for_addresses(context, vm)


def shut_down(context: Context, identifier: str) -> None:
    """Shut down the guest of a VM from the inside.

    The status of the VM changes after ``guest_shutdown_delay`` seconds.

    Raises:
        HttpError: The VM is not running.
    """
    vm = context.store.get("Vm", identifier)
    if vm["status"] != "RUNNING":
        raise HttpError(400, f"VM {vm['name']} is {vm['status']}: its guest does not run")
    context.tasks.forget(identifier)
    delay = context.factory.behavior.guest_shutdown_delay
    context.tasks.later(delay, identifier, lambda: switch(context, vm, "STOPPED"))


def _halt(context: Context, vm: Document) -> None:
    """Remove the values that a guest reported, because the guest is no longer running."""
    context.tasks.forget(vm["id"])
    if vm["vm_tools_status"] == "RUNNING":
        vm["vm_tools_status"] = "NOT_RUNNING"
    for nic in nics_of(context.store, vm):
        nic["guest_info_ip_addresses"] = []
        if nic["ip_address"] == lease(nic):
            nic["ip_address"] = ""
    vm["ips"] = ""


def _boot(context: Context, vm: Document) -> None:
    behavior = context.factory.behavior
    if not behavior.guest_tools:
        return

    def run_tools() -> None:
        vm["vm_tools_status"] = "RUNNING"
        vm["vm_tools_version"] = _TOOLS_VERSION
        vm["hostname"] = vm["hostname"] or vm["name"]
        _look_for_addresses(context, vm)

    context.tasks.later(behavior.guest_tools_delay, vm["id"], run_tools)


def _look_for_addresses(context: Context, vm: Document) -> None:
    delay = context.factory.behavior.guest_address_delay
    for place, nic in enumerate(nics_of(context.store, vm)):
        if nic["enabled"] and not nic["guest_info_ip_addresses"]:
            seconds = delay * (1 + place / 2)
            context.tasks.later(
                seconds, vm["id"], partial(_report, context, vm, nic["mac_address"])
            )


def _report(context: Context, vm: Document, mac_address: str) -> None:
    """Set the IP address of a NIC, as reported by the guest.

    This function runs after a delay. The id of the NIC can change during the delay, so the MAC
    address identifies the NIC.
    """
    for nic in nics_of(context.store, vm):
        if nic["mac_address"] == mac_address:
            nic["ip_address"] = nic["ip_address"] or lease(nic)
            nic["guest_info_ip_addresses"] = [nic["ip_address"]]
    refresh_addresses(context.store, vm)
