"""Read the expiry date of a server's TLS certificate, even if the certificate is not trusted."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import anyio
from anyio.streams.tls import TLSAttribute

_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18
_LONG_FORM = 0x80


async def certificate_expiry(host: str, port: int, *, timeout: float) -> datetime:
    """Return the end of validity of the certificate that a server presents.

    Only a TLS handshake is made; no data is sent. The certificate is not verified, because expired
    certificates must be readable.

    Args:
        host: Host name or address.
        port: Port.
        timeout: Time-out in seconds for the connection and the handshake.

    Raises:
        OSError: No connection, or the handshake failed. `TimeoutError` and `ssl.SSLError` are
            subclasses.
        ValueError: The server presents something that is not a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with anyio.fail_after(timeout):
        stream = await anyio.connect_tcp(
            host, port, tls=True, ssl_context=context, tls_standard_compatible=False
        )
        async with stream:
            certificate = stream.extra(TLSAttribute.peer_certificate_binary)  # noqa: S610 - no SQL
    return not_after(certificate or b"")


def not_after(certificate: bytes) -> datetime:
    """Return the end of validity of a certificate.

    This function exists because the standard library decodes only verified certificates.

    Args:
        certificate: X.509 certificate in DER.

    Raises:
        ValueError: The data is not a certificate.
    """
    try:
        _, start, _ = _element(certificate, 0)  # Certificate
        _, at, _ = _element(certificate, start)  # TBSCertificate
        tag, _, end = _element(certificate, at)
        if tag == _VERSION:  # version, which old certificates leave out
            _, _, end = _element(certificate, end)
        for _ in ("signature", "issuer"):  # after the serial number
            _, _, end = _element(certificate, end)
        _, at, _ = _element(certificate, end)  # validity
        _, _, at = _element(certificate, at)  # not before
        tag, start, end = _element(certificate, at)
        return _time(tag, certificate[start:end].decode("ascii"))
    except IndexError:
        raise ValueError("the certificate is truncated") from None


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of a DER element, and the start and the end of its content."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & _LONG_FORM:
        size = length & ~_LONG_FORM
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise IndexError
    return tag, start, start + length


def _time(tag: int, text: str) -> datetime:
    if tag == _UTC_TIME:  # two digits of the year: 1950 to 2049
        text = f"{'19' if text[:2] >= '50' else '20'}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"expected a time in the certificate, got tag {tag:#x}")
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").astimezone(UTC)
