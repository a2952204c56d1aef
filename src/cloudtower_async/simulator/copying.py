"""Functions that copy the fleet of a real Tower and replace names, addresses and secrets."""

from __future__ import annotations

import enum
import ipaddress
import re
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio.to_thread
import msgspec

from .. import models
from ..api.catalogue import OPERATIONS
from ..errors import Forbidden, InvalidInput, NotFound
from ..secret_names import is_secret
from .store.dump import queries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Session(Protocol):
    """The method of `Cloudtower` that this module needs."""

    async def fetch_all(self, method: Callable[..., Awaitable[list[Any]]], /) -> list[Any]:
        """Return all resources that a query method finds."""
        ...


async def read_fleet(tower: Session, *, redact: bool) -> dict[str, Any]:
    """Return all resources of a Tower, in the form that `Simulator.load` accepts.

    The result maps the paths of queries to lists of resources. If the server does not support a
    query or the user lacks the permission, the query is skipped.

    Args:
        tower: Session with the Tower. Only queries are sent.
        redact: Replace names, addresses, secrets and free text, as described in `Redactor`.

    Raises:
        CallError: A query failed and cannot be skipped.
    """
    fleet: dict[str, list[Any]] = {}
    for path in queries().values():
        namespace, _, method = OPERATIONS[f"/{path}"].partition(".")
        try:
            rows = await tower.fetch_all(getattr(getattr(tower, namespace), method))
        except (NotFound, Forbidden, InvalidInput):
            continue
        fleet[path] = list(rows)
    return await anyio.to_thread.run_sync(_plain, fleet, redact)


def _plain(fleet: dict[str, list[Any]], redact: bool) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(fleet)
    return cast("dict[str, Any]", Redactor().value(plain)) if redact else plain


class Redactor:
    """Replacement of secrets and of strings that may identify people, places and machines.

    Only harmless strings stay. These are enum values, ids, dates, versions and short numbers. IP
    and MAC addresses are replaced by other addresses. Every other string becomes the name of its
    field and a number, such as ``name-7``. The same string always gets the same replacement, so
    relations stay intact.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._harmless = _enum_values()

    def value(self, value: object, field: str = "") -> object:
        """Return a copy of the JSON `value` of the field `field`, with replaced strings."""
        if isinstance(value, str):
            return self._text(value, field)
        if isinstance(value, list):
            return [self.value(item, field) for item in cast("list[object]", value)]
        if isinstance(value, dict):
            members = cast("dict[str, object]", value)
            return {name: self.value(member, name) for name, member in members.items()}
        return value

    def _text(self, text: str, field: str) -> str:
        secret = is_secret(field) or (field == "key" and _UUID.fullmatch(text) is not None)
        if not text or (not secret and (text in self._harmless or _HARMLESS.fullmatch(text))):
            return text
        addresses = _SEPARATOR.split(text)
        if all(_is_address(one) for one in addresses):
            return "".join(self._address(one) if one else "" for one in addresses)
        return self._replaced(text, field or "text", "{field}-{number}")

    def _address(self, text: str) -> str:
        if _SEPARATOR.fullmatch(text):
            return text
        host, slash, prefix = text.partition("/")
        if _MAC.fullmatch(host):
            return self._replaced(host.lower(), "mac", "52:54:02:{high:02x}:{middle:02x}:{low:02x}")
        if ":" in host:
            return self._replaced(host, "ipv6", "fd00::{number:x}") + slash + prefix
        return self._replaced(host, "ip", "10.{high}.{middle}.{low}") + slash + prefix

    def _replaced(self, text: str, field: str, form: str) -> str:
        if text not in self._known:
            number = self._counts[field] = self._counts.get(field, 0) + 1
            digits = {
                "high": number >> 16 & 255,
                "middle": number >> 8 & 255,
                "low": number & 255,
            }
            self._known[text] = form.format(field=field, number=number, **digits)
        return self._known[text]


_HARMLESS = re.compile(
    r"c[a-z0-9]{24}"  # an id
    r"|(placeholder-)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"  # a UUID
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?"  # a date
    r"|\d{1,2}(\.\d{1,3}){1,2}(-[a-z0-9.]{1,12})?"  # a version
    r"|\d{1,5}|true|false|null"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_SEPARATOR = re.compile(r"([,;\s]+)")


def _is_address(text: str) -> bool:
    if not text or _SEPARATOR.fullmatch(text) or _MAC.fullmatch(text):
        return True
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


def _enum_values() -> frozenset[str]:
    """Return all values of all enums in ``models``."""
    kinds = [getattr(models, name) for name in dir(models)]
    enums = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, enum.Enum)]
    return frozenset(str(member.value) for kind in enums for member in kind)
