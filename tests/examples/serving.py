"""A web app on loopback, and a reader of its server-sent events."""

from __future__ import annotations

import socket
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import msgspec
import uvicorn

from cloudtower_async import Cloudtower, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from fastapi import FastAPI

    from cloudtower_async.testing import Simulator


def session(sim: Simulator, password: str | None = None) -> Cloudtower:
    """A session that fails quickly."""
    return Cloudtower(
        sim.url,
        username=sim.username,
        password=password or sim.password,
        retry=RetryPolicy(attempts=1),
    )


@asynccontextmanager
async def serving(app: FastAPI, port: int = 0) -> AsyncGenerator[str]:
    """Serve an app on a free port, or on the given one; yield its address."""
    # Listen before the app starts: earlier clients wait for the app.
    with socket.create_server(("127.0.0.1", port)) as listener:
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        ended = anyio.Event()

        async def serve() -> None:
            await server.serve(sockets=[listener])
            ended.set()

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                # Not by cancellation when a test fails: that would leave the socket open.
                server.should_exit = True
                await ended.wait()


@asynccontextmanager
async def listening(address: str, language: str = "en-US") -> AsyncGenerator[AsyncIterator[Any]]:
    """Yield the decoded states that a browser gets, without the initial curves."""
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{address}/events", params={"language": language}) as answer,
        aclosing(_events(answer)) as events,
    ):
        name, _ = await anext(events)
        assert name == "uses"
        async with aclosing(_states(events)) as states:
            yield states


async def _states(events: AsyncGenerator[tuple[str, Any]]) -> AsyncGenerator[Any]:
    async for name, data in events:
        assert name == "state"
        yield data


async def _events(answer: aiohttp.ClientResponse) -> AsyncGenerator[tuple[str, Any]]:
    name, rest = "", b""
    async for part in answer.content.iter_any():
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            field, _, value = line.partition(b": ")
            if field == b"event":
                name = value.decode()
            elif field == b"data":
                yield name, msgspec.json.decode(value)
