"""Guests of VMs: VM tools, addresses, and delays until the server knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.testing import Clock, Simulator
from tests.simulator.client import connected
from tests.simulator.machines import a_vm, create, do, new_vm, nics, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.client import Client

pytestmark = pytest.mark.anyio

TOOLS, ADDRESS, SHUTDOWN = 20.0, 60.0, 30.0
DURATION = 10.0  # what `ended` lets pass


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    simulator = Simulator(
        clock=Clock(running=False),
        task_duration=DURATION,
        guest_tools_delay=TOOLS,
        guest_address_delay=ADDRESS,
        guest_shutdown_delay=SHUTDOWN,
    )
    async with connected(simulator) as client:
        yield client


async def shown(client: Client, vm: dict[str, Any], seconds: float = 0) -> dict[str, Any]:
    """Return a VM as the server shows it some time later."""
    client.sim.clock.advance(seconds)
    [found] = await client.ask("get-vms", {"where": {"id": vm["id"]}})
    return dict(found)


async def addresses(client: Client, vm: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Return the address and the reported addresses of each NIC."""
    found = await client.ask("get-vm-nics", {"where": {"vm": {"id": vm["id"]}}})
    return [(nic["ip_address"], nic["guest_info_ip_addresses"]) for nic in found]


async def test_a_started_vm_has_vm_tools_and_then_addresses(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    await do(client, "start-vm", {"where": {"id": vm["id"]}})
    now = await shown(client, vm, TOOLS - 1)
    assert (now["status"], now["vm_tools_status"], now["ips"]) == ("RUNNING", "NOT_RUNNING", "")
    now = await shown(client, vm, 1)
    assert (now["vm_tools_status"], now["ips"]) == ("RUNNING", "")
    assert await addresses(client, vm) == [("", [])]
    assert (await shown(client, vm, ADDRESS - 1))["ips"] == ""
    now = await shown(client, vm, 1)
    assert now["ips"]
    assert await addresses(client, vm) == [(now["ips"], [now["ips"]])]


async def test_each_nic_reports_later_than_the_one_before(client: Client) -> None:
    vlan = new_vm(client)["vm_nics"][0]["connect_vlan_id"]
    vm = await create(client, status="RUNNING", vm_nics=[{"connect_vlan_id": vlan}] * 3)
    counts: list[int] = []
    for seconds in (TOOLS + ADDRESS, ADDRESS / 2, ADDRESS / 2):
        ips = (await shown(client, vm, seconds))["ips"]
        counts.append(len(ips.split(",")))
    assert counts == [1, 2, 3]
    assert len(set(ips.split(","))) == 3


async def test_all_effects_of_a_long_time_show_at_once(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    await send(client, "start-vm", {"where": {"id": vm["id"]}})
    now = await shown(client, vm, DURATION + TOOLS + ADDRESS)
    assert (now["status"], now["vm_tools_status"]) == ("RUNNING", "RUNNING")
    assert now["ips"]


async def test_dhcp_leases_the_same_address_again_and_a_static_one_stays(client: Client) -> None:
    static = {"ip_address": "10.9.8.7", "subnet_mask": "255.0.0.0", "gateway": "10.0.0.1"}
    dynamic = {"connect_vlan_id": new_vm(client)["vm_nics"][0]["connect_vlan_id"]}
    vm = await create(client, status="RUNNING", vm_nics=[dynamic, {**dynamic, **static}])
    first = await shown(client, vm, TOOLS + 2 * ADDRESS)
    leased, given = first["ips"].split(",")
    assert (given, leased != given) == ("10.9.8.7", True)
    await do(client, "poweroff-vm", {"where": {"id": vm["id"]}})
    off = await shown(client, vm)
    assert (off["ips"], off["vm_tools_status"]) == ("", "NOT_RUNNING")
    assert await addresses(client, vm) == [("", []), ("10.9.8.7", [])]
    await do(client, "start-vm", {"where": {"id": vm["id"]}})
    assert (await shown(client, vm, TOOLS + 2 * ADDRESS))["ips"] == first["ips"]


async def test_a_vm_of_the_fleet_keeps_its_address_over_a_restart(client: Client) -> None:
    vm = a_vm(client, "RUNNING", vm_tools_status="RUNNING")
    before = vm["ips"]
    await do(client, "restart-vm", {"where": {"id": vm["id"]}})
    assert (await shown(client, vm))["ips"] == ""
    assert (await shown(client, vm, TOOLS + ADDRESS))["ips"] == before


async def test_a_vm_that_stops_early_never_reports(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    await do(client, "start-vm", {"where": {"id": vm["id"]}})
    await do(client, "poweroff-vm", {"where": {"id": vm["id"]}})
    now = await shown(client, vm, 10 * (TOOLS + ADDRESS))
    assert (now["status"], now["vm_tools_status"], now["ips"]) == ("STOPPED", "NOT_RUNNING", "")


async def test_a_nic_that_is_plugged_in_has_its_address_later(client: Client) -> None:
    vm = await create(client, status="RUNNING")
    first = (await shown(client, vm, TOOLS + ADDRESS))["ips"]
    nic = {"connect_vlan_id": new_vm(client)["vm_nics"][0]["connect_vlan_id"]}
    await do(client, "add-vm-nic", {"where": {"id": vm["id"]}, "data": {"vm_nics": [nic]}})
    assert (await shown(client, vm))["ips"] == first
    after = (await shown(client, vm, 2 * ADDRESS))["ips"].split(",")
    assert after[0] == first
    assert len(after) == len(nics(client, vm)) == 2


async def test_a_vm_that_is_deleted_before_its_guest_is_up_leaves_nothing(client: Client) -> None:
    vm = await create(client, status="RUNNING")
    client.sim.store.remove("Vm", vm["id"])
    client.sim.clock.advance(TOOLS + ADDRESS)
    assert await client.ask("get-vms", {"where": {"id": vm["id"]}}) == []


@pytest.mark.parametrize("tools", [True, False])
async def test_guests_without_vm_tools_never_report(tools: bool) -> None:
    simulator = Simulator(clock=Clock(running=False), task_duration=DURATION, guest_tools=tools)
    async with connected(simulator) as client:
        vm = await create(client, status="RUNNING")
        now = await shown(client, vm, 60)
    assert now["vm_tools_status"] == ("RUNNING" if tools else "NOT_INSTALLED")
    assert bool(now["ips"]) is tools


async def test_a_guest_that_shuts_itself_down_shows_late(client: Client) -> None:
    vm = a_vm(client, "RUNNING")
    client.sim.shut_down_guest(vm["id"])
    assert (await shown(client, vm, SHUTDOWN - 1))["status"] == "RUNNING"
    now = await shown(client, vm, 1)
    assert (now["status"], now["ips"]) == ("STOPPED", "")
    assert now["last_shutdown_time"] is not None


async def test_a_guest_that_does_not_run_cannot_shut_itself_down(client: Client) -> None:
    vm = a_vm(client, "STOPPED")
    with pytest.raises(ValueError, match="its guest does not run"):
        client.sim.shut_down_guest(vm["id"])
    with pytest.raises(KeyError):
        client.sim.shut_down_guest("nobody")


@pytest.mark.parametrize("option", ["tools", "address", "shutdown"])
def test_a_delay_is_never_negative(option: str) -> None:
    options: dict[str, Any] = {f"guest_{option}_delay": -1.0}
    with pytest.raises(ValueError, match=f"guest_{option}_delay: expected seconds"):
        Simulator(**options)


async def test_the_local_id_of_a_new_vm_is_a_placeholder_with_a_uuid(client: Client) -> None:
    [answer] = await send(client, "create-vm", [new_vm(client)])
    prefix, _, uuid = answer["data"]["local_id"].partition("-")
    assert (prefix, [len(part) for part in uuid.split("-")]) == ("placeholder", [8, 4, 4, 4, 12])
    now = await shown(client, answer["data"], DURATION)
    assert now["local_id"] != answer["data"]["local_id"]
    assert [len(part) for part in now["local_id"].split("-")] == [8, 4, 4, 4, 12]
