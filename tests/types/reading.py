"""Types of reads. Not run: `nox -s types` checks it with mypy and pyright.

A line that both type checkers must reject has a comment `type: ignore`; see ``calls.py``.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, assert_type

import msgspec

from cloudtower_async import Watch, models, select_fields
from cloudtower_async.types import Fetched

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower


async def answers(tower: Cloudtower) -> None:
    """Results have the type of the method's answers."""
    vms: AsyncIterator[models.Vm] = tower.iterate(tower.vm.get_vms)
    async for vm in vms:
        assert_type(vm, models.Vm)
    assert_type(tower.iterate(tower.host.get_hosts, 50), AsyncGenerator[models.Host, None])
    async with aclosing(tower.iterate(tower.alert.get_alerts, where={"ended": False})) as alerts:
        assert_type(await anext(alerts), models.Alert)
    where = tower.iterate(
        tower.vm.get_vms,
        page_size=100,
        where={"name_contains": "web", "cluster": {"name": "prod"}, "id_in": ["v1"]},
        order_by="name_ASC",
        content_language="zh-CN",
        timeout=3,
    )
    assert_type(where, AsyncGenerator[models.Vm, None])

    found = await tower.fetch_all(tower.vm.get_vms, concurrency=4, where={"ha": True})
    assert_type(found, Fetched[models.Vm])
    assert_type(found[0], models.Vm)
    assert_type(found.changed, bool)
    plain: list[models.Vm] = found
    assert plain

    assert_type(await tower.get_one(tower.vm.get_vms, where={"name": "web-1"}), models.Vm)
    assert_type(await tower.resolve(tower.cluster.get_clusters, "prod"), models.Cluster)
    assert_type(await tower.count(tower.disk.get_disks, where={"type": "HDD"}), int)
    assert_type(await tower.server_version(), str)


class MyVm(msgspec.Struct, kw_only=True):
    """Some fields of a VM."""

    id: str
    memory: int


class Size(msgspec.Struct):
    """A row without an id."""

    memory: int


async def selected(tower: Cloudtower) -> None:
    """A query of selected fields takes the same arguments, and returns the struct."""
    mine = select_fields(tower.vm.get_vms, MyVm)
    assert_type(await mine(where={"name": "web"}, first=3), list[MyVm])
    assert_type(await tower.fetch_all(mine, where={"ha": True}), Fetched[MyVm])
    assert_type(tower.iterate(mine, order_by="name_ASC"), AsyncGenerator[MyVm, None])
    assert_type(await tower.get_one(mine, where={"name": "web-1"}), MyVm)
    assert_type(await tower.resolve(mine, "web-1"), MyVm)
    assert_type(tower.watch(mine, where={"ha": True}), Watch[MyVm])
    assert_type(await tower.count(mine), int)
    sizes = select_fields(tower.vm.get_vms, Size)
    assert_type(await sizes(), list[Size])

    tower.iterate(sizes)  # type: ignore[type-var]
    await mine(where={"nmae": "web"})  # type: ignore[typeddict-unknown-key]
    await mine({"name": "web"})  # type: ignore[arg-type,call-arg,misc,unused-ignore]
    select_fields(tower.vm.get_vms_connection, MyVm)  # type: ignore[arg-type]
    select_fields(tower.vm.get_vms, dict)  # type: ignore[type-var]


async def mistakes(tower: Cloudtower) -> None:
    """Mistakes that both checkers report."""
    # not a query of many resources
    tower.iterate(tower.vm.start_vm, where={"id": "v1"})  # type: ignore[type-var]
    tower.iterate(tower.vm.get_vms_connection)  # type: ignore[arg-type]
    tower.iterate(tower.api_info.get_api_version)  # type: ignore[arg-type]
    tower.iterate(tower.vm)  # type: ignore[arg-type]
    await tower.fetch_all(tower.vm.delete_vm, where={"id": "v1"})  # type: ignore[type-var]
    await tower.get_one(tower.cluster.get_meta_leader, where={})  # type: ignore[type-var]
    await tower.resolve(tower.vm.get_vms_connection, "v1")  # type: ignore[arg-type]
    await tower.count(tower.user.login, username="root", password="x")  # type: ignore[arg-type]
    # arguments of the query by position
    tower.iterate(tower.vm.get_vms, 500, {"name": "web"})  # type: ignore[arg-type,call-arg,unused-ignore]
    await tower.fetch_all(tower.vm.get_vms, 8, 500, {"name": "web"})  # type: ignore[arg-type,call-arg,unused-ignore]
    await tower.get_one(tower.vm.get_vms, {"name": "web"})  # type: ignore[arg-type,call-arg,unused-ignore]
    await tower.count(tower.vm.get_vms, {"name": "web"})  # type: ignore[arg-type,call-arg,unused-ignore]
    # arguments of another method, or wrong ones
    tower.iterate(tower.vm.get_vms, first=2.0)  # type: ignore[arg-type]
    tower.iterate(tower.vm.get_vms, where={"nmae": "web"})  # type: ignore[typeddict-unknown-key]
    tower.iterate(tower.vm.get_vms, where={"host": {"cluster": {"idin": ["c"]}}})  # type: ignore[typeddict-unknown-key]
    tower.iterate(tower.vm.get_vms, where={"id_in": "v1"})  # type: ignore[typeddict-item]
    tower.iterate(tower.vm.get_vms, order_by="name_UP")  # type: ignore[arg-type]
    tower.iterate(tower.vm.get_vms, page_size="500")  # type: ignore[arg-type]
    tower.iterate(tower.vm.get_vms, filter={"name": "web"})  # type: ignore[call-arg]
    await tower.fetch_all(tower.disk.get_disks, where={"vcpu": 2})  # type: ignore[typeddict-unknown-key]
    await tower.fetch_all(tower.vm.get_vms, concurrency=None)  # type: ignore[arg-type]
    await tower.get_one(tower.vm.get_vms, where={"vcpu": "2"})  # type: ignore[typeddict-item]
    await tower.resolve(tower.vm.get_vms, 3)  # type: ignore[arg-type]
    await tower.count(tower.vm.get_vms, where={"status": "RUNING"})  # type: ignore[typeddict-item]
