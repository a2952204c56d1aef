"""Parse and normalize addresses of CloudTower servers and proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import unquote, urlsplit

from .errors import InvalidSettings

API_PATH = "/v2/api"

_EXPECTED = "expected an address such as https://tower.example or tower.example:8443"
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MOST_ENCODINGS = 4
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:%-]+)*")


def normalise_endpoints(given: object) -> tuple[str, ...]:
    """Return the normalized address of a server, or both addresses of an active/passive pair.

    Raises:
        InvalidSettings: An address is invalid, the same address is given twice, or the list is
            empty.
    """
    several: Sequence[object] = (given,)
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        several = cast("Sequence[object]", given)
    found = tuple(normalise_endpoint(text) for text in several)
    if not found:
        raise _refused("the list is empty")
    for address in found:
        if found.count(address) > 1:
            raise _refused(f"{address} is given twice")
    return found


def normalise_endpoint(text: object) -> str:
    """Return the address of a CloudTower server as ``scheme://host[:port][/prefix]``.

    The default scheme is https. A trailing ``/v2/api`` and trailing slashes are removed. Any other
    path is kept, because it can be the path prefix of a reverse proxy.

    Raises:
        InvalidSettings: The address is invalid.
    """
    if not isinstance(text, str):
        # The error names only the type, because an address object may hold a password.
        got = None if text is None else type(text).__name__
        raise InvalidSettings(f"endpoint: {_EXPECTED}, got {got}", option="endpoint")
    text = text.strip()
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise _refused("it holds a space, a backslash or a control character")
    # Check this before any error quotes the address, because the address may hold a password.
    if "@" in text:
        raise _refused("it holds a user name or password: pass username= and password= instead")
    if _is_ipv6(text):
        text = f"[{text}]"
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "https", text
    scheme = scheme.lower()
    if scheme not in ("https", "http"):
        raise _refused(f"the scheme is {scheme!r}, not https or http")
    if "?" in rest or "#" in rest:
        raise _refused("it holds a query or a fragment")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError as exc:
        raise _refused(f"{rest!r} does not name a host and port") from exc
    if port == 0 or parts.netloc.endswith(":"):
        raise _refused("its port is not between 1 and 65535")
    return f"{scheme}://{host}" + (f":{port}" if port else "") + _prefix(parts.path)


class Proxy(NamedTuple):
    """An HTTP proxy.

    Attributes:
        address: Address without credentials: ``scheme://host:port``.
        username: User name for the proxy. None if the proxy needs no user name.
        password: Password for the proxy, which is a secret. None if the proxy needs no password.
    """

    address: str
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"<Proxy {self.address}>"


def parse_proxy(given: object, option: str) -> Proxy | None:
    """Return the parsed address of an HTTP proxy, or None if `given` is None or empty.

    The default scheme is http. The default port is the standard port of the scheme.

    Args:
        given: Address as ``http://[user:password@]host[:port]``. The user name and the password are
            percent-encoded.
        option: Name of the option, which the error message quotes.

    Raises:
        InvalidSettings: The address is invalid. The error does not quote the address, because the
            address may hold a password.
    """
    if given is None or given == "":
        return None
    expected = "expected the address of an HTTP proxy, such as http://proxy.example:3128"
    fault = f"{expected}, got {type(given).__name__}"
    if isinstance(given, str):
        scheme, separator, rest = given.strip().partition("://")
        if not separator:
            scheme, rest = "http", scheme
        scheme, fault = scheme.lower(), expected
        if scheme.startswith("socks"):
            fault = (
                "a SOCKS proxy is not supported; pass a connector that speaks SOCKS as connector="
            )
        elif scheme in ("http", "https") and not re.search(
            r"[\s\x00-\x1f\x7f\\\ud800-\udfff]", rest
        ):
            userinfo, _, place = rest.rpartition("@")
            username, colon, password = userinfo.partition(":")
            try:
                address = normalise_endpoint(f"{scheme}://{place}")
                parts = urlsplit(address)
            except InvalidSettings:
                pass
            else:
                if not parts.path:
                    port = "" if parts.port else ":443" if scheme == "https" else ":80"
                    return Proxy(
                        f"{address}{port}",
                        unquote(username) if userinfo else None,
                        unquote(password) if colon else None,
                    )
    raise InvalidSettings(f"{option}: {fault}", option=option)


def _host(host: str) -> str:
    if ":" in host:
        ipaddress.IPv6Address(host)
        return f"[{host}]"
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    if not _HOST.fullmatch(host) or ".." in host:
        raise ValueError(host)
    return host


def _prefix(path: str) -> str:
    while path.endswith(("/", API_PATH)):
        path = path.rstrip("/").removesuffix(API_PATH)
    if not _PREFIX.fullmatch(path) or not {".", ".."}.isdisjoint(path.split("/")):
        raise _refused(f"{path!r} is not a path")
    return path


@lru_cache(maxsize=1024)
def host_and_port(endpoint: str) -> tuple[str, int | None]:
    """Return the host and the port of a root address. Without a port, the second value is None."""
    parts = urlsplit(endpoint)
    return parts.hostname or "", parts.port


def path_fault(path: object) -> str | None:
    """Return an error message if a path could leave its URL prefix, or None if the path is safe.

    Servers and proxies decode a path one or more times before they split it into segments. A path
    that decodes to ``..`` or to additional slashes could leave the prefix. The session's token
    would then be sent to another service.
    """
    if not isinstance(path, str):
        return f"expected a string, got {type(path).__name__}"
    if "://" in path or "?" in path or "#" in path:
        return f"{path!r} is not a path; a query string goes in query="
    decoded = path
    for _ in range(_MOST_ENCODINGS):
        before = decoded
        try:
            decoded = unquote(before, errors="strict")
        except UnicodeDecodeError:
            return f"{path!r} holds percent-encoded bytes that are not UTF-8"
        if decoded == before:
            break
    else:
        return f"{path!r} is percent-encoded too many times"
    if _CONTROL.search(decoded):
        return f"{path!r} holds a control character, or one that is not Unicode text"
    if "\\" in decoded or decoded.count("/") != path.count("/"):
        return f"{path!r} holds a backslash or an encoded slash"
    if any(segment.partition(";")[0] in (".", "..") for segment in decoded.split("/")):
        return f"{path!r} holds a segment . or .., which could lead to another service"
    return None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _refused(why: str) -> InvalidSettings:
    return InvalidSettings(f"endpoint: {why}; {_EXPECTED}", option="endpoint")
