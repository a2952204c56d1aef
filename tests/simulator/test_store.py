"""Documents and their relations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloudtower_async.models import VmStatus
from cloudtower_async.simulator.store.schema import all_resources
from cloudtower_async.simulator.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def store() -> Store:
    made = Store(all_resources())
    for name in ("c1", "c2"):
        made.add("Cluster", {"id": name, "name": name.upper()})
    for name, cluster in (("h1", "c1"), ("h2", "c1"), ("h3", "c2")):
        made.add("Host", {"id": name, "name": name, "management_ip": "::1", "cluster": cluster})
    made.add("Vm", {"id": "v1", "name": "v1", "host": "h1", "cluster": "c1"})
    return made


def test_a_document_has_every_field(store: Store) -> None:
    vm = store.get("Vm", "v1")
    assert vm["name"] == "v1"
    assert vm["description"] is None
    with pytest.raises(KeyError, match="Vm has no field colour"):
        store.add("Vm", {"id": "v2", "colour": "red"})


def test_a_change_to_a_wrong_name_value_or_type_is_refused(store: Store) -> None:
    before = dict(store.get("Vm", "v1"))
    with pytest.raises(KeyError, match=r"Vm has no field vcpus; did you mean vcpu or cpu\?"):
        store.change("Vm", "v1", vcpus=4)
    with pytest.raises(ValueError, match=r"VmStatus has no 'stopped'; did you mean STOPPED\?"):
        store.change("Vm", "v1", name="new", status="stopped")
    with pytest.raises(TypeError, match=r"Vm\.host: expected an id, got \{"):
        store.change("Vm", "v1", host=store.get("Host", "h2"))
    assert store.get("Vm", "v1") == before
    store.change("Vm", "v1", status=VmStatus("OF_A_NEWER_SERVER"))
    assert store.get("Vm", "v1")["status"] == "OF_A_NEWER_SERVER"


def test_an_id_is_given_once(store: Store) -> None:
    before = dict(store.get("Vm", "v1"))
    with pytest.raises(ValueError, match="there is a Vm v1 already"):
        store.add("Vm", {"id": "v1", "name": "other", "host": "h3"})
    assert store.get("Vm", "v1") == before


def test_relations_hold_in_both_directions(store: Store) -> None:
    assert store.get("Cluster", "c1")["hosts"] == ["h1", "h2"]
    assert store.get("Host", "h1")["vms"] == ["v1"]
    store.change("Vm", "v1", host="h2", name="new")
    assert store.get("Host", "h1")["vms"] == []
    assert store.get("Host", "h2")["vms"] == ["v1"]
    assert store.get("Vm", "v1")["name"] == "new"
    store.change("Vm", "v1", host=None)
    assert store.get("Host", "h2")["vms"] == []


def test_a_relation_set_from_the_side_of_many(store: Store) -> None:
    store.change("Host", "h3", vms=["v1"])
    assert store.get("Vm", "v1")["host"] == "h3"
    assert store.get("Host", "h1")["vms"] == []
    store.change("Host", "h3", vms=[])
    assert store.get("Vm", "v1")["host"] is None


def test_documents_that_need_a_removed_document_are_removed_too(store: Store) -> None:
    def here(resource: str) -> list[str]:
        return sorted(store.table(resource))

    store.add("VmNic", {"id": "n1", "vm": "v1"})
    store.add("VmNic", {"id": "n2", "vm": "v1"})
    store.add("Vm", {"id": "v2", "vm_nics": ["n2"]})  # the NIC moves to another VM
    assert here("VmNic") == ["n1", "n2"]
    store.change("Vm", "v1", vm_nics=[])
    assert here("VmNic") == ["n2"]
    store.add("PciDevice", {"id": "p1", "host": "h1"})  # `Host` has no field for its PCI devices
    store.add("Disk", {"id": "d1", "host": "h1"})
    store.add("ClusterSettings", {"id": "s1", "cluster": "c1"})
    store.add("ClusterSettings", {"id": "s2", "cluster": "c1"})  # a cluster has one of them
    assert here("ClusterSettings") == ["s2"]
    store.change("Cluster", "c1", settings=None)
    assert here("ClusterSettings") == []
    store.remove("Cluster", "c1")
    assert here("Host") == ["h3"]
    assert here("PciDevice") == here("Disk") == []
    assert store.get("Vm", "v1")["host"] is None
    store.remove("Vm", "v2")
    assert here("VmNic") == []


def test_a_relation_that_leads_nowhere_is_refused(store: Store) -> None:
    with pytest.raises(KeyError, match="there is no Host h9"):
        store.add("Vm", {"id": "v2", "cluster": "c1", "host": "h9"})
    assert "v2" not in store.table("Vm")
    assert store.get("Cluster", "c1")["vms"] == ["v1"]
    with pytest.raises(KeyError, match="there is no Host h9"):
        store.change("Vm", "v1", cluster="c2", host="h9")
    assert (store.get("Vm", "v1")["cluster"], store.get("Vm", "v1")["host"]) == ("c1", "h1")


def test_removed_documents_are_no_longer_shown(store: Store) -> None:
    texts = dict.fromkeys(("message", "cause", "impact", "solution"), "")
    store.add("Alert", {"id": "a1", "vms": ["v1"], "host": "h3", **texts})
    store.remove("Vm", "v1")
    store.remove("Host", "h3")
    assert store.get("Host", "h1")["vms"] == []
    shown = store.render("Alert", store.get("Alert", "a1"), "en-US")
    assert shown["vms"] == []
    assert shown["host"] is None
    with pytest.raises(KeyError):
        store.get("Vm", "v1")


def test_an_answer_shows_nested_objects(store: Store) -> None:
    shown = store.render("Vm", store.get("Vm", "v1"), "en-US")
    assert shown["host"] == {"id": "h1", "management_ip": "::1", "name": "h1"}
    assert shown["cluster"] == {"id": "c1", "name": "C1"}
    assert shown["folder"] is None
    assert shown["labels"] == []
    assert store.get("Vm", "v1")["host"] == "h1"
    clusters = store.render("Cluster", store.get("Cluster", "c2"), "en-US")
    assert [host["id"] for host in clusters["hosts"]] == ["h3"]


def add_after(store: Store, work_out: Callable[[Store, str], None]) -> None:
    store.follows(work_out, "c1")
    store.add("Vm", {"id": "v2", "host": "h9"})


def test_consequences_of_many_changes_are_computed_once(store: Store) -> None:
    done: list[str] = []

    def work_out(where: Store, identifier: str) -> None:
        assert where is store
        done.append(identifier)

    store.follows(work_out, "c1")
    assert done == ["c1"]
    with store.together():
        with store.together():
            for one in ("c2", "c1", "c2"):
                store.follows(work_out, one)
        assert done == ["c1"]
    assert done == ["c1", "c2", "c1"]
    with pytest.raises(KeyError), store.together():
        add_after(store, work_out)
    assert done == ["c1", "c2", "c1", "c1"]


def test_select_follows_relations_of_resources_that_are_not_modelled(store: Store) -> None:
    assert store.select("Vm", {"labels_none": {"key": "x"}}) == [store.get("Vm", "v1")]
    assert store.select("Vm", {"labels_some": {}}) == []
    assert store.table("Label") == {}


def test_select_leaves_out_the_given_ids(store: Store) -> None:
    assert store.select("Vm", {"id": "v1"}, without={"v1"}) == []
    assert store.select("Host", {"id_in": ["h3", "h1", "h9"]}) == [
        store.get("Host", "h1"),
        store.get("Host", "h3"),
    ]


def test_texts_are_translated_as_far_as_they_are_known(store: Store) -> None:
    store.translations["Disk failed"] = "物理盘故障"
    assert store.translate("Disk failed", "en-US") == "Disk failed"
    assert store.translate("Disk failed", "zh-CN") == "物理盘故障"
    assert store.translate("Fan failed", "zh-CN") == "Fan failed"
    assert store.translate("Disk failed", "*") == '{"en-US":"Disk failed","zh-CN":"物理盘故障"}'
