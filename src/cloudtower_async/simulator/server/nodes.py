"""Nodes: the single node of a Tower, or the two nodes of an active/passive pair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
import anyio.lowlevel
from aiohttp import web

from ..request_log import append_bounded

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

State: TypeAlias = Literal["active", "passive", "failing"]

_STOPPING = 5.0  # seconds that the server waits for running requests when it stops


class Node:
    """Node of the server. Each node listens on its own address.

    Args:
        handler: Function that handles requests while the node is active.
        nodes: All nodes of the server. A passive node redirects to the active node in this list.
        state: Initial state of the node: ``active``, ``passive`` or ``failing``.
        keep_requests: Maximum number of paths in `turned_away`, the list of requests to a node that
            is not active. None means no maximum.
    """

    url: str
    """URL of the node: ``http://127.0.0.1:…``, or ``https://localhost:…`` with TLS."""

    def __init__(
        self, handler: Handler, nodes: Sequence[Node], state: State, *, keep_requests: int | None
    ) -> None:
        self.state: State = state
        """State of the node: ``active``, ``passive`` or ``failing``.

        An active node executes requests. A passive node redirects requests with status 307. A
        failing node responds with status 503.
        """
        self.turned_away: list[str] = []
        """URL paths of the requests that arrived while the node was not active."""
        self._handler = handler
        self._nodes = nodes
        self._keep_requests = keep_requests
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None

    async def start(self, port: int, tls: ssl.SSLContext | None) -> None:
        """Start listening on a port. With port 0, the operating system chooses a free port."""
        self._port, self._tls = port, tls
        self._loop = asyncio.get_running_loop()
        # No access log is needed, because the server records the requests.
        self._server = web.Server(self._handle, access_log=None)
        self._runner = runner = web.ServerRunner(self._server, shutdown_timeout=_STOPPING)
        await runner.setup()
        await self._accept()
        self.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self._port}"

    async def accept(self) -> None:
        """Accept connections again after `refuse`."""
        await self._in_its_loop(self._accept)

    async def refuse(self) -> None:
        """Close all connections, and refuse new connections until `accept` is called."""
        await self._in_its_loop(self._refuse)

    async def stop(self) -> None:
        """Stop listening, and close all connections."""
        await self._in_its_loop(self._stop)

    async def _in_its_loop(self, do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a function in the event loop of the node, even if the caller uses another loop."""
        if self._runner is None:  # the node has stopped, and its loop may be closed
            return
        if asyncio.get_running_loop() is self._loop:
            await do()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(do(), self._loop))

    async def _accept(self) -> None:
        if self._runner is not None and self._site is None:
            site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls)
            await site.start()
            # `site.port` exists only in aiohttp 3.14 and later.
            self._site, self._port = site, self._runner.addresses[0][1]

    async def _refuse(self) -> None:
        site, self._site = self._site, None
        if site is not None:
            await site.stop()
            for connection in self._server.connections:
                connection.force_close()
            await anyio.lowlevel.checkpoint()  # the event loop closes the sockets here

    async def _stop(self) -> None:
        runner, self._runner, self._site = self._runner, None, None
        if runner is not None:
            with anyio.move_on_after(2 * _STOPPING, shield=True):
                await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.state == "active":
            return await self._handler(request)
        append_bounded(self.turned_away, request.path, self._keep_requests)
        if self.state == "failing":
            return web.Response(status=503)
        active = [node.url for node in self._nodes if node.state == "active"]
        headers = {"location": f"{active[0]}{request.path_qs}"} if active else {}
        return web.Response(status=307, headers=headers)
