"""Every polling loop keeps its pauses with a server that never becomes ready."""

from __future__ import annotations

import ast
import io
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest

import cloudtower_async
from cloudtower_async import Cloudtower, CloudtowerError, ElfImage, RetryPolicy
from cloudtower_async.jobs import SqliteJournal, once
from cloudtower_async.jobs.exporter import Exporter
from cloudtower_async.recipes import check_maintenance, ensure_label, shut_down_vms
from cloudtower_async.testing import Clock, Simulator
from tests.cli.command import COMMAND, environment
from tests.odd_servers import proxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from cloudtower_async import Watch
    from cloudtower_async.models import Vm

SOURCE = Path(cloudtower_async.__file__).parent
NOT_OURS = ("api", "models", "inputs", "testing", "simulator")

INTERVAL = 0.05
ONCE = RetryPolicy(attempts=1)

Run: TypeAlias = "Callable[[Cloudtower, Simulator], Awaitable[object]]"
Counts: TypeAlias = "Callable[[str, Any], bool]"


@dataclass
class Case:
    """A loop with a server that never becomes ready.

    Attributes:
        run: Function that calls the SDK so that the loop runs.
        path: Path of the requests to count.
        loops: Locations of the covered loops: ``"module.py function"``.
        interval: Average number of seconds between requests, without the first `quick` requests.
        quick: Number of requests at the start that may follow each other faster.
        number: Number of requests to wait for; the loop may end earlier.
        answer: Function that changes the answers. None means the unchanged answers.
        status: Error status of the answers to these requests. None means that they succeed.
        options: Options of the session.
        counts: Function that returns whether a request counts. Its arguments are the path and the
            body.
    """

    run: Run
    path: str
    loops: list[str]
    interval: float = INTERVAL
    quick: int = 0
    number: int = 12
    answer: Callable[[Any], Any] | None = None
    status: int | None = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    counts: Counts = lambda _, __: True


def each(**fields: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    """Return a function that sets these fields in every row of an answer."""
    return lambda rows: [{**row, **fields} for row in rows]


def vm_id(sim: Simulator) -> Any:  # noqa: ANN401
    return next(iter(sim.store.table("Vm")))


def update(tower: Cloudtower, sim: Simulator) -> Awaitable[list[Any]]:
    return tower.vm.update_vm(where={"id": vm_id(sim)}, data={"description": "new"})


async def as_completed(tower: Cloudtower, sim: Simulator) -> None:
    async for _ in tower.as_completed(update(tower, sim), interval=INTERVAL):
        pass


async def watch(tower: Cloudtower, _: Simulator) -> None:
    async with tower.watch(tower.vm.get_vms, INTERVAL) as view:
        async for _event in view:
            pass


async def subscribe(tower: Cloudtower, _: Simulator) -> None:
    async with (
        tower.watch(tower.vm.get_vms, INTERVAL) as view,
        view.subscribe() as states,
        anyio.create_task_group() as group,
    ):
        for _number in range(20):
            group.start_soon(follow, view)
        async for _state in states:
            pass


async def follow(view: Watch[Any]) -> None:
    async with view.subscribe() as states:
        async for _state in states:
            pass


async def watch_through_an_outage(tower: Cloudtower, sim: Simulator) -> None:
    async with tower.watch(tower.vm.get_vms, INTERVAL) as view:
        sim.faults.fail("get-vms", status=500, times=1000)
        await anext(view)


async def changes(tower: Cloudtower, _: Simulator) -> None:
    async for _change in tower.changes(["Vm"], interval=INTERVAL):
        pass


async def changes_through_an_outage(tower: Cloudtower, sim: Simulator) -> None:
    feed = tower.changes(["Vm"], interval=INTERVAL)
    await feed.anchor()
    sim.faults.fail("resource-changes", status=500, times=1000)
    await anext(feed)


async def upload(tower: Cloudtower, sim: Simulator) -> None:
    await tower.upload(
        io.BytesIO(b"x" * 3000),
        ElfImage(cluster_id=next(iter(sim.store.table("Cluster")))),
        name="disc",
        interval=INTERVAL,
        settling_time=60.0,
        timeout=60.0,
    )


async def once_without_effect(
    tower: Cloudtower, sim: Simulator, *, begun: bool = False, missing: bool = False
) -> None:
    async def find(tower: Cloudtower) -> Vm | None:
        [vm] = await tower.vm.get_vms(where={"id": vm_id(sim)})
        return None if missing else vm

    async with SqliteJournal(":memory:") as journal:
        if begun:
            await journal.begin("key", "another process")
        await once(
            tower, journal, "key", lambda _: update(tower, sim), find=find, interval=INTERVAL
        )


async def command(tower: Cloudtower, _: Simulator) -> None:
    given = environment(CLOUDTOWER_TOKEN=await tower.get_token())
    arguments = ["--endpoint", tower.endpoint, "--watch", "--interval", "0.5", "--format", "json"]
    await anyio.run_process([*COMMAND, "dashboard", *arguments], env=given)


async def watch_command(tower: Cloudtower, _: Simulator) -> None:
    given = environment(CLOUDTOWER_TOKEN=await tower.get_token())
    arguments = ["--endpoint", tower.endpoint, "--watch", "--interval", "0.5"]
    await anyio.run_process([*COMMAND, "get", "clusters", *arguments], env=given)


async def export(tower: Cloudtower, _: Simulator) -> None:
    async with Exporter({"tower": tower}, interval=0.5):
        await anyio.sleep_forever()


CASES: dict[str, Case] = {
    "wait": Case(
        lambda tower, sim: tower.wait(update(tower, sim), interval=INTERVAL),
        "get-tasks",
        ["tasks/poller.py TaskPoller.follow", "tasks/poller.py TaskPoller._lead"],
        answer=each(status="EXECUTING"),
    ),
    "wait for a missing task": Case(
        lambda tower, _: tower.wait("none", interval=INTERVAL),
        "get-tasks",
        ["tasks/poller.py TaskPoller._lead"],
    ),
    "as_completed": Case(
        as_completed,
        "get-tasks",
        ["tasks/waiter.py TaskWaiter.iterate"],
        answer=each(status="PENDING"),
    ),
    "settle": Case(
        lambda tower, sim: tower.settle(update(tower, sim), interval=INTERVAL),
        "get-vms",
        ["tasks/settle.py _Reading.finish"],
        answer=each(entityAsyncStatus="UPDATING"),
    ),
    "settle what is not listed": Case(
        lambda tower, sim: tower.settle(update(tower, sim), interval=INTERVAL),
        "get-vms",
        ["tasks/settle.py _Reading.finish"],
        answer=lambda _: [],
    ),
    "watch without a feed": Case(
        watch,
        "get-vms",
        ["watch/view.py Watch._look_out"],
        counts=lambda _, body: "id_gt" not in str(body),  # other pages of the same listing
        options={"change_feed": None},
    ),
    "watch by the feed": Case(
        watch, "resource-changes", ["watch/feed.py Feed.read", "watch/view.py Watch._look_out"]
    ),
    "many subscribers of a view": Case(
        subscribe,
        "get-vms",
        ["watch/subscribers.py Subscribers.newer"],
        counts=lambda _, body: "id_gt" not in str(body),
        options={"change_feed": None},
    ),
    "condition that is never met": Case(
        lambda tower, _: tower.wait_until(
            tower.vm.get_vms, lambda _vm: False, interval=INTERVAL, timeout=60.0
        ),
        "get-vms",
        ["watch/view.py Watch._look_out"],
        counts=lambda _, body: "id_gt" not in str(body),
        options={"change_feed": None},
    ),
    "condition of an id that is never met": Case(
        lambda tower, _: tower.wait_until(
            tower.vm.get_vms, bool, interval=INTERVAL, timeout=60.0, where={"id": "none"}
        ),
        "get-vms",
        ["watch/shared_reads.py SharedReads.read", "watch/shared_reads.py SharedReads._poll"],
        options={"change_feed": None},
    ),
    "condition that is never met, by the feed": Case(
        lambda tower, _: tower.wait_until(
            tower.vm.get_vms, lambda _vm: False, interval=INTERVAL, timeout=60.0
        ),
        "resource-changes",
        ["watch/feed.py Feed.read"],
    ),
    "condition of what cannot be read": Case(
        lambda tower, _: tower.wait_until(
            tower.vm.get_vms, lambda _vm: False, interval=INTERVAL, timeout=60.0
        ),
        "get-vms",
        ["watch/outages.py Outage.outlast"],
        status=500,
        number=8,
        options={"change_feed": None},
    ),
    "watch through an outage": Case(
        watch_through_an_outage,
        "get-vms",
        ["watch/outages.py Outage.outlast"],
        quick=3,  # reads before the loop
        number=9,
        options={"change_feed": None},
    ),
    "changes": Case(changes, "resource-changes", ["watch/feed.py Feed.read"]),
    "changes through an outage": Case(
        changes_through_an_outage,
        "resource-changes",
        ["watch/outages.py Outage.outlast"],
        quick=2,
        number=8,
    ),
    "upload that never appears": Case(
        upload,
        "get-elf-images",
        ["uploads/upload.py Upload._finish"],
        answer=lambda _: [],
        quick=1,
    ),
    "upload whose outcome is unknown": Case(
        upload,
        "get-upload-tasks",
        ["uploads/session.py UploadSession._until_settled"],
        answer=lambda _: [],
        options={"status": (504, "upload-elf-image")},
        quick=2,
    ),
    "upload of which a chunk is turned away": Case(
        upload,
        "upload-elf-image",
        ["uploads/session.py UploadSession._deliver"],
        status=429,
        options={"retry": RetryPolicy(attempts=3, backoff=2 * INTERVAL, cap=2 * INTERVAL)},
        number=9,  # then it gives up
        quick=5,
    ),
    "locked resource": Case(
        update,
        "update-vm-basic-info",
        ["calls/executor.py Executor._retry"],
        number=40,
        options={
            "retry": RetryPolicy(backoff=2 * INTERVAL, cap=2 * INTERVAL),
            "locked": True,
        },
        quick=20,  # half of the interval: the pauses are random
    ),
    "mutation that another process has begun": Case(
        partial(once_without_effect, begun=True, missing=True),
        "get-vms",
        ["jobs/once.py _Attempt.run"],
        quick=1,
    ),
    "mutation whose effect is still being made": Case(
        once_without_effect,
        "get-vms",
        ["jobs/once.py _Attempt._finish"],
        answer=each(entityAsyncStatus="UPDATING"),
        quick=1,
    ),
    "mutation whose effect does not show": Case(
        partial(once_without_effect, missing=True),
        "get-vms",
        ["jobs/once.py _Attempt._found_within"],
        quick=2,
    ),
    "maintenance check": Case(
        lambda tower, sim: check_maintenance(tower, next(iter(sim.store.table("Host")))),
        "enter-maintance-mode-precheck-result",
        ["recipes/maintenance.py _check"],
        interval=1.0,
        number=3,
        answer=lambda result: {**result, "done": False},
    ),
    "guest that does not shut down": Case(
        lambda tower, sim: shut_down_vms(tower, {"id": vm_id(sim)}),
        "get-vms",
        ["recipes/switching.py Switch._read"],
        interval=0.25,
        number=6,
        quick=3,  # reading before and after the tasks
        answer=each(status="RUNNING", entityAsyncStatus=None),
    ),
    "creation that never appears": Case(
        lambda tower, _: ensure_label(tower, "env", reconcile_timeout=60.0),
        "get-labels",
        ["recipes/ensure/flow.py _look_until"],
        interval=0.25,
        number=5,
        quick=2,  # before the creation, and immediately after it
        options={"status": (504, "create-label")},
    ),
    "exporter": Case(
        export,
        "get-version",
        ["jobs/exporter/exporter.py Exporter._follow"],
        interval=0.5,
        number=4,
    ),
    "dashboard command": Case(
        command,
        "get-clusters",
        ["cli/dashboard.py _dashboard"],
        interval=0.5,
        number=4,
        counts=lambda _, body: "id_gt" not in str(body),
    ),
    "get command with --watch": Case(
        watch_command,
        "get-clusters",
        ["cli/watching.py watch"],
        interval=0.5,
        number=4,
        quick=4,  # the first two pages, and the next pages of later refreshes
    ),
}

NO_POLLING = {
    "jobs/fleet.py _Caller._follow": "asks Redis",
    "jobs/fleet.py _Caller._outlast": "asks Redis",
    "jobs/fleet_broker.py FleetBroker.keep_claims": "asks Redis",
    "jobs/fleet_broker.py FleetBroker.listen": "asks Redis",
    "jobs/fleet_worker.py FleetWorker._work_in_time": "repeats an item after an outage of Redis",
    "jobs/lease.py _acquire": "waits for another process",
    "jobs/lease.py _keep": "renews a lock between processes",
    "jobs/exporter/server.py MetricsServer._accept": "accepts connections",
    "cli/keys.py pressed_keys": "waits for keys",
    "cli/live_screen.py LiveScreen.show": "sleeps before each refresh; needs a terminal",
    "queries/loader.py Loader._result": "waits for one request, which one caller sends",
    "queries/pages.py iter_pages": "takes page after page; each must lead further",
    "queries/pages.py _cursor": "reads page after page; each must lead further",
    "queries/batches.py read_by_ids": "each answer must bring something that was missing",
    "uploads/source.py _Stream.read": "reads what is uploaded",
    "uploads/source.py _Stream._more": "reads what is uploaded",
    "uploads/source.py Source.skip": "reads what is uploaded",
    "transport/response_bodies.py _BoundedStream.read": "reads one response",
    "transport/http.py Transport._exchange": "sends again at most once, on a new connection",
}
"""Loops that wait, but not for a state of the server."""


def _is_endless(node: ast.AST) -> bool:
    """Return whether a statement is a ``while`` loop, or one over an endless series of delays."""
    return isinstance(node, ast.While) or (
        isinstance(node, ast.For)
        and isinstance(node.iter, ast.Call)
        and isinstance(node.iter.func, ast.Name)
        and node.iter.func.id in ("poll_delays", "count")
    )


def loops() -> set[str]:
    """Return every endless loop of hand-written code that awaits something."""
    found: set[str] = set()

    def visit(node: ast.AST, file: str, names: list[str]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = names
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = [*names, child.name]
            if _is_endless(child) and any(
                isinstance(one, ast.Await | ast.AsyncFor | ast.AsyncWith) for one in ast.walk(child)
            ):
                found.add(f"{file} {'.'.join(names)}")
            visit(child, file, inner)

    for path in SOURCE.rglob("*.py"):
        relative = path.relative_to(SOURCE)
        if relative.parts[0] not in NOT_OURS:
            visit(ast.parse(path.read_text(encoding="utf-8")), relative.as_posix(), [])
    return found


def test_every_loop_that_awaits_has_a_case_or_a_reason() -> None:
    covered = {loop for case in CASES.values() for loop in case.loops}
    assert covered.isdisjoint(NO_POLLING)
    assert loops() == covered | NO_POLLING.keys()


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    clock = Clock(running=False, per_request=1.0)
    async with Simulator(clusters=1, vms=4, seed=3, clock=clock, task_duration=0.0) as simulator:
        yield simulator


class Recorder:
    """Records when requests arrive, until there are enough."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.times: list[float] = []
        self.enough = anyio.Event()

    def note(self, path: str, body: Any) -> None:  # noqa: ANN401
        if path == self._case.path and self._case.counts(path, body):
            self.times.append(time.monotonic())
            if len(self.times) >= self._case.number:
                self.enough.set()

    def tell(self, path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        answers = self._case.answer
        return answer if answers is None or path != self._case.path else answers(answer)


@asynccontextmanager
async def session(sim: Simulator, case: Case, recorder: Recorder) -> AsyncGenerator[Cloudtower]:
    options: dict[str, Any] = {
        "retry": ONCE,
        "change_feed": (sim.changes.username, sim.changes.password),
        **case.options,
    }
    status, path = options.pop("status", (case.status, case.path))
    if status is not None:
        sim.faults.fail(path, status=status, times=1000)
    if options.pop("locked", False):
        body = b'{"code": "ResourceLocked", "message": "locked", "status": 400}'
        sim.faults.fail(case.path, status=400, times=1000, body=body)
    async with (
        proxy(sim.url, tell=recorder.tell, note=recorder.note) as url,
        Cloudtower(url, username=sim.username, password=sim.password, **options) as tower,
    ):
        yield tower


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.subprocess if case.run in (command, watch_command) else [],
        )
        for name, case in CASES.items()
    ],
)
async def test_a_loop_keeps_its_pauses(sim: Simulator, name: str) -> None:
    case = CASES[name]
    recorder = Recorder(case)
    async with session(sim, case, recorder) as tower, anyio.create_task_group() as group:

        async def run() -> None:
            with suppress(CloudtowerError):
                await case.run(tower, sim)
            recorder.enough.set()

        group.start_soon(run)
        with anyio.fail_after(60):
            await recorder.enough.wait()
        group.cancel_scope.cancel()
    number, elapsed = len(recorder.times), recorder.times[-1] - recorder.times[0]
    assert number >= case.number
    # Pauses vary by 10 %, and a late request is closer to the next one.
    assert number <= case.quick + 2 + 1.1 * elapsed / case.interval
