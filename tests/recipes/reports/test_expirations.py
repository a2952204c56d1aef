"""Licenses and certificates that expire, with dates that are missing or unreadable."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import Cloudtower, InvalidInput, NotFound
from cloudtower_async.recipes import Expiration, find_expirations
from cloudtower_async.recipes.reports.certificates import certificate_expiry, not_after
from cloudtower_async.testing import Simulator
from tests.recipes.towers import simulated
from tests.support import serve_bytes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

AUTHORITY = trustme.CA()
END = datetime(2049, 12, 31, 23, 59, 58, tzinfo=UTC)


def in_days(days: float) -> str:
    moment = datetime.now(UTC) + timedelta(days=days)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def change_all(sim: Simulator, resource: str, **values: object) -> None:
    for identifier in list(sim.store.table(resource)):
        sim.store.change(resource, identifier, **values)


def described(found: list[Expiration]) -> list[tuple[str, str, str]]:
    return [(one.resource, one.kind, one.name) for one in found]


async def test_every_license_is_found_in_the_order_of_time() -> None:
    async with simulated(clusters=1) as (sim, tower):
        kind: dict[str, Any] = {"type": "TRIAL"}
        change_all(sim, "License", **kind, expire_date=in_days(-3), maintenance_end_date=in_days(9))
        change_all(sim, "Cluster", license_type="SUBSCRIPTION", license_expire_date=in_days(4))
        change_all(sim, "Cluster", maintenance_end_date=in_days(5))
        dates = {"expire_date": in_days(6), "subscription_expire_date": in_days(7)}
        change_all(sim, "EcpLicense", license_type=None, **dates)
        change_all(sim, "EverouteLicense", **kind, expire_date=in_days(8))
        change_all(sim, "V2EverouteLicense", **kind, expire_date=in_days(40))
        found = await find_expirations(tower)
        soon = await find_expirations(tower, within=5.5)
        [cluster] = sim.store.table("Cluster").values()
        [license] = sim.store.table("License").values()  # noqa: A001
    edition, name = license["software_edition"], cluster["name"]
    assert described(found) == [
        ("License", "license", edition),
        ("Cluster", "license", name),
        ("Cluster", "maintenance", name),
        ("EcpLicense", "license", name),
        ("EcpLicense", "subscription", name),
        ("EverouteLicense", "license", "Everoute"),
        ("License", "maintenance", edition),
        *[("V2EverouteLicense", "license", f"Everoute {one}") for one in ("DFW", "LB", "VPC")],
    ]
    assert [one.days_left for one in found[:3]] == pytest.approx([-3, 4, 5], abs=0.02)
    assert described(soon) == described(found[:3])
    assert {one.problem for one in found} == {None}


async def test_a_perpetual_license_does_not_expire_but_its_support_does() -> None:
    async with simulated(clusters=1) as (sim, tower):
        for resource in ("License", "EverouteLicense", "V2EverouteLicense"):
            change_all(sim, resource, type="PERPETUAL", expire_date=in_days(1))
        change_all(sim, "License", maintenance_end_date=in_days(2))
        change_all(sim, "Cluster", license_type="PERPETUAL", license_expire_date=in_days(1))
        dates = {"expire_date": in_days(1), "subscription_expire_date": None}
        change_all(sim, "EcpLicense", license_type="PERPETUAL", **dates)
        found = await find_expirations(tower, within=10)
    assert [(one.resource, one.kind) for one in found] == [("License", "maintenance")]


async def test_a_date_that_cannot_be_read_comes_first_and_is_never_left_out() -> None:
    async with simulated(clusters=1) as (sim, tower):
        change_all(sim, "License", type="TRIAL", expire_date="soon")
        change_all(sim, "EcpLicense", subscription_expire_date="")
        found = await find_expirations(tower, within=0)
    [unreadable] = found
    assert (unreadable.expires_at, unreadable.days_left) == (None, None)
    assert unreadable.problem == "the server sends 'soon', which is not a date"


async def test_an_old_server_has_no_newer_licenses_and_other_errors_are_raised() -> None:
    async with simulated(clusters=1) as (sim, tower):
        change_all(sim, "License", type="TRIAL", expire_date=in_days(1))
        for operation in ("get-ecp-licenses", "get-v2-everoute-licenses"):
            sim.faults.fail(operation, status=404)
        assert [one.resource for one in await find_expirations(tower)] == ["License"]
        sim.faults.fail("get-licenses", status=404)
        with pytest.raises(NotFound):
            await find_expirations(tower)


async def test_wrong_arguments_are_errors_before_anything_is_sent() -> None:
    wrong: Any
    async with simulated() as (sim, tower):
        sent = len(sim.requests)
        for wrong in (-1, "5", True, float("nan")):
            with pytest.raises(InvalidInput, match=r"^find_expirations: within: expected a number"):
                await find_expirations(tower, within=wrong)
        assert len(sim.requests) == sent


def context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)  # pyright: ignore[reportUnknownMemberType]
    return tls


async def test_the_certificate_of_the_server_is_among_them(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(authority))
    certificate = AUTHORITY.issue_cert("localhost", not_after=END)
    async with (
        Simulator(clusters=1, vms=0, tls=context(certificate)) as sim,
        Cloudtower(
            sim.url, username=sim.username, password=sim.password, ca_file=str(authority)
        ) as tower,
    ):
        found = [one for one in await find_expirations(tower) if one.kind == "certificate"]
    assert [(one.resource, one.id, one.name) for one in found] == [("Endpoint", None, sim.url)]
    assert found[0].expires_at == END


async def test_the_date_of_an_expired_certificate_can_be_read() -> None:
    ended = datetime(2020, 2, 29, 12, tzinfo=UTC)
    certificate = AUTHORITY.issue_cert("localhost", not_after=ended)
    async with Simulator(clusters=0, vms=0, tls=context(certificate)) as sim:
        host, _, port = sim.url.removeprefix("https://").rpartition(":")
        assert await certificate_expiry(host, int(port), timeout=30) == ended


@pytest.mark.parametrize("hang", [False, True])
async def test_a_server_without_a_certificate_is_an_error(hang: bool) -> None:
    pieces = () if hang else (b"HTTP/1.1 400 Bad Request\r\n\r\n",)
    async with serve_bytes(*pieces, hang=hang) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises((OSError, anyio.BrokenResourceError)):
            await certificate_expiry("127.0.0.1", port, timeout=0.3 if hang else 30)


@pytest.mark.parametrize("year", [1999, 2049, 2050, 2061])
def test_dates_of_either_form_are_read(year: int) -> None:
    end = datetime(year, 6, 1, 1, 2, 3, tzinfo=UTC)
    leaf = AUTHORITY.issue_cert(
        "a.example", not_before=datetime(1990, 1, 1, tzinfo=UTC), not_after=end
    )
    [pem] = leaf.cert_chain_pems
    assert not_after(ssl.PEM_cert_to_DER_cert(pem.bytes().decode())) == end


DER = ssl.PEM_cert_to_DER_cert(AUTHORITY.cert_pem.bytes().decode())


@given(st.integers(0, len(DER) - 1), st.binary(max_size=3), st.booleans())
def test_a_broken_certificate_is_a_value_error_or_a_date(
    place: int, junk: bytes, cut: bool
) -> None:
    broken = DER[:place] + junk + (b"" if cut else DER[place + len(junk) :])
    try:
        assert not_after(broken).tzinfo is UTC
    except ValueError:
        return
