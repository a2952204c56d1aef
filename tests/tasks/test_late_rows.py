"""Views of servers that list resources late, after the change feed has reported them."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import Cloudtower, InvalidInput, RetryPolicy
from cloudtower_async.testing import Clock, Simulator
from tests.odd_servers import proxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from cloudtower_async import Watch, WatchEvent
    from cloudtower_async.models import Vm

pytestmark = pytest.mark.anyio

QUICK = 0.001  # seconds between polls
GRACE = 0.6


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3, clock=Clock(running=False)) as simulator:
        yield simulator


class Late:
    """Change of answers that removes VMs from the first answers to ``get-vms``.

    Attributes:
        hidden: Number of further answers from which each VM is removed, by VM id.
        asked: Bodies of the requests.
    """

    def __init__(self) -> None:
        self.hidden: dict[str, int] = {}
        self.asked: list[Any] = []

    def tell(self, path: str, body: Any, answer: Any) -> Any:  # noqa: ANN401
        if path != "get-vms":
            return answer
        self.asked.append(body)
        shown = [vm for vm in answer if not self.hidden.get(vm["id"])]
        for vm in answer:
            self.hidden[vm["id"]] = max(0, self.hidden.get(vm["id"], 0) - 1)
        return shown


@asynccontextmanager
async def view_of(
    sim: Simulator,
    late: Late,
    *,
    grace: float = GRACE,
    **query: Any,  # noqa: ANN401
) -> AsyncGenerator[Watch[Vm]]:
    async with (
        proxy(sim.url, tell=late.tell) as url,
        Cloudtower(
            url,
            username=sim.username,
            password=sim.password,
            change_feed=(sim.changes.username, sim.changes.password),
            retry=RetryPolicy(attempts=1),
        ) as tower,
        tower.watch(tower.vm.get_vms, QUICK, grace, **query) as view,
    ):
        assert not view.polls
        yield view


def add(sim: Simulator, late: Late, answers: int, **fields: Any) -> str:  # noqa: ANN401
    with sim.store.lock:
        vm_id: str = sim.add_vm(**fields)["id"]
        late.hidden[vm_id] = answers
    return vm_id


async def event_of(view: Watch[Vm], vm_id: str) -> WatchEvent[Vm]:
    async for event in view:
        if event.id == vm_id:
            return event
    raise AssertionError


async def test_a_new_resource_that_is_listed_late_is_added(sim: Simulator) -> None:
    late = Late()
    async with view_of(sim, late) as view:
        vm_id = add(sim, late, 1)
        assert (await event_of(view, vm_id)).what == "added"
        assert vm_id in view.snapshot


async def test_rows_that_match_the_filter_are_added_late(sim: Simulator) -> None:
    late = Late()
    async with view_of(sim, late, where={"status": "RUNNING"}) as view:
        stopped = add(sim, late, 0, status="STOPPED")
        running = add(sim, late, 1)
        assert (await event_of(view, running)).what == "added"
        assert stopped not in view.snapshot


async def test_a_resource_that_is_hidden_for_a_moment_comes_back(sim: Simulator) -> None:
    late = Late()
    async with view_of(sim, late) as view:
        [vm, *_] = sim.store.table("Vm").values()
        with sim.store.lock:
            late.hidden[vm["id"]] = 1
            vm["name"] = "renamed"
        assert (await event_of(view, vm["id"])).what == "removed"
        back = await event_of(view, vm["id"])
        assert back.what == "added"
        assert back.new is not None
        assert back.new.name == "renamed"


async def test_rows_late_at_the_start_of_a_view_are_added_without_a_change(sim: Simulator) -> None:
    late = Late()
    vm_id = add(sim, late, 2)  # a listing ends with a second, empty page
    async with view_of(sim, late, grace=0.05) as view:
        assert vm_id not in view.snapshot
        assert (await event_of(view, vm_id)).what == "added"


async def test_rows_late_during_a_resync_are_added(sim: Simulator) -> None:
    late = Late()
    async with view_of(sim, late) as view:
        await event_of(view, add(sim, late, 0))
        with sim.store.lock:
            vm_id = add(sim, late, 2)
            sim.changes.compact()
        assert (await event_of(view, vm_id)).what == "added"


async def test_rows_that_never_appear_are_given_up(sim: Simulator) -> None:
    late = Late()
    async with view_of(sim, late, grace=0.05) as view:
        never = add(sim, late, 10_000)
        [vm, *_] = sim.store.table("Vm").values()
        looks = 0
        while not looks or never in str(late.asked[looks:]):
            looks = len(late.asked)
            for number in range(20):
                vm["name"] = f"{number} {looks}"
                await event_of(view, vm["id"])
        asked_for = [body for body in late.asked if never in str(body)]
        assert 1 < len(asked_for) <= 15


async def test_deleted_rows_are_not_looked_for(sim: Simulator) -> None:
    late = Late()
    async with view_of(sim, late, grace=0.05) as view:
        [gone, vm, *_] = sim.store.table("Vm").values()
        numbers = itertools.count()

        async def rename_until_asked(text: str) -> None:
            before = len(late.asked)
            while not any(text in str(body) for body in late.asked[before:]):
                vm["name"] = f"no. {next(numbers)}"
                await event_of(view, vm["id"])

        # A listing, which would also report the removal, comes once, after the grace period.
        await rename_until_asked("id_gt")
        sim.store.remove("Vm", gone["id"])
        assert (await event_of(view, gone["id"])).what == "removed"
        before = len(late.asked)
        never = add(sim, late, 10_000)
        for _ in range(2):  # for its change, and after the search for late ones
            await rename_until_asked(never)
        assert gone["id"] not in str(late.asked[before:])


async def test_without_grace_nothing_is_looked_for(sim: Simulator) -> None:
    late = Late()
    async with view_of(sim, late, grace=0) as view:
        vm_id = add(sim, late, 2)  # a VM that is missing among others is requested twice
        [vm, *_] = sim.store.table("Vm").values()
        for number in range(20):
            vm["name"] = f"no. {number}"
            await event_of(view, vm["id"])
        assert vm_id not in view.snapshot
        assert len([body for body in late.asked if vm_id in str(body)]) <= 2


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), "60"])
async def test_an_invalid_grace_is_rejected(sim: Simulator, grace: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInput, match="watch: grace: "):
        async with view_of(sim, Late(), grace=grace):
            pass
