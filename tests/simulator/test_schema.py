"""Facts derived from the generated code."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import get_args

import msgspec
import pytest

from cloudtower_async import inputs, models
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.registry import operation_at
from cloudtower_async.simulator.store.schema import (
    ResourceQuery,
    describe,
    orders,
    resource_query,
    timestamp,
    where_conditions,
)

WHERES = sorted(name for name in dir(inputs) if name.endswith("WhereInput"))
ORDERS = sorted(name for name in dir(inputs) if name.endswith("OrderByInput"))


@pytest.mark.parametrize("name", WHERES)
def test_every_where_of_the_api_is_understood(name: str) -> None:
    shape = where_conditions(name.removesuffix("WhereInput"))
    keys = getattr(inputs, name).__annotations__.keys() - {"AND", "OR", "NOT"}
    assert shape.keys() == keys
    for condition in shape.values():
        assert (condition.check is None) == (condition.target is not None)


@pytest.mark.parametrize("name", ORDERS)
def test_every_order_of_the_api_is_understood(name: str) -> None:
    found = orders(name.removesuffix("OrderByInput"))
    assert set(found) == set(get_args(getattr(inputs, name)))
    for value, order in found.items():
        assert value == f"{order.field}_{'DESC' if order.descending else 'ASC'}"


def test_keys_of_a_where() -> None:
    shape = where_conditions("Vm")
    assert (shape["name"].field, shape["name"].operator) == ("name", "")
    assert (shape["name_not_in"].field, shape["name_not_in"].operator) == ("name", "not_in")
    assert (shape["host"].operator, shape["host"].target) == ("one", "Host")
    assert shape["vm_disks_every"].operator == "every"
    assert shape["in_recycle_bin_not"].field == "in_recycle_bin"


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("name", "web", 1),
        ("vcpu", 4, 4.0),
        ("vcpu_in", 4, True),
        ("cpu_usage_gt", 4, "4"),
        ("ha", True, 1),
        ("status", "RUNNING", "Running"),
        ("status_in", "STOPPED", []),
        ("local_created_at_lt", "2026-01-01T00:00:00Z", "yesterday"),
        ("local_created_at", "2026-01-01", 0),
    ],
)
def test_values_are_checked(key: str, good: object, bad: object) -> None:
    check = where_conditions("Vm")[key].check
    assert check is not None
    check(good)
    with pytest.raises(ValueError, match=r"."):
        check(bad)


def test_dates_are_brought_into_the_form_of_the_server() -> None:
    check = where_conditions("Vm")["local_created_at_gt"].check
    assert check is not None
    assert check("2026-01-01T01:00:00+01:00") == "2026-01-01T00:00:00.000Z"
    east = timezone(timedelta(hours=8))
    assert timestamp(datetime(2026, 1, 1, 8, 0, 0, 5999, east)) == "2026-01-01T00:00:00.005Z"


def test_the_fields_of_a_resource_are_those_of_its_model() -> None:
    vm = describe("Vm")
    fields = {*vm.fields, *(relation.field for relation in vm.relations)}
    assert fields == {field.encode_name for field in msgspec.structs.fields(models.Vm)}
    host = next(relation for relation in vm.relations if relation.field == "host")
    assert (host.target, host.many, host.inverse) == ("Host", False, "vms")
    assert host.nested == ("id", "management_ip", "name")


def test_queries_are_distinguished_from_other_operations() -> None:
    assert resource_query("/get-vms") == ResourceQuery("Vm", counts=False)
    assert resource_query("/get-vms-connection") == ResourceQuery("Vm", counts=True)
    for path in ("/start-vm", "/get-version", "/get-vm-metrics", "/get-meta-leader"):
        assert resource_query(path) is None


def test_every_operation_is_found_by_its_path() -> None:
    for path, name in OPERATIONS.items():
        assert operation_at(path).name == name
    with pytest.raises(KeyError):
        operation_at("/get-nothing")
