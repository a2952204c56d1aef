"""Types of watches and changes. Not run; see `calls.py`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, assert_type

import msgspec

from cloudtower_async import Change, Changes, Subscription, Watch, WatchEvent, models
from cloudtower_async.recipes import wait_for_addresses, wait_for_tools

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower


async def changes(tower: Cloudtower) -> None:
    """A change has no specific type, because it may belong to any resource."""
    feed = tower.changes(["Vm"], since="1", interval=1.0)
    assert_type(feed, Changes)
    assert_type(await feed.anchor(), str)
    assert_type(feed.revision, str | None)
    async for change in feed:
        assert_type(change, Change)
        assert_type(change.new_values, dict[str, object] | None)
        assert_type(change.new, msgspec.Struct | dict[str, object] | None)
        if isinstance(change.new, models.Vm):
            assert_type(change.new.name, str)


async def views(tower: Cloudtower) -> None:
    """A view contains answers of the query."""
    view = tower.watch(tower.vm.get_vms, where={"status": "RUNNING"})
    assert_type(view, Watch[models.Vm])
    async with view as vms:
        assert_type(vms, Watch[models.Vm])
        assert_type(vms.snapshot, dict[str, models.Vm])
        async for event in vms:
            assert_type(event, WatchEvent[models.Vm])
            assert_type(event.old, models.Vm | None)
        assert_type(vms.subscribe(), Subscription[Mapping[str, models.Vm]])
        async with vms.subscribe() as states:
            async for state in states:
                assert_type(state, Mapping[str, models.Vm])
                state["v1"] = state["v2"]  # type: ignore[index]
    tower.watch(tower.alert.get_alerts, 1.0, where={"ended": False}, content_language="zh-CN")
    tower.watch(tower.host.get_hosts, interval=1.0)


async def conditions(tower: Cloudtower) -> None:
    """A condition is a function of an answer of the query."""
    vms = await tower.wait_until(
        tower.vm.get_vms,
        lambda vm: vm.ips,
        fail_if=lambda vm: vm.in_recycle_bin,
        timeout=None,
        interval=1.0,
        where={"id": "v1"},
    )
    assert_type(vms, list[models.Vm])
    assert_type(await wait_for_addresses(tower, vms[0], timeout=3), models.Vm)
    assert_type(await wait_for_tools(tower, "v1"), models.Vm)
    await tower.wait_until(tower.vm.get_vms, lambda vm: vm.nmae)  # type: ignore[attr-defined]
    await tower.wait_until(tower.vm.start_vm, bool)  # type: ignore[type-var, call-arg]


async def mistakes(tower: Cloudtower) -> None:
    """Mistakes that both checkers report."""
    tower.changes(since=1)  # type: ignore[arg-type]
    tower.watch(tower.vm.start_vm)  # type: ignore[type-var, call-arg]
    tower.watch(tower.vm.get_vms, where={"nmae": "web"})  # type: ignore[typeddict-unknown-key]
    tower.watch(tower.vm.get_vms, filter={"name": "web"})  # type: ignore[call-arg]
