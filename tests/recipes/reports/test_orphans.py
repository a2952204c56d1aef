"""Orphans that deletions leave behind, and resources that only look like orphans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import Cloudtower, InvalidInput
from cloudtower_async.recipes import Orphan, find_orphans
from tests.odd_servers import deaf_to, proxy
from tests.recipes.towers import simulated

if TYPE_CHECKING:
    from cloudtower_async.testing import Simulator

pytestmark = pytest.mark.anyio


def names(orphans: list[Orphan], kind: str) -> set[str]:
    return {one.name for one in orphans if one.kind == kind}


def first(sim: Simulator, resource: str) -> dict[str, Any]:
    return next(iter(sim.store.table(resource).values()))


async def test_a_snapshot_that_outlives_its_vm_is_an_orphan() -> None:
    async with simulated() as (sim, tower):
        vm = sim.add_vm(name="web", status="STOPPED")
        taken = tower.vm_snapshot.create_vm_snapshot(data=[{"vm_id": vm["id"], "name": "before"}])
        [snapshot] = await tower.settle(taken)
        assert names(await find_orphans(tower), "vm_snapshot") == set()
        await tower.wait(tower.vm.delete_vm(where={"id": vm["id"]}))
        [orphan] = [one for one in await find_orphans(tower) if one.kind == "vm_snapshot"]
        cluster = sim.store.get("Cluster", vm["cluster"])
        kept = sim.store.get("VmSnapshot", snapshot.id)
    assert (orphan.id, orphan.name) == (snapshot.id, "before")
    assert (orphan.cluster_id, orphan.cluster_name) == (cluster["id"], cluster["name"])
    assert orphan.reason == "its VM was deleted"
    assert orphan.size == kept["size"] > 0
    assert orphan.created_at == datetime.fromisoformat(kept["local_created_at"])
    assert orphan.snapshot_group is None


async def test_a_volume_without_a_disk_is_an_orphan() -> None:
    async with simulated() as (sim, tower):
        expected = {one["id"] for one in sim.store.select("VmVolume", {"mounting": False})}
        found = await find_orphans(tower)
    assert {one.id for one in found if one.kind == "volume"} == expected
    assert len(expected) == 2
    assert all(one.size and one.unique_size for one in found)


async def test_templates_are_orphans_without_the_other_half() -> None:
    async with simulated() as (sim, tower):
        assert names(await find_orphans(tower), "vm_template") == set()
        copies = [one for one in sim.store.table("VmTemplate").values() if one["name"] == "rocky-9"]
        library = {one["name"]: one["id"] for one in rows(sim, "ContentLibraryVmTemplate")}
        sim.store.remove("ContentLibraryVmTemplate", library["rocky-9"])
        empty: dict[str, Any] = {"clusters": [], "vm_templates": [], "vm_template_uuids": []}
        windows = library["windows-2022"]
        stored = sim.store.get("ContentLibraryVmTemplate", windows)["zbs_storage_info"]
        sim.store.change("ContentLibraryVmTemplate", windows, **empty)
        before = await find_orphans(tower)
        sim.store.change("ContentLibraryVmTemplate", windows, **empty, zbs_storage_info=None)
        after = await find_orphans(tower)
        one_cluster = await find_orphans(tower, {"id": copies[0]["cluster"]})
    assert stored
    assert {one.id for one in before if one.kind == "vm_template"} >= {one["id"] for one in copies}
    assert names(before, "content_library_template") == set()  # the storage still has it
    assert names(after, "content_library_template") == {"windows-2022"}
    assert names(one_cluster, "content_library_template") == set()


def rows(sim: Simulator, resource: str) -> list[dict[str, Any]]:
    return list(sim.store.table(resource).values())


async def test_a_volume_snapshot_without_its_volume_is_an_orphan() -> None:
    async with simulated() as (sim, tower):
        snapshot = first(sim, "VmVolumeSnapshot")
        sim.store.change("VmVolumeSnapshot", snapshot["id"], vm_volume=None, unique_size=1.5)
        found = [one for one in await find_orphans(tower) if one.kind == "volume_snapshot"]
    assert [(one.id, one.unique_size) for one in found] == [(snapshot["id"], 1.5)]


async def test_only_the_chosen_clusters_are_searched() -> None:
    async with simulated() as (sim, tower):
        cluster, _ = rows(sim, "Cluster")
        found = await find_orphans(tower, {"name": cluster["name"]})
    assert {one.cluster_id for one in found} == {cluster["id"]}


async def test_resources_in_use_or_changing_are_no_orphans() -> None:
    async with simulated() as (sim, direct):
        loose, changing = sim.store.select("VmVolume", {"mounting": False})
        sim.store.change("VmVolume", changing["id"], entityAsyncStatus="CREATING")
        attached = first(sim, "VmDisk")["vm_volume"]
        sim.store.change("VmVolume", attached, mounting=False)
        ask = deaf_to("mounting", "vm", "vm_volume", "content_library_vm_template")
        async with (
            proxy(sim.url, ask) as url,
            Cloudtower(url, token=await direct.get_token()) as tower,
        ):
            assert [one.id for one in await find_orphans(tower)] == [loose["id"]]


async def test_new_resources_are_left_out() -> None:
    async with simulated() as (sim, tower):
        young, undated = sim.store.select("VmVolume", {"mounting": False})
        recent = datetime.now(UTC) - timedelta(minutes=30)
        sim.store.change("VmVolume", young["id"], local_created_at=recent.isoformat())
        sim.store.change("VmVolume", undated["id"], local_created_at="yesterday")
        ids = [
            {one.id for one in await find_orphans(tower, min_age=age)}
            for age in (3600, 60, 0, 10**300)
        ]
    both = {young["id"], undated["id"]}
    assert ids == [{undated["id"]}, both, both, {undated["id"]}]


async def test_wrong_arguments_are_errors_before_anything_is_sent() -> None:
    misspelt: Any = {"nmae": "x"}
    async with simulated() as (sim, tower):
        sent = len(sim.requests)
        with pytest.raises(InvalidInput, match=r"^find_orphans: min_age: expected a number"):
            await find_orphans(tower, min_age=-1)
        assert len(sim.requests) == sent
        with pytest.raises(InvalidInput, match=r"where\.cluster.*nmae.*name"):
            await find_orphans(tower, misspelt)
