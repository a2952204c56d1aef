"""The metrics server, over HTTP and raw sockets."""

from __future__ import annotations

import asyncio
import gzip
import os
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import anyio
import anyio.lowlevel
import pytest
import trustme
from anyio.streams.tls import TLSAttribute

from cloudtower_async import Cloudtower, InvalidSettings
from cloudtower_async.jobs.exporter import Exporter, MetricsServer, hash_password
from cloudtower_async.testing import Simulator
from cloudtower_async.transport.basic_auth import basic
from tests.jobs.exporter.pages import parse
from tests.support import TOKEN, tasks_of_clients, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.conftest import Loop

pytestmark = pytest.mark.anyio

CA = trustme.CA()
USERS = dict([hash_password("prometheus", "s3cret").split(":", 1)])


@asynccontextmanager
async def serving(**options: Any) -> AsyncGenerator[MetricsServer]:  # noqa: ANN401
    """Serve an exporter of an unreachable Tower."""
    async with Cloudtower(f"http://127.0.0.1:{unused_port()}", token=TOKEN) as tower:
        exporter = Exporter({"gone": tower})
        async with MetricsServer(exporter, port=0, **options) as server:
            yield server


async def connect(server: MetricsServer) -> anyio.abc.ByteStream:
    return await anyio.connect_tcp("127.0.0.1", server.port)


async def received(stream: anyio.abc.ByteStream) -> bytes:
    """Return all bytes until the server closes the connection."""
    found = b""
    try:
        while True:
            found += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return found


async def get(stream: anyio.abc.ByteStream, path: str = "/healthz") -> bytes:
    await stream.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return await received(stream)


def put_clock_forward(seconds: float) -> None:
    cast("Loop", asyncio.get_running_loop()).ahead += seconds


async def test_a_scrape_returns_the_figures_of_the_towers_and_of_the_process() -> None:
    async with (
        Simulator(clusters=1, vms=4) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
        Exporter({"prod": tower}) as exporter,
        MetricsServer(exporter, port=0) as server,
        aiohttp.ClientSession(auto_decompress=False) as client,
    ):
        await exporter.collected()
        async with client.get(server.url) as answer:
            compressed = await answer.read()
        async with client.get(server.url, headers={"accept-encoding": "identity"}) as plain:
            page = parse(await plain.read())
    assert answer.headers["content-encoding"] == "gzip"
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(compressed).startswith(b"# HELP cloudtower_exporter_info ")
    assert page.value("cloudtower_up", tower="prod") == 1
    assert page.value("process_resident_memory_bytes")
    headings = {line.split()[2] for line in page.text.splitlines() if line.startswith("# HELP")}
    typed = {line.split()[2] for line in page.text.splitlines() if line.startswith("# TYPE")}
    assert {sample.name for sample in page.samples} <= headings == typed


async def test_each_path_and_method_has_its_answer() -> None:
    async with serving() as server, aiohttp.ClientSession() as client:
        root = server.url.removesuffix("/metrics")
        found: dict[tuple[str, str], tuple[int, bool]] = {}
        for method, path in (
            ("GET", "/metrics"),
            ("HEAD", "/metrics"),
            ("GET", "/metrics?name=x"),
            ("POST", "/metrics"),
            ("GET", "/healthz"),
            ("GET", "/"),
            ("GET", "/metrics/../etc"),
        ):
            async with client.request(method, root + path) as answer:
                found[method, path] = answer.status, bool(await answer.read())
                assert answer.headers["server"] == "cloudtower-async"
                assert answer.headers["connection"] == "close"
    assert found == {
        ("GET", "/metrics"): (200, True),
        ("HEAD", "/metrics"): (200, False),
        ("GET", "/metrics?name=x"): (200, True),
        ("POST", "/metrics"): (405, False),
        ("GET", "/healthz"): (200, True),
        ("GET", "/"): (404, True),
        ("GET", "/metrics/../etc"): (404, True),
    }


async def test_metrics_need_the_password_and_the_health_check_does_not() -> None:
    async with serving(basic_auth=USERS) as server, aiohttp.ClientSession() as client:
        statuses: list[int] = []
        for header in (
            "",
            basic("prometheus", "wrong"),
            basic("nobody", "s3cret"),
            basic("prometheus", "s3cret"),
            basic("prometheus", "wrong"),
        ):
            async with client.get(server.url, headers={"authorization": header}) as answer:
                statuses.append(answer.status)
                if answer.status == 401:
                    assert b"cloudtower_" not in await answer.read()
                    assert answer.headers["www-authenticate"].startswith("Basic realm=")
        assert statuses == [401, 401, 401, 200, 401]
        async with client.get(server.url.replace("metrics", "healthz")) as answer:
            assert await answer.text() == "ok\n"


# Limits


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_connection_with_an_incomplete_request_is_closed_in_time(sent: bytes) -> None:
    async with serving(connection_timeout=10.0) as server, await connect(server) as stream:
        if sent:
            await stream.send(sent)
        async with await connect(server) as other:
            assert b"200 OK" in await get(other)  # so the first one has been accepted
        put_clock_forward(11)
        assert await received(stream) == b""


async def test_a_reader_that_does_not_read_is_closed_in_time() -> None:
    async with serving(connection_timeout=10.0) as server, await connect(server) as stream:
        await stream.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        async with await connect(server) as other:
            assert b"200 OK" in await get(other)
        put_clock_forward(11)
        await received(stream)


async def test_connections_above_the_limit_wait_for_a_slot() -> None:
    answers: list[bytes] = []

    async with (
        serving(max_connections=2) as server,
        await connect(server) as first,
        await connect(server),
        await connect(server) as third,
        anyio.create_task_group() as group,
    ):

        async def read() -> None:
            answers.append(await get(third))
            group.cancel_scope.cancel()

        group.start_soon(read)
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert answers == []
        await first.aclose()
        await anyio.sleep_forever()
    assert b"200 OK" in answers[0]


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"]
)
async def test_a_malformed_request_is_refused(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as server:
        async with await connect(server) as stream:
            await stream.send(sent)
            assert (await received(stream)).startswith(b"HTTP/1.0 400")
        async with await connect(server) as stream:
            assert b"200 OK" in await get(stream)
    assert not [one for one in caplog.records if one.name.startswith("cloudtower")]


async def test_the_server_ends_with_open_connections_and_leaves_nothing_behind() -> None:
    before = tasks_of_clients()
    async with serving() as server:
        stream = await connect(server)
        async with await connect(server) as other:
            assert b"200 OK" in await get(other)
    assert tasks_of_clients() == before
    assert await received(stream) == b""
    await stream.aclose()
    with pytest.raises(OSError):  # noqa: PT011 - as the system says it
        await connect(server)


async def test_a_port_in_use_is_an_error() -> None:
    async with serving() as server:
        other = MetricsServer(
            Exporter({"t": Cloudtower("tower.example", token=TOKEN)}), port=server.port
        )
        with pytest.raises(OSError, match="in use"):
            async with other:
                pass


# TLS


def write_certificate(file: Path) -> bytes:
    """Replace a certificate and its key together; return the certificate."""
    certificate = CA.issue_cert("localhost", "127.0.0.1")
    new = file.with_suffix(".new")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(new))
    os.replace(new, file)  # noqa: PTH105 - as tools that rotate certificates do
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


@pytest.fixture
def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context


async def served_certificate(server: MetricsServer, context: ssl.SSLContext) -> bytes:
    async with await anyio.connect_tcp(
        "127.0.0.1", server.port, ssl_context=context, tls_standard_compatible=False
    ) as stream:
        assert b"200 OK" in await get(stream)
        shown = stream.extra(TLSAttribute.peer_certificate_binary)
        assert isinstance(shown, bytes)
        return shown


async def test_metrics_are_served_over_https_and_a_new_certificate_is_taken(
    tmp_path: Path, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "server.pem"
    first = write_certificate(file)
    async with serving(tls_cert=file) as server:
        assert server.url.startswith("https://")
        assert await served_certificate(server, trusting) == first
        second = write_certificate(file)
        put_clock_forward(2)
        assert await served_certificate(server, trusting) == second
        file.write_text("half a certif", encoding="utf-8")
        put_clock_forward(2)
        assert await served_certificate(server, trusting) == second
    assert "previous certificate stays in use" in caplog.text


async def test_a_client_without_tls_does_not_disturb_the_server(
    tmp_path: Path, trusting: ssl.SSLContext
) -> None:
    file = tmp_path / "server.pem"
    write_certificate(file)
    async with serving(tls_cert=file, connection_timeout=10.0) as server:
        async with await connect(server) as plain:
            assert b"200 OK" not in await get(plain)
        async with await connect(server) as silent:
            await served_certificate(server, trusting)
            put_clock_forward(11)
            assert await received(silent) == b""


async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    for content in (None, "nothing"):
        if content is not None:
            file.write_text(content, encoding="utf-8")
        with pytest.raises(InvalidSettings, match=r"^tls_cert: .*server\.pem cannot be used"):
            async with serving(tls_cert=file):
                pass


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"port": -1}, "^port: "),
        ({"port": 70_000}, "^port: expected at most 65535"),
        ({"max_connections": 0}, "^max_connections: "),
        ({"connection_timeout": 0}, "^connection_timeout: "),
        ({"tls_key": "key.pem"}, "^tls_key: pass tls_cert=, too"),
        ({"basic_auth": {}}, "^basic_auth: "),
    ],
)
def test_options_that_cannot_be_used_are_named(options: dict[str, Any], fault: str) -> None:
    exporter = Exporter({"t": Cloudtower("tower.example", token=TOKEN)})
    with pytest.raises(InvalidSettings, match=fault):
        MetricsServer(exporter, **options)
