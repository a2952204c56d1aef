"""Errors of a single call."""

# ruff: noqa: N818 - names without "Error" read well: `except ResourceLocked`
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
        operation: Name of the operation, such as ``"vm.get_vms"``, or the path for calls outside
            the schema.
        endpoint: Root address of the server.
        status: HTTP status of the response. None if no response arrived.
        request_id: Header ``x-tower-request-id`` of the response. SmartX support asks for this id.
            None if the response has no such header.
        code: The server's error code, such as ``"ResourceLocked"``. None if there is no code.
        props: Details that the server has added to the error code.
        server_message: The whole error message of the server. None if the server sent no message,
            or an HTML page.
        sent: Whether the server may have received the request. False if no connection was made, or
            if the login before the request failed.
        hint: Next step for the user.
        attempts: Number of attempts to send the call. If the login failed, this is the number of
            attempts to log in.
        proxy: Address of the proxy for the request, without credentials. None if no proxy was used.
    """

    default_hint: ClassVar[str] = ""
    default_kind: ClassVar[FailureKind] = FailureKind.REFUSED
    unsent_kind: ClassVar[FailureKind | None] = None  # None means `default_kind`
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
    """No connection could be made, or the connection broke before the response was complete."""

    default_kind = FailureKind.CUT_OFF
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.NO_CONNECTION
    default_hint = "Check that the server is up and that nothing on the way cuts connections."


class NameNotResolved(ConnectionFailed):
    """The host name of the endpoint has no address."""

    default_hint = "Check the spelling of the endpoint and the DNS settings of this machine."


class TLSFailed(ConnectionFailed):
    """The TLS handshake failed, usually because the certificate is not trusted.

    ``reason`` is OpenSSL's description of the failure.
    """

    default_kind = FailureKind.CUT_OFF
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.TLS_FAILED
    default_hint = (
        "If the certificate is not trusted, pass the certificate of its authority as ca_file=. "
        "Otherwise check the port of the endpoint, and the certificate passed as client_cert=."
    )

    def __init__(self, message: str, *, reason: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class ProxyFailed(ConnectionFailed):
    """The proxy could not be reached, or did not connect to the server. No request was sent.

    ``proxy_status`` is the HTTP status of the proxy's response. None if the proxy did not respond.
    """

    default_hint = (
        "Check that the proxy is up, and check its address: proxy=, CLOUDTOWER_PROXY, or (with "
        "trust_env=True) HTTPS_PROXY or HTTP_PROXY."
    )

    def __init__(
        self, message: str, *, proxy_status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, sent=False, hint=hint)
        self.proxy_status = proxy_status


class ProxyRefused(ProxyFailed):
    """The proxy requires credentials, or forbids connections to the server."""

    default_kind = FailureKind.CUT_OFF
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.PROXY_REFUSED
    default_hint = "Ask the proxy's administrator to allow connections to the endpoint."


class _NotOneActive(ConnectionFailed):
    def __init__(self, message: str, *, answers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, sent=False)
        self.answers: dict[str, str] = dict(answers or {})


class NoActive(_NotOneActive):
    """No node of an active/passive pair is active. The call was not sent.

    ``answers`` is a dict from the address of each node to its answer, such as ``"passive"`` or
    ``"HTTP 503"``.
    """

    default_hint = (
        "A failover may be in progress: try again later. A node that did not report itself as "
        "passive may be down."
    )


class MultipleActive(_NotOneActive):
    """More than one node of an active/passive pair is active. The call was not sent.

    ``answers`` is a dict from the address of each node to its answer, such as ``"active"``.
    """

    default_hint = "Check that the addresses belong to one pair; if so, repair the pair."


class CallTimeout(CallError, TimeoutError):
    """No complete response arrived within the time-out."""

    default_kind = FailureKind.NO_RESPONSE
    unsent_kind: ClassVar[FailureKind | None] = FailureKind.NO_CONNECTION
    default_hint = "Pass a longer timeout= if the call is slow."


class ResponseDecodeError(CallError):
    """The response cannot be decoded, because its body does not match the API schema.

    Attributes:
        place: Path of the invalid value in the body, such as ``"$[3].vcpu"``. ``"$"`` is the whole
            body.
        excerpt: Start of the invalid value.
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
    """The response to a GraphQL request has errors.

    ``server_message`` has the messages of all errors. ``code`` is the code of the first error.

    Attributes:
        errors: Errors of the server as dicts, with keys such as ``message`` and ``path``.
        data: Partial data in the response. None if the response has no data.
    """

    default_hint = "Check the query, its variables, and the permissions of the user."

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

    The mutation was not retried, because a retry could execute the mutation twice. ``__cause__`` is
    the error of the request, such as a broken connection, HTTP 5xx, or a response that cannot be
    decoded. ``hint`` names the queries that show the outcome.
    """

    default_hint = (
        "Before you call again, check whether the mutation was carried out: tower.task.get_tasks "
        "lists the tasks that the server has started."
    )


class MutationTimeout(OutcomeUnknown, CallTimeout):
    """A mutation was sent and timed out. It is unknown whether the server executed it."""

    default_kind = FailureKind.NO_RESPONSE


class Ambiguous(CallError, LookupError):
    """Several resources match, but exactly one was expected.

    Attributes:
        count: Number of matching resources.
        ids: Ids of the first few matching resources.
    """

    default_hint = "Pass the id of the right resource, or narrow the filter."

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
    """The result set changed too much while its pages were read."""

    default_hint = "Read the result set again, without order_by or with larger pages."


class PagingFailed(ResponseDecodeError):
    """The pages of a result set cannot be read to the end.

    Possible causes: the server returned the same page twice, ignored the argument ``after`` (the
    start of the page), ignored a filter, or left out ids. Without ids, the start of the next page
    is unknown. The resources that were read before the error are correct, but further resources may
    be missing.
    """

    default_hint = (
        "Report this error with the name of the operation. A narrower filter may avoid the error."
    )


class StatusError(CallError):
    """The server answered with an error status.

    ``retry_after`` is the number of seconds that the server asks the client to wait before the next
    call. None if the server does not ask.
    """

    default_kind = FailureKind.UNEXPECTED

    retry_after: float | None = None


class BadRequest(StatusError):
    """HTTP 400: the server rejected the arguments."""

    default_kind = FailureKind.REFUSED
    default_hint = "Check the arguments of the call; the message usually names the faulty argument."


class LockedResource(msgspec.Struct, frozen=True, gc=False):
    """A locked resource. ``type`` is ``"VM"`` or ``"VM_VOLUME"``."""

    id: str
    type: str


class ResourceLocked(BadRequest):
    """HTTP 400 with code ``ResourceLocked``: another task is changing the resource.

    The call changed nothing. The call was retried until the ``lock_timeout`` of the session had
    passed. The lock ends when ``entityAsyncStatus`` of the resource is None. ``waited`` is the
    number of seconds that the call waited for the end of the lock.
    """

    default_kind = FailureKind.LOCKED

    waited: float = 0.0

    default_hint = "Nothing was changed: wait for the other task to end, then call again."

    @property
    def locked_resources(self) -> list[LockedResource]:
        """Locked resources that the server has named. The list can be empty."""
        try:
            return msgspec.convert(self.props, _LockProps).locked_resources
        except msgspec.ValidationError:
            return []


class _LockProps(msgspec.Struct):
    locked_resources: list[LockedResource]


class Unauthorized(StatusError):
    """HTTP 401: the token is missing, invalid or expired."""

    default_kind = FailureKind.LOGGED_OUT
    default_hint = "The token is invalid or has expired: open a new session, or pass a new token=."


class LoginFailed(Unauthorized):
    """The server returned no token for these credentials."""

    default_kind = FailureKind.REFUSED
    default_hint = (
        "Check username, password and source (such as LOCAL or LDAP); "
        "with two-factor authentication pass an API key as token=."
    )


class CredentialsUnavailable(CallError):
    """The function passed as ``credentials=`` raised an exception, which is ``__cause__``.

    A call raises this error without a retry. Waits and watches retry, because a vault may be
    unavailable for a while.
    """

    default_kind = FailureKind.NO_CREDENTIALS
    default_hint = "Check the function passed as credentials=, and the service that it queries."


class Forbidden(StatusError):
    """HTTP 403: the user does not have the permission for this call."""

    default_kind = FailureKind.REFUSED
    default_hint = "Ask an administrator to give the user's role this permission."


class NotFound(StatusError, LookupError):
    """A resource or an operation was not found.

    If ``status`` is 404, the server does not have the resource or the operation. If ``status`` is
    None, no resource matches the query of `Cloudtower.get_one` or `Cloudtower.resolve`.
    """

    default_kind = FailureKind.REFUSED
    default_hint = (
        "Check the ids. If all ids are right, the server is too old for the operation, "
        "or the endpoint is not a CloudTower."
    )


class TooManyRequests(StatusError):
    """HTTP 429: the server received too many requests."""

    default_kind = FailureKind.TOO_MANY
    default_hint = "Nothing was changed: call again later, with fewer concurrent calls."


class ServerError(StatusError):
    """HTTP 5xx: the server, or a proxy in front of the server, failed."""

    default_kind = FailureKind.FAILED
    default_hint = "Try again later; if the error persists, give the request id to support."


class UnexpectedStatus(StatusError):
    """The response has a status that the API does not document, such as a redirect."""

    default_hint = "Check that the endpoint is the address of CloudTower itself."
