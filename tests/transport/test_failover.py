"""Requests to one server or to the active node of a pair, over loopback."""

from __future__ import annotations

import logging
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest
import trustme
from aiohttp import web

from cloudtower_async import (
    CallError,
    CallTimeout,
    Cloudtower,
    ConnectionFailed,
    MultipleActive,
    NoActive,
    OutcomeUnknown,
    RetryPolicy,
    SessionClosed,
    TLSFailed,
    UnexpectedStatus,
)
from cloudtower_async.testing import Simulator
from tests.support import (
    TOKEN,
    cancelled_at,
    login_answer,
    serve,
    serve_bytes,
    tasks_of_clients,
    unused_port,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from cloudtower_async.simulator.server.nodes import Node

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy(attempts=1)
QUICK = RetryPolicy(backoff=0.002, cap=0.01)
HEALTH = "/api/healthz"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=8, seed=3, standby=True) as simulator:
        yield simulator


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401
    chosen: dict[str, Any] = {"username": sim.username, "password": sim.password, "retry": QUICK}
    endpoints = [node.url for node in sim.nodes]
    return Cloudtower(options.pop("endpoint", endpoints), **{**chosen, **options})


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


def probes(node: Node) -> int:
    """Return how often a passive node was asked whether it is active."""
    return node.turned_away.count(HEALTH)


def times_executed(sim: Simulator, path: str) -> int:
    return len([one for one in sim.executed if one.path == path])


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


class Server:
    """One node of a pair, with its answer to each path and the requests that it got.

    A status of 0 means no answer.
    """

    def __init__(self, health: int, status: int = 200) -> None:
        self.health = health
        self.status = status
        self.seen: list[tuple[str, str | None]] = []
        self.may_answer = anyio.Event()
        self.may_answer.set()
        self.asked = anyio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, request.headers.get("authorization")))
        self.asked.set()
        await self.may_answer.wait()
        status = self.health if request.path == HEALTH else self.status
        if status == 0:
            await anyio.sleep_forever()
        if status == 307:
            return web.Response(status=307, headers={"location": "http://localhost:9/other"})
        if status == 200 and request.path.endswith("/login"):
            return login_answer()
        return web.Response(status=status, body=b"[]")

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]


@asynccontextmanager
async def pair(
    first: Server,
    second: Server,
    **options: Any,  # noqa: ANN401
) -> AsyncGenerator[Cloudtower]:
    async with serve(first) as one, serve(second) as other:
        options.setdefault("retry", QUICK)
        tower = Cloudtower([one, other], token=TOKEN, **options)
        try:
            yield tower
        finally:
            await tower.close()


# one address


async def test_a_single_address_is_not_probed() -> None:
    server = Server(health=503)
    async with serve(server) as url, Cloudtower(url, token=TOKEN) as tower:
        await tower.vm.get_vms()
        assert await tower.find_active() == tower.endpoint == url
    assert server.paths == ["/v2/api/get-vms"]


async def test_a_list_of_one_is_a_single_address() -> None:
    server = Server(health=503)
    async with serve(server) as url, Cloudtower([url], token=TOKEN, failover="always") as tower:
        await tower.vm.get_vms()
    assert server.paths == ["/v2/api/get-vms"]


# finding


@pytest.mark.parametrize("switched", [False, True])
async def test_calls_go_to_the_active_node_at_any_position(sim: Simulator, switched: bool) -> None:
    if switched:
        sim.switch()
    active, passive = reversed(sim.nodes) if switched else sim.nodes
    async with session(sim) as tower:
        assert tower.endpoint == active.url
        assert len(await tower.vm.get_vms()) == 8
    assert passive.turned_away == [HEALTH]


async def test_the_addresses_of_the_environment_are_separated_by_commas(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim.switch()
    monkeypatch.setenv("CLOUDTOWER_ENDPOINT", ", ".join(node.url for node in sim.nodes))
    async with Cloudtower.from_env(username=sim.username, password=sim.password) as tower:
        assert len(await tower.vm.get_vms()) == 8
        assert tower.endpoint == sim.nodes[1].url


async def test_nodes_are_probed_without_credentials_and_the_login_goes_to_the_active_node() -> None:
    first, second = Server(307), Server(200)
    async with (
        serve(first) as one,
        serve(second) as other,
        Cloudtower([one, other], username="root", password="x") as tower,
    ):
        await tower.vm.get_vms()
    assert first.seen == [(HEALTH, None)]
    assert second.seen == [(HEALTH, None), ("/v2/api/login", None), ("/v2/api/get-vms", TOKEN)]


async def test_concurrent_callers_share_one_probe() -> None:
    first, second = Server(307), Server(200)
    second.may_answer = anyio.Event()
    async with pair(first, second) as tower, anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(tower.vm.get_vms)
        await second.asked.wait()
        await anyio.wait_all_tasks_blocked()
        second.may_answer.set()
    assert first.paths == [HEALTH]
    assert second.paths == [HEALTH] + ["/v2/api/get-vms"] * 50


async def test_nodes_are_probed_concurrently() -> None:
    first, second = Server(307), Server(200)
    first.may_answer = second.may_answer = anyio.Event()
    async with pair(first, second) as tower, anyio.create_task_group() as group:
        group.start_soon(tower.find_active)
        await first.asked.wait()
        await second.asked.wait()
        first.may_answer.set()


async def test_all_waiters_get_the_error_and_the_next_call_probes_again() -> None:
    first, second = Server(307), Server(503)
    second.may_answer = anyio.Event()
    failures: list[NoActive] = []

    async def call(tower: Cloudtower) -> None:
        with pytest.raises(NoActive) as info:
            await tower.vm.get_vms()
        failures.append(info.value)

    async with pair(first, second, retry=ONCE) as tower:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(call, tower)
            await second.asked.wait()
            await anyio.wait_all_tasks_blocked()
            second.may_answer.set()
        assert (first.paths, second.paths) == ([HEALTH], [HEALTH] * 3)
        assert len({id(failure) for failure in failures}) == 20
        second.health = 200
        assert await tower.vm.get_vms() == []


async def test_a_failed_probe_is_retried() -> None:
    first, second = Server(307), Server(200)

    async def unsteady(request: web.Request) -> web.StreamResponse:
        if second.seen == []:
            second.seen.append((request.path, None))
            return web.Response(status=503)
        return await second(request)

    async with serve(first) as one, serve(unsteady) as other:
        tower = Cloudtower([one, other], token=TOKEN, retry=ONCE)
        await tower.vm.get_vms()
        await tower.close()
    assert (first.paths, second.paths) == ([HEALTH], [HEALTH, HEALTH, "/v2/api/get-vms"])


# none, several


async def test_both_nodes_passive_is_an_error(sim: Simulator, tower: Cloudtower) -> None:
    for node in sim.nodes:
        node.state = "passive"
    with pytest.raises(NoActive, match=r"vm\.get_vms: no server is active") as info:
        await tower.vm.get_vms()
    assert info.value.answers == {node.url: "passive" for node in sim.nodes}
    assert all(f"{node.url}: passive" in str(info.value) for node in sim.nodes)
    assert isinstance(info.value, ConnectionFailed)
    assert not info.value.sent


async def test_both_nodes_active_is_an_error(sim: Simulator) -> None:
    for node in sim.nodes:
        node.state = "active"
    tower = session(sim)
    with pytest.raises(MultipleActive, match=r"several servers are active") as info:
        await tower.vm.get_vms()
    await tower.close()
    assert info.value.answers == {node.url: "active" for node in sim.nodes}
    assert info.value.attempts == 4
    assert {one.path for one in sim.requests} == {HEALTH}


async def test_calls_work_if_one_node_is_down(sim: Simulator) -> None:
    await sim.nodes[1].refuse()
    async with session(sim) as tower:
        assert len(await tower.vm.get_vms()) == 8
    await sim.nodes[1].accept()


async def test_the_answer_of_each_node_is_reported() -> None:
    dead = f"http://127.0.0.1:{unused_port()}"
    async with (
        serve(Server(503)) as failing,
        serve(Server(204)) as odd,
        serve_bytes(hang=True) as hanging,
        serve(Server(307)) as passive,
    ):
        addresses = [dead, failing, odd, hanging, passive, "http://tower.invalid"]
        tower = Cloudtower(addresses, token=TOKEN, read_timeout=0.2)
        with pytest.raises(NoActive) as info:
            await tower.find_active()
        await tower.close()
    answers = [info.value.answers[address] for address in addresses]
    assert answers[0].startswith("no connection: Connection refused")
    assert answers[1:3] == ["HTTP 503", "HTTP 204"]
    assert answers[3].startswith("no byte of the answer")
    assert answers[4] == "passive"
    assert "cannot be resolved" in answers[5]


async def test_the_active_node_is_found_while_the_other_hangs() -> None:
    hanging = Server(0)
    async with pair(hanging, Server(200)) as tower:
        await tower.vm.get_vms()
    assert hanging.paths == [HEALTH]


@pytest.mark.parametrize("room", [1, 2])
async def test_hanging_calls_do_not_block_probes(room: int) -> None:
    first, second = Server(200, status=0), Server(307)
    async with pair(first, second, max_connections=room, max_in_flight=9) as tower:
        async with anyio.create_task_group() as group:
            for _ in range(room):
                group.start_soon(tower.vm.get_vms)
            while first.paths.count("/v2/api/get-vms") < room:
                await anyio.lowlevel.checkpoint()
            first.health, second.health = 0, 200
            with anyio.fail_after(4):
                assert await tower.find_active() == tower.endpoint
            group.cancel_scope.cancel()
        await tower.vm.get_vms()
    assert second.paths[-1] == "/v2/api/get-vms"


async def test_the_error_of_a_single_passive_node_suggests_both_addresses(sim: Simulator) -> None:
    alone = session(sim, endpoint=sim.nodes[1].url)
    with pytest.raises(UnexpectedStatus, match="may be the passive node; pass both addresses"):
        await alone.open()
    await alone.close()


async def test_a_mutation_rejected_by_a_single_passive_node_is_not_retried(sim: Simulator) -> None:
    token = sim.accounts.log_in(sim.username, sim.password, "LOCAL")
    vm = sim.add_vm(status="RUNNING")["id"]
    async with session(sim, endpoint=sim.nodes[1].url, token=token) as alone:
        with pytest.raises(UnexpectedStatus, match="may be the passive node") as info:
            await alone.vm.poweroff_vm(where={"id": vm})
        assert (info.value.status, info.value.attempts) == (307, 1)
        with pytest.raises(UnexpectedStatus) as info:
            await alone.cluster.get_clusters()
        assert info.value.attempts > 1


# following


async def test_a_mutation_rejected_by_the_passive_node_is_executed_once(
    sim: Simulator, tower: Cloudtower
) -> None:
    vm = sim.add_vm(status="RUNNING")["id"]
    sim.switch()
    await tower.vm.poweroff_vm(where={"id": vm})
    assert times_executed(sim, "poweroff-vm") == len(sim.sent("poweroff-vm")) == 1
    assert sim.nodes[0].turned_away == ["/v2/api/poweroff-vm", HEALTH]
    assert tower.endpoint == sim.nodes[1].url


async def test_switching_nodes_uses_no_retry(sim: Simulator) -> None:
    policy = RetryPolicy(attempts=1, budget=0)
    async with session(sim, retry=policy) as tower:
        sim.switch()
        assert len(await tower.vm.get_vms()) == 8


async def test_a_node_that_reports_active_but_redirects_ends_in_an_error() -> None:
    first, second = Server(200, status=307), Server(307)
    async with pair(first, second) as tower:
        with pytest.raises(UnexpectedStatus) as info:
            await tower.vm.get_vms()
    assert info.value.status == 307
    assert info.value.attempts == 5
    assert info.value.endpoint == tower.endpoint


async def test_the_redirect_is_not_followed() -> None:
    third = Server(200)
    async with serve(third) as elsewhere:

        async def passive(_: web.Request) -> web.Response:
            return web.Response(status=307, headers={"location": f"{elsewhere}/v2/api/get-vms"})

        async with serve(passive) as one, serve(passive) as other:
            tower = Cloudtower([one, other], token=TOKEN, retry=QUICK)
            with pytest.raises(NoActive):
                await tower.vm.get_vms()
            await tower.close()
    assert third.seen == []


async def test_when_the_active_node_is_down_calls_go_to_the_other(
    sim: Simulator, tower: Cloudtower
) -> None:
    vm = sim.add_vm(status="RUNNING")["id"]
    await sim.nodes[0].refuse()
    sim.switch()
    assert len(await tower.vm.get_vms()) == 9
    await tower.vm.poweroff_vm(where={"id": vm})
    assert times_executed(sim, "poweroff-vm") == 1
    await sim.nodes[0].accept()


@pytest.mark.parametrize("fault", ["reset", "hang", "503"])
async def test_a_mutation_of_unknown_outcome_is_not_resent_but_the_next_call_switches(
    sim: Simulator, fault: str
) -> None:
    vm = sim.add_vm(status="RUNNING")["id"]
    if fault == "503":
        sim.faults.fail("poweroff-vm", status=503, executed=True)
    else:
        getattr(sim.faults, fault)("poweroff-vm", executed=True)
    async with session(sim, read_timeout=0.2) as tower:
        with pytest.raises(OutcomeUnknown) as info:
            await tower.vm.poweroff_vm(where={"id": vm})
        assert info.value.endpoint == sim.nodes[0].url
        sim.switch()
        await tower.vm.get_vms()
    assert times_executed(sim, "poweroff-vm") == 1
    # The attempt was not in vain.
    assert sim.nodes[0].turned_away == [HEALTH]


async def test_an_error_of_the_call_itself_causes_no_probe(
    sim: Simulator, tower: Cloudtower
) -> None:
    asked = probes(sim.nodes[1])
    sim.faults.fail("get-vms", status=400)
    sim.faults.fail("get-vms", status=500)
    for _ in range(2):
        with pytest.raises(CallError):
            await tower.vm.get_vms()
    assert probes(sim.nodes[1]) == asked


async def test_a_late_error_of_the_old_node_does_not_replace_the_new_node(sim: Simulator) -> None:
    async with session(sim) as tower, anyio.create_task_group() as group:
        sim.faults.hang("get-clusters")
        group.start_soon(tower.cluster.get_clusters)
        while not sim.sent("get-clusters"):
            await anyio.lowlevel.checkpoint()
        sim.switch()
        await tower.vm.get_vms()
        asked = probes(sim.nodes[0])
        await sim.nodes[0].refuse()  # which ends the hanging call
        while len(sim.sent("get-clusters")) < 2:
            await anyio.lowlevel.checkpoint()
        await tower.vm.get_vms()
        assert probes(sim.nodes[0]) == asked
        await sim.nodes[0].accept()


async def test_the_session_logs_in_to_a_node_that_rejects_the_token(
    sim: Simulator, tower: Cloudtower
) -> None:
    vm = sim.add_vm(status="RUNNING")["id"]
    before = len(sim.sent("login"))
    sim.switch()
    sim.accounts.revoke_tokens()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(tower.vm.get_vms)
        await tower.vm.poweroff_vm(where={"id": vm})
    assert len(sim.sent("login")) == before + 1
    assert times_executed(sim, "poweroff-vm") == 1


async def test_a_call_may_log_in_to_both_nodes() -> None:
    first, second = Server(200, status=401), Server(307)

    async def first_forgets(request: web.Request) -> web.StreamResponse:
        if request.path == "/v2/api/login" and "/v2/api/get-vms" in first.paths:
            first.health, first.status, second.health = 307, 307, 200  # the node has become passive
            return login_answer("another")
        if request.path == "/v2/api/login":
            return login_answer()
        return await first(request)

    async def second_knows_nobody(request: web.Request) -> web.StreamResponse:
        if request.path == "/v2/api/login":
            return login_answer("the-second's")
        if request.headers.get("authorization") not in (None, "the-second's"):
            return web.Response(status=401)
        return await second(request)

    async with serve(first_forgets) as one, serve(second_knows_nobody) as other:
        tower = Cloudtower([one, other], username="root", password="x", retry=QUICK)
        assert await tower.vm.get_vms() == []
        await tower.close()
    assert second.seen[-1] == ("/v2/api/get-vms", "the-second's")


async def test_a_pair_that_switches_all_the_time_loses_nothing_and_does_nothing_twice(
    sim: Simulator,
) -> None:
    vms = [sim.add_vm(status="RUNNING")["id"] for _ in range(60)]
    patient = RetryPolicy(attempts=50, backoff=0.002, cap=0.01, budget=10_000)
    async with session(sim, retry=patient) as tower:

        async def work(vm: str) -> None:
            await tower.vm.poweroff_vm(where={"id": vm})
            (found,) = await tower.vm.get_vms(where={"id": vm})
            assert found.id == vm

        async with anyio.create_task_group() as group:
            for number, vm in enumerate(vms):
                group.start_soon(work, vm)
                if number % 6 == 5:
                    await anyio.sleep(0.002)
                    sim.switch()
    done = [one.body["where"]["id"] for one in sim.executed if one.path == "poweroff-vm"]
    assert sorted(done) == sorted(vms)


async def test_graphql_follows_the_active_node(sim: Simulator, tower: Cloudtower) -> None:
    sim.switch()
    await tower.graphql("{ authnStrategies { id type } }")
    assert sim.nodes[0].turned_away == ["/api", HEALTH]


async def test_calls_leave_a_node_whose_certificate_became_invalid(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = server_context(authority)
    async with (
        Simulator(clusters=1, vms=8, standby=True, tls=context) as sim,
        session(sim, ca_file=ca_file) as tower,
    ):
        await sim.nodes[0].refuse()
        other.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        await sim.nodes[0].accept()
        with pytest.raises(TLSFailed):
            await tower.vm.get_vms()
        authority.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        sim.switch()
        assert len(await tower.vm.get_vms()) == 8
        assert sim.nodes[0].turned_away == [HEALTH]


async def test_a_wait_for_a_task_continues_on_the_other_node(
    sim: Simulator, tower: Cloudtower
) -> None:
    vm = sim.add_vm(status="RUNNING")["id"]
    started = await tower.vm.poweroff_vm(where={"id": vm})
    sim.switch()
    (task,) = await tower.wait(started)
    assert task.status == "SUCCESSED"
    assert sim.nodes[0].turned_away[0] == "/v2/api/get-tasks"


async def test_the_change_feed_continues_on_the_other_node(sim: Simulator) -> None:
    feed = (sim.changes.username, sim.changes.password)
    async with session(sim, change_feed=feed) as tower:
        changes = tower.changes(["Vm"], interval=0.01)
        await changes.anchor()
        sim.switch()
        vm = sim.add_vm()["id"]
        assert (await anext(changes)).resource_id == vm
    assert sim.nodes[0].turned_away[0] == "/v2/api/resource-changes"


# manual, and always


async def test_in_manual_mode_a_call_rejected_by_the_passive_node_is_an_error(
    sim: Simulator,
) -> None:
    async with session(sim, failover="manual") as tower:
        sim.switch()
        with pytest.raises(UnexpectedStatus, match=r"await tower\.find_active") as info:
            await tower.vm.get_vms()
        assert (info.value.status, info.value.attempts) == (307, 1)
        assert tower.endpoint == info.value.endpoint == sim.nodes[0].url
        with pytest.raises(UnexpectedStatus):
            await tower.vm.get_vms()
        assert await tower.find_active() == sim.nodes[1].url == tower.endpoint
        assert len(await tower.vm.get_vms()) == 8


async def test_in_manual_mode_a_node_that_is_down_stays_selected(sim: Simulator) -> None:
    async with session(sim, failover="manual") as tower:
        await sim.nodes[0].refuse()
        sim.switch()
        with pytest.raises(ConnectionFailed) as info:
            await tower.vm.get_vms()
        assert info.value.attempts == 4
        assert len(sim.nodes[0].turned_away) == 0
        await sim.nodes[0].accept()


async def test_in_always_mode_nodes_are_probed_before_each_request(sim: Simulator) -> None:
    async with session(sim, failover="always") as tower:
        asked = probes(sim.nodes[1])
        await tower.vm.get_vms()
        assert probes(sim.nodes[1]) == asked + 1
        sim.switch()
        assert len(await tower.vm.get_vms()) == 8
    assert sim.nodes[0].turned_away == [HEALTH]


async def test_a_failed_probe_keeps_the_known_active_node(
    sim: Simulator, tower: Cloudtower
) -> None:
    sim.nodes[1].state = "active"
    with pytest.raises(MultipleActive):
        await tower.find_active()
    assert len(await tower.vm.get_vms()) == 8
    assert tower.endpoint == sim.nodes[0].url


# cancellation, closing, the clock


async def test_cancelling_the_caller_that_probes_passes_the_probe_on() -> None:
    first, second = Server(307), Server(200)
    second.may_answer = anyio.Event()
    async with pair(first, second) as tower:
        before = tasks_of_clients()
        found: list[object] = []

        async def lead(scope: anyio.CancelScope) -> None:
            with scope:
                await tower.vm.get_vms()

        async def follow() -> None:
            found.append(await tower.vm.get_vms())

        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(lead, scope)
            await second.asked.wait()
            for _ in range(5):
                group.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            second.may_answer.set()
        assert found == [[]] * 5
        assert tasks_of_clients() == before
    assert second.paths.count(HEALTH) == 2


async def test_a_failover_cancelled_at_any_moment_leaves_nothing_behind(sim: Simulator) -> None:
    number, cancelled = 0, True
    while cancelled:
        async with session(sim, max_in_flight=1) as tower:
            sim.switch()
            before = tasks_of_clients()
            cancelled = await cancelled_at(number, tower.vm.get_vms())
            assert tasks_of_clients() <= before
            assert len(await tower.vm.get_vms()) == 8
        number += 1
    assert number > 3


async def test_closing_ends_a_probe() -> None:
    first, second = Server(0), Server(307)
    async with pair(first, second) as tower, anyio.create_task_group() as group:

        async def ask(call: Any) -> None:  # noqa: ANN401
            with pytest.raises(SessionClosed, match="closed during"):
                await call()

        group.start_soon(ask, tower.find_active)
        group.start_soon(ask, tower.vm.get_vms)
        await first.asked.wait()
        await anyio.wait_all_tasks_blocked()
        await tower.close()
    with pytest.raises(SessionClosed):
        await tower.find_active()


async def test_a_call_that_times_out_during_a_probe_says_not_sent() -> None:
    async with pair(Server(0), Server(307), retry=ONCE) as tower:
        with pytest.raises(CallTimeout) as info:
            await tower.vm.get_vms(timeout=0.05)
    assert not info.value.sent


async def test_an_exception_of_a_hook_is_raised_as_it_is() -> None:
    async def broken(*_: object) -> None:
        raise ValueError("the hook broke")

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(broken)
    async with pair(Server(200), Server(307), trace_configs=[trace]) as tower:
        with pytest.raises(ValueError, match="the hook broke"):
            await tower.find_active()


async def test_a_change_of_the_active_node_is_logged(
    sim: Simulator, tower: Cloudtower, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cloudtower_async")
    sim.switch()
    await tower.vm.get_vms()
    first, second = sim.nodes
    expected = f"failover: {second.url} is now the active node, instead of {first.url}"
    assert expected in [record.getMessage() for record in caplog.records]


# TLS


async def test_the_tls_options_apply_to_both_nodes(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    tls = server_context(authority)
    async with Simulator(clusters=1, vms=8, standby=True, tls=tls) as sim:
        async with session(sim, ca_file=ca_file) as tower:
            for _ in range(2):
                assert len(await tower.vm.get_vms()) == 8
                sim.switch()
        untrusting = session(sim)
        with pytest.raises(NoActive, match="certificate was refused") as info:
            await untrusting.open()
        await untrusting.close()
        assert len(info.value.answers) == 2
