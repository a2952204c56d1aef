"""Operations of the API: path, arguments and answer of a call."""

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
    """Effect of a call on the server, which decides whether it may be retried."""

    QUERY = "query"
    MUTATION = "mutation"
    UPLOAD = "upload"


class Carries(StrEnum):
    """Form in which arguments are sent. AS_GIVEN: the arguments themselves determine the form."""

    JSON = "json"
    QUERY_STRING = "query_string"
    FORM = "form"
    AS_GIVEN = "as_given"


class Auth(StrEnum):
    """Credential that a call needs."""

    TOKEN = "token"  # noqa: S105 - the kind of credential, not one
    BASIC = "basic"
    NONE = "none"


class Credential:
    """Credential of one call: an Authorization header that no ``repr`` shows."""

    __slots__ = ("header",)

    def __init__(self, header: str) -> None:
        self.header: str = header


class Operation(Generic[R]):
    """One operation of the API; R is the type of its answer.

    Args:
        name: Namespace and method: ``"vm.get_vms"``.
        path: Path below the root: ``"/get-vms"``.
        kind: Query, mutation or upload.
        answer: Function that returns the type of the answer, so that models load at first use.
        body: Function that returns the type of the arguments; None: no arguments.
        carries: Form in which arguments are sent.
        method: HTTP method.
        auth: Credential that the operation needs.
        since: First server version with the operation.
        not_modified: Whether the server may answer 304; the call then returns an empty list.
        root: Path of the API.

    Attributes:
        loaded: Whether the types of the arguments and of the answer are in memory.
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
        self.loaded: bool = body is None  # the few operations without arguments have small answers

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[R]:
        """Decoder of answers, created at first use together with its models."""
        return msgspec.json.Decoder(self.answer())

    def answering(self, answer: Callable[[], type[S]]) -> Operation[S]:
        """Return the same operation with another type of answer."""
        other = cast("Operation[S]", copy.copy(self))
        other.answer = answer
        vars(other).pop("decoder", None)
        return other

    def __repr__(self) -> str:
        return f"<Operation {self.name} {self.method} {self.path} ({self.kind})>"
