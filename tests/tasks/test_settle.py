"""`settle`: send a mutation, wait for its tasks, and read the changed resources.

The clock of the simulator advances with every request, so no test waits for real time.
"""

from __future__ import annotations

import gc
import importlib
from typing import TYPE_CHECKING, Any, cast

import anyio
import msgspec
import pytest
from anyio import wait_all_tasks_blocked

from cloudtower_async import (
    Cloudtower,
    Forbidden,
    InvalidInput,
    NotFound,
    SessionClosed,
    SettleTimeout,
    TaskFailed,
    TaskTimeout,
    WithTask,
    models,
)
from cloudtower_async.api.catalogue import READERS
from cloudtower_async.testing import Clock, Failure, Simulator
from tests.support import cancelled_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from cloudtower_async.models import DeleteVm, Vm

pytestmark = pytest.mark.anyio

QUICK = 0.002  # seconds between polls


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    # A task ends after five requests, and its resources are unlocked ten requests later.
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(
        clusters=1, vms=40, seed=3, clock=clock, task_duration=5.0, settle_delay=10.0
    ) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
        yield tower


def stopped(sim: Simulator, number: int) -> list[str]:
    vms = sim.store.select("Vm", {"status": "STOPPED", "in_recycle_bin": False})
    return [vm["id"] for vm in vms[:number]]


def reads(sim: Simulator, path: str = "get-vms") -> list[list[str]]:
    """Return the ids in each request for resources."""
    return [body["where"]["id_in"] for body in sim.sent(path)]


def with_id(vm: Vm, identifier: str) -> Vm:
    return msgspec.structs.replace(vm, id=identifier)


async def test_resources_are_returned_in_their_settled_state(
    sim: Simulator, tower: Cloudtower
) -> None:
    ids = stopped(sim, 3)
    running = await tower.settle(tower.vm.start_vm(where={"id_in": ids}), interval=QUICK)
    assert sorted(vm.id for vm in running) == sorted(ids)
    assert {vm.status for vm in running} == {"RUNNING"}
    assert {vm.entity_async_status for vm in running} == {None}
    # Polled while the server lagged behind, always all of them in one request.
    assert len(reads(sim)) > 3
    assert {len(asked) for asked in reads(sim)} == {3}


async def test_they_can_be_changed_again_at_once(sim: Simulator, tower: Cloudtower) -> None:
    ids = stopped(sim, 2)
    await tower.settle(tower.vm.start_vm(where={"id_in": ids}), interval=QUICK)
    off = await tower.settle(tower.vm.poweroff_vm(where={"id_in": ids}), interval=QUICK)
    assert [vm.status for vm in off] == ["STOPPED"] * 2


async def test_settle_accepts_an_awaited_answer_and_keeps_its_order(
    sim: Simulator, tower: Cloudtower
) -> None:
    started = await tower.vm.start_vm(where={"id_in": stopped(sim, 3)})
    backwards = started[::-1]
    running = await tower.settle(iter(backwards), interval=QUICK)
    assert [vm.id for vm in running] == [one.data.id for one in backwards]


async def test_a_settled_resource_is_not_read_again(sim: Simulator, tower: Cloudtower) -> None:
    free, busy = stopped(sim, 2)
    started = await tower.vm.start_vm(where={"id": busy})
    # This one has already ended, so there is nothing to wait for.
    done = WithTask(data=(await tower.vm.get_vms(where={"id": free}))[0])
    before = len(sim.requests)
    await tower.settle([done, *started], interval=QUICK)
    asked = [r.body["where"]["id_in"] for r in sim.requests[before:] if r.path == "get-vms"]
    assert asked[0] == [free, busy]
    assert {tuple(ids) for ids in asked[1:]} == {(busy,)}


async def test_a_single_resource_comes_back_by_itself(sim: Simulator, tower: Cloudtower) -> None:
    [started] = await tower.vm.start_vm(where={"id": stopped(sim, 1)[0]})
    vm = await tower.settle(started, interval=QUICK)
    assert (vm.id, vm.status, vm.entity_async_status) == (started.data.id, "RUNNING", None)


async def test_the_list_of_one_answer_stays_a_list(sim: Simulator, tower: Cloudtower) -> None:
    vms = await tower.vm.get_vms(first=3)
    gone = with_id(vms[0], "cl0000000000000000000000")
    assert await tower.settle(WithTask(data=[*vms, gone]), grace=0) == vms


async def test_many_are_read_in_batches(tower: Cloudtower, sim: Simulator) -> None:
    [vm] = await tower.vm.get_vms(first=1)
    before = len(sim.requests)
    made_up = [WithTask(data=with_id(vm, f"cl{number:022}")) for number in range(1_100)]
    assert await tower.settle([*made_up, *[WithTask(data=vm)] * 2], grace=0) == [vm, vm]
    asked = [request.body for request in sim.requests[before:]]
    assert sorted(len(body["where"]["id_in"]) for body in asked) == [100, 101, 500, 500]
    assert all(body["first"] == len(body["where"]["id_in"]) for body in asked)


async def test_deleted_resources_are_left_out(sim: Simulator, tower: Cloudtower) -> None:
    ids = stopped(sim, 2)
    assert await tower.settle(tower.vm.delete_vm(where={"id_in": ids}), interval=QUICK) == []
    assert sim.store.select("Vm", {"id_in": ids}) == []


async def test_resources_deleted_by_someone_else_are_left_out(
    sim: Simulator, tower: Cloudtower
) -> None:
    kept, deleted = await tower.vm.start_vm(where={"id_in": stopped(sim, 2)})
    await tower.wait([kept, deleted], interval=QUICK)
    sim.store.remove("Vm", deleted.data.id)
    [vm] = await tower.settle([kept, deleted], interval=QUICK, grace=0)
    assert vm.id == kept.data.id


async def test_a_single_resource_that_is_gone_is_an_error(
    sim: Simulator, tower: Cloudtower
) -> None:
    [vm] = await tower.vm.get_vms(first=1)
    with pytest.raises(NotFound, match=r"vm.get_vms: the Vm that .* no longer exists") as e:
        await tower.settle(WithTask(data=with_id(vm, "cl0000000000000000000000")), grace=0)
    assert e.value.endpoint == sim.url


async def test_a_deletion_returns_the_ids_that_still_exist(
    sim: Simulator, tower: Cloudtower
) -> None:
    ids = stopped(sim, 2)
    recycled: list[DeleteVm] = await tower.settle(
        tower.vm.move_vm_to_recycle_bin(where={"id_in": ids}), interval=QUICK
    )
    assert sorted(recycled, key=lambda one: one.id) == [models.DeleteVm(id=i) for i in sorted(ids)]
    # Unlocked for the next change, though the answer's type has no field that shows it.
    await tower.settle(tower.vm.delete_vm(where={"id_in": ids}), interval=QUICK)


async def test_resources_without_a_status_are_read_once(sim: Simulator, tower: Cloudtower) -> None:
    assert "entity_async_status" not in models.Label.__struct_fields__
    [label] = await tower.settle(
        tower.label.create_label([{"key": "tier", "value": "web"}]), interval=QUICK
    )
    assert (label.key, label.value) == ("tier", "web")
    assert reads(sim, "get-labels") == [[label.id]]


async def test_answers_that_no_query_lists_are_returned_unchanged(
    sim: Simulator, tower: Cloudtower
) -> None:
    setting = models.DeleteClusterRecycleBin(id="cl01")
    before = len(sim.requests)
    assert await tower.settle([WithTask(data=setting)]) == [setting]
    assert len(sim.requests) == before


async def test_nothing_changed_sends_nothing(sim: Simulator, tower: Cloudtower) -> None:
    before = len(sim.requests)
    nothing: list[WithTask[Vm]] = []
    assert await tower.settle(nothing) == []
    assert len(sim.requests) == before


async def test_a_failed_task_is_raised_and_nothing_read(sim: Simulator, tower: Cloudtower) -> None:
    sim.tasks.fail_next(Failure("no space"))
    with pytest.raises(TaskFailed, match="no space"):
        await tower.settle(tower.vm.start_vm(where={"id_in": stopped(sim, 1)}), interval=QUICK)
    assert reads(sim) == []


async def test_the_time_out_includes_the_wait_for_tasks(sim: Simulator, tower: Cloudtower) -> None:
    [started] = await tower.vm.start_vm(where={"id_in": stopped(sim, 1)})
    sim.tasks.pause(started.task_id or "")
    with pytest.raises(TaskTimeout):
        await tower.settle(started, timeout=0.05, interval=QUICK)


async def test_resources_that_stay_busy_are_named_at_the_end_of_the_time(
    sim: Simulator, tower: Cloudtower
) -> None:
    vms = await tower.vm.get_vms(first=2)
    for vm in vms:
        sim.store.get("Vm", vm.id)["entityAsyncStatus"] = "UPDATING"
    with pytest.raises(SettleTimeout) as caught:
        await tower.settle([WithTask(data=vm) for vm in vms], timeout=1, interval=0.3)
    assert caught.value.unsettled == dict.fromkeys((vm.id for vm in vms), "UPDATING")
    assert caught.value.resource_ids == tuple(vm.id for vm in vms)
    assert caught.value.timeout == 1
    assert f"{vms[0].id} (UPDATING)" in str(caught.value)
    assert isinstance(caught.value, TimeoutError)


async def test_a_failed_poll_is_retried(sim: Simulator, tower: Cloudtower) -> None:
    ids = stopped(sim, 1)
    sim.faults.fail("get-vms", status=500)
    sim.faults.reset("get-vms")
    sim.faults.garbage("get-vms")
    [vm] = await tower.settle(tower.vm.start_vm(where={"id_in": ids}), interval=QUICK)
    assert vm.status == "RUNNING"


async def test_a_time_out_reports_the_error_of_the_last_poll(
    sim: Simulator, tower: Cloudtower
) -> None:
    [vm] = await tower.vm.get_vms(first=1)
    # A status that calls do not retry, so that each read gets an error.
    sim.faults.fail("get-vms", status=500, times=10_000)
    with pytest.raises(SettleTimeout, match=r"The last poll failed: .*500") as caught:
        await tower.settle(WithTask(data=vm), timeout=1, interval=0.3)
    assert caught.value.unsettled == {vm.id: None}
    assert caught.value.__cause__ is caught.value.poll_error is not None


async def test_permanent_errors_end_settle(sim: Simulator, tower: Cloudtower) -> None:
    [vm] = await tower.vm.get_vms(first=1)
    sim.faults.fail("get-vms", status=403)
    with pytest.raises(Forbidden):
        await tower.settle(WithTask(data=vm), interval=QUICK)


async def test_a_mutation_that_fails_is_its_own_error(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("start-vm", status=403)
    with pytest.raises(Forbidden):
        await tower.settle(tower.vm.start_vm(where={"id_in": stopped(sim, 1)}))


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [("timeout", 0), ("timeout", float("inf")), ("interval", -1), ("grace", -1)],
)
async def test_an_invalid_time_out_is_rejected_before_any_request(
    sim: Simulator, tower: Cloudtower, argument: str, wrong: float
) -> None:
    call = tower.vm.start_vm(where={"id_in": stopped(sim, 1)})
    options: dict[str, Any] = {argument: wrong}
    with pytest.raises(InvalidInput, match=f"settle: {argument}: expected a number of seconds"):
        await tower.settle(call, **options)
    assert sim.mutations() == []
    with pytest.raises(InvalidInput, match=f"settle: {argument}"):
        await tower.settle([], **options)


@pytest.mark.parametrize(
    ("wrong", "kind"), [("cl01", "str"), ({"task_id": "cl01"}, "dict"), (["cl01"], "str in a list")]
)
async def test_other_arguments_than_answers_of_mutations_are_rejected(
    tower: Cloudtower,
    wrong: Any,  # noqa: ANN401
    kind: str,
) -> None:
    with pytest.raises(InvalidInput, match=f"settle: expected a call of a mutation .* got {kind}$"):
        await tower.settle(wrong)


async def test_calls_in_a_list_are_refused_and_closed(sim: Simulator, tower: Cloudtower) -> None:
    def calls() -> Any:  # noqa: ANN401
        return [tower.vm.start_vm(where={"id": one}) for one in ("cl01", "cl02")]

    with pytest.raises(InvalidInput, match="got coroutine in a list; await each call first"):
        await tower.settle(calls())
    with pytest.raises(InvalidInput, match="settle: timeout"):
        await tower.settle(calls(), timeout=-1)
    gc.collect()  # Python warns now about coroutines that were never awaited
    assert sim.mutations() == []


async def test_a_query_is_refused_too(tower: Cloudtower) -> None:
    settle = cast("Callable[[object], Coroutine[Any, Any, object]]", tower.settle)
    with pytest.raises(InvalidInput, match="got Vm in a list"):
        await settle(tower.vm.get_vms(first=1))


@pytest.mark.parametrize("moment", ["asleep", "looking"])
async def test_closing_the_session_ends_it(sim: Simulator, moment: str) -> None:
    tower = Cloudtower(sim.url, username=sim.username, password=sim.password)
    [vm] = await tower.vm.get_vms(where={"id": stopped(sim, 1)[0]})
    sim.store.get("Vm", vm.id)["entityAsyncStatus"] = "UPDATING"
    if moment == "looking":
        sim.faults.hang("get-vms")
    told: list[bool] = []

    async def settle() -> None:
        with pytest.raises(SessionClosed):
            await tower.settle(WithTask(data=vm), timeout=None, interval=3600)
        told.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(settle)
        while len(sim.sent("get-vms")) < 2:
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        await tower.close()
    assert told == [True]


async def test_cancelling_it_anywhere_leaves_the_session_as_it_was(
    sim: Simulator, tower: Cloudtower
) -> None:
    points = 0
    while True:
        vm = sim.add_vm(status="STOPPED")
        call = tower.settle(tower.vm.start_vm(where={"id": vm["id"]}), interval=QUICK)
        if not await cancelled_at(points, call):
            break
        points += 1
    # Sending, waiting for the task and waiting for the VM, each cancelled at several points.
    assert points > 10


def test_every_resource_in_an_answer_of_a_mutation_can_be_read_again() -> None:
    assert len(READERS) > 120
    for name, reader in READERS.items():
        namespace, _, method = reader.partition(".")
        module = importlib.import_module(f"cloudtower_async.api.{namespace}")
        [listed] = vars(module)[method.upper()].answer().__args__
        fields = set(getattr(models, name).__struct_fields__)
        assert "id" in fields
        # The listing has all fields that the type of the answer requires.
        assert fields <= set(listed.__struct_fields__), name
        assert listed.__name__ == name or name.startswith("Delete")
