"""Guests of VMs: what they do when their VM is powered on or off, and when the server learns of it.

A guest that starts runs its VM tools first and has addresses later, the first NIC before the next.
A NIC has a static address where it was given one; otherwise DHCP leases it one, always the same.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...fleet.guests import activity, lease
from ...fleet.totals import refresh_around
from ...http_errors import RefusedError
from .devices import nics_of, refresh_addresses

if TYPE_CHECKING:
    from ...store.filters import Document
    from ..world import World

_TOOLS_VERSION = "4.1.0"


def switch(world: World, vm: Document, status: str) -> None:
    """Let a VM have a status, and its guest follow."""
    vm.update(activity(world.maker.random, status))
    if status == "STOPPED":
        vm["last_shutdown_time"] = world.maker.clock.timestamp()
    _halt(world, vm)
    if status == "RUNNING":
        _boot(world, vm)
    refresh_around(world.maker.store, vm)


def stop(world: World, vm: Document) -> None:
    """Power a VM off, unless it is stopped."""
    if vm["status"] != "STOPPED":
        switch(world, vm, "STOPPED")


def plug_in(world: World, vm: Document) -> None:
    """Let the guest of a VM find the NICs that it was given while it runs."""
    if vm["status"] == "RUNNING" and vm["vm_tools_status"] == "RUNNING":
        _look_for_addresses(world, vm)


def shut_down(world: World, identifier: str) -> None:
    """Let a guest shut itself down: its VM is shown as stopped some time later.

    Raises:
        RefusedError: The VM does not run.
    """
    vm = world.maker.store.get("Vm", identifier)
    if vm["status"] != "RUNNING":
        raise RefusedError(400, f"VM {vm['name']} is {vm['status']}: its guest does not run")
    world.tasks.forget(identifier)
    delay = world.maker.behavior.guest_shutdown_delay
    world.tasks.later(delay, identifier, lambda: switch(world, vm, "STOPPED"))


def _halt(world: World, vm: Document) -> None:
    """The guest is gone, and what it has reported with it."""
    world.tasks.forget(vm["id"])
    if vm["vm_tools_status"] == "RUNNING":
        vm["vm_tools_status"] = "NOT_RUNNING"
    for nic in nics_of(world.maker.store, vm):
        nic["guest_info_ip_addresses"] = []
        if nic["ip_address"] == lease(nic):
            nic["ip_address"] = ""
    vm["ips"] = ""


def _boot(world: World, vm: Document) -> None:
    behavior = world.maker.behavior
    if not behavior.guest_tools:
        return

    def run_tools() -> None:
        vm["vm_tools_status"] = "RUNNING"
        vm["vm_tools_version"] = _TOOLS_VERSION
        vm["hostname"] = vm["hostname"] or vm["name"]
        _look_for_addresses(world, vm)

    world.tasks.later(behavior.guest_tools_delay, vm["id"], run_tools)


def _look_for_addresses(world: World, vm: Document) -> None:
    delay = world.maker.behavior.guest_address_delay
    for place, nic in enumerate(nics_of(world.maker.store, vm)):
        if nic["enabled"] and not nic["guest_info_ip_addresses"]:
            seconds = delay * (1 + place / 2)
            world.tasks.later(seconds, vm["id"], partial(_report, world, vm, nic["mac_address"]))


def _report(world: World, vm: Document, mac_address: str) -> None:
    """Tell the address of a NIC. Its id may have changed since, or it was unplugged."""
    for nic in nics_of(world.maker.store, vm):
        if nic["mac_address"] == mac_address:
            nic["ip_address"] = nic["ip_address"] or lease(nic)
            nic["guest_info_ip_addresses"] = [nic["ip_address"]]
    refresh_addresses(world.maker.store, vm)
