"""A generated fleet is consistent for every size and seed."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Any, cast

import msgspec
import pytest

from cloudtower_async import models
from cloudtower_async.simulator.fleet.fleet import build_fleet
from cloudtower_async.simulator.fleet.sizing import VCPUS_PER_CORE
from cloudtower_async.simulator.store.ids import Ids
from cloudtower_async.simulator.store.schema import (
    all_resources,
    queried_resources,
    where_conditions,
)
from cloudtower_async.simulator.store.store import Store
from cloudtower_async.testing import Clock, FleetSize

SIZES = [
    FleetSize(),
    FleetSize(clusters=0, hosts_per_cluster=0, vms=0),
    FleetSize(clusters=2, hosts_per_cluster=0, vms=0),
    FleetSize(clusters=1, hosts_per_cluster=1, vms=1),
    FleetSize(clusters=3, hosts_per_cluster=4, vms=90, snapshots=20, alerts=40, tasks=40),
    FleetSize(clusters=5, hosts_per_cluster=2, vms=17, snapshots=0, alerts=0, tasks=0),
    FleetSize(clusters=1, hosts_per_cluster=1, vms=1500),
    FleetSize(clusters=10, hosts_per_cluster=26, vms=300),
]
FLEETS = [(size, seed) for size in SIZES for seed in (1, 2, 99)]


def build(size: FleetSize, seed: int = 1) -> Store:
    store = Store(all_resources())
    build_fleet(store, Clock(running=False), Ids(seed), size, seed=seed)
    return store


@pytest.fixture(scope="module", params=FLEETS, ids=str)
def fleet(request: pytest.FixtureRequest) -> Store:
    size, seed = request.param
    return build(size, seed)


def documents(store: Store, resource: str) -> list[dict[str, Any]]:
    return list(store.table(resource).values())


def total(found: list[dict[str, Any]], field: str) -> Any:  # noqa: ANN401
    values = [document[field] for document in found]
    return None if None in values else sum(values)


def test_a_fleet_has_the_requested_size() -> None:
    size = FleetSize(clusters=4, hosts_per_cluster=5, vms=60, snapshots=7, alerts=9, tasks=11)
    store = build(size)
    number = {resource: len(store.table(resource)) for resource in queried_resources()}
    assert (number["Cluster"], number["Host"], number["Vm"]) == (4, 20, 60)
    assert (number["VmSnapshot"], number["Task"]) == (7, 11)
    assert number["Alert"] >= 9


def test_the_same_seed_makes_the_same_fleet() -> None:
    first, again, other = (build(FleetSize(), seed) for seed in (7, 7, 8))
    for resource in queried_resources():
        assert first.table(resource) == again.table(resource)
    assert first.table("Vm") != other.table("Vm")


@pytest.mark.parametrize("field", ["clusters", "hosts_per_cluster", "vms", "snapshots"])
def test_a_negative_size_is_rejected(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must not be negative"):
        FleetSize(**{field: -1})


def test_vms_need_a_host() -> None:
    with pytest.raises(ValueError, match="VMs need at least one cluster with one host"):
        FleetSize(clusters=1, hosts_per_cluster=0, vms=1)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", FleetSize()),
        ("3 clusters", FleetSize(clusters=3)),
        ("1 cluster, 1 host, 1 VM", FleetSize(clusters=1, hosts_per_cluster=1, vms=1)),
        ("200 hosts, 20,000 VMs", FleetSize(hosts_per_cluster=100, vms=20_000)),
        ("3 clusters and 10 hosts", FleetSize(clusters=3, hosts_per_cluster=4)),
        (
            "5 snapshots; 6 alerts; 1_000 tasks; 0 vms; 0 hosts",
            FleetSize(clusters=2, hosts_per_cluster=0, vms=0, snapshots=5, alerts=6, tasks=1000),
        ),
    ],
)
def test_a_size_is_parsed_from_words(text: str, size: FleetSize) -> None:
    assert FleetSize.parse(text) == size


@pytest.mark.parametrize("text", ["3", "vms", "3 cows", "3 vms, 4 vms", "three vms", "-1 vms"])
def test_a_size_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number and one of clusters, hosts"):
        FleetSize.parse(text)


def test_answers_fit_the_models(fleet: Store) -> None:
    for resource in queried_resources():
        model = getattr(models, resource)
        shown = [fleet.render(resource, one, "en-US") for one in documents(fleet, resource)]
        decoder = msgspec.json.Decoder[Any](model)
        for one in shown:
            found = decoder.decode(msgspec.json.encode(one))
            assert msgspec.to_builtins(found) == one


def test_relations_lead_somewhere_and_back(fleet: Store) -> None:
    for name, resource in fleet.resources.items():
        for document in documents(fleet, name):
            for relation in resource.relations:
                ends: Any = document.get(relation.field) or []
                several: list[str] = ends if relation.many or not ends else [ends]
                for end in several:
                    other = fleet.get(relation.target, end)
                    if relation.inverse:
                        back = other[relation.inverse]
                        assert back == document["id"] or document["id"] in back


def test_ids_are_unique_and_in_the_form_of_the_server(fleet: Store) -> None:
    ids = [one for resource in queried_resources() for one in fleet.table(resource)]
    assert len(set(ids)) == len(ids)
    assert all(len(one) == 25 and one.startswith("c") and one.isalnum() for one in ids)


def test_names_and_addresses_are_unique(fleet: Store) -> None:
    for resource, field in (
        *(("Cluster", "name"), ("Cluster", "ip"), ("Host", "name"), ("Host", "management_ip")),
        *(("Host", "serial"), ("Disk", "serial"), ("Vm", "name"), ("VmNic", "mac_address")),
    ):
        assert (
            max(Counter(one[field] for one in documents(fleet, resource)).values(), default=1) == 1
        )


def test_figures_of_a_cluster_are_the_sums_of_its_hosts(fleet: Store) -> None:
    for cluster in documents(fleet, "Cluster"):
        hosts = [fleet.get("Host", one) for one in cluster.get("hosts", [])]
        assert cluster["host_num"] == len(hosts)
        for field in (
            *("total_cpu_cores", "total_cpu_hz", "used_cpu_hz", "total_memory_bytes"),
            *("used_memory_bytes", "total_data_capacity", "used_data_space"),
            *("failure_data_space", "total_cache_capacity", "vm_num", "running_vm_num"),
        ):
            assert cluster[field] == total(hosts, field), field
        space = cluster["used_data_space"] + cluster["failure_data_space"]
        assert space <= cluster["total_data_capacity"]


def test_data_on_a_cluster_is_what_its_volumes_hold_twice(fleet: Store) -> None:
    for cluster in documents(fleet, "Cluster"):
        vms = [fleet.get("Vm", one) for one in cluster.get("vms", [])]
        unmounted = {"mounting": False, "cluster": {"id": cluster["id"]}}
        spare = fleet.select("VmVolume", unmounted)
        assert all(not volume.get("vm_disks") for volume in spare)
        assert bool(spare) is (bool(vms) and cluster["connect_state"] == "CONNECTED")
        assert cluster["used_data_space"] == 2 * (
            total(vms, "unique_size") + total(spare, "unique_size")
        )


def test_figures_of_a_host_are_the_sums_of_its_disks_and_vms(fleet: Store) -> None:
    for host in documents(fleet, "Host"):
        disks = [fleet.get("Disk", one) for one in host["disks"]]
        data = [disk for disk in disks if disk["function"] == "DATA"]
        assert host["total_data_capacity"] == total(data, "size")
        assert host["hdd_data_capacity"] + host["ssd_data_capacity"] == total(data, "size")
        assert host["hdd_disk_count"] + host["ssd_disk_count"] == len(disks)
        vms = [fleet.get("Vm", one) for one in host.get("vms", [])]
        assert host["vm_num"] == len(vms)
        assert host["provisioned_memory_bytes"] == total(vms, "memory")
        statuses = Counter(vm["status"] for vm in vms)
        assert host["running_vm_num"] == statuses["RUNNING"]
        assert host["stopped_vm_num"] == statuses["STOPPED"]
        assert host["suspended_vm_num"] == statuses["SUSPENDED"]


def test_vms_fit_on_their_hosts(fleet: Store) -> None:
    for host in documents(fleet, "Host"):
        vms = [fleet.get("Vm", one) for one in host.get("vms", [])]
        assert total(vms, "memory") + host["os_memory_bytes"] <= host["total_memory_bytes"]
        assert total(vms, "vcpu") <= VCPUS_PER_CORE * host["total_cpu_cores"]
        assert all(vm["vcpu"] <= host["total_cpu_cores"] for vm in vms)
        assert all(vm["cluster"] == host["cluster"] for vm in vms)
        assert (host["used_memory_bytes"] or 0) <= host["total_memory_bytes"]
        assert (host["used_cpu_hz"] or 0) <= host["total_cpu_hz"]
        assert host["allocatable_memory_bytes"] >= 0


def test_disks_of_vms_add_up(fleet: Store) -> None:
    for vm in documents(fleet, "Vm"):
        disks = [fleet.get("VmDisk", one) for one in vm["vm_disks"]]
        volumes = [fleet.get("VmVolume", disk["vm_volume"]) for disk in disks]
        assert vm["provisioned_size"] == total(volumes, "size")
        assert vm["unique_size"] == total(volumes, "unique_size")
        assert all(volume["unique_size"] <= volume["size"] for volume in volumes)
        assert all(volume["cluster"] == vm["cluster"] for volume in volumes)


def test_only_running_vms_are_busy(fleet: Store) -> None:
    for vm in documents(fleet, "Vm"):
        running = vm["status"] == "RUNNING"
        assert (vm["cpu_usage"] is not None) == running
        assert (vm["ips"] != "") == (vm["vm_tools_status"] == "RUNNING")
        assert running or vm["vm_tools_status"] == "NOT_RUNNING"
        connected = fleet.get("Cluster", vm["cluster"])["connect_state"] == "CONNECTED"
        assert (vm["status"] == "UNKNOWN") != connected


def test_snapshots_have_their_lun_snapshots(fleet: Store) -> None:
    luns = {
        one["name"]: one
        for one in documents(fleet, "IscsiLunSnapshot")
        if fleet.get("IscsiTarget", one["iscsi_target"])["internal"]
    }
    names: list[str] = []
    for snapshot in documents(fleet, "VmSnapshot"):
        vm = fleet.get("Vm", snapshot["vm"])
        assert len(snapshot["vm_disks"]) == len(vm["vm_disks"])
        for disk in snapshot["vm_disks"]:
            names.append(disk["snapshot_local_id"])
            target = fleet.get("IscsiTarget", luns[names[-1]]["iscsi_target"])
            assert target["cluster"] == vm["cluster"]
    assert sorted(names) == sorted(luns)


def test_each_broken_disk_and_lost_cluster_has_an_alert(fleet: Store) -> None:
    current = [alert for alert in documents(fleet, "Alert") if not alert["ended"]]
    broken = {disk["id"] for disk in documents(fleet, "Disk") if not disk["healthy"]}
    assert {alert["disk"] for alert in current if alert["disk"]} == broken
    lost = {one["id"] for one in documents(fleet, "Cluster") if one["disconnected_date"]}
    assert lost <= {alert["cluster"] for alert in current}
    for alert in documents(fleet, "Alert"):
        assert alert["local_end_time"] == "" or alert["local_end_time"] > alert["local_start_time"]
        for field in ("message", "cause", "impact", "solution"):
            assert fleet.translations[alert[field]] != alert[field]
            assert "{" not in alert[field]


def test_no_number_is_negative(fleet: Store) -> None:
    def walk(value: object) -> None:
        match value:
            case dict():
                walk(list(cast("dict[str, object]", value).values()))
            case list():
                for inner in cast("list[object]", value):
                    walk(inner)
            case int() | float():
                assert value >= 0
            case _:
                pass

    for resource in queried_resources():
        walk(documents(fleet, resource))


def test_dates_lie_before_the_start(fleet: Store) -> None:
    later = re.compile(r"\w*expire\w*|next_\w+|estimated_\w+")
    for resource in queried_resources():
        shape = where_conditions(resource)
        dates = {
            key
            for key, condition in shape.items()
            if condition.operator == "" and f"{key}_lt" in shape and "date" in str(condition.check)
        }
        for document in documents(fleet, resource):
            for field in dates:
                if document[field] is not None and not later.fullmatch(field):
                    assert datetime.fromisoformat(document[field]).isoformat() < "2026-01-01T"


def test_the_default_fleet_shows_what_can_be_wrong() -> None:
    store = build(FleetSize())
    severities = Counter(one["severity"] for one in documents(store, "Alert") if not one["ended"])
    assert severities.keys() == {"CRITICAL", "NOTICE", "INFO"}
    assert any(one["ended"] for one in documents(store, "Alert"))
    hard = [disk for disk in documents(store, "Disk") if disk["type"] == "HDD"]
    assert Counter(disk["health_status"] for disk in hard)["UNHEALTHY"] == 1
    assert any(disk["healthy"] and disk["usage_status"] == "UNMOUNTED" for disk in hard)
    assert {one["status"] for one in documents(store, "Task")} == {"SUCCESSED", "FAILED"}
    statuses = {vm["status"] for vm in documents(store, "Vm")}
    assert statuses == {"RUNNING", "STOPPED", "SUSPENDED"}


def test_large_fleets_have_a_vmware_and_a_disconnected_cluster() -> None:
    store = build(FleetSize(clusters=4))
    clusters = documents(store, "Cluster")
    assert [one["hypervisor"] for one in clusters] == ["ELF", "ELF", "VMWARE", "ELF"]
    assert [one["connect_state"] == "CONNECTED" for one in clusters] == [True, True, True, False]
    for cluster in clusters:
        known = cluster["connect_state"] == "CONNECTED"
        assert (cluster["used_cpu_hz"] is not None) == known
        assert (cluster["used_memory_bytes"] is not None) == known
    assert {one["hypervisor"] for one in documents(build(FleetSize(clusters=2)), "Cluster")} == {
        "ELF"
    }
