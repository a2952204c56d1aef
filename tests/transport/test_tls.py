"""TLS contexts from options."""

from __future__ import annotations

import asyncio
import datetime
import os
import socket
import ssl
import struct
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import anyio
import anyio.to_thread
import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from cloudtower_async import Cloudtower
from cloudtower_async.errors import CallError, ConnectionFailed, InvalidSettings, TLSFailed
from cloudtower_async.testing import Simulator
from cloudtower_async.transport.http import Transport
from cloudtower_async.transport.tls import TLS, tls_context
from tests.support import serve, serve_bytes, settings

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.conftest import Loop

pytestmark = pytest.mark.anyio


CA = trustme.CA()
CERT = CA.issue_cert("client@tower.example")


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def both_file(tmp_path: Path) -> Path:
    path = tmp_path / "client.pem"
    CERT.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


def test_without_files_the_connector_decides() -> None:
    assert tls_context(settings()) is True
    assert tls_context(settings(verify_tls=False)) is False


def test_a_ca_file_replaces_the_systems_authorities(ca_file: Path) -> None:
    context = tls_context(settings(ca_file=ca_file))
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_a_given_context_is_taken_as_it_is() -> None:
    context = ssl.create_default_context()
    assert tls_context(settings(ssl_context=context)) is context


def test_missing_verification_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tls_context(settings(["a.example", "http://b.example", "c.example"], verify_tls=False))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("cloudtower_async", "WARNING")
    assert "verify_tls=False: the certificate of https://a.example, https://c.example is" in (
        record.getMessage()
    )


async def test_missing_verification_is_logged_once_per_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    async with (
        Simulator(clusters=1, vms=1, tls=context) as sim,
        Cloudtower(
            sim.url, username=sim.username, password=sim.password, verify_tls=False
        ) as tower,
    ):
        for _ in range(3):
            await tower.with_options(timeout=20).vm.get_vms()
    assert [record.getMessage()[:16] for record in caplog.records] == ["verify_tls=False"]


def test_without_tls_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tls_context(settings("http://tower.example", verify_tls=False))
    tls_context(settings("https://tower.example"))
    assert caplog.records == []


def test_a_client_certificate_goes_without_checking_the_server_too(both_file: Path) -> None:
    context = tls_context(settings(client_cert=str(both_file), verify_tls=False))
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_NONE


def test_a_client_certificate_may_be_a_pair(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    CERT.cert_chain_pems[0].write_to_path(str(cert))
    CERT.private_key_pem.write_to_path(str(key))
    assert isinstance(tls_context(settings(client_cert=(cert, key))), ssl.SSLContext)


@pytest.mark.parametrize("option", ["ca_file", "client_cert"])
def test_a_missing_file_is_named(option: str) -> None:
    with pytest.raises(InvalidSettings, match=f"{option}: '/no/such.pem' .*No such file") as info:
        tls_context(settings(**{option: "/no/such.pem"}))
    assert info.value.option == option


@pytest.mark.parametrize("option", ["ca_file", "client_cert"])
def test_a_file_of_another_kind_is_named(option: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a certificate")
    options: dict[str, object] = {option: path}
    with pytest.raises(InvalidSettings, match=f"{option}: .*expected a PEM file"):
        tls_context(settings("tower.example", **options))


def test_a_file_that_is_missing_is_named_only_if_its_name_cannot_be_a_secret() -> None:
    secret = "MC4CAQAwBQYDK2VwBCIEINsecret"
    for options in ({"ca_file": secret}, {"client_cert": secret}, {"client_cert": ("a", secret)}):
        with pytest.raises(InvalidSettings, match="No such file") as info:
            tls_context(settings(**options))
        assert secret not in repr(info.value)


def test_an_encrypted_key_is_refused_instead_of_asking_on_the_terminal(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    CERT.cert_chain_pems[0].write_to_path(str(cert))
    plain = serialization.load_pem_private_key(CERT.private_key_pem.bytes(), None)
    key.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"locked"),
        )
    )
    with pytest.raises(InvalidSettings, match="the private key is encrypted"):
        tls_context(settings(client_cert=(cert, key)))


def pem_files(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    CERT.cert_chain_pems[0].write_to_path(str(cert))
    CERT.private_key_pem.write_to_path(str(key))
    return cert, key


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("no key", "there is no private key in it"),
        ("no key in the key file", "there is no private key in the key file"),
        ("no key file", "the key file does not exist or cannot be read"),
        ("no certificate", "there is no certificate in it"),
        ("swapped files", "the two files are swapped"),
        ("another key", "the private key does not belong to the certificate"),
    ],
)
def test_the_fault_of_a_client_certificate_is_named(case: str, told: str, tmp_path: Path) -> None:
    cert, key = pem_files(tmp_path)
    other = tmp_path / "other.pem"
    CA.issue_cert("other@tower.example").private_key_pem.write_to_path(str(other))
    given = {
        "no key": cert,
        "no key in the key file": (cert, cert),
        "no key file": (cert, tmp_path / "missing.pem"),
        "no certificate": key,
        "swapped files": (key, cert),
        "another key": (cert, other),
    }[case]
    with pytest.raises(InvalidSettings, match=told) as info:
        tls_context(settings(client_cert=given))
    assert info.value.option == "client_cert"


def test_sessions_with_the_same_files_share_a_context(
    ca_file: Path, both_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [
        settings(ca_file=ca_file),
        settings(ca_file=both_file),
        settings(ca_file=ca_file, client_cert=both_file),
        settings(ca_file=ca_file, verify_tls=False),
    ]
    contexts = [tls_context(one) for one in several]
    assert len(set(map(id, contexts))) == len(several)
    assert [tls_context(one) for one in several] == contexts
    monkeypatch.chdir(tmp_path)
    assert tls_context(settings(ca_file="ca.pem")) is contexts[0]


def test_a_context_is_kept_no_longer_than_a_session_uses_it(ca_file: Path) -> None:
    context = tls_context(settings(ca_file=ca_file))
    assert isinstance(context, ssl.SSLContext)
    gone = weakref.ref(context)
    del context
    assert gone() is None


def test_sessions_that_open_at_once_read_the_files_once(ca_file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        contexts = list(pool.map(tls_context, [settings(ca_file=ca_file)] * 16))
    assert len(set(map(id, contexts))) == 1


# The handshake


def server_context(*, clients: bool = False, only: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    if clients:
        CA.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
        context.verify_mode = ssl.CERT_REQUIRED
    if only is not None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = only
    return context


@contextmanager
def openssl_server(context: ssl.SSLContext) -> Generator[str]:
    """Serve `[]` from a thread. Unlike asyncio, blocking sockets send OpenSSL's alerts."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        tls = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            tls.do_handshake()
        except ssl.SSLError:
            # Closed with unread data, the connection would be reset, and the alert could be lost.
            with socket.socket(fileno=tls.detach()) as refused:
                refused.shutdown(socket.SHUT_WR)
                while refused.recv(65536):
                    pass
            return
        with tls:
            tls.recv(65536)
            tls.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n[]")

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                answer(connection)
            except OSError:
                continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


async def exchange(url: str, **options: object) -> int:
    transport = Transport(settings(url, **options))
    try:
        return (await transport.exchange("x", "POST", url, {}, body=b"{}")).status
    finally:
        await transport.close()


async def failure(url: str, **options: object) -> CallError:
    with pytest.raises(CallError) as info:
        await exchange(url, **options)
    return info.value


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_misses_a_client_certificate_names_client_cert(
    version: ssl.TLSVersion, ca_file: Path
) -> None:
    with openssl_server(server_context(clients=True, only=version)) as url:
        error = await failure(url, ca_file=ca_file)
    assert type(error) is TLSFailed
    assert "client_cert=" in error.hint
    assert "client certificate" in str(error)
    assert not error.sent


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_certificate_that_the_server_does_not_trust_is_named(
    version: ssl.TLSVersion, ca_file: Path, tmp_path: Path
) -> None:
    rogue, old, good = tmp_path / "rogue.pem", tmp_path / "old.pem", tmp_path / "good.pem"
    trustme.CA().issue_cert("a@b").private_key_and_cert_chain_pem.write_to_path(str(rogue))
    CA.issue_cert(
        "a@b", not_after=datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    ).private_key_and_cert_chain_pem.write_to_path(str(old))
    CERT.private_key_and_cert_chain_pem.write_to_path(str(good))
    with openssl_server(server_context(clients=True, only=version)) as url:
        unknown = await failure(url, ca_file=ca_file, client_cert=rogue)
        expired = await failure(url, ca_file=ca_file, client_cert=old)
        assert await exchange(url, ca_file=ca_file, client_cert=good) == 200
    assert "does not know the authority that signed the client certificate" in str(unknown)
    assert "the client certificate has expired" in str(expired)
    for error in (unknown, expired):
        assert isinstance(error, TLSFailed)
        assert "client_cert=" in error.hint
        assert not error.sent


async def test_a_mutation_refused_for_want_of_a_client_certificate_was_not_executed(
    ca_file: Path,
) -> None:
    with openssl_server(server_context(clients=True)) as url:
        async with Cloudtower(url, token="t", ca_file=ca_file) as tower:
            with pytest.raises(TLSFailed, match="requires a client certificate"):
                await tower.vm.start_vm(where={"id": "a"})


async def test_a_server_that_hangs_up_without_an_alert_still_names_client_cert(
    ca_file: Path, both_file: Path
) -> None:
    async def empty_list(_: web.Request) -> web.Response:
        return web.Response(body=b"[]")

    context = server_context()
    trustme.CA().configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    context.verify_mode = ssl.CERT_REQUIRED
    async with serve(empty_list, tls=context) as url:
        without = await failure(url, ca_file=ca_file)
        refused = await failure(url, ca_file=ca_file, client_cert=both_file)
    assert "If the server requires a client certificate, pass client_cert=." in without.hint
    assert "may have refused the client certificate (client_cert=)" in refused.hint


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_a_server_of_an_old_version_of_tls_is_named(
    version: ssl.TLSVersion, ca_file: Path
) -> None:
    modern = ssl.create_default_context(cafile=ca_file)
    lenient = ssl.create_default_context(cafile=ca_file)
    lenient.minimum_version = ssl.TLSVersion.TLSv1
    lenient.set_ciphers("ALL:@SECLEVEL=0")
    with openssl_server(server_context(only=version)) as url:
        error = await failure(url, ca_file=ca_file)
        by_context = await failure(url, ssl_context=modern)
        assert await exchange(url, ssl_context=lenient) == 200  # as the hint says
    assert isinstance(error, TLSFailed)
    assert "the server speaks TLS 1.0 or 1.1 only" in str(error)
    assert "minimum_version" in error.hint
    assert "no version of TLS that ssl_context= allows" in str(by_context)


async def test_a_server_without_a_common_cipher_is_named(ca_file: Path) -> None:
    context = server_context(only=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("eNULL:@SECLEVEL=0")
    with openssl_server(context) as url:
        error = await failure(url, ca_file=ca_file)
    assert "broke off the TLS handshake" in str(error)
    assert "no cipher" in error.hint


@pytest.mark.parametrize("pieces", [[], [b"\x16\x03\x03\x00\x40\x02"]], ids=["at once", "within"])
async def test_a_handshake_that_is_cut_short_is_named(pieces: list[bytes]) -> None:
    async with serve_bytes(*pieces) as url:
        error = await failure(url.replace("http:", "https:"))
    assert isinstance(error, ConnectionFailed)
    assert "closed the connection during the TLS handshake" in str(error)
    assert not error.sent


async def test_a_handshake_that_is_reset_is_named() -> None:
    async def reset(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive(1)
            raw = stream.extra(anyio.abc.SocketAttribute.raw_socket)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, reset)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        error = await failure(f"https://127.0.0.1:{port}")
        assert "closed the connection during the TLS handshake" in str(error)
        group.cancel_scope.cancel()


# Rotation


def replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, path)  # noqa: PTH105 - as tools that rotate certificates do


async def later(transport: Transport, url: str) -> int:
    """Send a request two seconds from now."""
    cast("Loop", asyncio.get_running_loop()).ahead += 2
    return (await transport.exchange("x", "POST", url, {}, body=b"{}")).status


async def test_sessions_share_the_context_of_a_changed_file(ca_file: Path) -> None:
    first, second = [TLS(settings(ca_file=ca_file)) for _ in range(2)]
    for tls in (first, second):
        await anyio.to_thread.run_sync(tls.load)
    before = first.context
    assert second.context is before
    replace(ca_file, trustme.CA().cert_pem.bytes())
    for tls in (first, second):
        await tls.refresh()
    assert second.context is first.context
    assert first.context is not before


async def test_a_changed_ca_file_counts_for_new_connections(
    ca_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trusted, other = CA.cert_pem.bytes(), trustme.CA().cert_pem.bytes()
    with openssl_server(server_context()) as url:
        transport = Transport(settings(url, ca_file=ca_file))
        assert await later(transport, url) == 200
        replace(ca_file, other)
        with pytest.raises(TLSFailed, match="not signed by an authority of the given ca_file"):
            await later(transport, url)
        replace(ca_file, trusted)
        assert await later(transport, url) == 200
        assert not caplog.records

        replace(ca_file, trusted[: len(trusted) // 2])  # half written
        assert await later(transport, url) == 200
        assert await later(transport, url) == 200
        (record,) = caplog.records
        assert "the previous content of the changed file stays in use: ca_file: " in (
            record.getMessage()
        )
        await anyio.Path(ca_file).unlink()
        assert await later(transport, url) == 200
        replace(ca_file, other)
        with pytest.raises(TLSFailed):
            await later(transport, url)
        await transport.close()


async def test_a_changed_client_certificate_counts_for_new_connections(
    ca_file: Path, tmp_path: Path
) -> None:
    cert, key = pem_files(tmp_path)
    rogue = trustme.CA().issue_cert("a@b")
    good = cert.read_bytes(), key.read_bytes()
    replace(cert, rogue.cert_chain_pems[0].bytes())
    replace(key, rogue.private_key_pem.bytes())
    with openssl_server(server_context(clients=True)) as url:
        transport = Transport(settings(url, ca_file=ca_file, client_cert=(cert, key)))
        with pytest.raises(TLSFailed, match="client certificate"):
            await later(transport, url)
        replace(cert, good[0])  # does not match the key yet: the rogue certificate stays in use
        with pytest.raises(TLSFailed, match="client certificate"):
            await later(transport, url)
        replace(key, good[1])
        assert await later(transport, url) == 200
        await transport.close()
