"""From arguments to answer."""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import msgspec

from ..errors import (
    CallError,
    CallTimeout,
    CloudtowerError,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Unauthorized,
)
from ..retry.backoff import Budget
from ..retry.classify import is_transient
from ..retry.policy import RetryPolicy
from ..transport import tracing
from ..transport.connection_errors import frames_of_hook, without_frames
from ..transport.failover import Endpoints
from ..transport.http import LOGIN, HookError
from ..transport.multipart import Marks
from ..transport.rate_limit import RateLimiter
from ..transport.timeouts import TimeLimit, closed_during
from ..types import CODEC_ERRORS, ContentLanguage
from ..validators import check_argument, choice_fault, header_fault, seconds_fault
from .decoding import Mismatch, decode
from .executor_loop import Again, where_to_look
from .operation import Auth, Carries, Credential, Kind, Operation
from .validation import check

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ..transport.auth import Authenticator
    from ..transport.http import Transport

R = TypeVar("R")

_encode = msgspec.json.Encoder().encode
_LOG_IN = Operation(LOGIN, "/login", Kind.QUERY, lambda: str, auth=Auth.NONE)
"""Stands for the login in retries; `Authenticator` sends it."""
_NO_SUCH_PATH = (
    "Check the path, then what the body names; "
    "the server may also be too old for it, or no CloudTower."
)
_STILL_HERE = (
    "It was not sent: it waited for its turn (max_connections=, max_in_flight=, rate_limit=), "
    "for a login, for an active server, or for a connection. Pass a longer timeout=, call less at "
    "a time, or check that the server can be reached."
)
_OWN_CREDENTIAL = (
    "It wants HTTP Basic with a credential of its own, not the session's: "
    "check change_feed=(username, password)."
)


class Call(msgspec.Struct, Generic[R], gc=False):
    """One call, as it is sent, perhaps more than once.

    Args:
        operation: What is called.
        headers: Of the request.
        content: Its body, query or fields, as `Transport.exchange` takes them.
        timeout: Seconds for everything but waiting for locked resources.
        marks: Where the files among the fields were at first.
        login: Which login the token comes from that it was sent with last.
        attempts: How often it was tried to send it.
        sent: The server may have received the latest attempt.
        login_tries: How often a login had been tried in the session before the call.
    """

    operation: Operation[R]
    headers: dict[str, str]
    content: dict[str, Any]
    timeout: float
    marks: Marks | None = None
    login: int = 0
    attempts: int = 0
    sent: bool = False
    login_tries: int = 0

    def rewind(self) -> bool:
        """Make ready to be sent again; False when it cannot be."""
        return self.marks is None or self.marks.rewind()


class Executor:
    """Carries out the calls of one session.

    Args:
        transport: The way to the server, with the settings of the session.
        authenticator: Has the token, or gets it.

    Attributes:
        endpoints: Which server to ask.
        content_language: Language of texts, for calls that choose none.
        timeout: Seconds for a whole call, for calls that choose none.
        lock_timeout: Seconds to wait for locked resources.
        strict: Refuse answers that break the schema.
        validate: Refuse arguments that break it.
        retry: Whether and when to send again.
        budget: What is left for that.
    """

    def __init__(self, transport: Transport, authenticator: Authenticator) -> None:
        settings = transport.settings
        self.transport = transport
        self.authenticator = authenticator
        self.endpoints: Endpoints = Endpoints(transport)
        self.content_language: str = settings.content_language
        self.timeout: float = settings.timeout
        self.lock_timeout: float = settings.lock_timeout
        self.strict: bool = settings.strict
        self.validate: bool = settings.validate
        self.retry: RetryPolicy = settings.retry or RetryPolicy()
        self.budget: Budget = Budget(self.retry.budget)
        in_flight = settings.max_in_flight or settings.max_connections
        if transport.owns_pool:
            in_flight = min(in_flight, settings.max_connections)
        self._limits = RateLimiter(in_flight, settings.rate_limit)

    def with_defaults(self, *, content_language: str, timeout: float, lock_timeout: float) -> Self:
        """Make one over the same connection, and with the same limits, with other defaults."""
        other = copy.copy(self)
        other.content_language = content_language
        other.timeout = timeout
        other.lock_timeout = lock_timeout
        return other

    def is_transient(self, error: CloudtowerError) -> bool:
        """Return whether a background poll that failed with this error may succeed later."""
        return is_transient(
            error, pair=self.endpoints.several, can_log_in=self.authenticator.can_log_in
        )

    async def log_in(self) -> str:
        """Return the token; log in first if needed, with the retries of a query.

        Raises:
            LoginFailed: The server refused the credentials.
            CallError: The server cannot be reached, or not exactly one node of a pair is active.
            SessionClosed: The session is closed.
        """
        call = Call(_LOG_IN, {}, {}, self.timeout, login_tries=self.authenticator.tries)
        deadline = self.transport.running_loop().time() + self.timeout
        try:
            return await self._log_in_once(call, deadline)
        except CallError as exc:
            failure = exc
        try:
            return await Again(self, call, deadline, self._log_in_once).send(failure)
        finally:
            del failure  # it and this frame would keep each other, and what was sent

    async def _log_in_once(self, call: Call[str], deadline: float) -> str:
        endpoint = None
        call.attempts += 1
        try:
            with TimeLimit(self.transport, deadline):
                endpoint = await self.endpoints.find()
                return await self.authenticator.log_in(endpoint)
        except TimeoutError:
            pass
        raise self._cut_short(call, endpoint)

    def call(
        self,
        operation: Operation[R],
        arguments: Mapping[str, object] | Sequence[object] | None = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, R]:
        """Call with the arguments of a namespace's method, of which None are those left out.

        For the rest see `send`.
        """
        if isinstance(arguments, dict):
            arguments = {name: value for name, value in arguments.items() if value is not None}
        return self.send(operation, arguments, content_language, external_cloudtower_id, timeout)

    def send(
        self,
        operation: Operation[R],
        arguments: object = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, R]:
        """Send the arguments as they are and return the decoded answer.

        Args:
            operation: What to call.
            arguments: What it takes; None: nothing.
            content_language: Language of texts; None: the session's.
            external_cloudtower_id: Sent as the header of that name.
            timeout: Seconds for everything: logging in, connecting, sending, the whole answer, and
                all that again; waiting for locked resources is not counted. None: the session's.

        Raises:
            CallError: See its subclasses.
            InvalidInput: The arguments cannot be sent.
            EmptyFilter: A filter in them may match everything.
            SessionClosed: Before or meanwhile.
        """
        sending = self._send(
            operation, arguments, content_language, external_cloudtower_id, timeout
        )
        tracer = tracing.tracer()
        return sending if tracer is None else tracing.in_span(tracer, operation.name, sending)

    async def _send(
        self,
        operation: Operation[R],
        arguments: object,
        content_language: str | None,
        external_cloudtower_id: str | None,
        timeout: float | None,
    ) -> R:
        if timeout is None:
            timeout = self.timeout
        else:
            check_argument(operation.name, "timeout", seconds_fault(timeout))
        headers = {"content-language": self.content_language}
        if content_language is not None:
            fault = choice_fault(content_language, ContentLanguage)
            check_argument(operation.name, "content_language", fault)
            headers["content-language"] = content_language
        if external_cloudtower_id is not None:
            fault = header_fault(external_cloudtower_id)
            check_argument(operation.name, "external_cloudtower_id", fault)
            headers["external-cloudtower-id"] = external_cloudtower_id
        if operation.auth is Auth.BASIC:
            headers["x-bypass-whitelist"] = "true"
        arguments = check(operation, arguments, validate=self.validate)
        call = Call(operation, headers, _content(operation, arguments), timeout)
        call.login_tries = self.authenticator.tries
        if operation.carries is not Carries.JSON:
            _prepare(call)
        deadline = self.transport.running_loop().time() + timeout
        failure: CloudtowerError
        try:
            result = await self.once(call, deadline)
        except CloudtowerError as exc:
            failure = exc
        else:
            self.budget.earn()
            return result
        try:
            if isinstance(failure, CallError):
                return await Again(self, call, deadline).send(failure)
            raise without_frames(failure)
        finally:
            del failure  # it and this frame would keep each other, and what was sent

    async def once(self, call: Call[R], deadline: float) -> R:
        """Send a call one time and return the decoded answer.

        Args:
            call: What to send.
            deadline: When it has to be done, by the clock of the event loop.

        Raises:
            CallError: See its subclasses. Raise it `without_frames`.
            InvalidInput: The arguments cannot be sent.
            SessionClosed: Before or meanwhile.
        """
        operation = call.operation
        transport, authenticator, limits = self.transport, self.authenticator, self._limits
        with_token = operation.auth is Auth.TOKEN
        endpoints, endpoint = self.endpoints, None
        call.attempts += 1
        call.sent = False
        broken: BaseException | None
        try:
            with TimeLimit(transport, deadline):
                if not limits.enter_at_once():
                    await limits.enter()
                try:
                    endpoint = endpoints.active
                    if endpoint is None:
                        endpoint = await endpoints.find()
                    if with_token and authenticator.token is None:
                        await authenticator.log_in(endpoint)
                    call.login = authenticator.logins
                    # No variable holds the token or the answer: errors show those of this frame.
                    decoded = decode(
                        operation,
                        await transport.exchange(
                            operation.name,
                            operation.method,
                            endpoint,
                            call.headers,
                            path=operation.root + operation.path,
                            token=self._credential(operation.auth),
                            not_modified=operation.not_modified,
                            attempt=call.attempts,
                            progress=call,
                            **call.content,
                        ),
                        endpoint,
                        strict=self.strict,
                        mask=transport.mask,
                    )
                    # What is taken apart takes long: the time-out and other tasks interrupt it.
                    if isinstance(decoded, Mismatch):
                        return await decoded.read()  # pyright: ignore[reportUnknownVariableType]
                    return decoded
                finally:
                    limits.leave()
        except CallError as exc:
            exc.operation = exc.operation or operation.name  # none, when nobody could be asked
            exc.proxy = exc.proxy or transport.proxy_of(exc.endpoint)
            if isinstance(exc, Unauthorized) and operation.auth is not Auth.TOKEN:
                exc.hint = _refused_hint(operation) or exc.hint
            # Calls outside the schema are named by their path.
            elif isinstance(exc, NotFound) and exc.operation == operation.path:
                exc.hint = _NO_SUCH_PATH
            raise
        except TimeoutError:
            broken = None
        except HookError as exc:
            broken = exc.__cause__
        except asyncio.CancelledError as exc:
            # It becomes the cause of the caller's own TimeoutError, whose reports show frames.
            exc.__traceback__ = None
            raise
        try:
            if broken is None:
                raise self._cut_short(call, endpoint)
            if operation.kind is Kind.QUERY:
                raise broken.with_traceback(frames_of_hook(broken))
            raise _interrupted(call, endpoint, broken) from broken
        finally:
            del broken  # it and this frame would keep each other

    def _credential(self, auth: Auth | Credential) -> str | None:
        if auth is Auth.TOKEN:
            return self.authenticator.token
        if isinstance(auth, Credential):
            return auth.header
        return self.authenticator.basic if auth is Auth.BASIC else None

    def _cut_short(self, call: Call[R], endpoint: str | None) -> CloudtowerError:
        operation = call.operation.name
        if not call.sent and call.attempts > 1:
            call.attempts -= 1  # this one was not made
        if self.transport.closed:
            return closed_during(operation)
        endpoint = endpoint or self.endpoints.latest
        error = CallTimeout(
            f"no answer within {call.timeout:g} s",
            operation=operation,
            endpoint=endpoint,
            sent=call.sent,
            hint=None if call.sent else _STILL_HERE,
        )
        error.proxy = self.transport.proxy_of(endpoint)
        return error


def _interrupted(call: Call[R], endpoint: str | None, cause: BaseException) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"a client middleware or trace hook raised {type(cause).__name__} after the request was "
        "sent, so it may have been carried out or not",
        operation=call.operation.name,
        endpoint=endpoint or "",
        hint=where_to_look(call.operation.name),
    )


def _refused_hint(operation: Operation[R]) -> str | None:
    if operation.auth is Auth.BASIC:
        return _OWN_CREDENTIAL
    if operation.carries is Carries.AS_GIVEN:
        return "Check auth=: the server refuses the credential, or wants one."
    return None


def _prepare(call: Call[R]) -> None:
    """Set what depends on how the arguments travel: headers, and where files begin."""
    call.headers.update(call.content.pop("headers", {}))
    if fields := call.content.get("fields"):
        call.marks = Marks(fields)


def _content(operation: Operation[R], arguments: object) -> dict[str, Any]:
    if arguments is None:
        return {}
    if operation.carries is Carries.JSON:
        try:
            return {"body": _encode(arguments)}
        except (TypeError, *CODEC_ERRORS) as exc:
            raise InvalidInput(
                f"{operation.name}: the arguments cannot be written as JSON: {exc}"
            ) from exc
    if operation.carries is Carries.AS_GIVEN:
        return cast("dict[str, Any]", arguments)
    return {"fields" if operation.carries is Carries.FORM else "query": arguments}
