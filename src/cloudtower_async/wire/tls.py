"""TLS options → what aiohttp takes for ``ssl=``."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from ..errors import InvalidSettings

if TYPE_CHECKING:
    import os

    from ..settings import Settings

_log = logging.getLogger("cloudtower_async")


def tls_context(settings: Settings) -> ssl.SSLContext | bool:
    """Build the context; True stands for the connector's own, False for one that checks nothing.

    That nothing is checked is told in the log. One that is given is taken as it is.

    Reads files, so it is for a worker thread.

    Raises:
        InvalidSettings: A file is missing or does not hold what it should.
    """
    if settings.ssl_context is not None:
        return settings.ssl_context
    unsafe = [address for address in settings.endpoints if address.startswith("https:")]
    if unsafe and not settings.verify_tls:
        _log.warning(
            "verify_tls=False: the certificate of %s is not checked, so anybody on the way can "
            "pass for it and read the credentials; ca_file= is the safe way",
            ", ".join(unsafe),
        )
    if settings.ca_file is None and settings.client_cert is None:
        return settings.verify_tls
    context = _authorities(settings.ca_file)
    if not settings.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.client_cert is not None:
        _load_client_cert(context, settings.client_cert)
    return context


def _authorities(ca_file: str | os.PathLike[str] | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise InvalidSettings(
            f"ca_file: {str(ca_file)!r} cannot be used: {_why(exc)}; "
            "expected a PEM file with the certificate of the authority that signed the server's",
            option="ca_file",
        ) from exc


def _load_client_cert(
    context: ssl.SSLContext,
    files: str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]],
) -> None:
    cert, key = files if isinstance(files, tuple) else (files, None)
    try:
        # A password, though empty: without one OpenSSL asks on the terminal, and waits.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as exc:
        raise InvalidSettings(
            f"client_cert: {str(cert)!r} cannot be used: {_why(exc)}; expected a PEM file with "
            "certificate and key, or a pair (certificate, key); a key must not be encrypted",
            option="client_cert",
        ) from exc


def _why(exc: Exception) -> str:
    if isinstance(exc, ssl.SSLError):
        return exc.reason or "it is not in PEM form"
    return getattr(exc, "strerror", None) or str(exc)
