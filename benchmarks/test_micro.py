"""`pytest benchmarks`: measure the steps of a call separately, with pytest-benchmark.

To find a regression, save a run before a change with ``pytest benchmarks --benchmark-autosave``.
After the change, compare with ``pytest benchmarks --benchmark-compare``.
"""

# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false
# pytest-benchmark has no types.
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloudtower_async import models
from cloudtower_async.api.vm import GET_VMS
from cloudtower_async.calls.validation import check
from cloudtower_async.simulator.store.schema import all_resources
from cloudtower_async.simulator.store.store import Store
from cloudtower_async.tasks.subscription import TaskSubscription

from .full import full_vm

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

TYPICAL = {
    "where": {"name_contains": "web", "status": "RUNNING", "cluster": {"name": "atlas-01"}},
    "orderBy": "name_ASC",
    "first": 50,
}
DOCUMENTS = 5_000
TASKS = 10_000


def test_encode_a_typical_body(benchmark: BenchmarkFixture) -> None:
    benchmark(msgspec.json.Encoder().encode, TYPICAL)


def test_check_a_typical_body(benchmark: BenchmarkFixture) -> None:
    benchmark(check, GET_VMS, TYPICAL, validate=True)


@pytest.mark.parametrize("vms", [1, 50])
def test_decode_vms(benchmark: BenchmarkFixture, vms: int) -> None:
    body = msgspec.json.encode([full_vm()] * vms)
    decoded: list[models.Vm] = benchmark(GET_VMS.decoder.decode, body)
    assert len(decoded) == vms


def test_filter_in_the_simulator(benchmark: BenchmarkFixture) -> None:
    store = Store(all_resources())
    store.add("Cluster", {"id": "cl0", "name": "atlas-01"})
    for number in range(DOCUMENTS):
        name = f"{'web' if number % 10 == 0 else 'mail'}-{number}"
        vm: dict[str, Any] = {"id": f"vm{number:06}", "name": name, "status": "RUNNING"}
        store.add("Vm", {**vm, "cluster": "cl0"})
    found: list[dict[str, Any]] = benchmark(store.select, "Vm", TYPICAL["where"])
    assert len(found) == DOCUMENTS // 10


def test_a_tick_of_ten_thousand_waiters(benchmark: BenchmarkFixture) -> None:
    """Decode the answers of a poll and pass each task to its waiter."""
    blank = full_vm(models.Task) | {"status": "EXECUTING"}
    tasks = [blank | {"id": f"task{number:06}"} for number in range(TASKS)]
    answers = [msgspec.json.encode(tasks[start : start + 500]) for start in range(0, TASKS, 500)]
    decoder = msgspec.json.Decoder(list[models.Task])
    watches = {task["id"]: TaskSubscription([task["id"]], 5.0, 30.0, {}) for task in tasks}

    def tick() -> int:
        seen = 0
        for answer in answers:
            for task in decoder.decode(answer):
                watches[task.id].see(task)
                seen += 1
        return seen

    assert benchmark(tick) == TASKS
