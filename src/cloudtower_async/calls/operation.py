"""Operations of the API. Each operation has a path, an argument type and a response type."""

from __future__ import annotations

import copy
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import msgspec

from ..addresses import API_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")
S = TypeVar("S")


class Kind(StrEnum):
    """Kind of an operation, which decides whether a call may be retried."""

    QUERY = "query"
    MUTATION = "mutation"
    UPLOAD = "upload"


class Carries(StrEnum):
    """Form in which the arguments of an operation are sent.

    With AS_GIVEN, the arguments are passed unchanged to `Transport.exchange`.
    """

    JSON = "json"
    QUERY_STRING = "query_string"
    FORM = "form"
    AS_GIVEN = "as_given"


class Auth(StrEnum):
    """Kind of credential that an operation needs."""

    TOKEN = "token"  # noqa: S105 - not a secret
    BASIC = "basic"
    NONE = "none"


class Credential:
    """Authorization header of one call. The ``repr`` does not contain its value."""

    __slots__ = ("header",)

    def __init__(self, header: str) -> None:
        self.header: str = header


class Operation(Generic[R]):
    """One operation of the API. The type parameter R is the type of the response.

    Args:
        name: Namespace and method, such as ``"vm.get_vms"``.
        path: Path below `root`, such as ``"/get-vms"``.
        kind: Query, mutation or upload.
        answer: Function that returns the response type. The function is called at first use,
            because loading the models takes time.
        body: Function that returns the type of the arguments. None means that the schema describes
            no arguments.
        carries: Form in which arguments are sent.
        method: HTTP method.
        auth: Credential that the operation needs.
        since: First server version with the operation.
        not_modified: Whether the server may respond with status 304. The call then returns an empty
            list.
        root: Path of the API on the server.

    Attributes:
        loaded: Whether the argument type and the response type are already loaded.
    """

    def __init__(
        self,
        name: str,
        path: str,
        kind: Kind,
        answer: Callable[[], type[R]],
        *,
        body: Callable[[], object] | None = None,
        carries: Carries = Carries.JSON,
        method: str = "POST",
        auth: Auth | Credential = Auth.TOKEN,
        since: str = "3.0.0",
        not_modified: bool = False,
        root: str = API_PATH,
    ) -> None:
        self.name: str = name
        self.path: str = path
        self.kind: Kind = kind
        self.answer: Callable[[], type[R]] = answer
        self.body: Callable[[], object] | None = body
        self.carries: Carries = carries
        self.method: str = method
        self.auth: Auth | Credential = auth
        self.since: str = since
        self.not_modified: bool = not_modified
        self.root: str = root
        self.loaded: bool = body is None  # without arguments, there is little to load

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[R]:
        """Decoder of responses. The first use loads the models."""
        return msgspec.json.Decoder(self.answer())

    def answering(self, answer: Callable[[], type[S]]) -> Operation[S]:
        """Return a copy of the operation. In the copy, `answer` returns the response type."""
        other = cast("Operation[S]", copy.copy(self))
        other.answer = answer
        vars(other).pop("decoder", None)
        return other

    def __repr__(self) -> str:
        return f"<Operation {self.name} {self.method} {self.path} ({self.kind})>"
