"""Streams of the FastAPI example: shared polls, disconnecting clients, stopping servers."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from cloudtower_async.testing import Simulator
from examples.fastapi_streams import app
from examples.server_shutdown import on_stop_signal
from tests.examples.serving import serving
from tests.support import login_variables, set_login_variables, tasks_of_clients

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import Process

pytestmark = pytest.mark.anyio

KINDS = ("events", "live")


@asynccontextmanager
async def opened(address: str, kind: str) -> AsyncGenerator[AsyncGenerator[Any]]:
    """Yield the decoded states of one stream."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession(address))
        states = _events(client) if kind == "events" else _messages(client)
        yield await stack.enter_async_context(aclosing(states))


async def _events(client: aiohttp.ClientSession) -> AsyncGenerator[Any]:
    async with client.get("/events") as answer:
        async for line in answer.content:
            if line.startswith(b"data: "):
                yield msgspec.json.decode(line.removeprefix(b"data: "))


async def _messages(client: aiohttp.ClientSession) -> AsyncGenerator[Any]:
    # The server closes without waiting for an answer. If that was before this test reads the close
    # code, aiohttp cannot answer and would replace the code by 1006.
    async with client.ws_connect("/live", autoclose=False) as websocket:
        async for message in websocket:
            yield msgspec.json.decode(message.data)
        assert websocket.close_code == 1012


async def test_many_streams_share_one_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(vms=4) as sim, AsyncExitStack() as stack:
        set_login_variables(monkeypatch, sim)
        address = await stack.enter_async_context(serving(app))
        states: list[Any] = []
        for kind in KINDS * 5:
            stream = await stack.enter_async_context(opened(address, kind))
            states.append(await anext(stream))
        assert states == states[:1] * 10
        assert len(states[0]) == 4
        lists = [sent for sent in sim.sent("get-vms") if "where" not in sent]
        assert len(lists) < len(states)
        await stack.aclose()


async def test_a_client_that_disconnects_leaves_no_task_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Simulator(vms=4) as sim:
        set_login_variables(monkeypatch, sim)
        async with serving(app) as address:
            async with aiohttp.ClientSession(address) as client, client.get("/docs"):
                before = len(tasks_of_clients())
            for kind in KINDS * 3:
                async with opened(address, kind) as stream:
                    await anext(stream)
            while len(tasks_of_clients()) > before:
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def uvicorn(
    *arguments: str, environment: dict[str, str]
) -> AsyncGenerator[tuple[Process, str]]:
    """Run uvicorn as a process; yield the process and its address."""
    # Listen before the workers start: earlier clients wait for them.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        descriptor = listener.fileno()
        process = await anyio.open_process(
            [sys.executable, "-m", "uvicorn", *arguments, "--fd", str(descriptor)],
            env={**os.environ, **environment},
            pass_fds=[descriptor],
            stdout=None,
            stderr=None,
            start_new_session=True,
        )
    try:
        yield process, address
    finally:
        with suppress(ProcessLookupError):  # the usual case: all have ended
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def children_of(process: Process) -> list[Path]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    return [Path(f"/proc/{pid}") for pid in listed.split()]


@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_streams_end_cleanly_when_uvicorn_and_its_workers_are_stopped() -> None:
    async with Simulator(vms=3) as sim, AsyncExitStack() as stack:
        process, address = await stack.enter_async_context(
            uvicorn(
                "examples.fastapi_streams:app",
                "--workers=3",
                environment=login_variables(sim),
            )
        )
        streams: list[AsyncGenerator[Any]] = []
        for kind in KINDS * 2:
            stream = await stack.enter_async_context(opened(address, kind))
            assert len(await anext(stream)) == 3
            streams.append(stream)
        children = children_of(process)
        assert len(children) >= 3
        process.send_signal(signal.SIGTERM)
        for stream in streams:
            assert [state async for state in stream] == []  # an error if it is cut off
        assert await process.wait() == 0
        while any(child.exists() for child in children):  # noqa: ASYNC110 - there is no event to wait for
            await anyio.sleep(0.01)
        await stack.aclose()


async def test_the_signal_handler_of_the_server_is_called_and_restored() -> None:
    handled: list[int] = []

    def of_server(number: int, _frame: object) -> None:
        handled.append(number)

    before = signal.signal(signal.SIGTERM, of_server)
    try:
        stopping = anyio.Event()
        with on_stop_signal(stopping.set):
            os.kill(os.getpid(), signal.SIGTERM)
            await stopping.wait()
        assert handled == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is of_server
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_default_handler_stays_the_default() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with on_stop_signal(anyio.Event().set):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_without_the_main_thread_no_handler_is_set() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def in_thread() -> None:
        with on_stop_signal(anyio.Event):
            assert signal.getsignal(signal.SIGTERM) is before

    await anyio.to_thread.run_sync(in_thread)
