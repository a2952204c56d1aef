"""The app of the FastAPI example, without a browser: its requests, answers and errors."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.lowlevel
import msgspec
import pytest

from cloudtower_async import InvalidSettings
from cloudtower_async.recipes import Dashboard, build_dashboard
from cloudtower_async.testing import Simulator
from examples.fastapi_dashboard.app import create_app
from examples.fastapi_dashboard.feed import Feed
from examples.fastapi_dashboard.shapes import MOST_ALERTS, board_of
from tests.examples.serving import listening, serving, session
from tests.support import tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

pytestmark = pytest.mark.anyio

NEVER = 3600.0  # seconds between polls: only a new subscriber causes a poll
OFTEN = 0.01


@asynccontextmanager
async def dashboard(interval: float) -> AsyncGenerator[tuple[Simulator, str]]:
    async with (
        Simulator(vms=12) as sim,
        serving(create_app(session(sim), interval=interval)) as address,
    ):
        yield sim, address


async def back_to(tasks: int) -> None:
    """Wait until only this number of tasks is left, because the browsers have disconnected."""
    while len(tasks_of_clients()) > tasks:
        await anyio.lowlevel.checkpoint()


def polls(sim: Simulator) -> int:
    return len(sim.sent("get-clusters"))


async def test_many_browsers_share_one_poll() -> None:
    async with dashboard(NEVER) as (sim, address), AsyncExitStack() as stack:
        boards: list[Any] = []
        for _ in range(20):
            states = await stack.enter_async_context(listening(address))
            boards.append((await anext(states))["board"])
        assert polls(sim) == 1
        assert boards == boards[:1] * 20
        assert boards[0]["alert_counts"]["total"] > 0


async def test_no_request_is_sent_before_a_browser_connects() -> None:
    async with dashboard(OFTEN) as (sim, address), aiohttp.ClientSession() as client:
        for path in ("/", "/dashboard.js", "/dashboard.css", "/icon.svg"):
            async with client.get(f"{address}{path}") as answer:
                assert answer.status == 200
        assert not sim.requests


async def test_no_request_is_sent_after_the_last_browser_has_left() -> None:
    async with Simulator(vms=4) as sim, session(sim) as tower:
        feed = Feed(tower, OFTEN)
        async with feed.listen("en-US") as states:
            await anext(states)
            await anext(states)
        asked = polls(sim)
        for _ in range(50):  # takes many times the interval
            await tower.vm.get_vms()
        assert polls(sim) <= asked + 1  # one may have been running


async def test_the_next_browser_gets_the_current_state() -> None:
    async with dashboard(NEVER) as (sim, address):
        async with aiohttp.ClientSession() as client, client.get(address):
            before = len(tasks_of_clients())
        async with listening(address) as states:
            first = (await anext(states))["board"]["alert_counts"]["total"]
        await back_to(before)
        sim.add_alert()
        async with listening(address) as states:
            assert (await anext(states))["board"]["alert_counts"]["total"] == first + 1
        assert polls(sim) == 2


async def test_a_thousand_listeners_share_one_poll_per_interval() -> None:
    async with Simulator(vms=4) as sim, session(sim) as tower, AsyncExitStack() as stack:
        feed = Feed(tower, OFTEN)
        listeners = [await stack.enter_async_context(feed.listen("en-US")) for _ in range(1000)]
        for number in range(1, 4):
            states: list[str] = []

            async def follow(one: AsyncIterator[str], into: list[str] = states) -> None:
                into.append(await anext(one))

            async with anyio.create_task_group() as group:
                for one in listeners:
                    group.start_soon(follow, one)
            assert len(states) == 1000
            assert {id(state) for state in states} == {id(states[0])}  # shared, not copied
            assert polls(sim) == number


async def test_a_slow_listener_misses_states_and_does_not_delay_others() -> None:
    async with Simulator(vms=4) as sim, session(sim) as tower:
        feed = Feed(tower, OFTEN)
        async with feed.listen("en-US") as slow, feed.listen("en-US") as quick:
            first = await anext(slow)
            seen = [await anext(quick) for _ in range(6)]
            latest = await anext(slow)
        assert first in seen[:2]
        assert latest not in seen[:-1]


async def test_a_browser_that_reads_nothing_does_not_delay_others() -> None:
    async with dashboard(OFTEN) as (sim, address):
        for _ in range(MOST_ALERTS):  # a megabyte per state, which exceeds all buffers
            sim.add_alert(severity="INFO", cause="long " * 1000)
        port = int(address.rpartition(":")[2])
        async with (
            await anyio.connect_tcp("127.0.0.1", port) as deaf,
            listening(address) as states,
        ):
            await deaf.send(b"GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            for _ in range(15):
                await anext(states)


async def test_a_closed_browser_leaves_no_task_behind() -> None:
    async with dashboard(NEVER) as (_, address), listening(address) as states:
        await anext(states)
        before = len(tasks_of_clients())
        for _ in range(10):
            async with listening(address) as others:
                await anext(others)
        await back_to(before)


async def test_each_language_has_its_own_texts() -> None:
    async with (
        dashboard(NEVER) as (sim, address),
        listening(address) as english,
        listening(address, "zh-CN") as chinese,
    ):
        rows = (await anext(english))["board"]["alerts"]
        translated = (await anext(chinese))["board"]["alerts"]
    assert rows
    for row, other in zip(rows, translated, strict=True):
        assert row["id"] == other["id"]
        for text in ("message", "cause", "impact", "solution"):
            assert other[text] == sim.store.translations[row[text]] != row[text]


async def test_an_unknown_language_is_rejected() -> None:
    async with (
        dashboard(NEVER) as (sim, address),
        aiohttp.ClientSession() as client,
        client.get(f"{address}/events", params={"language": "tlh"}) as answer,
    ):
        assert answer.status == 422
        assert not sim.requests


async def test_an_outage_of_the_tower_is_reported_and_ends() -> None:
    async with Simulator(vms=4) as sim:
        await sim.nodes[0].refuse()
        async with (
            serving(create_app(session(sim), interval=OFTEN)) as address,
            listening(address) as states,
        ):
            state = await anext(states)
            assert state["board"] is None
            assert sim.url in state["trouble"]["message"]
            since = state["trouble"]["since"]
            assert (await anext(states))["trouble"]["since"] == since

            await sim.nodes[0].accept()
            while state["trouble"]:
                state = await anext(states)
            board = state["board"]

            await sim.nodes[0].refuse()
            while not state["trouble"]:
                board, state = state["board"], await anext(states)
            assert state["board"] == board
            assert state["trouble"]["since"] > since


async def test_a_refused_login_is_not_tried_again_at_once() -> None:
    async with (
        Simulator(vms=4) as sim,
        serving(create_app(session(sim, password="wrong"), interval=OFTEN)) as address,
        listening(address) as states,
    ):
        state = await anext(states)
        assert "credentials were refused" in state["trouble"]["message"]
        assert state["interval"] == 60
        assert len(sim.requests) == 1


async def test_the_curves_so_far_come_first() -> None:
    async with Simulator(vms=4) as sim, session(sim) as tower:
        feed = Feed(tower, OFTEN)
        assert feed.uses() == "[]"
        async with feed.listen("en-US") as states:
            boards = [msgspec.json.decode(await anext(states))["board"] for _ in range(3)]
            uses = msgspec.json.decode(feed.uses())
        names = ("cpu", "memory", "storage")
        wanted = [[board[name]["usage"]["value"] for name in names] for board in boards]
        assert [use[1:] for use in uses][:2] == wanted[:2]
        assert [use[0] for use in uses] == sorted({use[0] for use in uses})


async def test_programs_get_the_complete_dashboard_as_json() -> None:
    async with dashboard(NEVER) as (sim, address), aiohttp.ClientSession() as client:
        async with client.get(f"{address}/api/dashboard", params={"language": "zh-CN"}) as answer:
            told = msgspec.json.decode(await answer.read(), type=Dashboard)
        async with session(sim) as tower:
            wanted = await build_dashboard(tower, content_language="zh-CN")
        assert msgspec.structs.replace(told, built_at=wanted.built_at) == wanted

        await sim.nodes[0].refuse()
        async with client.get(f"{address}/api/dashboard") as answer:
            assert answer.status == 503
            assert sim.url in (await answer.json())["detail"]


async def test_a_flood_of_alerts_is_cut_but_counted() -> None:
    async with Simulator(vms=4) as sim, session(sim) as tower:
        for number in range(MOST_ALERTS + 5):
            sim.add_alert(severity="INFO", local_start_time=f"2026-01-01T00:00:00.{number:03}Z")
        board = board_of(await build_dashboard(tower))
    infos = [row for row in board.alerts if row.kind == "info"]
    assert len(infos) == MOST_ALERTS
    assert board.alert_counts.info > MOST_ALERTS
    assert infos[0].since.endswith(f".{MOST_ALERTS + 4:03}Z")


async def test_the_app_ends_while_a_browser_listens() -> None:
    async with Simulator(vms=4) as sim:
        tower = session(sim)
        async with AsyncExitStack() as stack:
            async with serving(create_app(tower, interval=OFTEN)) as address:
                states = await stack.enter_async_context(listening(address))
                await anext(states)
            with pytest.raises(aiohttp.ClientPayloadError):
                _ = [state async for state in states]
        assert "closed" in repr(tower)


async def test_an_environment_without_an_endpoint_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CLOUDTOWER_ENDPOINT", raising=False)
    with pytest.raises(InvalidSettings, match="endpoint"):
        create_app()


@pytest.mark.subprocess
async def test_one_command_shows_a_simulated_tower() -> None:
    command = [sys.executable, "-m", "examples.fastapi_dashboard", "--port=0"]
    environment = {name: value for name, value in os.environ.items() if "CLOUDTOWER" not in name}
    async with await anyio.open_process(command, env=environment) as process:
        assert process.stderr is not None
        told = ""
        while not (found := re.search(r"running on (http://[\d.:]+)", told)):
            told += (await process.stderr.receive()).decode()
        async with listening(found[1]) as states:
            state = await anext(states)
            assert state["endpoint"] in told
            assert state["board"]["clusters"]
            process.send_signal(signal.SIGINT)
            assert all([state["trouble"] is None async for state in states])
        told += "".join([part.decode() async for part in process.stderr])
        assert await process.wait() == 0
    assert "Traceback" not in told


async def test_only_allowed_hosts_are_served_and_every_answer_has_a_policy() -> None:
    async with Simulator(vms=2) as sim:
        app = create_app(session(sim), interval=NEVER, hosts=["127.0.0.1", "wall.example", "::1"])
        async with serving(app) as address, aiohttp.ClientSession(address) as client:
            port = address.rpartition(":")[2]
            own = ("127.0.0.1", f"127.0.0.1:{port}", "WALL.example:80", "[::1]:8000")
            others = ("evil.example", "127.0.0.1.evil.example", "[::1", "a@b:c:d", "")
            for path in ("/", "/dashboard.js", "/api/dashboard", "/events", "/none"):
                for host in (*own, *others):
                    async with client.get(path, headers={"host": host}) as answer:
                        expected = 404 if path == "/none" else 200
                        assert answer.status == (expected if host in own else 400), (path, host)
                        policy = answer.headers["content-security-policy"]
                        assert "default-src 'none'" in policy
                        assert "frame-ancestors 'none'" in policy
                        assert answer.headers["x-content-type-options"] == "nosniff"
            for path in ("/docs", "/redoc"):
                async with client.get(path) as answer:
                    assert answer.status == 404
