"""Tasks over time, with a clock that only the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloudtower_async.simulator.http_errors import BadRequestError, DocumentNotFoundError, HttpError
from cloudtower_async.simulator.store.ids import Ids
from cloudtower_async.simulator.store.store import Store
from cloudtower_async.simulator.tasks import TaskEngine, Work
from cloudtower_async.testing import Clock, Failure

if TYPE_CHECKING:
    from cloudtower_async.simulator.store.filters import Document

FIELDS = {"description": "Work"}


class Bench:
    """An engine, and the log of the effects of its tasks."""

    def __init__(self, *, settle_delay: float = 0.0) -> None:
        self.clock = Clock(running=False)
        self.store = Store(["Task"])
        self.engine = TaskEngine(
            self.store, self.clock, Ids(1), duration=10.0, settle_delay=settle_delay
        )
        self.log: list[str] = []

    def start(
        self, name: str = "", failure: Failure | None = None, raises: Exception | None = None
    ) -> Document:
        def succeed() -> Failure | None:
            self.log.append(f"{name}done")
            if raises is not None:
                raise raises
            return failure

        work = Work(
            succeed,
            lambda: self.log.append(f"{name}failed"),
            lambda: self.log.append(f"{name}settled"),
        )
        return self.store.get("Task", self.engine.start(dict(FIELDS), work))

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.engine.advance()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_task_is_pending_then_executing_then_succeeds(bench: Bench) -> None:
    task = bench.start()
    bench.after(0.5)
    assert (task["status"], task["progress"], task["started_at"]) == ("PENDING", 0.0, None)
    bench.after(5.0)
    assert (task["status"], task["progress"]) == ("EXECUTING", 0.5)
    assert task["started_at"] == "2026-01-01T00:00:01.000Z"
    assert bench.log == []
    bench.after(60.0)
    assert (task["status"], task["progress"]) == ("SUCCESSED", 1.0)
    assert task["finished_at"] == "2026-01-01T00:00:10.000Z"
    assert bench.log == ["done", "settled"]
    bench.after(60.0)
    assert bench.log == ["done", "settled"]


def test_tasks_end_in_order_of_their_deadlines_even_if_the_clock_jumps(bench: Bench) -> None:
    bench.start("a ")
    bench.after(1.0)
    bench.engine.duration = 2.0
    bench.start("b ")
    bench.after(60.0)
    assert bench.log == ["b done", "b settled", "a done", "a settled"]


def test_consequences_of_tasks_that_end_together_are_computed_once(bench: Bench) -> None:
    def succeed() -> None:
        bench.store.follows(add_up, "c1")

    def add_up(_: Store, identifier: str) -> None:
        bench.log.append(identifier)

    for _ in range(3):
        bench.engine.start(dict(FIELDS), Work(succeed))
    bench.after(10.0)
    assert bench.log == ["c1"]


def test_fail_next_makes_the_next_task_fail(bench: Bench) -> None:
    bench.engine.fail_next(Failure("disk full", code="NO_SPACE", ec="EIO"))
    failed, fine = bench.start("a "), bench.start("b ")
    bench.after(10.0)
    assert failed["status"] == "FAILED"
    assert failed["error_code"] == "NO_SPACE"
    assert failed["error_message"] == (
        'Work failed \r\ncode: NO_SPACE\r\nmessage: {"ec":"EIO","error":{"msg":"disk full"}}'
    )
    assert fine["status"] == "SUCCESSED"
    assert bench.log == ["a failed", "a settled", "b done", "b settled"]


def test_the_effect_of_a_task_may_fail_it(bench: Bench) -> None:
    task = bench.start(failure=Failure())
    bench.after(10.0)
    assert task["error_code"] == "INTERNAL_ERROR"
    assert bench.log == ["done", "failed", "settled"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (DocumentNotFoundError("Vlan", "v1"), "RESOURCE_NOT_FOUND", "there is no Vlan v1"),
        (HttpError(400, "too small"), "INTERNAL_ERROR", "too small"),
        (HttpError(400, "busy", code="ResourceLocked"), "ResourceLocked", "busy"),
        (BadRequestError("name: required"), "INTERNAL_ERROR", "name: required"),
    ],
)
def test_an_impossible_effect_fails_its_task(
    bench: Bench, error: Exception, code: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    task, after = bench.start("a ", raises=error), bench.start("b ")
    bench.after(10.0)
    assert (task["status"], task["error_code"]) == ("FAILED", code)
    assert f'{{"msg":"{message}"}}' in task["error_message"]
    assert after["status"] == "SUCCESSED"
    assert bench.log == ["a done", "a failed", "a settled", "b done", "b settled"]
    assert caplog.records == []


def test_an_exception_fails_its_task_and_is_reported(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    task = bench.start(raises=ZeroDivisionError("oh"))
    bench.after(10.0)
    assert task["status"] == "FAILED"
    assert "a bug of the simulator" in task["error_message"]
    assert bench.log == ["done", "failed", "settled"]
    assert "ZeroDivisionError: oh" in caplog.text
    bench.after(10.0)
    assert bench.log == ["done", "failed", "settled"]


@pytest.mark.parametrize(
    ("error", "told"), [(DocumentNotFoundError("Vm", "v"), 0), (ValueError("no"), 2)]
)
def test_an_error_in_a_cleanup_does_not_block_other_tasks(
    bench: Bench, error: Exception, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise error

    bench.engine.fail_next()
    bench.engine.start(dict(FIELDS), Work(fail=fails, settle=fails))
    after = bench.start()
    bench.after(10.0)
    assert after["status"] == "SUCCESSED"
    assert len(caplog.records) == told


@pytest.mark.parametrize("step", ["pause", "resume", "abort"])
def test_only_a_task_that_runs_is_interfered_with(bench: Bench, step: str) -> None:
    arguments = [Failure()] if step == "abort" else []
    with pytest.raises(ValueError, match="there is no task x"):
        getattr(bench.engine, step)("x", *arguments)
    task = bench.start()
    bench.after(10.0)
    shown = dict(task)
    with pytest.raises(ValueError, match="does not run: it is SUCCESSED"):
        getattr(bench.engine, step)(task["id"], *arguments)
    assert dict(task) == shown


def test_a_task_that_is_paused_twice_makes_no_progress_between(bench: Bench) -> None:
    task = bench.start()
    bench.after(5.5)
    bench.engine.pause(task["id"])
    bench.after(2.0)
    bench.engine.pause(task["id"])
    bench.engine.resume(task["id"])
    assert task["progress"] == 0.5


def test_a_paused_task_stands_still(bench: Bench) -> None:
    task = bench.start()
    bench.after(5.5)
    bench.engine.pause(task["id"])
    bench.after(60.0)
    assert (task["status"], task["progress"]) == ("PAUSED", 0.5)
    bench.engine.resume(task["id"])
    bench.engine.resume(task["id"])  # it is running already
    assert (task["status"], task["progress"]) == ("EXECUTING", 0.5)
    bench.after(4.5)
    assert task["status"] == "SUCCESSED"


def test_a_hidden_task_is_missing_from_this_number_of_answers(bench: Bench) -> None:
    bench.engine.hide_next(polls=2)
    task, other = bench.start(), bench.start()
    bench.after(10.0)
    assert task["status"] == other["status"] == "SUCCESSED"
    assert bench.engine.hidden() == {task["id"]}
    assert bench.engine.hidden() == {task["id"]}
    assert bench.engine.hidden() == set()
    bench.after(0.0)
    assert bench.log.count("settled") == 2


def test_settling_may_lag_behind() -> None:
    bench = Bench(settle_delay=3.0)
    bench.start()
    bench.after(12.0)
    assert bench.log == ["done"]
    bench.after(1.0)
    assert bench.log == ["done", "settled"]


def test_work_without_callbacks_ends_normally(bench: Bench) -> None:
    good = bench.store.get("Task", bench.engine.start(dict(FIELDS), Work()))
    bench.engine.fail_next()
    bad = bench.store.get("Task", bench.engine.start(dict(FIELDS), Work()))
    bench.after(10.0)
    assert (good["status"], bad["status"]) == ("SUCCESSED", "FAILED")


def test_a_running_clock_advances_by_itself() -> None:
    clock = Clock()
    before = clock.now()
    clock.advance(60.0)
    assert clock.now() >= before + 60.0
    assert clock.timestamp() >= "2026-01-01T00:01:00.000Z"
