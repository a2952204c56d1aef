"""Copies of a Tower's fleet contain nothing that identifies people, places or machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cloudtower_async import Cloudtower
from cloudtower_async.simulator.copying import Redactor
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

PRIVATE = {
    "name": "payroll-db-7",
    "description": "Ask Jo Smith before rebooting",
    "ips": "192.168.77.13,192.168.77.14",
    "dns_servers": "192.168.77.53",
    "hostname": "payroll.corp.example",
}


@pytest.fixture
async def original() -> AsyncIterator[Simulator]:
    async with Simulator(vms=12, seed=5) as sim:
        sim.add_vm(**PRIVATE)
        yield sim


async def copied(original: Simulator, *, redact: bool) -> Simulator:
    async with Cloudtower(
        original.url, username=original.username, password=original.password
    ) as tower:
        return await Simulator.copy_of(tower, redact=redact)


async def test_a_copy_has_the_same_shape_and_none_of_the_names(original: Simulator) -> None:
    before = len(original.mutations())
    async with await copied(original, redact=True) as copy:
        assert len(original.mutations()) == before  # it was only read
        for resource in ("Cluster", "Host", "Disk", "Vm", "VmDisk", "Alert", "Task", "Label"):
            assert copy.store.table(resource).keys() == original.store.table(resource).keys()
        for identifier, vm in original.store.table("Vm").items():
            twin = copy.store.get("Vm", identifier)
            for field in ("status", "memory", "vcpu", "host", "cluster", "local_id"):
                assert twin[field] == vm[field]
            assert twin["name"] != vm["name"]
        shown = json.dumps([dict(one) for one in copy.store.table("Vm").values()])
        for text in PRIVATE.values():
            assert text not in shown
        assert "192.168.77" not in shown
        # The copy works like any fleet.
        async with Cloudtower(copy.url, username=copy.username, password=copy.password) as tower:
            assert len(await tower.vm.get_vms()) == 13
            [stopped, *_] = await tower.vm.get_vms(where={"status": "STOPPED"})
            [started] = await tower.settle(tower.vm.start_vm(where={"id": stopped.id}))
            assert started.status == "RUNNING"


async def test_a_copy_that_is_not_redacted_keeps_the_names(original: Simulator) -> None:
    async with await copied(original, redact=False) as copy:
        names = {vm["name"] for vm in copy.store.table("Vm").values()}
        assert names == {vm["name"] for vm in original.store.table("Vm").values()}


async def test_resources_that_a_server_lacks_are_left_out() -> None:
    async with Simulator(vms=2, version="3.0.0") as old, await copied(old, redact=True) as copy:
        assert len(copy.store.table("Vm")) == 2


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        ({"status": "RUNNING", "id": "cl9abcdefghijklmnopqrstuv"}, None),
        ({"created": "2026-01-31T02:00:00.000Z", "version": "6.2.0-rc1", "n": 5, "ok": True}, None),
        ({"uuid": "0c6a3f60-8d3b-4f0f-9e58-0f2f3f9d8b11", "vlan": "4095", "empty": ""}, None),
        ({"name": "web", "vm": {"name": "web"}}, {"name": "name-1", "vm": {"name": "name-1"}}),
        (
            {"ips": "1.2.3.4,fe80::1", "ip": "1.2.3.4", "cidr": "1.2.3.0/24"},
            {"ips": "10.0.0.1,fd00::1", "ip": "10.0.0.1", "cidr": "10.0.0.2/24"},
        ),
        ({"mac": "52:54:00:AA:bb:01"}, {"mac": "52:54:02:00:00:01"}),
        # Secrets that look like ids.
        ({"token": "0c6a3f60-8d3b-4f0f-9e58-0f2f3f9d8b11"}, {"token": "token-1"}),
        ({"key": "0c6a3f60-8d3b-4f0f-9e58-0f2f3f9d8b11"}, {"key": "key-1"}),
        ({"phone": "13800000000", "note": "call 42"}, {"phone": "phone-1", "note": "note-1"}),
        ({"list": ["a b", "a b", "c"]}, {"list": ["list-1", "list-1", "list-2"]}),
    ],
)
def test_texts_are_replaced_unless_they_are_harmless(value: object, replaced: object) -> None:
    assert Redactor().value(value) == (value if replaced is None else replaced)
