"""Servers on loopback for tests."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import types
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio
from aiohttp import web

from cloudtower_async.options import Settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence

    import pytest

    from cloudtower_async.testing import Simulator

Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"

THOROUGH = bool(os.environ.get("THOROUGH"))
"""Whether tests run more cases than in CI: `nox -s thorough`."""

TOKEN = "t0ken-of-the-tests"
PASSWORD = "passw0rd-of-the-tests"


@asynccontextmanager
async def serve(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """Serve HTTP with one handler for everything; yields the root address."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serve_bytes(*pieces: bytes, hang: bool = False) -> AsyncGenerator[str]:
    """Answer each connection with these bytes, and close the connection.

    With `hang`, the connection stays open.
    """

    async def answer(stream: anyio.abc.ByteStream) -> None:
        # The client may close the connection first.
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.receive()
                for piece in pieces:
                    await stream.send(piece)
            if hang:
                await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, answer)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()


class Proxy:
    """An HTTP proxy on loopback, with and without CONNECT.

    Attributes:
        heads: Request line and headers of each connection.
        status: Status with which all requests are rejected. With None, requests are served.
        credential: Required value of `Proxy-Authorization`. With None, no value is required.
        url: Address of the proxy.
    """

    def __init__(self, *, status: int | None = None, credential: str | None = None) -> None:
        self.heads: list[str] = []
        self.status = status
        self.credential = credential
        self.url = ""

    async def __call__(self, client: anyio.abc.ByteStream) -> None:
        """Serve one connection."""
        async with client:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await self._serve(client)

    async def _serve(self, client: anyio.abc.ByteStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await client.receive()
        head = received.partition(b"\r\n\r\n")[0].decode()
        self.heads.append(head)
        status = self.status
        if self.credential and f"proxy-authorization: {self.credential}" not in _lower(head):
            status = 407
        if status is not None:
            await self._refuse(client, status)
            return
        method, target, _ = head.split(" ", 2)
        place = target if method == "CONNECT" else target.split("/")[2]
        host, _, port = place.rpartition(":")
        try:
            server = await anyio.connect_tcp(host, int(port))
        except (OSError, ValueError):
            await self._refuse(client, 502)
            return
        async with server, anyio.create_task_group() as group:
            if method == "CONNECT":
                await client.send(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                await server.send(received)
            group.start_soon(self._pump, client, server, group.cancel_scope)
            group.start_soon(self._pump, server, client, group.cancel_scope)

    async def _refuse(self, client: anyio.abc.ByteStream, status: int) -> None:
        head = f"HTTP/1.1 {status} Sorry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        await client.send(head.encode())

    async def _pump(
        self,
        source: anyio.abc.ByteStream,
        target: anyio.abc.ByteStream,
        scope: anyio.CancelScope,
    ) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await target.send(await source.receive())
        scope.cancel()


def _lower(head: str) -> str:
    """Lowercase the names of headers."""
    return re.sub(r"^[\w-]+:", lambda name: name[0].lower(), head, flags=re.MULTILINE)


@asynccontextmanager
async def serve_proxy(proxy: Proxy) -> AsyncGenerator[Proxy]:
    """Serve a proxy; `url` is its address."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, proxy)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        proxy.url = f"http://127.0.0.1:{port}"
        yield proxy
        group.cancel_scope.cancel()


def tasks_of_clients() -> set[asyncio.Task[Any]]:
    """Return the tasks of this event loop, except the tasks of test servers."""
    of_servers = ("RequestHandler", "_accept_connection")
    tasks = asyncio.all_tasks()
    return {task for task in tasks if not any(name in repr(task) for name in of_servers)}


def unused_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def login_variables(sim: Simulator) -> dict[str, str]:
    """Return the environment variables with which a program logs in to a simulator."""
    return {
        "CLOUDTOWER_ENDPOINT": sim.url,
        "CLOUDTOWER_USERNAME": sim.username,
        "CLOUDTOWER_PASSWORD": sim.password,
    }


def set_login_variables(monkeypatch: pytest.MonkeyPatch, sim: Simulator) -> None:
    """Set the environment variables with which this process logs in to a simulator."""
    for name, text in login_variables(sim).items():
        monkeypatch.setenv(name, text)


def settings(endpoint: str | Sequence[str] = "tower.example", **options: object) -> Settings:
    """Return settings with a token, or with a password if a user name is among the options."""
    if "username" in options:
        options.setdefault("password", PASSWORD)
    else:
        options.setdefault("token", TOKEN)
    return settings_of(endpoint=endpoint, **options)


def settings_of(**options: object) -> Settings:
    """Return settings with these options. All other options have their defaults."""
    return Settings(**cast("dict[str, Any]", options))


def is_login(request: web.Request) -> bool:
    """Return whether a request is a login."""
    return request.path == "/v2/api/login"


def login_answer(token: str = TOKEN) -> web.Response:
    """Return the answer to a login."""
    return web.json_response({"task_id": None, "data": {"token": token}})


class Countdown:
    """Calls `cancel` after a number of iterations of the event loop."""

    def __init__(self, rounds: int, cancel: Callable[[], object]) -> None:
        self._left = rounds
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self.fired = False
        self._next()

    def _next(self) -> None:
        self._handle = self._loop.call_soon(self._count)

    def _count(self) -> None:
        self._left -= 1
        if self._left > 0:
            self._next()
        else:
            # A task that has just ended cannot be cancelled.
            self.fired = self._cancel() is not False

    def stop(self) -> None:
        """Stop without cancelling."""
        self._handle.cancel()


async def cancelled_at(number: int, call: Coroutine[Any, Any, object]) -> bool:
    """Run a call, cancel the call at one of its waits, and return whether it was cancelled.

    `number` is the number of waits before the cancellation.
    """
    with anyio.CancelScope() as scope:
        await _interrupted(call, number, scope)
    return scope.cancelled_caught


@types.coroutine
def _interrupted(
    call: Coroutine[Any, Any, object], number: int, scope: anyio.CancelScope
) -> Generator[object, object, None]:
    resume = partial(call.send, None)
    with suppress(StopIteration):
        while True:
            waits_for = resume()
            if number == 0:
                scope.cancel()
            number -= 1
            try:
                resume = partial(call.send, (yield waits_for))
            except BaseException as exc:
                resume = partial(call.throw, exc)
