"""Errors of a single call."""

# ruff: noqa: N818 - the names say what happened: `except ResourceLocked`
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from ..control_characters import one_line
from .base import CloudtowerError
from .failure_kind import FailureKind


class CallError(CloudtowerError):
    """A call failed.

    Attributes:
        operation: Which one: ``"vm.get_vms"``, or the path for calls outside the schema.
        endpoint: Root address of the server.
        status: HTTP status, when there was an answer.
        request_id: ``x-tower-request-id`` of the answer: quote it to support.
        code: The server's error code, such as ``"ResourceLocked"``.
        props: Details that the server added to the code.
        server_message: The server's message in full; None if it sent none, or a web page.
        sent: False when it is certain that the server did not get the request: no connection was
            made, or the session did not get as far as it was logging in first.
        hint: Next step for the user.
        attempts: Number of attempts to send the call, or the login if that failed.
        proxy: Address of the proxy that the request went through, without credentials.
    """

    default_hint: ClassVar[str] = ""
    default_kind: ClassVar[FailureKind] = FailureKind.REFUSED
    unsent_kind: ClassVar[FailureKind | None] = None  # None: the same
    attempts: int = 1
    proxy: str | None = None
    _kind: FailureKind | None = None

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        endpoint: str = "",
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        props: object = None,
        server_message: str | None = None,
        sent: bool = True,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.endpoint = endpoint
        self.status = status
        self.request_id = request_id
        self.code = code
        self.props = props
        self.server_message = server_message
        self.sent = sent
        self.hint: str = self.default_hint if hint is None else hint

    @property
    def failure_kind(self) -> FailureKind:
        """Kind of failure, which decides whether the call is retried."""
        if self._kind is not None:
            return self._kind
        return (not self.sent and self.unsent_kind) or self.default_kind

    @failure_kind.setter
    def failure_kind(self, kind: FailureKind) -> None:
        self._kind = kind

    def _describe(self) -> str:
        line = f"{self.operation}: {self.message}" if self.operation else self.message
        if self.server_message:
            line += f": {one_line(self.server_message)}"
        where = [self.endpoint] if self.endpoint else []
        if self.proxy is not None:
            where.append(f"via proxy {self.proxy}")
        if self.status is not None:
            where.append(f"HTTP {self.status}")
        if self.code:
            where.append(f"code {self.code}")
        if self.request_id:
            where.append(f"request id {self.request_id}")
        if self.attempts > 1:
            where.append(f"tried {self.attempts} times")
        if where:
            line += f" [{', '.join(where)}]"
        return f"{line}. {self.hint}" if self.hint else line


class ConnectionFailed(CallError, ConnectionError):
    """No connection could be made, or it broke before the answer was complete."""

    default_kind = FailureKind.CUT_OFF
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.NO_CONNECTION
    default_hint = "Check that the server is up and that nothing on the way cuts connections."


class NameNotResolved(ConnectionFailed):
    """The host name of the endpoint has no address."""

    default_hint = "Check the spelling of the endpoint and the DNS settings of this machine."


class TLSFailed(ConnectionFailed):
    """The TLS handshake failed, usually because the certificate is not trusted.

    ``reason`` is what OpenSSL said.
    """

    default_kind = FailureKind.CUT_OFF
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.TLS_FAILED

    def __init__(self, message: str, *, reason: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class ProxyFailed(ConnectionFailed):
    """The proxy could not be reached, or did not connect to the server. Nothing was sent.

    ``proxy_status`` is the HTTP status with which the proxy answered, if it did.
    """

    default_hint = (
        "Check that the proxy is up and that its address is right (proxy= or CLOUDTOWER_PROXY; "
        "HTTPS_PROXY or HTTP_PROXY with trust_env=True)."
    )

    def __init__(
        self, message: str, *, proxy_status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, sent=False, hint=hint)
        self.proxy_status = proxy_status


class ProxyRefused(ProxyFailed):
    """The proxy wants credentials, or its rules forbid connections to the server."""

    default_kind = FailureKind.CUT_OFF
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.PROXY_REFUSED
    default_hint = "Ask who runs the proxy to allow connections to the endpoint."


class _NotOneActive(ConnectionFailed):
    def __init__(self, message: str, *, answers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, sent=False)
        self.answers: dict[str, str] = dict(answers or {})


class NoActive(_NotOneActive):
    """None of the servers of a pair is the active one. The call was not sent.

    ``answers`` is what each address answered, such as ``"passive"`` or ``"HTTP 503"``.
    """

    default_hint = "The pair may be changing places: try again later; check what is not passive."


class MultipleActive(_NotOneActive):
    """More than one server of a pair is active. The call was not sent, as one of them is wrong.

    ``answers`` is what each address answered.
    """

    default_hint = "Check that the addresses belong to one pair; if so, repair it."


class CallTimeout(CallError, TimeoutError):
    """No complete answer came in time."""

    default_kind = FailureKind.NO_RESPONSE
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.NO_CONNECTION
    default_hint = "Pass a longer timeout= if the call is a slow one."


class ResponseDecodeError(CallError):
    """The answer is not what the API promises.

    Attributes:
        place: Where in the body, as in ``"$[3].vcpu"``; ``"$"`` is the body as a whole.
        excerpt: The start of what stands there.
    """

    default_kind = FailureKind.UNREADABLE

    def __init__(
        self,
        message: str,
        *,
        place: str = "$",
        excerpt: str = "",
        **about: Any,  # noqa: ANN401 - what `CallError` takes
    ) -> None:
        super().__init__(message, **about)
        self.place = place
        self.excerpt = excerpt


class GraphQLError(CallError):
    """The answer to a GraphQL request tells of errors.

    ``server_message`` has their messages, ``code`` the first one's.

    Attributes:
        errors: Errors of the server, with ``message``, ``path`` and so on.
        data: Partial data of the answer, if any.
    """

    default_hint = "Check the query and its variables, and what the user may do."

    def __init__(
        self,
        message: str,
        *,
        errors: Sequence[dict[str, Any]] = (),
        data: object = None,
        **about: Any,  # noqa: ANN401 - what `CallError` takes
    ) -> None:
        super().__init__(message, **about)
        self.errors: list[dict[str, Any]] = list(errors)
        self.data: object = data


class OutcomeUnknown(CallError):
    """A mutation was sent, and it is unknown whether the server executed it.

    It was not retried, because that could execute it twice. ``__cause__`` is the failure: of the
    connection, of the server (HTTP 5xx), or of an answer that cannot be read. ``hint`` names the
    calls that show the outcome.
    """

    default_hint = (
        "Before you call again look whether it was carried out: tower.task.get_tasks lists what "
        "the server was told to do."
    )


class MutationTimeout(OutcomeUnknown, CallTimeout):
    """A mutation was sent, but no complete answer came in time: its outcome is not known."""

    default_kind = FailureKind.NO_RESPONSE


class Ambiguous(CallError, LookupError):
    """Several resources match where one was wanted.

    Attributes:
        count: How many.
        ids: Those of the first few.
    """

    default_hint = "Ask for one of these ids, or narrow the where."

    def __init__(
        self,
        message: str,
        *,
        count: int = 0,
        ids: Sequence[str] = (),
        **about: Any,  # noqa: ANN401 - what `CallError` takes
    ) -> None:
        super().__init__(message, **about)
        self.count = count
        self.ids: tuple[str, ...] = tuple(ids)


class SetChanged(CallError):
    """The result set changed too much between pages to continue."""

    default_hint = "Read again; without order_by, or with larger pages, this does not happen."


class PagingFailed(ResponseDecodeError):
    """The pages of a result set do not lead to its end.

    The server repeats a page, ignores ``after`` or a filter, or leaves out the ids that the next
    page would start after. What was read before the error is right, but more may be missing.
    """

    default_hint = "Report this with the name of the operation; a filter may avoid it."


class StatusError(CallError):
    """The server answered with an error status.

    ``retry_after`` is how many seconds the server asks to wait before the next call, if it does.
    """

    default_kind = FailureKind.UNEXPECTED

    retry_after: float | None = None


class BadRequest(StatusError):
    """HTTP 400: the server found the arguments wrong."""

    default_kind = FailureKind.REFUSED
    default_hint = "Check the arguments of the call; the message names the one at fault."


class LockedResource(msgspec.Struct, frozen=True, gc=False):
    """One resource that is busy: ``type`` is ``"VM"`` or ``"VM_VOLUME"``."""

    id: str
    type: str


class ResourceLocked(BadRequest):
    """HTTP 400 with code ``ResourceLocked``: something else is changing the resource.

    Nothing was done. The call was retried until ``lock_timeout`` was over. The resource is free
    when its ``entityAsyncStatus`` is None.

    ``waited`` is the number of seconds that the call has waited for it.
    """

    default_kind = FailureKind.LOCKED

    waited: float = 0.0

    default_hint = "Nothing was done: wait for the other task to end, then call again."

    @property
    def locked_resources(self) -> list[LockedResource]:
        """The resources that are busy, as far as the server names them."""
        try:
            return msgspec.convert(self.props, _LockProps).locked_resources
        except msgspec.ValidationError:
            return []


class _LockProps(msgspec.Struct):
    locked_resources: list[LockedResource]


class Unauthorized(StatusError):
    """HTTP 401: the token is missing, wrong or has run out."""

    default_kind = FailureKind.LOGGED_OUT
    default_hint = "The token is not valid (any more): open a new session, or pass a new token=."


class LoginFailed(Unauthorized):
    """The server gave no token for these credentials."""

    default_kind = FailureKind.REFUSED
    default_hint = (
        "Check username, password and source (LOCAL or LDAP); "
        "with two-factor authentication pass an API key as token=."
    )


class CredentialsUnavailable(CallError):
    """The function passed as ``credentials=`` raised an exception, which is ``__cause__``.

    A call raises this at once. Waits and watches try again later, as a vault may be down.
    """

    default_kind = FailureKind.NO_CREDENTIALS
    default_hint = "Check the function that was passed as credentials=, and what it asks."


class Forbidden(StatusError):
    """HTTP 403: the user may not do this."""

    default_kind = FailureKind.REFUSED
    default_hint = "Ask an administrator to give the user's role this permission."


class NotFound(StatusError, LookupError):
    """Nothing where something was expected.

    HTTP 404: no such resource, or no such operation on this server. Without a status: nothing
    matches what `Cloudtower.get_one` or `Cloudtower.resolve` looked for.
    """

    default_kind = FailureKind.REFUSED
    default_hint = (
        "Check the ids; if none is wrong, the server is too old for the operation "
        "or the endpoint is not a CloudTower."
    )


class TooManyRequests(StatusError):
    """HTTP 429: the server wants fewer calls."""

    default_kind = FailureKind.TOO_MANY
    default_hint = "Nothing was done: call again later, with fewer calls at once."


class ServerError(StatusError):
    """HTTP 5xx: the server, or a proxy before it, failed."""

    default_kind = FailureKind.FAILED
    default_hint = "Try again later; if it stays, give the request id to support."


class UnexpectedStatus(StatusError):
    """A status that the API does not speak of, such as a redirect."""

    default_hint = "Check that the endpoint is the address of CloudTower itself."
