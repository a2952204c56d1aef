"""Every idempotent recipe repeated, cancelled, killed, and without an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from benchmarks.ensure_kills import CASES, RECONCILE_TIMEOUT, kill_and_repeat, prepare
from cloudtower_async import Cloudtower
from cloudtower_async.testing import Simulator
from tests.support import cancelled_at, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cloudtower_async.recipes import Ensured

ACTIONS = {
    "ensure_vm": "create-vm",
    "ensure_vm of a template": "create-vm-from-content-library-template",
    "ensure_label": "create-label",
    "ensure_labels": "add-labels-to-resources",
    "ensure_folder": "create-vm-folder",
    "ensure_placement_group": "create-vm-placement-group",
    "ensure_snapshot": "create-vm-snapshot",
    "ensure_volume_attached": "add-vm-disk",
    "ensure_volume_detached": "remove-vm-disk",
    "ensure_power on": "start-vm",
    "ensure_power off": "shutdown-vm",
}
"""Path of the mutation in each case."""

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=4, seed=5, task_duration=0.0) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    sim.faults.clear()
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as session:
        yield session


def results(answer: Ensured[object] | list[Ensured[object]]) -> set[str]:
    return {one.result for one in (answer if isinstance(answer, list) else [answer])}


@pytest.mark.parametrize("name", CASES)
async def test_a_second_run_finds_the_right_state_and_sends_no_mutation(
    sim: Simulator, tower: Cloudtower, name: str
) -> None:
    case = CASES[name]
    subject = f"{name} twice"
    cluster = await prepare(sim, tower, case, subject)
    first = await case.run(tower, cluster, subject, RECONCILE_TIMEOUT)
    assert results(first) <= {"created", "changed"}
    assert case.right(sim, subject)
    sent = len(sim.mutations())
    reader = tower.with_options(mutations="refuse")
    assert results(await case.run(reader, cluster, subject, RECONCILE_TIMEOUT)) == {"unchanged"}
    assert len(sim.mutations()) == sent


@pytest.mark.parametrize("name", CASES)
async def test_a_dry_run_plans_the_mutation_and_returns_at_once(
    sim: Simulator, tower: Cloudtower, name: str
) -> None:
    case = CASES[name]
    subject = f"{name} planned"
    cluster = await prepare(sim, tower, case, subject)
    sent = len(sim.mutations())
    rehearsal = tower.with_options(mutations="plan")
    with anyio.fail_after(60):
        answer = await case.run(rehearsal, cluster, subject, 3600.0)
    assert results(answer) <= {"created", "changed"}
    planned = [one.operation.partition(".")[2].replace("_", "-") for one in rehearsal.plan]
    assert ACTIONS[name].replace("shutdown", "shut-down") in planned
    assert len(sim.mutations()) == sent


@pytest.mark.parametrize("name", CASES)
async def test_two_callers_in_one_process_act_once(
    sim: Simulator, tower: Cloudtower, name: str
) -> None:
    case = CASES[name]
    subject = f"{name} together"
    cluster = await prepare(sim, tower, case, subject)
    sent = len(sim.sent(ACTIONS[name]))
    answers: list[set[str]] = []

    async def run() -> None:
        answers.append(results(await case.run(tower, cluster, subject, RECONCILE_TIMEOUT)))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(run)
    assert len(sim.sent(ACTIONS[name])) == sent + 1
    assert sorted(answer == {"unchanged"} for answer in answers) == [False, True, True]
    assert case.right(sim, subject)


@pytest.mark.parametrize("name", CASES)
async def test_cancelled_at_any_wait_the_next_run_leads_to_the_right_state(
    sim: Simulator, tower: Cloudtower, name: str
) -> None:
    case = CASES[name]
    before = tasks_of_clients()
    number = 0
    cancelled = True
    while cancelled:
        subject = f"{name} cancelled {number}"
        cluster = await prepare(sim, tower, case, subject)
        cancelled = await cancelled_at(number, case.run(tower, cluster, subject, RECONCILE_TIMEOUT))
        assert tasks_of_clients() == before
        if cancelled:
            await case.run(tower, cluster, subject, RECONCILE_TIMEOUT)
        assert case.right(sim, subject), number
        number += 1
    assert number > 3


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("name", CASES)
async def test_a_lost_answer_leads_to_the_right_state_in_the_same_run(
    sim: Simulator, tower: Cloudtower, name: str, *, executed: bool
) -> None:
    case = CASES[name]
    for fault in ("504", "reset"):
        subject = f"{name} {fault} {executed}"
        cluster = await prepare(sim, tower, case, subject)
        if fault == "504":
            sim.faults.fail(ACTIONS[name], status=504, executed=executed)
        else:
            sim.faults.reset(ACTIONS[name], executed=executed)
        sent = len(sim.sent(ACTIONS[name]))
        answer = await case.run(tower, cluster, subject, 0.05)
        assert results(answer) <= {"created", "changed"}
        assert case.right(sim, subject)
        assert len(sim.sent(ACTIONS[name])) == sent + (1 if executed else 2)


@pytest.mark.subprocess
@pytest.mark.parametrize(("name", "kills"), [("ensure_vm", 3), ("ensure_snapshot", 2)])
async def test_killed_at_any_moment_the_next_run_leads_to_the_right_state(
    name: str, kills: int
) -> None:
    async with Simulator(clusters=1, vms=4, seed=5, task_duration=0.05) as sim:
        tally = await kill_and_repeat(sim, name, kills)
    assert tally.wrong == []
    assert tally.killed
