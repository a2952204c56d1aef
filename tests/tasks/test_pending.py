"""Waits that one session stores and another one continues."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import pytest

from cloudtower_async import (
    Aggregate,
    Cloudtower,
    InvalidInput,
    NotFound,
    Pending,
    PendingAnswer,
    PendingResource,
    ResponseDecodeError,
    TaskFailed,
    WithTask,
    models,
)
from cloudtower_async.api.catalogue import READERS
from cloudtower_async.testing import Clock, Failure, Simulator
from tests.support import PASSWORD, TOKEN, login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

QUICK = 0.002  # seconds between polls


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(
        clusters=1, vms=20, seed=3, clock=clock, task_duration=5.0, settle_delay=5.0
    ) as simulator:
        yield simulator


def session(sim: Simulator) -> Cloudtower:
    return Cloudtower(sim.url, username=sim.username, password=sim.password)


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


@pytest.fixture
async def other(sim: Simulator) -> AsyncIterator[Cloudtower]:
    """Return another session with the same server, without knowledge of the first."""
    async with session(sim) as other:
        yield other


def stopped(sim: Simulator, number: int) -> list[str]:
    vms = sim.store.select("Vm", {"status": "STOPPED", "in_recycle_bin": False})
    return [vm["id"] for vm in vms[:number]]


def stored(pending: Pending[Any]) -> Pending[Any]:
    """Return the stored state as another process reads it."""
    return Pending.from_json(pending.to_json())


def example(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    resource = {"type": "Vm", "id": "v1"}
    answer = {"task_id": "t1", "resources": [resource], "is_list": False}
    return {
        "endpoint": "https://tower.example",
        "answers": [answer],
        "single": True,
        "version": 1,
        **fields,
    }


async def test_another_session_settles_what_one_has_begun(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    ids = stopped(sim, 3)
    started = await tower.vm.start_vm(where={"id_in": ids})
    running = await other.settle(stored(tower.pending(started)), interval=QUICK)
    assert [vm.id for vm in running] == [one.data.id for one in started]
    assert {vm.status for vm in running} == {"RUNNING"}
    assert {vm.entity_async_status for vm in running} == {None}
    assert all(isinstance(vm, models.Vm) for vm in running)


async def test_a_single_answer_comes_back_as_a_single_resource(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    [started] = await tower.vm.start_vm(where={"id": stopped(sim, 1)[0]})
    vm = await other.settle(stored(tower.pending(started)), interval=QUICK)
    assert (vm.id, vm.status) == (started.data.id, "RUNNING")


async def test_settling_a_stored_deletion_returns_nothing(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    deleted = await tower.vm.delete_vm(where={"id_in": stopped(sim, 2)})
    assert await other.settle(stored(tower.pending(deleted)), interval=QUICK) == []


async def test_the_only_resource_that_is_gone_is_not_found(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    [deleted] = await tower.vm.delete_vm(where={"id": stopped(sim, 1)[0]})
    with pytest.raises(NotFound, match="no longer exists"):
        await other.settle(stored(tower.pending(deleted)), interval=QUICK)


async def test_the_tasks_alone_can_be_waited_for(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    started = await tower.vm.start_vm(where={"id_in": stopped(sim, 2)})
    pending = stored(tower.pending(started))
    ids = [one.task_id for one in started]
    assert list(pending.task_ids) == ids
    assert [task.id for task in await other.wait(pending, interval=QUICK)] == ids
    assert [task.id for task in await other.wait([pending, ids[0]], interval=QUICK)] == ids
    completed = [task.id async for task in other.as_completed(pending, interval=QUICK)]
    assert sorted(completed) == sorted(ids)  # type: ignore[type-var]


async def test_a_failed_task_raises_its_error(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    sim.tasks.fail_next(Failure("VM_START_FAILED", "no host"))
    [started] = await tower.vm.start_vm(where={"id": stopped(sim, 1)[0]})
    with pytest.raises(TaskFailed, match="no host"):
        await other.settle(stored(tower.pending(started)), interval=QUICK)


async def test_an_answer_without_a_task_is_only_read(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    vm = await tower.get_one(tower.vm.get_vms, where={"id": stopped(sim, 1)[0]})
    pending = stored(tower.pending([WithTask(data=vm)]))
    assert pending.task_ids == ()
    assert [one.id for one in await other.settle(pending, interval=QUICK)] == [vm.id]
    assert sim.sent("get-tasks") == []


async def test_a_list_in_an_answer_keeps_its_form(
    sim: Simulator, tower: Cloudtower, other: Cloudtower
) -> None:
    vms = await tower.vm.get_vms(where={"id_in": stopped(sim, 2)})
    [[*found], []] = await other.settle(
        stored(tower.pending([WithTask(data=vms), WithTask(data=list[models.Vm]())]))
    )
    assert [vm.id for vm in found] == [vm.id for vm in vms]


async def test_a_session_for_another_server_refuses_it(sim: Simulator, tower: Cloudtower) -> None:
    started = await tower.vm.start_vm(where={"id": stopped(sim, 1)[0]})
    pending = stored(tower.pending(started))
    elsewhere = Cloudtower("http://127.0.0.1:9", token="any")  # no request is sent there
    for wait in (elsewhere.settle, elsewhere.wait):
        with pytest.raises(InvalidInput, match=rf"endpoint: .*{sim.url}.*127\.0\.0\.1:9"):
            await wait(pending)
    with pytest.raises(InvalidInput, match="as_completed: endpoint"):
        await anext(aiter(elsewhere.as_completed(["t1", pending])))


async def test_a_stored_wait_continues_with_either_node_of_a_pair() -> None:
    pair = ["https://a.example", "https://b.example"]
    first = Cloudtower(pair, token=TOKEN)
    reader = first.pending([WithTask(data=models.DeleteVm(id="v1"))])
    assert reader.endpoint == pair[0]
    backwards = Cloudtower(pair[::-1], token=TOKEN)
    assert await backwards.wait(stored(reader)) == []


async def test_resources_that_cannot_be_read_again_can_be_waited_for(
    sim: Simulator, tower: Cloudtower
) -> None:
    [started] = await tower.vm.start_vm(where={"id": stopped(sim, 1)[0]})
    answer = WithTask(data=Aggregate(count=1), task_id=started.task_id)
    pending = stored(tower.pending(answer))
    with pytest.raises(InvalidInput, match="'Aggregate' cannot be read again; use wait"):
        await tower.settle(pending)
    assert sim.sent("get-tasks") == []
    [task] = await tower.wait(pending, interval=QUICK)
    assert task.status == "SUCCESSED"


@pytest.mark.parametrize("data", [None, models.DeleteVm(id="")], ids=["no resource", "no id"])
async def test_a_missing_resource_is_reported_after_the_task(
    sim: Simulator, tower: Cloudtower, data: models.DeleteVm | None
) -> None:
    [started] = await tower.vm.start_vm(where={"id": stopped(sim, 1)[0]})
    pending = stored(tower.pending(WithTask(data=data, task_id=started.task_id)))
    with pytest.raises(ResponseDecodeError, match=r"succeeded.* leaves out the id of 1"):
        await tower.settle(pending, interval=QUICK)


async def test_it_contains_no_secret(sim: Simulator) -> None:
    async with session(sim) as tower:
        started = await tower.vm.start_vm(where={"id": stopped(sim, 1)[0]})
        pending, token = tower.pending(started), await tower.get_token()
    for text in (pending.to_json(), repr(pending)):
        assert token not in text
        assert sim.password not in text
        assert PASSWORD not in text


def test_every_type_that_can_be_read_again_is_found_by_its_name() -> None:
    assert all(getattr(models, name).__name__ == name for name in READERS)


def test_the_stored_form_stays_as_it_is() -> None:
    pending: Pending[Any] = Pending(
        endpoint="https://tower.example",
        answers=(
            PendingAnswer(
                task_id="t1", resources=(PendingResource(type="Vm", id="v1"),), is_list=False
            ),
        ),
        single=True,
    )
    assert json.loads(pending.to_json()) == example()
    assert Pending.from_json(msgspec.json.encode(example())) == pending


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "truncated"),
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ("null", "Expected `object`"),
        ('{"endpoint": "https://tower.example"}', "missing required field `answers`"),
        ("\ud800", ""),
        (b"\xff\xfe", ""),
        ("[" * 100_000, ""),
        (json.dumps(example(version=2)), r"\$.version"),
        (json.dumps(example(token="x")), "unknown field `token`"),
        (json.dumps(example(endpoint=None)), r"\$.endpoint"),
        (json.dumps(example(answers=[])), r"\$.answers"),
        (
            json.dumps(example(answers=[{"task_id": "", "resources": [], "is_list": True}])),
            r"\$.answers\[0\].task_id",
        ),
        (
            json.dumps(example(answers=[{"task_id": "t1", "resources": [], "is_list": False}])),
            r"\$.answers\[0\].resources",
        ),
        (
            json.dumps(
                example(
                    answers=[
                        {"task_id": "t1", "resources": [{"type": 1, "id": "v"}], "is_list": True}
                    ]
                )
            ),
            r"\$.answers\[0\].resources\[0\].type",
        ),
    ],
)
def test_another_text_is_refused(text: str | bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=rf"(?s)Pending\.from_json: .*{told}.*to_json\(\)"):
        Pending.from_json(text)


async def test_a_type_that_does_not_exist_is_refused(sim: Simulator, tower: Cloudtower) -> None:
    resource = {"type": "__class__", "id": "v1"}
    answer = {"task_id": "t1", "resources": [resource], "is_list": False}
    text = json.dumps(example(endpoint=sim.url, answers=[answer]))
    with pytest.raises(InvalidInput, match="'__class__' cannot be read again"):
        await tower.settle(Pending.from_json(text))
    assert sim.sent("get-tasks") == []


async def test_a_call_that_was_not_awaited_is_refused(tower: Cloudtower) -> None:
    call: Any = tower.vm.start_vm(where={"id": "v1"})
    with pytest.raises(InvalidInput, match=r"pending: expected .* await each call first"):
        tower.pending(call)
    with pytest.raises(InvalidInput, match="await each call first"):
        tower.pending([tower.vm.start_vm(where={"id": "v1"})])  # type: ignore[arg-type]


PROGRAM = """
import asyncio, sys
from cloudtower_async import Cloudtower, Pending

async def main():
    async with Cloudtower.from_env() as tower:
        for vm in await tower.settle(Pending.from_json(sys.argv[1]), interval=0.01):
            print(vm.id, vm.status)

asyncio.run(main())
"""


@pytest.mark.subprocess
async def test_another_process_settles_it(sim: Simulator, tower: Cloudtower) -> None:
    [vm_id] = stopped(sim, 1)
    text = tower.pending(await tower.vm.start_vm(where={"id": vm_id})).to_json()
    command = [sys.executable, "-c", PROGRAM, text]
    done = await anyio.run_process(command, env=login_variables(sim))
    assert done.stdout.decode().split() == [vm_id, "RUNNING"]
