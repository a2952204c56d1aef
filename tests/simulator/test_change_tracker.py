"""Changes of the store, as reported by the change tracker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloudtower_async.simulator.store.schema import all_resources
from cloudtower_async.simulator.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtower_async.simulator.store.change_tracker import RowChange

Told = list[tuple[str, str | None, Any, Any]]


def follow(store: Store) -> Callable[[], Told]:
    """Watch a store; return a function that returns the changes since its last call."""
    heard: list[RowChange] = []
    store.watch(heard.append)

    def told() -> Told:
        store.report()
        rows = [(one.table, one.id, _row(one.before), _row(one.after)) for one in heard]
        heard.clear()
        return rows

    return told


def _row(value: bytes | None) -> Any:  # noqa: ANN401
    return None if value is None else msgspec.json.decode(value)


@pytest.fixture
def store() -> Store:
    store = Store(all_resources())
    store.add("Cluster", {"id": "c1", "name": "atlas"})
    store.add("Vm", {"id": "v1", "name": "web", "cluster": "c1"})
    store.add("Label", {"id": "l1", "key": "env"})
    return store


def test_without_listeners_nothing_is_reported(store: Store) -> None:
    store.get("Vm", "v1")["name"] = "db"
    store.report()
    told = follow(store)
    assert told() == []


def test_insertions_and_deletions_are_reported(store: Store) -> None:
    told = follow(store)
    store.add("Vm", {"id": "v2", "name": "db", "cluster": "c1"})
    (table, identifier, before, after), cluster = told()
    assert (table, identifier, before) == ("Vm", "v2", None)
    assert (cluster[0], cluster[2]["vm_num"], cluster[3]["vm_num"]) == ("Cluster", 1, 2)
    assert (after["name"], after["cluster"], after["host"]) == ("db", "c1", None)
    assert "vm_disks" not in after  # the other table stores the relation
    store.remove("Vm", "v2")
    assert told()[0] == ("Vm", "v2", after, None)
    assert told() == []


@pytest.mark.parametrize("how", ["set", "update", "merge", "change", "default"])
def test_changes_in_place_are_reported(store: Store, how: str) -> None:
    told = follow(store)
    vm = store.get("Vm", "v1")
    match how:
        case "set":
            vm["name"] = "db"
        case "update":
            vm.update(name="db")
        case "merge":
            vm |= {"name": "db"}
        case "change":
            store.change("Vm", "v1", name="db")
        case _:
            assert vm.setdefault("name", "db") == "web"
    names = [(before["name"], after["name"]) for _, _, before, after in told()]
    assert names == ([] if how == "default" else [("web", "db")])


def test_changes_that_cancel_out_are_not_reported(store: Store) -> None:
    told = follow(store)
    vm = store.get("Vm", "v1")
    vm["name"] = "db"
    vm["name"] = "web"
    store.add("Label", {"id": "l2"})
    store.remove("Label", "l2")
    assert told() == []


def test_changes_of_deleted_documents_are_not_reported(store: Store) -> None:
    told = follow(store)
    vm = store.get("Vm", "v1")
    store.remove("Vm", "v1")
    vm["name"] = "db"
    table, identifier, before, after = told()[0]
    assert (table, identifier, before["name"], after) == ("Vm", "v1", "web", None)
    vm["name"] = "cache"
    assert told() == []


def test_relations_of_many_to_many_have_a_table(store: Store) -> None:
    told = follow(store)
    store.change("Label", "l1", vms=["v1"])
    label, link = told()
    assert label[0] == "Label"  # it stores the number of its VMs
    assert label[3]["vm_num"] == 1
    assert link == ("_LabelToVm", None, None, {"A": "l1", "B": "v1"})
    store.change("Vm", "v1", labels=[])
    link = told()[-1]
    assert link == ("_LabelToVm", None, {"A": "l1", "B": "v1"}, None)


def test_one_way_relations_are_reported_from_their_end(store: Store) -> None:
    told = follow(store)
    store.add("ContentLibraryImage", {"id": "i1", "clusters": ["c1"]})
    assert told()[-1] == (
        "_ClusterToContentLibraryImage",
        None,
        None,
        {"A": "c1", "B": "i1"},
    )
    store.remove("ContentLibraryImage", "i1")
    assert [row[0] for row in told()] == ["ContentLibraryImage", "_ClusterToContentLibraryImage"]
