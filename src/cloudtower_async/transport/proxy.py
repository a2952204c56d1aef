"""HTTP proxies: choice of the proxy, credentials and errors."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..addresses import parse_proxy
from ..errors import ProxyFailed, ProxyRefused
from .basic_auth import basic

if TYPE_CHECKING:
    from ..addresses import Proxy
    from ..errors import CallError, StatusError
    from ..options import Settings


def find_proxies(settings: Settings) -> dict[str, Proxy]:
    """Return the proxies by endpoint. Endpoints that need no proxy are left out.

    With ``trust_env``, the function reads environment variables. On macOS and Windows, the function
    also reads the settings of the system. This can block, so call it in a worker thread.

    Raises:
        InvalidSettings: An environment variable does not hold the address of a proxy. The error
            names the variable.
    """
    if settings.via is not None:
        return dict.fromkeys(settings.endpoints, settings.via)
    if not settings.trust_env:
        return {}
    given = urllib.request.getproxies()
    found: dict[str, Proxy] = {}
    for endpoint in settings.endpoints:
        scheme = urlsplit(endpoint).scheme
        proxy = parse_proxy(given.get(scheme), _variable(scheme))
        if proxy is not None and not _is_exempt(endpoint):
            found[endpoint] = proxy
    return found


def credential(proxy: Proxy) -> str | None:
    """Return the ``Proxy-Authorization`` header for a proxy, or None if it has no user name."""
    if proxy.username is None:
        return None
    return basic(proxy.username, proxy.password or "")


def go_through(
    proxy: Proxy | None, endpoint: str, options: dict[str, Any], headers: dict[str, str]
) -> None:
    """Add the proxy to the options and headers of a request. Without a proxy, do nothing.

    The credentials are kept out of the proxy's address, because aiohttp's errors contain the
    address.
    """
    if proxy is None:
        return
    options["proxy"] = proxy.address
    sent = credential(proxy)
    if sent is None:
        return
    if endpoint.startswith("https:"):  # the proxy only reads the CONNECT request
        options["proxy_headers"] = {"proxy-authorization": sent}
    else:
        headers["proxy-authorization"] = sent


def proxy_refusal(status: int, proxy: Proxy | None) -> ProxyFailed:
    """Return the error for an error status that the proxy sent, not the server."""
    if status == 407:
        known = proxy is not None and proxy.username is not None
        return ProxyRefused(
            "the proxy refused its user name or password"
            if known
            else "the proxy wants a user name and a password",
            proxy_status=status,
            hint="Pass them in its address: proxy='http://user:password@host:port'.",
        )
    if status < 500:
        return ProxyRefused(
            f"the proxy refused to connect to the server (HTTP {status})", proxy_status=status
        )
    return ProxyFailed(
        f"the proxy could not connect to the server (HTTP {status})",
        proxy_status=status,
        hint="Check host and port of the endpoint, that the server is up, and proxy=.",
    )


def about_proxy(error: StatusError, proxy: Proxy) -> CallError:
    """Add the address of the proxy to an error, and return the error.

    Over plain HTTP, the proxy may have sent the response in place of the server. Over plain HTTP,
    the function therefore replaces an error with status 407 by a `ProxyRefused`, and mentions the
    proxy in the hint of an error that has no message of the API.
    """
    error.proxy = proxy.address
    if error.endpoint.startswith("https:"):
        return error
    if error.status == 407:
        refusal = proxy_refusal(407, proxy)
        refusal.operation, refusal.endpoint = error.operation, error.endpoint
        refusal.proxy = proxy.address
        return refusal
    if error.server_message is None:  # every error of the API has a message
        error.hint = "The proxy may have answered in place of CloudTower. " + error.hint
    return error


def unused_variable(endpoint: str) -> str | None:
    """Return the name of the variable that sets a proxy for an endpoint, or None."""
    parts = urlsplit(endpoint)
    if not urllib.request.getproxies_environment().get(parts.scheme) or _is_exempt(endpoint):
        return None
    return _variable(parts.scheme)


def _is_exempt(endpoint: str) -> bool:
    # NO_PROXY has host names with or without a port, and IPv6 addresses without brackets.
    parts = urlsplit(endpoint)
    return any(map(urllib.request.proxy_bypass, (parts.hostname or "", parts.netloc)))


def _variable(scheme: str) -> str:
    return f"{scheme.upper()}_PROXY"
