"""TLS options → context."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from cloudtower_async import Cloudtower
from cloudtower_async.errors import InvalidSettings
from cloudtower_async.testing import Simulator
from cloudtower_async.wire.tls import tls_context
from tests.support import settings

if TYPE_CHECKING:
    from pathlib import Path

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


def test_that_nothing_is_checked_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    tls_context(settings(["a.example", "http://b.example", "c.example"], verify_tls=False))
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("cloudtower_async", "WARNING")
    assert "verify_tls=False: the certificate of https://a.example, https://c.example is" in (
        record.getMessage()
    )


async def test_it_is_told_once_in_a_session(caplog: pytest.LogCaptureFixture) -> None:
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


def test_where_there_is_nothing_to_check_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
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
    with pytest.raises(InvalidSettings, match="must not be encrypted"):
        tls_context(settings(client_cert=(cert, key)))
