"""Retries over HTTP, counted at the server."""

from __future__ import annotations

import gc
import io
import re
import weakref
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_args

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from cloudtower_async import (
    CallError,
    CallTimeout,
    Cloudtower,
    LoginFailed,
    MutationTimeout,
    OutcomeUnknown,
    ResourceLocked,
    RetryPolicy,
    ServerError,
    SessionClosed,
    TooManyRequests,
    Unauthorized,
)
from cloudtower_async.api.catalogue import OPERATIONS
from cloudtower_async.calls.final_errors import where_to_look
from cloudtower_async.calls.operation import Kind
from cloudtower_async.calls.registry import operation_at
from cloudtower_async.errors.failure_kind import FailureKind
from cloudtower_async.retry.classify import ACTIONS, RetryAction
from cloudtower_async.simulator.faults import EVERY_FAULT, Fault, Trouble
from cloudtower_async.testing import Simulator
from tests.support import PASSWORD, is_login, login_answer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

pytestmark = pytest.mark.anyio

QUICK = RetryPolicy(backoff=0.002, cap=0.01)
LOCKED = b"""{"message": "locked", "code": "ResourceLocked", "status": 400,
 "props": {"locked_resources": [{"id": "v1", "type": "VM"}, {"id": "d1", "type": "VM_VOLUME"}]}}"""

CONFLICT = b"""{"message": "exists", "code": "VM_DUPLICATE", "status": 409, "path": "/x"}"""


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3) as simulator:
        yield simulator


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401
    options.setdefault("retry", QUICK)
    if "token" not in options:
        options |= {"username": sim.username, "password": sim.password}
    return Cloudtower(sim.url, **options)


def token(sim: Simulator) -> str | None:
    """Return a token without a login request, because the connection could break."""
    return sim.accounts.log_in(sim.username, sim.password, "LOCAL")


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


def count(sim: Simulator, path: str) -> int:
    return len(sim.sent(path))


async def stop_one(sim: Simulator, tower: Cloudtower) -> None:
    vm = sim.add_vm(status="RUNNING")
    await tower.vm.poweroff_vm(where={"id": vm["id"]})


async def break_connections(sim: Simulator, path: str) -> None:
    await sim.nodes[0].refuse()


def answers(status: int, **options: Any) -> Callable[[Simulator, str], None]:  # noqa: ANN401
    return lambda sim, path: sim.faults.fail(path, status=status, times=10_000, **options)


FAULTS: list[tuple[str, FailureKind, Callable[[Simulator, str], Awaitable[None] | None]]] = [
    ("refused", FailureKind.NO_CONNECTION, break_connections),
    ("reset", FailureKind.CUT_OFF, lambda sim, path: sim.faults.reset(path, times=9)),
    (
        "reset after it was carried out",
        FailureKind.CUT_OFF,
        lambda sim, path: sim.faults.reset(path, times=9, executed=True),
    ),
    ("cut off", FailureKind.CUT_OFF, lambda sim, path: sim.faults.truncate(path, times=9)),
    ("hanging", FailureKind.NO_RESPONSE, lambda sim, path: sim.faults.hang(path, times=9)),
    (
        "hanging after it was carried out",
        FailureKind.NO_RESPONSE,
        lambda sim, path: sim.faults.hang(path, times=9, executed=True),
    ),
    ("307", FailureKind.MAYBE_PASSIVE, answers(307)),
    ("401", FailureKind.LOGGED_OUT, answers(401)),
    ("locked", FailureKind.LOCKED, answers(400, body=LOCKED)),
    ("429", FailureKind.TOO_MANY, answers(429)),
    ("429 with a time", FailureKind.TOO_MANY, answers(429, headers={"retry-after": "0"})),
    ("502", FailureKind.UNAVAILABLE, answers(502)),
    ("503", FailureKind.UNAVAILABLE, answers(503)),
    ("504", FailureKind.UNAVAILABLE, answers(504, executed=True)),
    ("500", FailureKind.FAILED, answers(500)),
    ("500 after it was carried out", FailureKind.FAILED, answers(500, executed=True)),
    (
        "garbage",
        FailureKind.UNREADABLE,
        lambda sim, path: sim.faults.garbage(path, times=9, executed=True),
    ),
    ("web page", FailureKind.UNREADABLE, lambda sim, path: sim.faults.html(path, times=9)),
    ("400", FailureKind.REFUSED, answers(400)),
    ("403", FailureKind.REFUSED, answers(403)),
    ("404", FailureKind.REFUSED, answers(404)),
    ("501", FailureKind.REFUSED, answers(501)),
    ("409 with a code", FailureKind.REFUSED, answers(409, body=CONFLICT)),
    ("408", FailureKind.UNAVAILABLE, answers(408)),
    ("421", FailureKind.NOT_ACCEPTED, answers(421)),
    ("425", FailureKind.NOT_ACCEPTED, answers(425)),
    ("302", FailureKind.UNEXPECTED, answers(302)),
    ("304 that the schema does not declare", FailureKind.UNEXPECTED, answers(304, body=b"")),
    ("409 of a proxy", FailureKind.UNEXPECTED, answers(409, body=b"conflict")),
    ("423 after it was executed", FailureKind.UNEXPECTED, answers(423, executed=True)),
]


async def query(tower: Cloudtower, vm: str) -> object:
    return await tower.cluster.get_clusters()


async def mutation(tower: Cloudtower, vm: str) -> object:
    return await tower.vm.poweroff_vm(where={"id": vm})


async def upload(tower: Cloudtower, vm: str) -> object:
    cluster = "any"
    return await tower.elf_image.create_elf_image(
        cluster_id=cluster, file=b"abc", name="a.iso", size="3"
    )


async def unknown(tower: Cloudtower, vm: str) -> object:
    return await tower.request("poweroff-vm", {"where": {"id": vm}})


CALLS = [
    (query, "get-clusters", False),
    (mutation, "poweroff-vm", True),
    (upload, "upload-elf-image", True),
    (unknown, "poweroff-vm", True),
]


def test_the_faults_cover_every_kind_that_is_not_tested_elsewhere() -> None:
    # The others are tested with TLS, proxies, logins and pairs.
    elsewhere = {
        FailureKind.TLS_FAILED,
        FailureKind.PROXY_REFUSED,
        FailureKind.NO_CREDENTIALS,
        FailureKind.PASSIVE,
    }
    assert {fault for _, fault, _ in FAULTS} == {*FailureKind} - elsewhere


@pytest.mark.parametrize(("call", "path", "changes"), CALLS)
@pytest.mark.parametrize(
    ("fault", "strike"),
    [pytest.param(fault, strike, id=name) for name, fault, strike in FAULTS],
)
async def test_each_fault_is_retried_as_the_table_says(
    sim: Simulator,
    fault: FailureKind,
    strike: Callable[[Simulator, str], Awaitable[None] | None],
    call: Callable[[Cloudtower, str], Coroutine[Any, Any, object]],
    path: str,
    changes: bool,
) -> None:
    vm = sim.add_vm(status="RUNNING")["id"]
    decision = ACTIONS[fault].mutation if changes else ACTIONS[fault].query
    options: dict[str, Any] = {}
    if fault is FailureKind.NO_CONNECTION:
        options["token"] = token(sim)
    if fault is FailureKind.NO_RESPONSE:
        options["read_timeout"] = 0.15
    async with session(sim, lock_timeout=0.05, **options) as tower:
        if (striking := strike(sim, path)) is not None:
            await striking
        with pytest.raises(CallError) as info:
            await call(tower, vm)
    error = info.value
    cause = error.__cause__ if decision is RetryAction.UNKNOWN else error
    assert isinstance(cause, CallError)
    assert cause.failure_kind is fault
    assert isinstance(error, OutcomeUnknown) is (decision is RetryAction.UNKNOWN)
    if decision is RetryAction.WAIT:
        assert error.attempts > 1
    else:
        assert error.attempts == {RetryAction.RETRY: 4, RetryAction.LOG_IN: 2}.get(decision, 1)
    if fault is not FailureKind.NO_CONNECTION:
        assert count(sim, path) == error.attempts
    if changes:
        assert len([one for one in sim.executed if one.path == path]) <= 1


@pytest.mark.parametrize("call", [query, mutation])
async def test_a_server_that_was_away_for_a_moment_is_not_noticed(
    sim: Simulator, call: Callable[[Cloudtower, str], Coroutine[Any, Any, object]]
) -> None:
    vm = sim.add_vm(status="RUNNING")["id"]
    policy = RetryPolicy(attempts=10_000, backoff=0.001, cap=0.002, budget=10_000)
    async with session(sim, retry=policy, token=token(sim)) as tower:
        await sim.nodes[0].refuse()
        async with anyio.create_task_group() as group:
            group.start_soon(call, tower, vm)
            await anyio.wait_all_tasks_blocked()
            await sim.nodes[0].accept()
    assert len(sim.mutations()) == (call is mutation)


async def test_many_calls_through_many_faults_do_nothing_twice(sim: Simulator) -> None:
    vms = [sim.add_vm(status="RUNNING")["id"] for _ in range(120)]
    told: dict[str, bool | None] = {}  # whether it was executed; None: unknown

    async def stop(tower: Cloudtower, vm: str) -> None:
        try:
            await tower.vm.poweroff_vm(where={"id": vm})
            told[vm] = True
        except OutcomeUnknown:
            told[vm] = None
        except CallError:
            told[vm] = False

    async with session(sim, read_timeout=0.3) as tower:
        sim.faults.at_random(0.4, seed=5)
        assert {fault.kind for fault in EVERY_FAULT} == {*get_args(Trouble)}
        async with anyio.create_task_group() as group:
            for vm in vms:
                group.start_soon(stop, tower, vm)
        sim.faults.at_random(0)
    done = Counter(one.body["where"]["id"] for one in sim.executed if one.path == "poweroff-vm")
    assert max(done.values()) == 1
    assert all(vm in done for vm, known in told.items() if known is True)
    assert not any(vm in done for vm, known in told.items() if known is False)
    assert {*told.values()} >= {True, None}


async def test_retries_stop_when_the_budget_is_used_up(sim: Simulator) -> None:
    policy = RetryPolicy(backoff=0.001, cap=0.002, attempts=4, budget=5)
    async with session(sim, retry=policy) as tower:
        sim.faults.fail("get-clusters", status=503, times=10_000)
        for _ in range(4):
            with pytest.raises(ServerError):
                await tower.cluster.get_clusters()
    assert count(sim, "get-clusters") == 4 + 5


async def test_a_call_fails_at_once_if_retry_after_exceeds_its_time_out(sim: Simulator) -> None:
    sim.faults.fail("get-clusters", status=429, headers={"retry-after": "3600"})
    async with session(sim) as tower:
        with pytest.raises(TooManyRequests) as info:
            await tower.cluster.get_clusters()
    assert info.value.retry_after == 3600
    assert info.value.attempts == 1


async def test_a_time_out_reports_the_failures_before_it(sim: Simulator) -> None:
    sim.faults.fail("get-clusters", status=503)
    sim.faults.hang("get-clusters")
    async with session(sim) as tower:
        with pytest.raises(CallTimeout, match=r"within 0\.3 s .* tried 2 times") as info:
            await tower.cluster.get_clusters(timeout=0.3)
    assert isinstance(info.value.__cause__, ServerError)


async def test_a_mutation_timeout_is_a_time_out_and_an_unknown_outcome(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.hang("poweroff-vm")
    vm = sim.add_vm(status="RUNNING")["id"]
    with pytest.raises(MutationTimeout, match="may have been carried out") as info:
        await tower.vm.poweroff_vm(where={"id": vm}, timeout=0.1)
    assert isinstance(info.value, OutcomeUnknown)
    assert isinstance(info.value, TimeoutError)


async def test_a_file_is_read_again_from_where_it_was(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("upload-elf-image", status=429)
    content = io.BytesIO(b"xabc")
    content.read(1)
    await tower.elf_image.create_elf_image(
        cluster_id=sim.add_cluster()["id"], file=content, name="a.iso", size="3"
    )
    sizes = [body["file"].size for body in sim.sent("upload-elf-image")]
    assert sizes == [3, 3]


async def test_an_upload_that_cannot_be_rewound_is_not_retried(
    sim: Simulator, tower: Cloudtower
) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    sim.faults.fail("upload-elf-image", status=429)
    with pytest.raises(TooManyRequests):
        await tower.elf_image.create_elf_image(
            cluster_id=sim.add_cluster()["id"], file=Pipe(b"abc"), name="a.iso", size="3"
        )


@pytest.mark.parametrize("moment", ["pause", "lock", "login"])
async def test_a_call_that_is_cancelled_leaves_nothing_behind(sim: Simulator, moment: str) -> None:
    slow = RetryPolicy(backoff=1000, cap=1000)
    async with session(sim, retry=slow, max_in_flight=1, timeout=10_000) as tower:
        vm = sim.add_vm(status="RUNNING")["id"]
        if moment == "pause":
            sim.faults.fail("poweroff-vm", status=429, headers={"retry-after": "100"})
        elif moment == "lock":
            sim.faults.fail("poweroff-vm", status=400, body=LOCKED)
        else:
            sim.accounts.revoke_tokens()
            sim.faults.hang("login")
        waiting = "login" if moment == "login" else "poweroff-vm"
        before = count(sim, waiting)
        async with anyio.create_task_group() as group:
            group.start_soon(mutation, tower, vm)
            while count(sim, waiting) == before:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        assert sim.executed[-1].path != "poweroff-vm"
        # The only slot of `max_in_flight` is free; the next call logs in.
        await mutation(tower, vm)
        assert len(sim.mutations()) == len(sim.sent("poweroff-vm"))


async def test_the_queries_that_errors_name_exist() -> None:
    methods = {*OPERATIONS.values()}
    for path, name in OPERATIONS.items():
        if operation_at(path).kind is not Kind.QUERY:
            named = re.findall(r"tower\.(\w+\.\w+)", where_to_look(name))
            assert named
            assert {*named} <= methods, name
    assert "tower.task.get_tasks" in where_to_look("/some-path")


async def test_a_lock_is_waited_out(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED, times=6)
    await stop_one(sim, tower)
    assert count(sim, "poweroff-vm") == 7


async def test_without_time_for_locks_the_first_is_raised(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED)
    with pytest.raises(ResourceLocked, match=r"is busy \(VM v1, VM_VOLUME d1\): locked") as info:
        await stop_one(sim, tower.with_options(lock_timeout=0))
    assert info.value.waited == 0
    assert info.value.attempts == count(sim, "poweroff-vm") == 1


async def test_when_the_lock_timeout_is_over_the_error_says_so(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED, times=10_000)
    with pytest.raises(ResourceLocked, match=r"\(VM v1, .*\) for 0\.\d+ s already") as info:
        await stop_one(sim, tower.with_options(lock_timeout=0.05))
    assert info.value.waited >= 0.05
    assert info.value.attempts == count(sim, "poweroff-vm") > 1


async def test_concurrent_calls_with_an_expired_token_share_one_login() -> None:
    logins: list[int] = []
    refused: list[int] = []
    together = anyio.Event()

    async def answer(request: web.Request) -> web.Response:
        if is_login(request):
            logins.append(1)
            return login_answer(f"token-{len(logins)}")
        if request.headers["authorization"] == "token-2":
            return web.json_response([])
        # All calls are sent with the old token before the first learns that it has expired.
        refused.append(1)
        if len(refused) == 500:
            together.set()
        await together.wait()
        return web.Response(status=401)

    async with (
        serve(answer) as url,
        # 26 of the connections are reserved for calls of high priority.
        Cloudtower(url, username="root", password=PASSWORD, max_connections=526) as tower,
        anyio.create_task_group() as group,
    ):
        for _ in range(500):
            group.start_soon(tower.cluster.get_clusters)
    assert (len(logins), len(refused)) == (2, 500)


async def test_the_password_is_tried_once_when_it_has_changed(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.accounts.set_password(sim.username, "another")
    sim.accounts.revoke_tokens()
    failures: list[LoginFailed] = []

    async def call() -> None:
        with pytest.raises(LoginFailed) as info:
            await tower.cluster.get_clusters()
        failures.append(info.value)

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(call)
    assert len(failures) == 50
    assert count(sim, "get-clusters") == 50


async def test_a_token_that_is_refused_although_it_is_new_ends_the_call(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.fail("get-clusters", status=401, times=3)
    with pytest.raises(Unauthorized, match="refuses the new token, too"):
        await tower.cluster.get_clusters()
    assert (count(sim, "login"), count(sim, "get-clusters")) == (2, 2)


async def test_with_only_a_token_a_401_is_not_retried(sim: Simulator) -> None:
    async with Cloudtower(sim.url, token="old") as tower:
        with pytest.raises(Unauthorized, match=r"pass a new token=, .*With username="):
            await tower.cluster.get_clusters()
    assert (count(sim, "login"), count(sim, "get-clusters")) == (0, 1)


async def test_closing_ends_the_wait_for_a_lock(sim: Simulator) -> None:
    patient = RetryPolicy(backoff=1000, cap=1000)
    tower = session(sim, retry=patient)
    sim.faults.fail("poweroff-vm", status=400, body=LOCKED)

    async def wait() -> None:
        with pytest.raises(SessionClosed, match="closed during the call"):
            await stop_one(sim, tower.with_options(lock_timeout=1000))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        while not count(sim, "poweroff-vm"):
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        await tower.close()


async def test_an_unknown_outcome_is_raised_without_a_retry(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.faults.reset("poweroff-vm", executed=True)
    with pytest.raises(OutcomeUnknown, match=r"tower\.vm\.get_vms shows the current state") as info:
        await stop_one(sim, tower)
    assert isinstance(info.value.__cause__, ConnectionError)
    assert count(sim, "poweroff-vm") == 1


async def test_a_slow_answer_is_an_answer(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.slow(0.02, "get-clusters")
    assert len(await tower.cluster.get_clusters()) == 1
    assert count(sim, "get-clusters") == 1


async def test_closing_ends_a_call_that_is_sent_again(sim: Simulator) -> None:
    sim.faults.fail("get-clusters", status=503)
    sim.faults.hang("get-clusters")
    tower = session(sim)

    async def wait() -> None:
        with pytest.raises(SessionClosed):
            await tower.cluster.get_clusters()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        while count(sim, "get-clusters") < 2:
            await anyio.lowlevel.checkpoint()
        await tower.close()


@pytest.mark.parametrize("fault", [one for one in EVERY_FAULT if one.kind == "answer"])
async def test_sent_files_are_released_without_garbage_collection(
    sim: Simulator, tower: Cloudtower, fault: Fault
) -> None:
    content = io.BytesIO(b"abc")
    kept = weakref.ref(content)
    sim.faults.at_random(1, [fault])
    cluster = next(iter(sim.store.table("Cluster")))
    gc.disable()
    try:
        with suppress(CallError):
            await tower.elf_image.create_elf_image(
                file=content, cluster_id=cluster, name="x", size="3"
            )
        del content
        assert kept() is None
    finally:
        gc.enable()
