"""Comparisons, changes and rejections of each idempotent recipe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.ensure_kills import rows
from cloudtower_async import (
    Ambiguous,
    Cloudtower,
    CloudtowerError,
    EmptyFilter,
    InvalidInput,
    NotFound,
    inputs,
)
from cloudtower_async.recipes import (
    ensure_labels,
    ensure_placement_group,
    ensure_power,
    ensure_snapshot,
    ensure_volume_attached,
    ensure_volume_detached,
)
from cloudtower_async.recipes.ensure.labels import UNCHECKED_KINDS
from tests.odd_servers import proxy
from tests.recipes.towers import simulated

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio


def cluster_of(sim: Simulator) -> Any:  # noqa: ANN401
    return rows(sim, "Cluster", hypervisor="ELF")[0]["id"]


def add_vms(sim: Simulator, number: int, **fields: Any) -> list[str]:  # noqa: ANN401
    """Add VMs blog-0, blog-1, …, and return their ids."""
    given: dict[str, Any] = {"cluster": cluster_of(sim), "memory": 1 << 20, **fields}
    return [sim.add_vm(name=f"blog-{place}", **given)["id"] for place in range(number)]


async def a_volume(sim: Simulator, tower: Cloudtower, *, sharing: bool = False) -> str:
    [volume] = await tower.settle(
        tower.vm_volume.create_vm_volume(
            [
                {
                    "cluster_id": cluster_of(sim),
                    "name": "data",
                    "size": 1 << 20,
                    "elf_storage_policy": "REPLICA_2_THIN_PROVISION",
                    "sharing": sharing,
                }
            ]
        )
    )
    return volume.id


async def test_missing_labels_are_attached_and_other_labels_stay() -> None:
    async with simulated() as (sim, tower):
        one, other = add_vms(sim, 2)
        await ensure_labels(tower, {"tier": "web"}, {"vms": {"id": one}})
        both: inputs.AddLabelsToResourcesParamsData = {
            "vms": {"name_starts_with": "blog-"},
            "clusters": {"id": cluster_of(sim)},
        }
        ensured = await ensure_labels(tower, {"env": "", "tier": "web"}, both)
        assert [label.result for label in ensured] == ["created", "changed"]
        assert [label.resource.key for label in ensured] == ["env", "tier"]
        for label in ensured:
            assert {vm.id for vm in label.resource.vms or ()} == {one, other}
            assert [one.id for one in label.resource.clusters or ()] == [cluster_of(sim)]
        again = await ensure_labels(tower, {"env": "", "tier": "web"}, both)
        assert [label.result for label in again] == ["unchanged", "unchanged"]
        assert len(sim.sent("add-labels-to-resources")) == 3


async def test_labels_need_filters_of_known_kinds_that_do_not_match_everything() -> None:
    async with simulated() as (sim, tower):
        label: Callable[..., Any] = ensure_labels
        sent = len(sim.requests)
        with pytest.raises(InvalidInput, match="resources: expected at least one kind"):
            await label(tower, {"env": ""}, {})
        with pytest.raises(InvalidInput, match="no kind 'vm'; expected one of clusters, "):
            await label(tower, {"env": ""}, {"vm": {"id": "x"}})
        with pytest.raises(InvalidInput, match=r"labels\['env'\]: expected a string, got int"):
            await label(tower, {"env": 1}, {"vms": {"id": "x"}})
        with pytest.raises(EmptyFilter, match=r"resources\['vms'\]: this filter may match every"):
            await label(tower, {"env": ""}, {"vms": {}})
        assert len(sim.requests) == sent


def test_the_kinds_that_cannot_be_checked_are_those_without_a_filter_for_labels() -> None:
    filters = {
        kind: getattr(inputs, re.findall(r"\w+WhereInput", str(filter_))[0])
        for kind, filter_ in inputs.AddLabelsToResourcesParamsData.__annotations__.items()
    }
    without = {kind for kind in filters if "labels_none" not in filters[kind].__annotations__}
    assert without == UNCHECKED_KINDS


async def test_a_placement_group_gets_exactly_these_members_and_this_policy() -> None:
    async with simulated() as (sim, tower):
        one, two, three = add_vms(sim, 3)
        cluster = cluster_of(sim)
        first = await ensure_placement_group(tower, "blog", cluster=cluster, vms=["blog-0", two])
        assert first.result == "created"
        assert {vm.id for vm in first.resource.vms or ()} == {one, two}
        for vms, options, result in (
            (["blog-1", "blog-2"], {}, "changed"),
            ([three, two, two], {}, "unchanged"),
            ([three, two], {"policy": "MUST_DIFFERENT"}, "changed"),
            ([three, two], {}, "unchanged"),  # the policy does not change
            ([three, two], {"enabled": False}, "changed"),
        ):
            given: dict[str, Any] = {"cluster": cluster, "vms": vms, **options}
            ensured = await ensure_placement_group(tower, "blog", **given)
            assert ensured.result == result
            assert {vm.id for vm in ensured.resource.vms or ()} == {two, three}
        assert ensured.resource.vm_vm_policy == "MUST_DIFFERENT"
        assert not ensured.resource.enabled
        empty = await ensure_placement_group(tower, "blog", cluster=cluster, vms=[])
        assert (empty.result, empty.resource.vms) == ("changed", [])
        assert len(sim.sent("create-vm-placement-group")) == 1


async def test_members_that_are_not_there_or_ambiguous_are_named_before_anything_is_sent() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, 1)
        add_vms(sim, 1)
        group: Callable[..., Any] = ensure_placement_group
        with pytest.raises(NotFound, match="there is no VM 'other' in the cluster"):
            await group(tower, "blog", cluster=cluster_of(sim), vms=["other"])
        with pytest.raises(Ambiguous, match="there are 2 of VM 'blog-0'"):
            await group(tower, "blog", cluster=cluster_of(sim), vms=["blog-0"])
        with pytest.raises(InvalidInput, match="vms: expected a list of names or ids"):
            await group(tower, "blog", cluster=cluster_of(sim), vms="blog-0")
        with pytest.raises(InvalidInput, match="policy: expected one of MUST_DIFFERENT, "):
            await group(tower, "blog", cluster=cluster_of(sim), vms=[], policy="APART")
        assert sim.mutations() == []


async def test_a_snapshot_of_another_vm_does_not_count() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, 2)
        for name in ("blog-0", "blog-1"):
            assert (await ensure_snapshot(tower, name, "nightly")).result == "created"
        assert (await ensure_snapshot(tower, "blog-0", "nightly")).result == "unchanged"
        assert len(rows(sim, "VmSnapshot", name="nightly")) == 2


async def test_a_volume_moves_from_one_vm_to_another() -> None:
    async with simulated() as (sim, tower):
        one, other = add_vms(sim, 2, status="STOPPED")
        volume = await a_volume(sim, tower)
        assert (await ensure_volume_attached(tower, one, "data", bus="SCSI")).result == "changed"
        assert [disk["bus"] for disk in rows(sim, "VmDisk", vm_volume={"id": volume})] == ["SCSI"]
        with pytest.raises(
            CloudtowerError, match="volume 'data' is attached to VM blog-0 and cannot be shared"
        ):
            await ensure_volume_attached(tower, other, "data")
        assert len(sim.sent("add-vm-disk")) == 1
        assert (await ensure_volume_detached(tower, other, "data")).result == "unchanged"
        assert (await ensure_volume_detached(tower, one, "data")).result == "changed"
        moved = await ensure_volume_attached(tower, other, "data")
        assert (moved.result, moved.resource.id, moved.resource.mounting) == (
            "changed",
            volume,
            True,
        )


async def test_a_volume_that_can_be_shared_is_attached_to_both() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, 2, status="STOPPED")
        volume = await a_volume(sim, tower, sharing=True)
        for vm in ("blog-0", "blog-1"):
            assert (await ensure_volume_attached(tower, vm, volume)).result == "changed"
        assert len(rows(sim, "VmDisk", vm_volume={"id": volume})) == 2


async def test_a_name_that_several_volumes_have_is_ambiguous() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, 1)
        volumes = {await a_volume(sim, tower) for _ in range(2)}
        for recipe in (ensure_volume_attached, ensure_volume_detached):
            with pytest.raises(Ambiguous) as caught:
                await recipe(tower, "blog-0", "data")
            assert {*caught.value.ids} == volumes
        assert sim.sent("add-vm-disk") == []


async def test_a_change_that_the_server_reports_and_does_not_show_is_unknown() -> None:
    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        return [] if path == "get-vm-disks" else answer

    async with simulated() as (sim, direct), proxy(sim.url, tell=tell) as url:
        add_vms(sim, 1, status="STOPPED")
        await a_volume(sim, direct)
        async with Cloudtower(url, token=await direct.get_token()) as tower:
            with pytest.raises(CloudtowerError, match=r"the change does not show within 0\.1 s"):
                await ensure_volume_attached(tower, "blog-0", "data", reconcile_timeout=0.1)
        assert len(sim.sent("add-vm-disk")) == 1


async def test_a_suspended_vm_is_resumed() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, 1, status="SUSPENDED")
        ensured = await ensure_power(tower, "blog-0", "RUNNING")
        assert (ensured.result, ensured.resource.status) == ("changed", "RUNNING")
        assert sim.sent("start-vm") == []


async def test_a_suspended_vm_cannot_be_shut_down() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, 1, status="SUSPENDED")
        with pytest.raises(CloudtowerError, match="VM blog-0 is SUSPENDED"):
            await ensure_power(tower, "blog-0", "STOPPED")
        with pytest.raises(InvalidInput, match="state: expected one of RUNNING, STOPPED"):
            await ensure_power(tower, "blog-0", "SUSPENDED")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_vm_whose_guest_does_not_obey_is_powered_off() -> None:
    async with simulated() as (sim, tower):
        add_vms(sim, 1, status="RUNNING", vm_tools_status="NOT_INSTALLED")
        sim.faults.fail("shutdown-vm", status=400)
        ensured = await ensure_power(tower, "blog-0", "STOPPED", force_after=5.0)
        assert (ensured.result, ensured.resource.status) == ("changed", "STOPPED")


async def test_a_vm_that_is_starting_is_waited_for() -> None:
    async with simulated(task_duration=0.3) as (sim, tower):
        [vm] = add_vms(sim, 1, status="STOPPED")
        await tower.vm.start_vm(where={"id": vm})
        assert (await ensure_power(tower, vm, "RUNNING")).result == "unchanged"
        assert len(sim.sent("start-vm")) == 1
