"""Convert connection errors to errors of this package, which suggest a remedy."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from ..errors import (
    CallError,
    CallTimeout,
    ConnectionFailed,
    NameNotResolved,
    ProxyFailed,
    TLSFailed,
)
from .proxy import proxy_refusal, unused_variable
from .request import StaleConnection

if TYPE_CHECKING:
    from ..addresses import Proxy
    from ..options import Settings

_TRUST = (
    "Pass the certificate of its authority as ca_file=, "
    "or pass verify_tls=False to trust any certificate."
)
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)

# OpenSSL's X509_V_ERR_… numbers, with their meaning and a remedy.
_CERTIFICATE_FAULTS = {
    9: ("it is not valid yet", "Check the clocks of this machine and of the server."),
    10: (
        "it has expired",
        "Renew the certificate on the server, or pass verify_tls=False until then.",
    ),
    18: ("it is self-signed", _TRUST),
    19: ("its authority is self-signed and not known here", _TRUST),
    20: ("its authority is not known here", _TRUST),
    21: ("its authority is not known here", _TRUST),
    62: (
        "it is for another host name",
        "Use a host name of the certificate as endpoint, or pass verify_tls=False.",
    ),
    64: (
        "it is not for this IP address",
        "Use a host name of the certificate as endpoint, or pass verify_tls=False.",
    ),
}


# Endings of the names of OpenSSL's alerts, with their meaning for the client certificate. The
# server sends alerts during the handshake. With TLS 1.3, the client may already have sent its
# request when an alert arrives.
_CLIENT_CERT_ALERTS = {
    "CERTIFICATE_REQUIRED": "the server requires a client certificate",
    "UNKNOWN_CA": "the server does not know the authority that signed the client certificate",
    "BAD_CERTIFICATE": "the server refused the client certificate",
    "UNSUPPORTED_CERTIFICATE": "the server does not support the kind of the client certificate",
    "CERTIFICATE_REVOKED": "the server says that the client certificate was revoked",
    "CERTIFICATE_EXPIRED": "the server says that the client certificate has expired",
    "CERTIFICATE_UNKNOWN": "the server refused the client certificate",
    "ACCESS_DENIED": "the server denies access to the owner of the client certificate",
    "DECRYPT_ERROR": "the server could not verify the client certificate's signature",
}
_TOO_OLD = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION")


def connection_error(
    exc: BaseException,
    endpoint: str,
    settings: Settings,
    proxy: Proxy | None = None,
    *,
    direct: bool = True,
    sent: bool | None = None,
) -> CallError:
    """Return an error that explains an exception of aiohttp or of the operating system.

    Args:
        exc: The exception.
        endpoint: Root address of the server.
        settings: The session's options.
        proxy: The proxy between the session and the server. None if no proxy is used.
        direct: Whether the session ignores ``HTTPS_PROXY`` and similar variables. If so, the error
            mentions a variable that is set.
        sent: Whether the request was written to a connection. None means that this is unknown.
    """
    error = _explain(exc, endpoint, settings, proxy)
    error.endpoint = endpoint
    error.proxy = proxy and proxy.address
    unsent = aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError
    if isinstance(exc, unsent):
        error.sent = bool(sent)  # True if a middleware has already sent the request
    elif sent is False:
        error.sent = False
    unreached = not error.sent and not isinstance(error, TLSFailed)
    if unreached and direct and proxy is None and (variable := unused_variable(endpoint)):
        error.hint += f" {variable} is set but not used: pass trust_env=True to use it."
    return error


def _explain(
    exc: BaseException, endpoint: str, settings: Settings, proxy: Proxy | None
) -> CallError:
    cause: BaseException | None = exc
    while cause is not None:
        # Some exceptions of aiohttp are SSLErrors, but only their causes have OpenSSL's details.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            return _explain_tls(cause, settings, of_proxy=_is_from_proxy(exc, proxy))
        cause = cause.__cause__
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        _forget_exchange(exc)
        return proxy_refusal(exc.status, proxy)
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        if _is_from_proxy(exc, proxy):
            return ProxyFailed(f"the host name {exc.host!r} of the proxy cannot be resolved")
        return NameNotResolved(f"the host name {exc.host!r} cannot be resolved")
    if isinstance(exc, aiohttp.ClientProxyConnectionError):
        where = "" if proxy else f" {exc.host}:{exc.port}"
        return ProxyFailed(f"no connection to the proxy{where}: {_reason(exc.os_error)}")
    if isinstance(exc, aiohttp.ClientConnectorError):
        if endpoint.startswith("https:") and _is_reset(exc.os_error):
            return ConnectionFailed(
                "the server closed the connection during the TLS handshake",
                hint=f"Check that the port of the endpoint speaks https. {_ask_cert(settings)}",
            )
        return ConnectionFailed(
            f"no connection: {_reason(exc.os_error)}",
            hint="Check host and port of the endpoint, and that the server is up.",
        )
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return CallTimeout(
            "no connection in time" if proxy is None else "the proxy did not connect in time",
            hint="Check host, port and firewalls; connect_timeout= is the time-out.",
        )
    if isinstance(exc, aiohttp.ServerTimeoutError):
        return CallTimeout(
            f"no byte of the answer within {settings.read_timeout:g} s",
            hint="Pass a longer read_timeout= if the server is slow.",
        )
    if isinstance(exc, aiohttp.ClientPayloadError):
        exc.args = (_forget_cause(exc),)
        return ConnectionFailed("the answer was cut off")
    if isinstance(exc, aiohttp.ClientResponseError):
        _forget_exchange(exc)
        return ConnectionFailed(
            "the answer is not HTTP",
            hint="Check that scheme and port of the endpoint are those of CloudTower.",
        )
    if isinstance(exc, StaleConnection):
        return ConnectionFailed(
            "the server sent data before the request",
            hint="Check host and port of the endpoint: another protocol may be spoken there.",
        )
    hint = ConnectionFailed.default_hint
    if proxy is not None:
        hint = "Check that the proxy and the server are up."
    if endpoint.startswith("http:"):
        hint += " The port may speak https: then the endpoint begins with https://."
    else:
        hint += f" {_ask_cert(settings)}"
    return ConnectionFailed("the connection was closed before the answer", hint=hint)


def _is_reset(error: OSError) -> bool:
    reset = isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError)
    return reset or "start TLS" in str(error)  # the text of aiohttp's error for a tunnel


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _is_from_proxy(exc: BaseException, proxy: Proxy | None) -> bool:
    """Return whether a connection error is about the connection to the proxy itself."""
    if proxy is None or not isinstance(exc, aiohttp.ClientConnectorError):
        return False
    parts = urlsplit(proxy.address)
    return (exc.host, exc.port) == (parts.hostname, parts.port)


def _has_client_cert(settings: Settings) -> bool:
    return bool(settings.client_cert or settings.ssl_context)


def _ask_cert(settings: Settings) -> str:
    if _has_client_cert(settings):
        return "The server may have refused the client certificate (client_cert=)."
    return "If the server requires a client certificate, pass client_cert=."


def _explain_tls(exc: ssl.SSLError, settings: Settings, *, of_proxy: bool = False) -> TLSFailed:
    if isinstance(exc, ssl.SSLCertVerificationError):
        fault, hint = _CERTIFICATE_FAULTS.get(exc.verify_code, (exc.verify_message, _TRUST))
        if settings.ca_file is not None and exc.verify_code in _UNKNOWN_AUTHORITY:
            fault = "it is not signed by an authority of the given ca_file"
        whose = "proxy's" if of_proxy else "server's"
        return TLSFailed(
            f"the {whose} certificate was refused: {fault}", reason=exc.verify_message, hint=hint
        )
    reason = exc.reason or str(exc)
    alert = reason.rpartition("ALERT_")[2]
    if alert in _CLIENT_CERT_ALERTS:
        hint = "Pass a certificate that the server accepts, with its key, as client_cert=."
        message = _CLIENT_CERT_ALERTS[alert]
        if not _has_client_cert(settings):
            message = _CLIENT_CERT_ALERTS["CERTIFICATE_REQUIRED"]
        error = TLSFailed(message, reason=reason, hint=hint)
        error.sent = False
        return error
    if alert in _TOO_OLD:
        if settings.ssl_context is not None:
            return TLSFailed(
                "the server speaks no version of TLS that ssl_context= allows",
                reason=reason,
                hint="Check minimum_version and maximum_version of the context.",
            )
        return TLSFailed(
            "the server speaks TLS 1.0 or 1.1 only, which is not safe",
            reason=reason,
            hint="Enable TLS 1.2 on the server; until then pass an ssl_context= with "
            "a lower minimum_version.",
        )
    if alert == "HANDSHAKE_FAILURE":
        return TLSFailed(
            "the server broke off the TLS handshake",
            reason=reason,
            hint=f"It may share no cipher with this machine. {_ask_cert(settings)}",
        )
    return TLSFailed(
        f"no TLS connection: {reason}",
        reason=reason,
        hint="Check the port of the endpoint, whether it speaks https or http, and client_cert=.",
    )


def _forget_exchange(exc: aiohttp.ClientResponseError) -> None:
    """Remove the parts of the request and the response from an error of aiohttp.

    Otherwise, a traceback that contains this error could show the Authorization header.
    """
    info = exc.request_info
    none = CIMultiDictProxy(CIMultiDict[str]())
    url = info.url.with_query(None)
    exc.request_info = aiohttp.RequestInfo(url, info.method, none, url)
    exc.headers = None
    exc.message = _forget_cause(exc) or exc.message
    exc.args = (exc.status, exc.message)


def _forget_cause(exc: aiohttp.ClientError) -> str:
    """Remove the cause of an error, because the cause quotes the response.

    Return the name of the cause's class, or "" if the error has no cause.
    """
    cause = exc.__cause__ or exc.__context__
    exc.__cause__ = exc.__context__ = None
    return type(cause).__name__ if cause else ""
