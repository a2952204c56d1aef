"""The addresses of Towers, in one form."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlsplit

from .errors import InvalidSettings

API_PATH = "/v2/api"

_EXPECTED = "expected an address such as https://tower.example or tower.example:8443"
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:%-]+)*")


def normalise_endpoints(given: object) -> tuple[str, ...]:
    """Bring one address, or those of a pair, into one form; see `normalise_endpoint`.

    Raises:
        InvalidSettings: One is no such address, there is none, or one is there twice.
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
    """Bring the address of a Tower into one form: ``scheme://host[:port][/prefix]``.

    Without a scheme it is https. A trailing ``/v2/api`` and slashes are dropped; the path prefix
    of a reverse proxy stays.

    Raises:
        InvalidSettings: It is no such address.
    """
    if not isinstance(text, str):
        # Of others only the type: an address object may hold a password.
        got = None if text is None else type(text).__name__
        raise InvalidSettings(f"endpoint: {_EXPECTED}, got {got}", option="endpoint")
    text = text.strip()
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise _refused("it holds a space, a backslash or a control character")
    # Ruled out before anything is quoted, as it may hold a password.
    if "@" in text:
        raise _refused("it holds user info: pass username= and password= instead")
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


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _refused(why: str) -> InvalidSettings:
    return InvalidSettings(f"endpoint: {why}; {_EXPECTED}", option="endpoint")
