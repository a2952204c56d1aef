"""Base classes and types that many answers and arguments share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Generic, Literal, TypeAlias, TypeVar

import msgspec

from .any_of import AnyOf
from .open_enum import OpenEnum as OpenEnum
from .secret_names import STARS, is_secret, redacted, without_secret_members

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

ContentLanguage: TypeAlias = Literal["en-US", "zh-CN", "*"]
"""Language of texts in answers. With ``*`` (CloudTower 4.4 and later), the server sends all
languages."""

Priority: TypeAlias = Literal["high", "normal", "low"]
"""Priority of a call in the queue of a session."""

Texts: TypeAlias = AnyOf[list[str], tuple[str, ...], set[str], frozenset[str]]
"""Several strings. A single ``str`` is not allowed, because it would be read as a sequence of
characters."""

Date: TypeAlias = AnyOf[str, datetime]
"""A date: a string, which is sent unchanged, or a `datetime.datetime` with a time zone."""

Dates: TypeAlias = AnyOf[
    list[Date],
    tuple[Date, ...],
    set[Date],
    frozenset[Date],
    Texts,
    list[datetime],
    set[datetime],
    frozenset[datetime],
]
"""Several dates."""

# Aliases for the values of most filter keys. Type checkers handle a named union faster than an
# inline union.
MaybeStr: TypeAlias = str | None
MaybeInt: TypeAlias = int | None
MaybeFloat: TypeAlias = float | None
MaybeBool: TypeAlias = bool | None
MaybeTexts: TypeAlias = Texts | None
MaybeDate: TypeAlias = Date | None
MaybeDates: TypeAlias = Dates | None
MaybeInts: TypeAlias = Sequence[int] | None
MaybeFloats: TypeAlias = Sequence[float] | None
MaybeMapping: TypeAlias = Mapping[str, Any] | None
MaybeMappings: TypeAlias = Sequence[Mapping[str, Any]] | None

FileContent: TypeAlias = AnyOf[bytes, bytearray, memoryview, BinaryIO]
"""Content of an upload: bytes, or a file opened in binary mode."""

CODEC_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
"""Exceptions that msgspec raises if it cannot decode, convert or encode a value.

Before msgspec 0.21, a MsgspecError is not a ValueError. Before msgspec 0.23, a text that is not
UTF-8 raises UnicodeDecodeError, which is not a MsgspecError.
"""


class Everything(msgspec.Struct, frozen=True):
    """Type of `EVERYTHING`, which is sent as the filter ``{}``."""

    def __repr__(self) -> str:
        return "EVERYTHING"


EVERYTHING: Any = Everything()
"""A filter that matches everything. It is sent as ``{}``. Mutations refuse ``{}`` itself, because
an empty filter is often a mistake.

The declared type is `Any`, because `EVERYTHING` can replace any filter.
"""


OMITTED: Any = None
"""Default of arguments that are objects, such as filters. An omitted argument is not sent.

None has the same meaning. The declared type is `Any`, so that the types of arguments need no ``|
None``. With ``| None``, the type of a filter would be a union, and type checkers would not report
which key of the filter is wrong.
"""

NULL: Any = None
"""None as the value of a relation in a filter. ``{"folder": NULL}`` matches resources without a
folder.

At run time, ``NULL`` is None. The declared type is `Any`, because the types of nested filters do
not include None. If they did, the types would be unions, and type checkers would not report which
key of a filter is wrong.
"""


class HoldsSecrets(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Base of answers that may hold secrets. The ``repr`` has ``***`` in place of each secret.

    The attributes hold the secrets themselves.
    """

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown: list[tuple[str, Any]] = []
        names = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        for name, encoded in names:
            value = getattr(self, name)
            hidden = value is not None and is_secret(encoded)
            shown.append((name, STARS if hidden else redacted(value, _redacted_json)))
        return shown

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({fields})"


class Entity(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Base of answers with an ``id``. Answers are compared by value and hashed by id.

    If an answer has many fields, its ``repr`` only has fields such as ``id`` and ``status``.
    `msgspec.structs.asdict` returns all fields.
    """

    def __hash__(self) -> int:
        return hash(getattr(self, "id", None))

    def __repr__(self) -> str:
        fields = self.__struct_fields__
        if len(fields) <= _MAX_SHOWN:
            return super().__repr__()
        shown = {
            name: value
            for name in _TELLING
            if name in fields and (value := getattr(self, name)) is not None
        }
        texts = ", ".join(f"{name}={str(value)!r}" for name, value in shown.items())
        return f"{type(self).__name__}({texts}, and {len(fields) - len(shown)} more fields)"


class EntityWithSecrets(Entity, HoldsSecrets, kw_only=True, frozen=True, gc=False):
    """Base of answers that have an ``id`` and may hold secrets."""


_MAX_SHOWN = 30
"""If a resource has at most this number of fields, the ``repr`` has all of them."""

_TELLING = ("id", "name", "local_id", "status", "state", "entity_async_status")
"""Fields in the ``repr`` of a resource that has more than `_MAX_SHOWN` fields."""


def _redacted_json(text: str) -> str:
    if not text.startswith(("{", "[")):
        return text
    try:
        value = msgspec.json.decode(text)
        return msgspec.json.encode(redacted(value, _redacted_json)).decode()
    except CODEC_ERRORS:
        return without_secret_members(text)


class WithTask(msgspec.Struct, Generic[T_co], kw_only=True, frozen=True, gc=False):
    """Answer of a mutation: the resource, and the id of the task that changes the resource.

    Attributes:
        data: The resource, or other data. Until the task has ended, only the id of a resource is
            reliable.
        task_id: Id of the task. None if the mutation is already complete.
    """

    data: T_co
    task_id: str | None = None


class Aggregate(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The part of a `Connection` that has the number of matching resources.

    Attributes:
        count: Number of matching resources.
    """

    count: int


class Connection(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Answer of a ``…_connection`` operation. ``aggregate.count`` is the number of resources."""

    aggregate: Aggregate


class RawResponse(msgspec.Struct, kw_only=True, frozen=True, eq=False):
    """Answer of `Cloudtower.raw`.

    Attributes:
        status: HTTP status, from 200 to 299.
        headers: Headers of the response. The names are case-insensitive.
        body: The whole body of the response, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<RawResponse {self.status}, {len(self.body)} bytes>"  # the body may hold secrets


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its response, as collected by `record_exchanges`.

    Attributes:
        operation: Name of the operation, such as ``"vm.get_vms"``, or the path for calls outside
            the schema.
        endpoint: Root address of the server.
        attempt: Number of the attempt within its call. The first attempt has the number 1.
        duration: Seconds from the start of the request to the end of the response.
        status: HTTP status of the response. None if no response arrived.
        request_id: Header ``x-tower-request-id`` of the response. None if there is no such header.
        error: Name of the class of the raised error. None if no error was raised.
        headers: Headers of the response, with names in lower case. The values of credentials and
            cookies are ``***``. The dict is empty if no response arrived, if headers were not
            requested, or if the request is a login.
        body: Start of the body of the response, up to the requested number of bytes. The body is
            not redacted, so it may hold secrets. None if no response arrived, if bodies were not
            requested, or if the request is a login.
        body_size: Size of the whole body in bytes, after decompression. None if ``body`` is None.
            For an error status, the size is at most 1 MiB, because no more of the body is read.
    """

    operation: str
    endpoint: str
    attempt: int
    duration: float
    status: int | None = None
    request_id: str | None = None
    error: str | None = None
    headers: dict[str, str] = {}
    body: bytes | None = None
    body_size: int | None = None

    def __hash__(self) -> int:
        return hash((self.operation, self.endpoint, self.attempt, self.duration, self.request_id))

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        hidden = ("headers", "body")  # a body may hold secrets
        names = (name for name in self.__struct_fields__ if name not in hidden)
        return [(name, getattr(self, name)) for name in names]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Exchange({fields})"


class Fetched(list[T]):
    """List of the resources that `Cloudtower.fetch_all` has read."""

    __slots__ = ("changed",)

    changed: bool
    """Whether resources were created or deleted during the read.

    Each resource that existed during the whole read is in the list once. Resources that were
    created or deleted during the read may or may not be in the list.
    """

    def __init__(self, rows: Iterable[T] = (), *, changed: bool = False) -> None:
        super().__init__(rows)
        self.changed = changed
