"""Connections on which the server sent unrequested data, with raw servers."""

from __future__ import annotations

import contextlib
import io
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import anyio.abc
import pytest
import trustme
from aiohttp import web

from cloudtower_async import Cloudtower, ConnectionFailed, RetryPolicy, errors
from tests.support import TOKEN, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy(attempts=1)
DONE = b'[{"task_id": "stale", "data": {"id": "stale"}}]'
NO = b'{"message": "not permitted", "status": 403, "path": "/delete-vm"}'


def response(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


STRAY = {
    "a second response": response(DONE),
    "a 408": response(b"", "408 Request Timeout", "connection: close\r\n"),
    "a 408 as proxies write it": b"HTTP/1.0 408 Request Time-out\r\nconnection: close\r\n\r\n",
    "half of a status line": b"HTTP/1.1 2",
    "half of the headers": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n",
    "headers without their body": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
    "half of a chunked body": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[",
    "an interim response": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nhello",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "two of them": response(DONE) * 2,
}


class Raw:
    """Answers queries with an empty list and mutations with 403, one connection at a time.

    Args:
        stray: Unrequested bytes to send, once per connection.
        together: Whether the unrequested bytes are sent together with the first response. If False,
            `push` sends them.
    """

    def __init__(self, stray: bytes = b"", *, together: bool = False) -> None:
        self._stray = stray
        self._together = together
        self._clean: list[anyio.abc.ByteStream] = []
        self._connections = 0
        self.seen: list[tuple[int, str]] = []
        """Connection and path of each request."""
        self.bodies: list[bytes] = []

    async def handle(self, stream: anyio.abc.ByteStream) -> None:
        number = self._connections
        self._connections += 1
        self._clean.append(stream)
        stray = self._stray if self._together else b""
        async with stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    path = await self._request(stream)
                    self.seen.append((number, path))
                    no = path.endswith("/delete-vm")
                    answer = response(NO, "403 Forbidden") if no else response(b"[]")
                    await stream.send(answer + stray)
                    stray = b""

    async def _request(self, stream: anyio.abc.ByteStream) -> str:
        received = b""
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += await stream.receive()
        self.bodies.append(body)
        return head.split(b" ")[1].decode()

    async def push(self) -> None:
        """Send the unrequested bytes on all connections that have not received them yet."""
        while self._clean:
            await self._clean.pop().send(self._stray)


@contextlib.asynccontextmanager
async def running(raw: Raw) -> AsyncGenerator[str]:
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, raw.handle)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


@pytest.mark.parametrize("read_first", [True, False], ids=["read", "still in the system"])
@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
async def test_a_mutation_is_sent_once_on_a_clean_connection(
    stray: bytes, *, read_first: bool
) -> None:
    raw = Raw(stray)
    async with running(raw) as url, Cloudtower(url, token=TOKEN, retry=ONCE) as tower:
        for round_ in range(3):
            await tower.vm.get_vms()
            await raw.push()
            if read_first:
                await anyio.wait_all_tasks_blocked()
            with pytest.raises(errors.Forbidden):
                await tower.vm.delete_vm(where={"id": "a"})
            assert [path for _, path in raw.seen].count("/v2/api/delete-vm") == round_ + 1


# Without "no HTTP", which also makes the response unreadable.
@pytest.mark.parametrize("stray", [s for s in STRAY.values() if s.startswith(b"HTTP")])
async def test_bytes_behind_a_response_count_too(stray: bytes) -> None:
    raw = Raw(stray, together=True)
    async with running(raw) as url, Cloudtower(url, token=TOKEN, retry=ONCE) as tower:
        for _ in range(3):
            assert await tower.vm.get_vms() == []
            with pytest.raises(errors.Forbidden):
                await tower.vm.delete_vm(where={"id": "a"})
    assert len(raw.seen) == 6
    assert len({number for number, _ in raw.seen}) == 6


async def test_a_connector_of_the_caller_is_checked_too() -> None:
    raw = Raw(STRAY["a second response"])
    async with running(raw) as url, aiohttp.TCPConnector() as connector:
        tower = Cloudtower(url, token=TOKEN, retry=ONCE, connector=connector)
        await tower.vm.get_vms()
        await raw.push()
        with pytest.raises(errors.Forbidden):
            await tower.vm.delete_vm(where={"id": "a"})
        await tower.close()
    assert raw.seen == [(0, "/v2/api/get-vms"), (1, "/v2/api/delete-vm")]


async def test_any_number_of_stale_connections_takes_no_retry() -> None:
    raw = Raw(STRAY["a 408"])
    async with running(raw) as url, Cloudtower(url, token=TOKEN, retry=ONCE) as tower:
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(tower.vm.get_vms)
        assert len({number for number, _ in raw.seen}) == 8
        await raw.push()
        assert await tower.vm.get_vms() == []
    assert raw.seen[-1] == (8, "/v2/api/get-vms")


async def test_an_upload_is_sent_completely_on_a_clean_connection() -> None:
    raw = Raw(STRAY["a second response"])
    source = io.BytesIO(b"the whole file")
    async with running(raw) as url, Cloudtower(url, token=TOKEN, retry=ONCE) as tower:
        await tower.vm.get_vms()
        await raw.push()
        await tower.elf_image.create_elf_image(file=source, upload_task_id="u")
    assert raw.seen == [(0, "/v2/api/get-vms"), (1, "/v2/api/upload-elf-image")]
    assert b"\r\n\r\nthe whole file\r\n" in raw.bodies[1]


async def test_a_new_connection_that_speaks_first_is_not_written_to() -> None:
    spoken = anyio.Event()
    received: list[bytes] = []

    async def speak(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await stream.send(response(DONE))
                spoken.set()
                received.append(await stream.receive())

    async def wait_for_it(*_: object) -> None:
        await spoken.wait()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(wait_for_it)
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, speak)
        url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        async with Cloudtower(url, token=TOKEN, retry=ONCE, trace_configs=[trace]) as tower:
            with pytest.raises(ConnectionFailed, match="before the request") as info:
                await tower.vm.delete_vm(where={"id": "a"})
        assert not info.value.sent
        group.cancel_scope.cancel()
    assert received == []


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_clean_connection_is_used_again(*, encrypted: bool) -> None:
    peers: set[Any] = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.json_response([])

    authority = trustme.CA()
    server, client = None, None
    if encrypted:
        server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        authority.issue_cert("localhost").configure_cert(server)  # pyright: ignore[reportUnknownMemberType]
        authority.configure_trust(client)  # pyright: ignore[reportUnknownMemberType]
    async with (
        serve(handler, tls=server) as url,
        Cloudtower(url, token=TOKEN, retry=ONCE, ssl_context=client) as tower,
    ):
        for _ in range(20):
            await tower.vm.get_vms()
    assert len(peers) == 1
