"""Servers on loopback for tests."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import socket
import types
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from aiohttp import web

from cloudtower_async import Cloudtower
from cloudtower_async.settings import Settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence

Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"

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
    """Answer each connection with these bytes, then close it, or with ``hang`` keep it open."""

    async def answer(stream: anyio.abc.ByteStream) -> None:
        # Who hangs up first, out of patience, misses nothing.
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


def tasks_of_clients() -> set[asyncio.Task[Any]]:
    """The tasks of this event loop, without those of the connections of a server in it."""
    of_servers = ("RequestHandler", "_accept_connection")
    tasks = asyncio.all_tasks()
    return {task for task in tasks if not any(name in repr(task) for name in of_servers)}


def unused_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(endpoint: str | Sequence[str] = "tower.example", **options: object) -> Settings:
    """Settings with a token, unless a user name is among the options."""
    if "username" in options:
        options.setdefault("password", PASSWORD)
    else:
        options.setdefault("token", TOKEN)
    return settings_of(endpoint=endpoint, **options)


def settings_of(**options: object) -> Settings:
    """Settings with these options, and the defaults of `Cloudtower` for the others."""
    parameters = inspect.signature(Cloudtower).parameters
    chosen: dict[str, Any] = {
        one.name: parameters[one.name].default for one in dataclasses.fields(Settings) if one.init
    }
    chosen.update(options)
    return Settings(**chosen)


def is_login(request: web.Request) -> bool:
    """Tell a login from other calls."""
    return request.path == "/v2/api/login"


def login_answer(token: str = TOKEN) -> web.Response:
    """What a server answers to a login."""
    return web.json_response({"task_id": None, "data": {"token": token}})


class Countdown:
    """Cancels when the event loop has come round so many times."""

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
            # A task that has just ended cannot be cancelled any more.
            self.fired = self._cancel() is not False

    def stop(self) -> None:
        """Cancel no more."""
        self._handle.cancel()


async def cancelled_at(number: int, call: Coroutine[Any, Any, object]) -> bool:
    """Run a call and cancel it where it waits for the so-manieth time; False: it never did."""
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
