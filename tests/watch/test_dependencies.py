"""Effects of a change, derived only from the models and the filter."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec
import pytest

from cloudtower_async.api.catalogue import READERS
from cloudtower_async.api.user import GET_USERS
from cloudtower_async.api.vm import GET_VMS
from cloudtower_async.api.vm_folder import GET_VM_FOLDERS
from cloudtower_async.models import ResourceChangeEvent
from cloudtower_async.watch.dependencies import Dependencies
from cloudtower_async.watch.feed import Change

DISK = {"id": "d1", "vm": "v1"}
CLUSTER = {"id": "c1", "name": "one", "used": 1}


def change(kind: str, old: object = None, new: object = None, identifier: str | None = None) -> Any:  # noqa: ANN401
    def text(value: object) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    return Change(
        ResourceChangeEvent(
            revision="1",
            resource_type=kind,
            resource_id=identifier,
            old_value=text(old),
            new_value=text(new),
        )
    )


NOTHING: set[str] = set()


@pytest.mark.parametrize(
    ("told", "touched"),
    [
        (change("Vm", identifier="v1"), {"v1"}),
        (change("Vm"), None),
        # relations
        (change("_LabelToVm", None, {"A": "l1", "B": "v1"}), {"v1"}),
        (change("_LabelToVm", {"A": "l1", "B": "v1"}), {"v1"}),
        (change("_VmToVmPlacementGroup", {"A": "v1", "B": "g1"}), {"v1"}),
        (change("_LabelToVm", None, {"a": "l1"}), None),
        (change("_HostToLabel", None, {"A": "h1", "B": "l1"}), None),
        # rows that name the VM to which they belong
        (change("VmDisk", None, DISK), {"v1"}),
        (change("VmDisk", DISK), {"v1"}),
        (change("VmDisk", DISK, DISK | {"vm": "v2"}), {"v1", "v2"}),
        (change("VmDisk", DISK, DISK | {"vm": None}), {"v1"}),
        (change("VmDisk", DISK, DISK | {"boot": 2}), NOTHING),
        (change("VmDisk", DISK, {"id": "d1"}), None),
        (change("VmDisk", DISK, DISK | {"vm": {"id": "v1"}}), None),
        # rows that VMs name
        (change("Cluster", None, CLUSTER), NOTHING),
        (change("Cluster", CLUSTER), None),
        (change("Cluster", CLUSTER, CLUSTER | {"used": 2}), NOTHING),
        (change("Cluster", CLUSTER, CLUSTER | {"name": "two"}), None),
        (change("Cluster", CLUSTER, {"id": "c1"}), None),
        (change("Cluster"), None),
        # unrelated rows
        (change("User", None, {"id": "u1"}), NOTHING),
    ],
)
def test_a_view_without_a_filter(told: Change, touched: set[str] | None) -> None:
    assert Dependencies(GET_VMS, None).touched_by(told) == touched


FILTER = {
    "name_contains": "web",
    "OR": [
        {"host": {"status_in": ["x"], "cluster": {"OR": [{"version_gt": "5"}], "NOT": {"ntp": 1}}}},
        {"vm_disks_some": {"vm_volume": {"size_gt": 3}}},
    ],
}


@pytest.mark.parametrize(
    ("told", "touched"),
    [
        (change("Host", {"status": 1}, {"status": 2}), None),
        (change("Cluster", CLUSTER | {"version": 1}, CLUSTER | {"version": 2}), None),
        (change("VmVolume", {"size": 1}, {"size": 2}), None),
        (change("VmVolume", {"size": 1, "name": "a"}, {"size": 1, "name": "b"}), NOTHING),
        (change("VmVolume", None, {"size": 1}), None),
        (change("VmVolume", {"size": 1}), None),
        (change("VmDisk", DISK, DISK | {"boot": 2}), None),  # it does not name the volume
        (change("VmDisk", DISK | {"vm_volume": 1}, DISK | {"vm_volume": 1, "boot": 2}), NOTHING),
        (change("VmDisk", None, DISK), None),
    ],
)
def test_a_view_with_a_filter(told: Change, touched: set[str] | None) -> None:
    assert Dependencies(GET_VMS, FILTER).touched_by(told) == touched


def test_a_filter_with_an_unknown_column_leaves_affected_rows_unknown() -> None:
    row = {"id": "l1", "key": "k", "value": "v"}
    dependencies = Dependencies(GET_VMS, {"labels_some": {"unheard": 1}})
    assert dependencies.touched_by(change("Label", row, row)) is None
    assert Dependencies(GET_VMS, None).touched_by(change("Label", row, row)) == set()


def test_a_resource_that_shows_others_of_its_own_type() -> None:
    """A view depends on its own resources, and on everything that they contain."""
    dependencies = Dependencies(GET_VMS, {"cluster": {"vms_some": {"name": "a"}}})
    old = {"id": "v1", "name": "a"}
    assert dependencies.touched_by(change("Vm", old, old | {"name": "b"}, "v1")) is None


def test_the_requested_types_follow_from_the_query_and_the_filter() -> None:
    types = set(Dependencies(GET_VMS, None).types)
    assert {"Vm", "VmDisk", "Cluster", "_LabelToVm"} <= types
    assert "VmVolume" not in types
    assert not {"_VmToVmDisk", "_ClusterToVm"} & types  # the disk names its VM
    assert "VmVolume" in Dependencies(GET_VMS, FILTER).types
    assert "User" in Dependencies(GET_USERS, None).types
    assert "VmFolder" in Dependencies(GET_VM_FOLDERS, None).types


def test_every_query_of_resources_has_types_to_watch() -> None:
    for name in set(READERS.values()):
        module, _, method = name.partition(".")
        operation = getattr(
            importlib.import_module(f"cloudtower_async.api.{module}"), method.upper()
        )
        assert Dependencies(operation, None).types
