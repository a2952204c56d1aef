"""HTTP server of the exporter: ``/metrics`` and ``/healthz``."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from aiohttp import hdrs, web
from prometheus_client import ProcessCollector

from ...errors import InvalidSettings
from ...validators import check_option, count_fault, seconds_fault
from .passwords import Passwords
from .samples import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from ...options import StrPath
    from .exporter import Exporter

_log = logging.getLogger("cloudtower_async")

DEFAULT_PORT = 9469
"""Default port of the metrics server."""

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BACKLOG = 128
_CHECK_SECONDS = 1.0  # between two checks for a changed certificate
_PAUSE = 0.5  # seconds until the next attempt to accept a connection, if one fails
_SHUTDOWN_SECONDS = 1.0
_COMPRESS_LEVEL = 1  # 6 takes more than twice the CPU and saves a quarter


class MetricsServer:
    """HTTP or HTTPS server for the figures of an exporter. It runs during an ``async with`` block.

    A scrape of ``/metrics`` returns the latest figures and never waits for a Tower. ``/healthz``
    only reports that the process works, and needs no password. The number of connections is
    limited. Each connection serves one request. The time limit of a connection covers the TLS
    handshake, the headers and the answer.

    Args:
        exporter: Exporter whose figures are served. The caller has to enter the exporter.
        host: Address to listen on. ``"0.0.0.0"`` or ``"::"`` means all addresses of the machine.
        port: Port to listen on. 0 means any free port.
        tls_cert: PEM file with the certificate of the server and the intermediate certificates.
            None means no TLS. A changed file is read again without a restart.
        tls_key: PEM file with the private key. None means that the key is in ``tls_cert``.
        basic_auth: Users who may read the metrics: password hashes by user name, as
            `read_password_file` returns them. None means that no password is needed.
        max_connections: Maximum number of concurrent connections; further connections wait.
        connection_timeout: Time limit of a connection in seconds.

    Raises:
        InvalidSettings: An argument cannot be used; the error names it. Files are read when the
            server is entered.

    Example:
        ::

            async with Exporter({"prod": tower}) as exporter, MetricsServer(exporter) as server:
                print(server.url)
                await anyio.sleep_forever()
    """

    def __init__(
        self,
        exporter: Exporter,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        tls_cert: StrPath | None = None,
        tls_key: StrPath | None = None,
        basic_auth: Mapping[str, str] | None = None,
        max_connections: int = 32,
        connection_timeout: float = 30.0,
    ) -> None:
        check_option("port", count_fault(port, least=0))
        if port > 65_535:
            raise InvalidSettings(f"port: expected at most 65535, got {port}", option="port")
        check_option("max_connections", count_fault(max_connections))
        check_option("connection_timeout", seconds_fault(connection_timeout))
        if tls_key is not None and tls_cert is None:
            raise InvalidSettings("tls_key: pass tls_cert=, too", option="tls_key")
        self._exporter = exporter
        self._host = host
        self.port: int = port
        """Port that the server listens on."""
        self._certificate = None if tls_cert is None else _Certificate(tls_cert, tls_key)
        self._passwords = None if basic_auth is None else Passwords(basic_auth)
        self._timeout = connection_timeout
        self._slots = anyio.Semaphore(max_connections)
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """Address of the metrics."""
        scheme = "http" if self._certificate is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}/metrics"

    async def __aenter__(self) -> Self:
        """Start to listen on the address and the port.

        Raises:
            InvalidSettings: The certificate or the key cannot be used.
            OSError: The address or the port cannot be used.
        """
        async with AsyncExitStack() as stack:
            if self._certificate is not None:
                await self._certificate.load()
            self._process = await anyio.to_thread.run_sync(_process_collector)
            listener = await anyio.to_thread.run_sync(self._listen)
            stack.callback(listener.close)
            self.port = listener.getsockname()[1]
            self._server = web.Server(self._handle, handler_cancellation=True, access_log=None)
            stack.push_async_callback(self._server.shutdown, _SHUTDOWN_SECONDS)
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
            # If the group got the error of the block, it would wrap the error.
            stack.push_async_callback(self._group.__aexit__, None, None, None)
            stack.callback(self._group.cancel_scope.cancel)
            self._group.start_soon(self._accept, listener)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(exc_type, exc, traceback)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        both = self._host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(
            (self._host, self.port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
        listener.setblocking(False)
        return listener

    async def _accept(self, listener: socket.socket) -> None:
        """Accept connections until cancelled; connections above the limit wait in the backlog."""
        loop = asyncio.get_running_loop()
        while True:
            await self._slots.acquire()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as exc:  # such as too many open files
                self._slots.release()
                _log.warning("exporter: a connection cannot be accepted: %s", exc)
                await anyio.sleep(_PAUSE)
            else:
                self._group.start_soon(self._serve, connection)

    async def _serve(self, connection: socket.socket) -> None:
        """Serve a connection until it is closed or reaches its time limit."""
        protocol = _Connection(self._server())
        try:
            with anyio.move_on_after(self._timeout):
                context, limit = None, None
                if self._certificate is not None:
                    context, limit = await self._certificate.current(), self._timeout
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: protocol, connection, ssl=context, ssl_handshake_timeout=limit
                )
                await protocol.closed.wait()
        except Exception as exc:  # such as a failed TLS handshake: the server must continue
            _log.debug("exporter: connection failed: %s", exc)
        finally:
            protocol.abort()
            connection.close()
            self._slots.release()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._answer(request)
        response.force_close()  # one request per connection
        response.headers[hdrs.SERVER] = "cloudtower-async"
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path not in ("/metrics", "/healthz"):
            return web.Response(status=404, text="The metrics are at /metrics.\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={hdrs.ALLOW: "GET, HEAD"})
        if request.path == "/healthz":
            return web.Response(text="ok\n")
        if self._passwords is not None and not await self._passwords.allow(
            request.headers.get(hdrs.AUTHORIZATION)
        ):
            challenge = 'Basic realm="cloudtower-async", charset="UTF-8"'
            return web.Response(status=401, headers={hdrs.WWW_AUTHENTICATE: challenge})
        compress = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
        page = self._exporter.page()
        headers = {hdrs.CONTENT_TYPE: _CONTENT_TYPE, hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if compress:
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = await anyio.to_thread.run_sync(self._complete, page, compress)
        return web.Response(body=body, headers=headers)

    def _complete(self, page: bytes, compress: bool) -> bytes:
        """Add the metrics of this process to the response body `page`, and perhaps compress it."""
        page += rendered(*self._process.collect())
        return gzip.compress(page, _COMPRESS_LEVEL) if compress else page


def _process_collector() -> ProcessCollector:
    return ProcessCollector(registry=None)


class _Connection(asyncio.Protocol):
    """Forwards the events of a connection to a handler, and sets `closed` when it is closed."""

    def __init__(self, handler: asyncio.Protocol) -> None:
        self._handler = handler
        self._transport: asyncio.BaseTransport | None = None
        self.closed = anyio.Event()
        self.data_received = handler.data_received  # type: ignore[method-assign]
        self.eof_received = handler.eof_received  # type: ignore[method-assign]
        self.pause_writing = handler.pause_writing  # type: ignore[method-assign]
        self.resume_writing = handler.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._handler.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()
        self._handler.connection_lost(exc)

    def abort(self) -> None:
        """Close the connection at once, if it is open."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()


class _Certificate:
    """TLS context of the server, reloaded when the files change."""

    def __init__(self, cert: StrPath, key: StrPath | None) -> None:
        self._files = [Path(cert)] if key is None else [Path(cert), Path(key)]
        self._stamp: object = None
        self._context: ssl.SSLContext | None = None
        self._next_check = 0.0

    async def load(self) -> None:
        """Read the files of the certificate and the key.

        Raises:
            InvalidSettings: The files cannot be used.
        """
        self._stamp, self._context = await anyio.to_thread.run_sync(self._read)

    async def current(self) -> ssl.SSLContext | None:
        """Return the TLS context; check at most once a second whether the files have changed."""
        now = anyio.current_time()
        if now >= self._next_check:
            self._next_check = now + _CHECK_SECONDS
            try:
                if await anyio.to_thread.run_sync(self._stamp_of_files) != self._stamp:
                    await self.load()
            except (InvalidSettings, OSError) as exc:
                _log.warning("exporter: the previous certificate stays in use: %s", exc)
        return self._context

    def _stamp_of_files(self) -> object:
        found = [file.stat() for file in self._files]
        return [(one.st_mtime_ns, one.st_ino, one.st_size) for one in found]

    def _read(self) -> tuple[object, ssl.SSLContext]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            stamp = self._stamp_of_files()
            # Without a password OpenSSL would ask for it on the terminal.
            context.load_cert_chain(self._files[0], self._files[-1], password="")
        except OSError as exc:  # also ssl.SSLError
            names = " and ".join(map(str, self._files))
            raise InvalidSettings(
                f"tls_cert: {names} cannot be used: {exc.strerror or exc}; expected PEM files with "
                "a certificate and its private key, which has no password",
                option="tls_cert",
            ) from None
        return stamp, context
