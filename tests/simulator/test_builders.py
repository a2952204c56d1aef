"""Adding resources to a fleet."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from cloudtower_async.simulator.fleet.aggregates import add_written, refresh_around
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.simulator.client import Client, connected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected(Simulator(FleetSize())) as client:
        yield client


async def test_a_vm_in_some_state(client: Client) -> None:
    sim = client.sim
    before = sim.store.select("Cluster")[0]
    stopped = before["stopped_vm_num"]
    vm = sim.add_vm(name="mine", status="STOPPED", cluster=before["id"], memory=2**30, vcpu=1)
    assert (vm["status"], vm["ips"], vm["cpu_usage"]) == ("STOPPED", "", None)
    [found] = await client.ask("get-vms", {"where": {"name": "mine"}})
    assert (found["id"], found["memory"], found["vcpu"]) == (vm["id"], 2**30, 1)
    assert found["cluster"]["id"] == before["id"]
    assert before["stopped_vm_num"] == stopped + 1
    [nic] = await client.ask("get-vm-nics", {"where": {"vm": {"id": vm["id"]}}})
    assert len(await client.ask("get-vm-nics", {"where": {"mac_address": nic["mac_address"]}})) == 1


async def test_a_vm_without_nics_and_disks(client: Client) -> None:
    sim = client.sim
    volumes, luns = len(sim.store.table("VmVolume")), len(sim.store.table("IscsiLun"))
    vm = sim.add_vm(vm_nics=[], vm_disks=[])
    assert (vm["vm_nics"], vm["vm_disks"], vm["ips"]) == ([], [], "")
    assert len(sim.store.table("VmVolume")) == volumes
    assert len(sim.store.table("IscsiLun")) == luns
    other, third = sim.add_vm(), sim.add_vm()
    sim.store.change("Vm", other["id"], vm_nics=[], vm_disks=[])
    sim.store.remove("Vm", third["id"])
    gone = {"where": {"vm": {"id_in": [vm["id"], other["id"], third["id"]]}}}
    for path in ("get-vm-nics", "get-vm-disks"):
        assert await client.ask(path, gone) == []
        assert all(one["vm"] for one in await client.ask(path, {}))
    [shown] = await client.ask("get-vms", {"where": {"id": vm["id"]}})
    assert (shown["vm_nics"], shown["vm_disks"]) == ([], [])


async def test_a_vm_without_figures_counts_as_0_in_totals(client: Client) -> None:
    sim = client.sim
    for vm in sim.store.select("Vm", {"status": "STOPPED"}):
        sim.store.change("Vm", vm["id"], status="RUNNING")
    added = sim.add_vm()
    await client.send("poweroff-vm", {"where": {"id": added["id"]}})
    host = sim.store.get("Host", added["host"])
    assert 0 < host["used_cpu_hz"] <= host["total_cpu_hz"]


@pytest.mark.parametrize("resource", ["Vm", "Host", "Disk", "Cluster"])
async def test_totals_without_any_figures(client: Client, resource: str) -> None:
    store = client.sim.store
    vm = client.sim.add_vm()
    for document in [*store.table(resource).values()]:
        for name, value in document.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                store.change(resource, document["id"], **{name: None})
    refresh_around(store, vm)
    add_written(store, vm["cluster"], 10)
    host, cluster = store.get("Host", vm["host"]), store.get("Cluster", vm["cluster"])
    assert host["used_data_space"] >= 0
    assert cluster["provisioned_ratio"] >= 0


async def test_a_vm_on_a_host(client: Client) -> None:
    host = client.sim.store.select("Host")[-1]
    vm, other = client.sim.add_vm(host=host["id"]), client.sim.add_vm()
    assert (vm["host"], vm["status"]) == (host["id"], "RUNNING")
    assert vm["name"] != other["name"]


async def test_mistakes_in_fields_are_named_and_add_nothing(client: Client) -> None:
    sim = client.sim
    store = sim.store
    cluster, host = store.select("Cluster")[0], store.select("Host")[0]
    counts = {resource: len(store.table(resource)) for resource in ("Vm", "Cluster", "Alert")}
    name = cluster["name"]
    by_name = f"there is no Cluster {name}, but a Cluster has this name; use its id"
    running = "VmStatus has no 'running'; did you mean RUNNING?"
    empty = sim.store.add("Cluster", {"id": "empty", "name": "empty"})["id"]
    mistakes: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (KeyError, "there is no Cluster nowhere", lambda: sim.add_vm(cluster="nowhere")),
        (KeyError, by_name, lambda: sim.add_vm(cluster=name)),
        (TypeError, "Vm.cluster: expected an id, got {", lambda: sim.add_vm(cluster=cluster)),
        (KeyError, "there is no Host nowhere", lambda: sim.add_vm(host="nowhere")),
        (TypeError, "Vm.host: expected an id, got {", lambda: sim.add_vm(host=host)),  # type: ignore[arg-type]
        (TypeError, "Vm.labels: expected a list of ids", lambda: sim.add_vm(labels="some-id")),
        (KeyError, "cluster empty has no hosts", lambda: sim.add_vm(cluster=empty)),
        (
            KeyError,
            f"there is no host {host['id']} in cluster empty",
            lambda: sim.add_vm(cluster=empty, host=host["id"]),
        ),
        (ValueError, running, lambda: sim.add_vm(status="running")),
        (ValueError, "VmFirmware has no 'EFI'", lambda: sim.add_vm(firmware="EFI")),
        (KeyError, "Vm has no field vcpus; did you mean vcpu or cpu?", lambda: sim.add_vm(vcpus=4)),
        (KeyError, "Cluster has no field nmae; did you", lambda: sim.add_cluster(nmae="x")),
        (ValueError, "Cluster.type: ClusterType has", lambda: sim.add_cluster(type="smtx")),
        (KeyError, "Alert has no field severty; did you", lambda: sim.add_alert(severty="INFO")),
        (TypeError, "about: expected an id, got {", lambda: sim.add_alert(cluster)),  # type: ignore[arg-type]
        (KeyError, "nobody: no VM, host, disk or", lambda: sim.add_alert("nobody")),
    ]
    for error, text, call in mistakes:
        with pytest.raises(error, match=re.escape(text)):
            call()
    store.remove("Cluster", empty)
    assert {resource: len(store.table(resource)) for resource in counts} == counts


async def test_a_cluster(client: Client) -> None:
    cluster = client.sim.add_cluster(hosts=2, name="fresh", version="6.3.0")
    [found] = await client.ask("get-clusters", {"where": {"name": "fresh"}})
    assert (found["id"], found["host_num"], found["vm_num"]) == (cluster["id"], 2, 0)
    assert found["total_data_capacity"] > 0
    vm = client.sim.add_vm(cluster=cluster["id"])
    assert vm["host"] in cluster["hosts"]
    assert client.sim.add_cluster(hosts=0)["host_num"] == 0


async def test_an_alert(client: Client) -> None:
    store = client.sim.store
    for resource, field in (("Vm", "vms"), ("Host", "host"), ("Disk", "disk")):
        about = store.select(resource)[0]["id"]
        alert = client.sim.add_alert(about, severity="INFO", message="as the test wants it")
        assert about in (alert[field] if field == "vms" else [alert[field]])
        [found] = await client.ask("get-alerts", {"where": {"id": alert["id"]}})
        assert (found["severity"], found["message"]) == ("INFO", "as the test wants it")
        assert found["ended"] is False
    alert = client.sim.add_alert(ended=True)
    assert alert["cluster"] == next(iter(store.table("Cluster")))
    assert alert["local_end_time"] >= alert["local_start_time"]


TIMES = ("create_time", "local_create_time", "local_start_time", "local_update_time")


async def test_an_added_alert_starts_now() -> None:
    async with connected(Simulator(clock=Clock(running=False))) as client:
        client.sim.clock.advance(3600)
        alert = client.sim.add_alert()
        assert {alert[name] for name in TIMES} == {"2026-01-01T01:00:00.000Z"}
        assert (alert["local_end_time"], alert["ended"]) == ("", False)


@pytest.mark.parametrize("given", TIMES)
async def test_times_of_an_added_alert_follow_the_given_time(client: Client, given: str) -> None:
    day = "2025-12-24T00:00:00.000Z"
    alert = client.sim.add_alert(ended=True, **{given: day})
    assert [alert[name] for name in TIMES[:-1]] == [day] * 3
    assert alert["local_end_time"] > "2026"  # the end is now
    several = client.sim.add_alert(create_time=day, local_update_time="2025-12-25T00:00:00.000Z")
    assert (several["local_create_time"], several["local_update_time"][:10]) == (day, "2025-12-25")
    end = "2025-12-26T00:00:00.000Z"
    past = client.sim.add_alert(ended=True, create_time=day, local_end_time=end)
    assert (past["local_start_time"], past["local_update_time"]) == (day, end)


async def test_a_datetime_becomes_a_text_of_the_server(client: Client) -> None:
    sim = client.sim
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=1)))
    text = "2026-01-02T02:04:05.678Z"
    alert, vm = sim.add_alert(create_time=moment), sim.add_vm(local_created_at=moment)
    assert {alert[name] for name in TIMES} == {text}
    disk = sim.store.get("VmDisk", vm["vm_disks"][0])
    volume = sim.store.get("VmVolume", disk["vm_volume"])
    assert (vm["local_created_at"], volume["local_created_at"]) == (text, text)
    assert await client.ask("get-vms", {"where": {"local_created_at": text}})
    assert sim.store.change("Vm", vm["id"], deleted_at=moment)["deleted_at"] == text
    label = {"id": "new", "key": "new", "createdAt": moment}
    assert sim.store.add("Label", label)["createdAt"] == text
    assert label["createdAt"] is moment


async def test_a_date_without_a_time_zone_is_refused_and_changes_nothing(client: Client) -> None:
    sim = client.sim
    vm = sim.add_vm()
    counts = {resource: len(sim.store.table(resource)) for resource in ("Vm", "Alert", "Label")}
    naive, day = datetime.fromisoformat("2026-01-01"), date(2026, 1, 1)
    mistakes: list[tuple[Callable[[], object], str]] = [
        (lambda: sim.add_alert(create_time=naive), "Alert.create_time: got a datetime without"),
        (lambda: sim.add_vm(deleted_at=day), "Vm.deleted_at: expected a string or a datetime"),
        (lambda: sim.store.change("Vm", vm["id"], name="x", deleted_at=naive), "Vm.deleted_at"),
        (lambda: sim.store.add("Label", {"id": "new", "createdAt": naive}), "Label.createdAt"),
    ]
    for call, named in mistakes:
        with pytest.raises(ValueError, match=named):
            call()
    assert vm["name"] != "x"
    assert {resource: len(sim.store.table(resource)) for resource in counts} == counts


async def test_an_added_vm_is_new_and_its_vm_tools_run() -> None:
    async with connected(Simulator(clock=Clock(running=False))) as client:
        sim = client.sim
        for _ in range(10):
            vm = sim.add_vm()
            assert vm["local_created_at"] == "2026-01-01T00:00:00.000Z"
            assert (vm["status"], vm["vm_tools_status"]) == ("RUNNING", "RUNNING")
            assert all(vm[name] for name in REPORTED)


async def test_an_added_vm_has_no_vm_tools_if_guests_have_none() -> None:
    async with connected(Simulator(guest_tools=False)) as client:
        vm = client.sim.add_vm()
        assert (vm["vm_tools_status"], vm["ips"]) == ("NOT_RUNNING", "")


REPORTED = ("ips", "hostname", "os", "guest_used_size", "guest_size_usage")


async def test_without_vm_tools_the_guest_is_unknown(client: Client) -> None:
    sim = client.sim
    generated = sim.store.select("Vm")
    added = [
        *(sim.add_vm(vm_tools_status=tools) for tools in ("NOT_RUNNING", "NOT_INSTALLED")),
        *(sim.add_vm(status=status) for status in ("STOPPED", "SUSPENDED", "RUNNING")),
    ]
    assert sim.store.select("Vm", {"status": "RUNNING", "vm_tools_status_not": "RUNNING"})
    for vm in [*generated, *added]:
        known = vm["vm_tools_status"] == "RUNNING"
        assert [bool(vm[name]) for name in REPORTED] == [known] * len(REPORTED)
        for nic in vm["vm_nics"]:
            reported = sim.store.get("VmNic", nic)
            assert bool(reported["guest_info_ip_addresses"]) is known
    chosen = sim.add_vm(vm_tools_status="NOT_RUNNING", hostname="web-1")
    assert (chosen["hostname"], chosen["os"]) == ("web-1", None)
