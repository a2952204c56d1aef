"""An index finds the same documents as a full scan, after any changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.simulator.http_errors import BadRequestError
from cloudtower_async.simulator.store.change_tracker import ChangeTracker
from cloudtower_async.simulator.store.filters import Sources, compile_where
from cloudtower_async.simulator.store.indexes import Indexes
from cloudtower_async.simulator.store.schema import where_conditions
from cloudtower_async.testing import FleetSize
from tests.simulator.test_fleet import build

if TYPE_CHECKING:
    from cloudtower_async.simulator.store.store import Store

SIZE = FleetSize(clusters=2, hosts_per_cluster=3, vms=400)


@pytest.fixture
def store() -> Store:
    return build(SIZE, 3)


def everything(store: Store, resource: str, where: object) -> list[str]:
    """Return the ids of all matches, found by a full scan."""
    matches = compile_where(where, resource, Sources(where_conditions, store.table))
    return sorted(one["id"] for one in store.table(resource).values() if matches(one))


def found(store: Store, resource: str, where: object) -> list[str]:
    return [one["id"] for one in store.select(resource, where)]


def wheres(store: Store) -> list[tuple[str, dict[str, Any]]]:
    vms = store.select("Vm")
    first, second = vms[5], vms[300]
    return [
        ("Vm", {"name": first["name"]}),
        ("Vm", {"name": "nobody"}),
        ("Vm", {"name": None}),
        ("Vm", {"name_in": [first["name"], second["name"], "nobody"]}),
        ("Vm", {"name_in": []}),
        ("Vm", {"name_in": None}),
        ("Vm", {"vcpu": 2, "local_id": second["local_id"]}),
        ("Vm", {"status": "RUNNING", "name_contains": "web"}),
        ("Vm", {"name_not": first["name"]}),
        ("Vm", {"host": {"id": first["host"]}}),
        ("Vm", {"host": {"id_in": [first["host"], second["host"], "nowhere"]}}),
        ("Vm", {"host": None}),
        ("Vm", {"cluster": {"name": "atlas-01"}}),
        ("Vm", {"vm_disks_some": {"id": first["vm_disks"][0]}}),
        ("Vm", {"vm_disks_every": {"id": first["vm_disks"][0]}}),
        ("VmDisk", {"vm": {"id": first["id"]}}),
        ("VmDisk", {"vm": {"id_in": [first["id"], second["id"]], "status": "RUNNING"}}),
        ("VmNic", {"vm": {"id": "nobody"}}),
        ("VmVolume", {"lun": {"id": store.get("VmDisk", first["vm_disks"][0])["vm_volume"]}}),
        ("Label", {"key": "stage"}),
    ]


def test_an_index_finds_the_same_documents_as_a_full_scan(store: Store) -> None:
    for resource, where in wheres(store):
        assert found(store, resource, where) == everything(store, resource, where), where


def test_changed_documents_are_found(store: Store) -> None:
    vm, other = store.select("Vm")[:2]
    assert found(store, "Vm", {"name": vm["name"]}) == [vm["id"]]
    before, vm["name"] = vm["name"], "renamed"
    other |= {"name": before}
    assert found(store, "Vm", {"name": "renamed"}) == [vm["id"]]
    assert found(store, "Vm", {"name": before}) == [other["id"]]
    store.remove("Vm", other["id"])
    assert found(store, "Vm", {"name": before}) == []
    store.add("Vm", {"id": "new", "name": before})
    assert found(store, "Vm", {"name": before}) == ["new"]
    for one in store.select("Vm"):
        one.update(name="all the same")
    assert len(found(store, "Vm", {"name": "all the same"})) == 400
    assert found(store, "Vm", {"name": "renamed"}) == []


def test_invalid_filters_are_still_rejected(store: Store) -> None:
    for where in ({"nmae": "x"}, {"name": "x", "vcpu": "2"}, {"name_in": {"x": 1}}, "x"):
        with pytest.raises(BadRequestError):
            store.select("Vm", where)


def test_an_index_narrows_supported_filters(store: Store) -> None:
    tables = {resource: store.table(resource) for resource in store.resources}
    indexes = Indexes(store.resources, tables, ChangeTracker(store.resources, {}))
    narrowed = {
        index: indexes.narrow(resource, where, where_conditions(resource))
        for index, (resource, where) in enumerate(wheres(store))
    }
    assert narrowed[0] == everything(store, "Vm", wheres(store)[0][1])
    assert narrowed[9] is not None
    assert narrowed[15] is not None
    assert narrowed[8] is narrowed[19] is None
