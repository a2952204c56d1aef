"""Find the licenses and certificates that expire."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import anyio
import msgspec

from ... import models
from ...client import Cloudtower
from ...concurrency import map_concurrently
from ...errors import InvalidInput, NotFound
from ...queries.projection import select_fields
from ...validators import check_seconds, is_number
from .certificates import certificate_expiry
from .rows import NamedResource, moment

_Source: TypeAlias = "Callable[[Cloudtower], Coroutine[Any, Any, list[_Dates]]]"

ExpirationKind: TypeAlias = Literal["license", "subscription", "maintenance", "certificate"]
"""Kind of a date that `find_expirations` reports; see `Expiration`."""


class Expiration(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Expiry of a license or a certificate.

    Attributes:
        kind: ``license``, ``subscription``, ``maintenance`` (end of the support period), or
            ``certificate`` (TLS certificate).
        resource: Type of the resource that expires: ``License`` (license of CloudTower itself),
            ``Cluster``, ``EcpLicense``, ``EverouteLicense``, ``V2EverouteLicense`` or ``Endpoint``.
        id: Id of the resource; None for an endpoint.
        name: Name of the cluster, edition or product, or address of the endpoint.
        expires_at: Date of expiry, in UTC; None if unknown: see `problem`.
        days_left: Days until the expiry; negative after the expiry, None if unknown.
        problem: Why the date is unknown; None if the date is known.
    """

    kind: ExpirationKind
    resource: str
    id: str | None
    name: str
    expires_at: datetime | None
    days_left: float | None
    problem: str | None = None


class _Dates(msgspec.Struct, frozen=True, gc=False):
    """Dates of one resource, as the server sends them."""

    resource: str
    id: str
    name: str | None
    texts: dict[ExpirationKind, str | None]


class _LicenseRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    id: str
    expire_date: str
    type: models.LicenseType


class _TowerLicense(_LicenseRow, kw_only=True, frozen=True, gc=False):
    maintenance_end_date: str | None = None
    software_edition: models.SoftwareEdition


class _EverouteFeature(_LicenseRow, kw_only=True, frozen=True, gc=False):
    feature_type: models.EverouteFeatureType


class _LicensedCluster(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    id: str
    name: str
    license_expire_date: str | None = None
    license_type: models.LicenseType | None = None
    maintenance_end_date: str | None = None


class _EcpLicenseRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    id: str
    cluster: NamedResource | None = None
    expire_date: str | None = None
    license_type: models.LicenseType | None = None
    product_name: str
    subscription_expire_date: str | None = None


async def find_expirations(
    tower: Cloudtower, *, within: float | None = None, timeout: float = 10.0
) -> list[Expiration]:
    """Find the licenses, subscriptions, support periods and certificates that expire.

    The licenses are those of CloudTower, of clusters and of Everoute. For a license of type
    ``PERPETUAL``, only the end of the support period counts. If the server is too old for a kind of
    license, there are no entries of this kind. The API shows no certificates. The function
    therefore reads the certificate of the server that the session uses, in a separate TLS handshake
    without a proxy.

    Args:
        tower: Session to read with.
        within: Return only entries that expire within this number of days, have expired, or have an
            unknown date. None means all entries.
        timeout: Time-out in seconds for the TLS handshake. API calls use the time-out of the
            session.

    Returns:
        Entries with an unknown date first, then the others in the order of their dates.

    Raises:
        InvalidInput: An argument cannot be used.
        CallError: Licenses or clusters cannot be read.

    Example:
        ::

            for one in await find_expirations(tower, within=30):
                print(one.kind, one.name, one.expires_at, one.problem or "")
    """
    if within is not None and not (is_number(within) and within >= 0):
        raise InvalidInput(
            f"find_expirations: within: expected a number of days from 0 on, got {within!r}"
        )
    check_seconds("find_expirations", "timeout", timeout)
    now = datetime.now(UTC)

    async def read(source: _Source) -> list[_Dates]:
        try:
            return await source(tower)
        except NotFound:
            if source in _SINCE_3_0:
                raise
            return []  # the server is too old for this kind of license

    dates = await map_concurrently(read, [*_SINCE_3_0, *_NEWER])
    found = [
        _expiration(row, kind, text, now)
        for rows in dates
        for row in rows
        for kind, text in row.texts.items()
        if text
    ]
    found += await _certificate(tower.endpoint, timeout, now)
    if within is not None:
        found = [one for one in found if one.days_left is None or one.days_left <= within]
    earliest = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda one: (one.expires_at or earliest, one.resource, one.name))


async def _licenses(tower: Cloudtower) -> list[_Dates]:
    listing = select_fields(tower.license.get_licenses, _TowerLicense)
    return [
        _Dates(
            "License",
            row.id,
            row.software_edition,
            {
                "license": _unless_perpetual(row.type, row.expire_date),
                "maintenance": row.maintenance_end_date,
            },
        )
        async for row in tower.iterate(listing)
    ]


async def _clusters(tower: Cloudtower) -> list[_Dates]:
    listing = select_fields(tower.cluster.get_clusters, _LicensedCluster)
    return [
        _Dates(
            "Cluster",
            row.id,
            row.name,
            {
                "license": _unless_perpetual(row.license_type, row.license_expire_date),
                "maintenance": row.maintenance_end_date,
            },
        )
        async for row in tower.iterate(listing)
    ]


async def _ecp(tower: Cloudtower) -> list[_Dates]:
    listing = select_fields(tower.ecp_license.get_ecp_licenses, _EcpLicenseRow)
    return [
        _Dates(
            "EcpLicense",
            row.id,
            (row.cluster and row.cluster.name) or row.product_name,
            {
                "license": _unless_perpetual(row.license_type, row.expire_date),
                "subscription": row.subscription_expire_date,
            },
        )
        async for row in tower.iterate(listing)
    ]


async def _everoute(tower: Cloudtower) -> list[_Dates]:
    listing = select_fields(tower.everoute_license.get_everoute_licenses, _LicenseRow)
    return [
        _Dates(
            "EverouteLicense",
            row.id,
            "Everoute",
            {"license": _unless_perpetual(row.type, row.expire_date)},
        )
        async for row in tower.iterate(listing)
    ]


async def _v2_everoute(tower: Cloudtower) -> list[_Dates]:
    listing = select_fields(tower.v2_everoute_license.get_v2_everoute_licenses, _EverouteFeature)
    return [
        _Dates(
            "V2EverouteLicense",
            row.id,
            f"Everoute {row.feature_type}",
            {"license": _unless_perpetual(row.type, row.expire_date)},
        )
        async for row in tower.iterate(listing)
    ]


def _unless_perpetual(kind: str | None, date: str | None) -> str | None:
    return None if kind == models.LicenseType.PERPETUAL else date


def _expiration(row: _Dates, kind: ExpirationKind, text: str, now: datetime) -> Expiration:
    expires_at = moment(text)
    return Expiration(
        kind=kind,
        resource=row.resource,
        id=row.id,
        name=row.name or row.id,  # a server that breaks its schema may send null
        expires_at=expires_at,
        days_left=_days(expires_at, now),
        problem=None if expires_at else f"the server sends {text!r:.80}, which is not a date",
    )


async def _certificate(endpoint: str, timeout: float, now: datetime) -> list[Expiration]:
    """Return a list with the expiration of the endpoint's certificate; empty for plain HTTP."""
    address = urlsplit(endpoint)
    if address.scheme != "https" or address.hostname is None:
        return []
    expires_at: datetime | None = None
    problem: str | None = None
    try:
        expires_at = await certificate_expiry(
            address.hostname, address.port or 443, timeout=timeout
        )
    except (OSError, ValueError, anyio.BrokenResourceError, anyio.EndOfStream) as exc:
        problem = f"the certificate cannot be read: {exc or type(exc).__name__}"
    return [
        Expiration(
            kind="certificate",
            resource="Endpoint",
            id=None,
            name=endpoint,
            expires_at=expires_at,
            days_left=_days(expires_at, now),
            problem=problem,
        )
    ]


def _days(expires_at: datetime | None, now: datetime) -> float | None:
    return None if expires_at is None else round((expires_at - now) / timedelta(days=1), 2)


_SINCE_3_0: list[_Source] = [_licenses, _clusters, _everoute]
_NEWER: list[_Source] = [_ecp, _v2_everoute]
