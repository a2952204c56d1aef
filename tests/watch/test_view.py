"""Views that follow the server, with the simulator."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from benchmarks.watch import run
from cloudtower_async import (
    Cloudtower,
    CloudtowerError,
    Forbidden,
    InvalidInput,
    RetryPolicy,
    ServerError,
    SessionClosed,
    Unauthorized,
)
from cloudtower_async.simulator.clock import Clock
from cloudtower_async.testing import Simulator
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from cloudtower_async import Watch, WatchEvent
    from cloudtower_async.models import Vm

pytestmark = pytest.mark.anyio

QUICK = 0.001  # seconds between polls


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3, clock=Clock(running=False)) as simulator:
        yield simulator


@asynccontextmanager
async def session(sim: Simulator, *, by_feed: bool = True) -> AsyncGenerator[Cloudtower]:
    async with Cloudtower(
        sim.url,
        username=sim.username,
        password=sim.password,
        change_feed=(sim.changes.username, sim.changes.password) if by_feed else None,
        retry=RetryPolicy(attempts=1),
    ) as tower:
        yield tower


@pytest.fixture(params=[True, False], ids=["feed", "polls"])
async def tower(sim: Simulator, request: pytest.FixtureRequest) -> AsyncIterator[Cloudtower]:
    async with session(sim, by_feed=request.param) as tower:
        yield tower


def vm_of(sim: Simulator, status: str = "RUNNING") -> Any:  # noqa: ANN401
    return next(vm for vm in sim.store.table("Vm").values() if vm["status"] == status)


async def server_set(tower: Cloudtower, **query: Any) -> dict[str, Vm]:  # noqa: ANN401
    return {vm.id: vm for vm in await tower.vm.get_vms(**query)}


async def event_of(view: Watch[Vm], vm_id: str) -> WatchEvent[Vm]:
    """Return the next event of one VM."""
    async for event in view:
        if event.id == vm_id:
            return event
    raise AssertionError


async def test_a_view_starts_with_the_current_state_and_reports_changes(
    sim: Simulator, tower: Cloudtower
) -> None:
    where: Any = {"status": "RUNNING"}
    async with tower.watch(tower.vm.get_vms, QUICK, where=where) as view:
        feed_is_read = any(request.path == "resource-changes" for request in sim.requests)
        assert view.polls is not feed_is_read
        before = view.snapshot
        assert before == await server_set(tower, where=where) != {}
        vm = vm_of(sim)

        vm["name"] = "renamed"
        event = await event_of(view, vm["id"])
        assert (event.what, event.old) == ("changed", before[vm["id"]])
        assert event.new is not None
        assert event.new.name == "renamed"
        assert event.new.cluster is not None
        assert view.snapshot[vm["id"]] is event.new

        vm["status"] = "STOPPED"
        gone = await event_of(view, vm["id"])
        assert (gone.what, gone.old, gone.new) == ("removed", event.new, None)
        assert vm["id"] not in view.snapshot

        vm["status"] = "RUNNING"
        back = await event_of(view, vm["id"])
        assert (back.what, back.old, back.new) == ("added", None, event.new)

        sim.store.remove("Vm", vm["id"])
        assert (await event_of(view, vm["id"])).what == "removed"
        added = sim.add_vm(name="another")
        assert (await event_of(view, added["id"])).what == "added"
        while view.snapshot != await server_set(tower, where=where):
            await anext(view)
    assert vm["id"] in before  # a snapshot stays as it is


async def test_a_set_of_many_pages_is_read_to_its_end(tower: Cloudtower, sim: Simulator) -> None:
    for number in range(1000):
        sim.store.add("Label", {"id": f"l{number:04}", "key": str(number % 2)})
    async with tower.watch(tower.label.get_labels, QUICK, where={"key_in": ["0", "1"]}) as view:
        assert len(view.snapshot) == 1000
        for number in range(0, 1000, 2):
            sim.store.table("Label")[f"l{number:04}"]["key"] = "2"
        events = [await anext(view) for _ in range(500)]
        assert {event.what for event in events} == {"removed"}
        assert len(view.snapshot) == 500


async def test_changes_during_the_first_read_are_reported(sim: Simulator) -> None:
    async with session(sim) as tower:
        sim.faults.delay(0.05, "get-vms")
        vm = vm_of(sim)
        async with anyio.create_task_group() as group:

            async def rename() -> None:
                while not any(request.path == "resource-changes" for request in sim.requests):
                    await anyio.lowlevel.checkpoint()
                vm["name"] = "meanwhile"

            group.start_soon(rename)
            async with tower.watch(tower.vm.get_vms, QUICK) as view:
                while view.snapshot[vm["id"]].name != "meanwhile":
                    await anext(view)


async def test_only_affected_resources_are_read_again(sim: Simulator) -> None:
    async with session(sim) as tower, tower.watch(tower.vm.get_vms, QUICK) as view:
        vm = vm_of(sim)
        vm["name"] = "renamed"
        await anext(view)
        assert sim.sent("get-vms")[2:] == [
            {"where": {"id_in": [vm["id"]]}, "orderBy": "id_ASC", "first": 1}
        ]


async def test_nested_resources_are_followed_too(sim: Simulator) -> None:
    async with session(sim) as tower, tower.watch(tower.vm.get_vms, QUICK) as view:
        vm = vm_of(sim)
        sim.store.add("Label", {"id": "l1", "key": "k", "vms": [vm["id"]]})
        event = await event_of(view, vm["id"])
        assert event.new is not None
        assert "k" in [label.key for label in event.new.labels or ()]

        disks = len(event.new.vm_disks or ())
        sim.store.remove("VmDisk", vm["vm_disks"][0])
        event = await event_of(view, vm["id"])
        assert event.new is not None
        assert len(event.new.vm_disks or ()) == disks - 1

        sim.store.get("Cluster", vm["cluster"])["name"] = "other name"
        event = await event_of(view, vm["id"])
        assert event.new is not None
        assert event.new.cluster is not None
        assert event.new.cluster.name == "other name"


async def test_resources_in_a_filter_are_followed_too(sim: Simulator) -> None:
    where: Any = {"cluster": {"name_contains": "wanted"}}
    async with session(sim) as tower, tower.watch(tower.vm.get_vms, QUICK, where=where) as view:
        assert view.snapshot == {}
        vm = vm_of(sim)
        sim.store.get("Cluster", vm["cluster"])["name"] = "the wanted one"
        assert (await anext(view)).what == "added"
        while view.snapshot != await server_set(tower):
            await anext(view)


async def test_after_compaction_the_difference_is_reported(sim: Simulator) -> None:
    async with session(sim) as tower, tower.watch(tower.vm.get_vms, QUICK) as view:
        vm = vm_of(sim)
        vm["name"] = "renamed"
        sim.changes.compact()
        event = await anext(view)
        assert (event.what, event.id) == ("changed", vm["id"])
        vm["name"] = "again"
        assert (await anext(view)).id == vm["id"]


async def test_without_a_feed_it_polls_also_when_the_feed_goes_away(sim: Simulator) -> None:
    vm = vm_of(sim)
    async with session(sim) as tower, tower.watch(tower.vm.get_vms, QUICK) as view:
        sim.changes.available = False
        vm["name"] = "renamed"
        assert (await anext(view)).id == vm["id"]
        assert view.polls
        async with tower.watch(tower.vm.get_vms, QUICK) as other:
            assert other.polls
            vm["name"] = "again"
            assert (await anext(other)).id == vm["id"]


async def test_an_outage_does_not_end_a_view(sim: Simulator, tower: Cloudtower) -> None:
    async with tower.watch(tower.vm.get_vms, QUICK) as view:
        for _ in range(3):
            sim.faults.fail(status=503)
            sim.faults.reset("get-vms")
            sim.faults.html("get-vms")
        vm = vm_of(sim)
        vm["name"] = "renamed"
        assert (await anext(view)).id == vm["id"]


async def test_an_error_on_entering_is_raised_at_once(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("get-vms", status=503)
    view = tower.watch(tower.vm.get_vms, QUICK)
    with pytest.raises(ServerError):
        await view.__aenter__()
    async with view:  # when the server is available
        assert view.snapshot
    async with session(sim) as other:
        sim.changes.password = "another"
        with pytest.raises(Unauthorized):
            await other.watch(other.vm.get_vms).__aenter__()


async def test_permanent_errors_of_a_view_are_raised(sim: Simulator, tower: Cloudtower) -> None:
    async with tower.watch(tower.vm.get_vms, QUICK) as view:
        vm = vm_of(sim)
        vm["name"] = "renamed"
        sim.faults.fail("get-vms", status=403)
        with pytest.raises(Forbidden):
            await anext(view)
        assert (await anext(view)).id == vm["id"]


async def test_it_is_for_its_context_only(sim: Simulator, tower: Cloudtower) -> None:
    view = tower.watch(tower.vm.get_vms, QUICK)
    with pytest.raises(CloudtowerError, match="async with"):
        await anext(view)
    async with view:
        vm_of(sim)["name"] = "renamed"
        async for _ in view:
            break
    assert [event async for event in view] == []
    assert view.snapshot


async def test_closing_the_session_ends_it(sim: Simulator) -> None:
    async with session(sim, by_feed=False) as tower:

        async def follow() -> None:
            with pytest.raises(SessionClosed):
                await anext(view)

        async with (
            tower.watch(tower.vm.get_vms, 3600) as view,
            anyio.create_task_group() as group,
        ):
            group.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            await tower.close()


async def test_options_of_the_query_go_with_each_request(sim: Simulator, tower: Cloudtower) -> None:
    view = tower.watch(tower.alert.get_alerts, QUICK, content_language="zh-CN")
    async with view:
        alert = sim.add_alert()
        async for event in view:
            if event.id == alert["id"]:
                break
    reads = [request for request in sim.requests if request.path == "get-alerts"]
    assert len(reads) >= 2
    assert {request.headers["content-language"] for request in reads} == {"zh-CN"}


@pytest.mark.parametrize("name", ["after", "before", "first", "last", "skip", "order_by"])
async def test_pagination_and_sorting_are_rejected_by_watch(tower: Cloudtower, name: str) -> None:
    query: dict[str, Any] = {name: "name_ASC" if name == "order_by" else 5}
    refused = f"watch: .*{name}: (not supported: a view has|leave it out;) all"
    with pytest.raises(InvalidInput, match=refused):
        tower.watch(tower.vm.get_vms, **query)


async def test_only_queries_of_resources_can_be_followed(tower: Cloudtower) -> None:
    wrong: list[Any] = [
        tower.vm.start_vm,
        tower.cluster.get_cluster_storage_info,
        tower.api_info.get_api_version,
        tower.wait,
        len,
        None,
    ]
    for method in wrong:
        with pytest.raises(
            InvalidInput, match=r"watch: .*(expected a method|is not a query of many)"
        ):
            tower.watch(method)
    with pytest.raises(InvalidInput, match="watch: interval"):
        tower.watch(tower.vm.get_vms, 0)


async def test_cancelling_anywhere_leaves_nothing_and_loses_nothing(
    sim: Simulator, tower: Cloudtower
) -> None:
    """Cancel each step, including the entry, after 0, 1, 2, … iterations of the event loop."""
    view = tower.watch(tower.vm.get_vms, QUICK)
    assert await cut_short(tower, view.__aenter__) > 5
    vm = vm_of(sim)
    events: list[WatchEvent[Vm]] = []

    async def step() -> None:
        events.append(await anext(view))

    for turn in range(3):
        vm["name"] = f"renamed {turn}"
        assert await cut_short(tower, step) > 5
    assert [event.new.name for event in events if event.new] == [
        f"renamed {turn}" for turn in range(3)
    ]
    assert view.snapshot == await server_set(tower)


async def cut_short(tower: Cloudtower, function: Any) -> int:  # noqa: ANN401
    """Run a function repeatedly, and cancel the runs after 0, 1, 2, … iterations of the event loop.

    When a run completes, return the number of cancelled runs.
    """
    done: list[object] = []

    async def to_the_end() -> None:
        done.append(await function())

    for turns in itertools.count():
        tasks = tasks_of_clients()
        async with anyio.create_task_group() as group:
            group.start_soon(to_the_end)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert not tower._transport.scopes  # pyright: ignore[reportPrivateUsage]
        assert tasks_of_clients() == tasks
        if done:
            return turns
    raise AssertionError


@pytest.mark.parametrize("seed", [1, 2])
async def test_views_equal_the_state_of_the_server_at_every_quiet_point(seed: int) -> None:
    figures = await run(seed, 2000)
    assert (figures.untrue, figures.missed, figures.repeated) == (0, 0, 0)
    assert figures.changes >= 2000
    assert figures.quiet_points >= 4
    assert figures.events > 0
