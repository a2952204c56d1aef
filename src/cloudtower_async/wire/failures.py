"""What can go wrong with a connection → one of our errors, with what to do about it."""

from __future__ import annotations

import copy
import os
import ssl
import sys
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from ..errors import (
    CallError,
    CallTimeout,
    CloudtowerError,
    ConnectionFailed,
    NameNotResolved,
    TLSFailed,
)

if TYPE_CHECKING:
    from ..settings import Settings

E = TypeVar("E", bound=CloudtowerError)

_TRUST = (
    "Pass the certificate of the authority that signed it as ca_file=, "
    "or verify_tls=False to trust any certificate."
)
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)

# OpenSSL's X509_V_ERR_… numbers → what is wrong, and what helps.
_CERTIFICATE_FAULTS = {
    9: ("it is not valid yet", "Check the clocks of this machine and of the server."),
    10: ("it has expired", "Renew it on the server, or pass verify_tls=False for the time being."),
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


def connection_error(exc: BaseException, endpoint: str, settings: Settings) -> CallError:
    """Explain an exception of aiohttp or of the operating system."""
    error = _explain(exc, endpoint, settings)
    error.endpoint = endpoint
    error.sent = not isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return error


def _explain(exc: BaseException, endpoint: str, settings: Settings) -> CallError:
    cause: BaseException | None = exc
    while cause is not None:
        # aiohttp's own classes count as SSLError but lack what OpenSSL found; their cause has it.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, aiohttp.ClientError):
            return _explain_tls(cause, settings)
        cause = cause.__cause__
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return NameNotResolved(f"the host name {exc.host!r} cannot be resolved")
    if isinstance(exc, aiohttp.ClientConnectorError):
        number = exc.os_error.errno
        return ConnectionFailed(
            f"no connection: {os.strerror(number) if number else exc.os_error}",
            hint="Check host and port of the endpoint, and that the server is up.",
        )
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return CallTimeout(
            "no connection in time",
            hint="Check host, port and firewalls; connect_timeout= is the time for it.",
        )
    if isinstance(exc, aiohttp.ServerTimeoutError):
        return CallTimeout(
            f"no byte of the answer within {settings.read_timeout:g} s",
            hint="Pass a longer read_timeout= if the server is a slow one.",
        )
    if isinstance(exc, aiohttp.ClientPayloadError):
        return ConnectionFailed("the answer was cut off")
    if isinstance(exc, aiohttp.ClientResponseError):
        _forget_request(exc)
        return ConnectionFailed(
            "the answer is not HTTP",
            hint="Check scheme and port of the endpoint: is it https, is it CloudTower's?",
        )
    hint = ConnectionFailed.default_hint
    if endpoint.startswith("http:"):
        hint += " The port may speak https: then the endpoint begins with https://."
    return ConnectionFailed("the connection was closed before the answer", hint=hint)


def _explain_tls(exc: ssl.SSLError, settings: Settings) -> TLSFailed:
    if isinstance(exc, ssl.SSLCertVerificationError):
        fault, hint = _CERTIFICATE_FAULTS.get(exc.verify_code, (exc.verify_message, _TRUST))
        if settings.ca_file is not None and exc.verify_code in _UNKNOWN_AUTHORITY:
            fault = "it is not signed by an authority of the given ca_file"
        return TLSFailed(
            f"the server's certificate was refused: {fault}", reason=exc.verify_message, hint=hint
        )
    reason = exc.reason or str(exc)
    return TLSFailed(
        f"no TLS connection: {reason}",
        reason=reason,
        hint="Check the port of the endpoint, whether it speaks https or http, and client_cert=.",
    )


def _forget_request(exc: aiohttp.ClientResponseError) -> None:
    # It stays the cause of our error and carries the request with the Authorization header, which
    # whoever prints or reports the cause would show.
    info = exc.request_info
    none = CIMultiDictProxy(CIMultiDict[str]())
    exc.request_info = aiohttp.RequestInfo(info.url, info.method, none, info.real_url)
    exc.args = (exc.status, exc.message)


def without_frames(error: E) -> E:
    """Drop the tracebacks of an error, and of what it comes from, before it is raised further up.

    The frames hold what was sent, credentials too, and reports of errors show their variables.
    To be called outside of ``except``, where `sys.exception` is what the caller was handling: that
    is not ours and keeps its own.
    """
    foreign = sys.exception()
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is None or one is foreign:
            continue
        one.__traceback__ = None
        chain += [one.__cause__, one.__context__]
    return error


def another(error: E) -> E:
    """Copy an error that is raised in several places: each raise has a traceback of its own."""
    twin = copy.copy(error)
    twin.__cause__, twin.__suppress_context__ = error.__cause__, error.__suppress_context__
    return twin
