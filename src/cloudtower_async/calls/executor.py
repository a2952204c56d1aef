"""Executor: validates and sends calls, and retries them if a retry is safe."""

from __future__ import annotations

import asyncio
import copy
import logging
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, cast

import anyio
import anyio.to_thread
import msgspec

from ..errors import (
    BadRequest,
    CallError,
    CallTimeout,
    CloudtowerError,
    InvalidInput,
    MultipleActive,
    NoActive,
    NotFound,
    ResourceLocked,
    StatusError,
    Unauthorized,
)
from ..errors.failure_kind import FailureKind
from ..lazy_module import LazyModule
from ..retry.backoff import Budget
from ..retry.classify import LOST, RetryAction, decide, is_transient
from ..retry.policy import RetryPolicy
from ..secret_names import STARS
from ..transport.failover import Endpoints
from ..transport.http import LOGIN, is_confidential, secret_values
from ..transport.multipart import Marks
from ..transport.rate_limit import RateLimiter, reserved_slots
from ..transport.timeouts import TimeLimit, closed_during
from ..transport.tracebacks import HookError, frames_of_hook, without_frames
from ..transport.tracing import observed
from ..types import CODEC_ERRORS, ContentLanguage, Priority
from ..validators import check_argument, choice_fault, header_fault, seconds_fault
from .decoding import SlicedAnswer, decode
from .final_errors import (
    FOLLOW_BY_HAND,
    LOGIN_IN_VAIN,
    NO_LOGIN,
    NO_SUCH_PATH,
    NOT_SENT,
    OWN_CREDENTIAL,
    REFUSED_CREDENTIAL,
    describe_lock,
    interrupted_by_hook,
    outcome_unknown,
)
from .operation import Auth, Carries, Credential, Kind, Operation
from .server_version import GET_VERSION, explain
from .validation import check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence

    from .. import operation_call
    from ..options import Mutations
    from ..transport.auth import Authenticator
    from ..transport.http import Transport
    from ..transport.redaction import Secrets
    from . import middleware as middleware_chain
else:
    operation_call = LazyModule("..operation_call", __package__)
    middleware_chain = LazyModule(".middleware", __package__)

R = TypeVar("R")

_log = logging.getLogger("cloudtower_async")

_LIMITS = ("max_in_flight", "rate_limit")
"""Limits of `with_options`, which apply in addition to the session's limits."""
_encode = msgspec.json.Encoder().encode
_LOG_IN = Operation(LOGIN, "/login", Kind.QUERY, lambda: str, auth=Auth.NONE)
"""Operation that stands for a login in the retry loop. `Authenticator` sends the login request."""


class Call(msgspec.Struct, Generic[R], gc=False):
    """One call and the state of its retries.

    Args:
        operation: Operation to call.
        headers: Headers of the request.
        timeout: Time-out of the call in seconds. Waits for locked resources do not count.
        deadline: Time at which the call times out, by the clock of the event loop. A wait for a
            locked resource sets a new deadline.
        login_tries: Number of login attempts of the session before the call.
        content: Body, query or form fields, as keyword arguments of `Transport.exchange`.
        marks: Start positions of the files in the form. None if there is no form.
        login: Sequence number of the login that returned the token of the latest attempt.
        attempts: Number of attempts to send the call.
        sent: Whether the server may have received the latest attempt.
        retries: Number of retries since the last wait for a lock.
        locks: Number of waits for locked resources.
        locked_at: Time of the first response that said that a resource is locked.
        logged_in: Whether the session has logged in again for this call.
        turned: Whether the call has switched to the other node of a pair.
        polling: Whether the call is a poll, which is retried after more kinds of failure.
        status: HTTP status of the latest response.
        request_id: Header ``x-tower-request-id`` of the latest response.
    """

    operation: Operation[R]
    headers: dict[str, str]
    timeout: float
    deadline: float
    login_tries: int
    content: dict[str, Any] = {}
    marks: Marks | None = None
    login: int = 0
    attempts: int = 0
    sent: bool = False
    retries: int = 0
    locks: int = 0
    locked_at: float | None = None
    logged_in: bool = False
    turned: bool = False
    polling: bool = False
    status: int | None = None
    request_id: str | None = None


class Mode(Protocol):
    """Mode in which a session does not send some calls.

    Attributes:
        name: Value of the option ``mutations``: ``"refuse"`` or ``"plan"``.
    """

    @property
    def name(self) -> Mutations: ...

    def stops(self, operation: Operation[Any], arguments: object) -> bool:
        """Return whether this mode prevents a call from being sent."""
        ...

    def check_wait(self, operation: str, where: object, seen: Collection[str]) -> None:
        """Raise an error if a wait may never end, because this mode does not send some calls.

        Args:
            operation: Query that the wait repeats.
            where: Filter of the repeated query.
            seen: Ids of the resources that the query found.
        """
        ...

    async def answer(
        self,
        executor: Executor,
        operation: Operation[Any],
        arguments: object,
        options: Mapping[str, Any],
    ) -> Any:  # noqa: ANN401 - the operation determines the type
        """Return the answer for a call that is not sent to the server, or raise an error.

        Args:
            executor: Executor of the call.
            operation: Operation that was called.
            arguments: Checked arguments of the call.
            options: Options of the call, such as ``timeout``, by name.
        """
        ...


class Executor:
    """Carries out the calls of one session: validates, sends and retries them.

    Args:
        transport: Transport of requests, with the settings of the session.
        authenticator: Source of the token. It logs in if needed.

    Attributes:
        endpoints: Endpoints of the session, which select the server for each request.
        content_language: Default language of texts in answers.
        timeout: Default time-out in seconds for a whole call.
        lock_timeout: Maximum number of seconds to wait for resources that the server has locked.
        strict: Whether to raise an error for an answer that violates the API schema.
        validate: Whether to raise an error for arguments that violate the API schema.
        headers: Headers that `Cloudtower.with_options` adds to the headers of the session.
        priority: Priority of all calls. None means that each kind of call has a default priority.
        retry: Retry policy.
        budget: Retry budget of the session.
        mode: Mode in which some calls are not sent. None means that all calls are sent.
        middleware: Middleware around each call, in order from the outermost.
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
        self.headers: dict[str, str] = {}  # the transport sends the headers of the settings
        self.retry: RetryPolicy = settings.retry or RetryPolicy()
        self.budget: Budget = Budget(self.retry.budget)
        self.mode: Mode | None = None
        self.middleware: tuple[operation_call.Middleware, ...] = tuple(settings.middleware or ())
        in_flight = settings.max_in_flight or settings.max_connections
        if transport.owns_pool:
            in_flight = min(in_flight, settings.max_connections)
        self.priority: Priority | None = None
        # Reserve no slots if the caller has passed a connector, because the queue of the connector
        # ignores priorities.
        reserved = reserved_slots(in_flight) if transport.owns_pool else 0
        self._limits = RateLimiter(in_flight, settings.rate_limit, reserved=reserved)
        self._loading = anyio.Lock()
        self._held: Secrets | None = None

    def with_defaults(self, options: Mapping[str, Any]) -> Self:
        """Return a copy with other options. It shares the connections of this executor.

        Args:
            options: Checked options of `ScopedOptions`. An option replaces the attribute of the
                same name. Headers, middleware, limits and the retry budget apply in addition to
                those of this executor.
        """
        other = copy.copy(self)
        for name in options.keys() - _LIMITS:
            setattr(other, name, options[name])
        if "middleware" in options:
            other.middleware = (*self.middleware, *options["middleware"])
        if "headers" in options:
            other.headers = self.headers | options["headers"]
            other._held = self.transport.mask.hold(secret_values(other.headers))
        if "retry" in options:
            other.budget = Budget(other.retry.budget, within=self.budget)
        if options.keys() & _LIMITS:
            in_flight, rate = map(options.get, _LIMITS)
            other._limits = RateLimiter(in_flight, rate, within=self._limits)
        return other

    @property
    def load(self) -> tuple[int, int]:
        """Number of the session's requests in progress, and number of its waiting requests."""
        return self._limits.active, self._limits.queued

    def for_polls(self) -> Self:
        """Return an executor for polls of tasks and resources, with the default priority high."""
        return self.with_defaults({"priority": self.priority or "high"})

    def is_transient(self, error: CloudtowerError) -> bool:
        """Return whether to repeat a poll, such as a query of tasks, that failed with `error`."""
        return is_transient(error, can_log_in=self.authenticator.can_log_in)

    async def log_in(self) -> str:
        """Return the token, after a login if the session has no token.

        Raises:
            LoginFailed: The server refused the credentials.
            CallError: The server cannot be reached, or an active/passive pair does not have exactly
                one active node.
            SessionClosed: The session is closed.
        """
        deadline = self.transport.running_loop().time() + self.timeout
        call = Call(_LOG_IN, {}, self.timeout, deadline, self.authenticator.tries)
        try:
            return await self._attempt_login(call)
        except CallError as exc:
            failure = exc
        try:
            return await self._retry(call, failure, self._attempt_login)
        finally:
            del failure  # a reference cycle with this frame would keep the request

    async def _attempt_login(self, call: Call[str]) -> str:
        endpoint = None
        call.attempts += 1
        broken: BaseException | None
        try:
            with TimeLimit(self.transport, call.deadline):
                endpoint = await self.endpoints.find()
                return await self.authenticator.log_in(endpoint)
        except TimeoutError:
            broken = None
        except HookError as exc:
            broken = exc.__cause__
        try:
            if broken is None:
                raise self._cut_short(call, endpoint)
            raise broken.with_traceback(frames_of_hook(broken))
        finally:
            del broken  # avoid a reference cycle with this frame

    def call(
        self,
        operation: Operation[R],
        arguments: Mapping[str, object] | Sequence[object] | None = None,
        content_language: str | None = None,
        external_cloudtower_id: str | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, R]:
        """Drop arguments that are None, and send the call of a namespace method; see `send`."""
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
        *,
        checked: bool = False,
        polling: bool = False,
    ) -> Coroutine[Any, Any, R]:
        """Send a call without changing its arguments, and return the decoded answer.

        Args:
            operation: Operation to call.
            arguments: Arguments of the operation. None means that there are no arguments.
            content_language: Language of texts in the answer. None uses the session's language.
            external_cloudtower_id: Value of the header ``external-cloudtower-id``. None sends no
                such header.
            timeout: Time-out in seconds for the whole call: login, connecting, retries and reading
                the response. Waits for locked resources do not count. None uses the session's
                time-out.
            checked: Whether the caller has already checked the arguments.
            polling: Whether the call is a poll. Polls are retried after more kinds of failure than
                other queries.

        Raises:
            CallError: The call failed. The class of the error names the reason.
            InvalidInput: The arguments cannot be sent.
            EmptyFilter: A filter in the arguments may match everything.
            MutationRefused: The operation is a mutation, and the session is read-only.
            PlanEnded: The session is in plan mode, and the answer cannot be known.
            SessionClosed: The session was closed before or during the call.

        Middleware may raise any other exception.
        """
        calls: list[Call[Any]] | None = [] if "opentelemetry" in sys.modules else None
        send = self._send_through_middleware if self.middleware else self._send
        sending = send(
            operation,
            arguments,
            content_language,
            external_cloudtower_id,
            timeout,
            checked,
            polling,
            calls,
        )
        if calls is None:
            return sending
        return observed(operation.name, sending, calls, self.endpoints)

    async def _send_through_middleware(
        self,
        operation: Operation[R],
        arguments: object,
        content_language: str | None,
        external_cloudtower_id: str | None,
        timeout: float | None,
        checked: bool,
        polling: bool,
        calls: list[Call[Any]] | None,
    ) -> R:
        """Check the caller's arguments, and then run the call through the middleware."""
        name = operation.name
        if timeout is not None:
            check_argument(name, "timeout", seconds_fault(timeout))
        if not operation.loaded:
            await self._load(operation, arguments)
        if not checked:
            arguments = check(operation, arguments, validate=self.validate)
        hidden = is_confidential(name, operation.root + operation.path)
        language = self.content_language if content_language is None else content_language
        call = operation_call.OperationCall(
            operation=name,
            kind=operation.kind.value,
            arguments=middleware_chain.copied(arguments),
            timeout=self.timeout if timeout is None else timeout,
            content_language=cast("ContentLanguage", language),
            external_cloudtower_id=external_cloudtower_id,
            progress=operation_call.CallProgress(
                self.endpoints.latest, _all_hidden if hidden else self.transport.mask.within
            ),
        )

        def send(call: operation_call.OperationCall) -> Coroutine[Any, Any, R]:
            changed = call.arguments
            if operation.body is None:  # the API schema does not describe these arguments
                if changed != arguments:
                    raise InvalidInput(f"{name}: middleware cannot change its arguments")
                changed = arguments
            return self._send(
                operation,
                changed,
                call.content_language,
                call.external_cloudtower_id,
                call.timeout,
                False,
                polling,
                calls,
            )

        return cast("R", await middleware_chain.MiddlewareChain(self.middleware, call, send).run())

    async def _send(
        self,
        operation: Operation[R],
        arguments: object,
        content_language: str | None,
        external_cloudtower_id: str | None,
        timeout: float | None,
        checked: bool,
        polling: bool,
        calls: list[Call[Any]] | None,
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
        if not operation.loaded:
            await self._load(operation, arguments)
        if not checked:
            arguments = check(operation, arguments, validate=self.validate)
        content: dict[str, Any] = {}
        if operation.carries is Carries.JSON and arguments is not None:
            try:
                content = {"body": _encode(arguments)}
            except (TypeError, *CODEC_ERRORS) as exc:
                raise InvalidInput(
                    f"{operation.name}: the arguments cannot be written as JSON: {exc}"
                ) from exc
        if self.mode is not None and self.mode.stops(operation, arguments):
            options = {
                "content_language": content_language,
                "external_cloudtower_id": external_cloudtower_id,
                "timeout": timeout,
            }
            return cast("R", await self.mode.answer(self, operation, arguments, options))
        deadline = self.transport.running_loop().time() + timeout
        login_tries = self.authenticator.tries
        call = Call(operation, headers, timeout, deadline, login_tries, content, polling=polling)
        if operation.carries is not Carries.JSON:
            _prepare(call, arguments)
        if calls is not None:
            calls.append(call)
        failure: CloudtowerError
        try:
            result = await self.attempt(call)
        except CloudtowerError as exc:
            failure = exc
        else:
            if self.budget.spent:
                self.budget.earn()
            return result
        try:
            if isinstance(failure, CallError):
                return await self._retry(call, failure, self.attempt)
            raise without_frames(failure)
        finally:
            del failure  # a reference cycle with this frame would keep the request

    async def _load(self, operation: Operation[R], arguments: object) -> None:
        """Load the types that the first call of an operation needs, in a thread of its own.

        Do not use anyio's thread pool instead: all its threads may already be waiting for calls of
        this session, and then the types are never loaded.
        """
        self.transport.running_loop()
        async with self._loading:
            if not operation.loaded:
                load = partial(_load_types, operation, arguments, self.validate)
                await anyio.to_thread.run_sync(load, limiter=anyio.CapacityLimiter(1))

    async def attempt(self, call: Call[R]) -> R:
        """Send a call once and return the decoded answer.

        Raises:
            CallError: The attempt failed. Pass the error to `without_frames` before you raise it
                again.
            InvalidInput: The arguments cannot be sent.
            SessionClosed: The session was closed before or during the call.
        """
        operation = call.operation
        transport, authenticator, limits = self.transport, self.authenticator, self._limits
        with_token = operation.auth is Auth.TOKEN
        endpoints, endpoint = self.endpoints, None
        call.attempts += 1
        call.sent = False
        broken: BaseException | None
        try:
            with TimeLimit(transport, call.deadline):
                if not limits.enter_at_once():
                    await limits.enter(self.priority or _usual_priority(call))
                try:
                    endpoint = endpoints.active
                    if endpoint is None:
                        endpoint = await endpoints.find()
                    if with_token and authenticator.token is None:
                        await authenticator.log_in(endpoint)
                    call.login = authenticator.logins
                    # Keep the token, the session's headers and the response out of local variables,
                    # because error reports show local variables.
                    decoded = decode(
                        operation,
                        await transport.exchange(
                            operation.name,
                            operation.method,
                            endpoint,
                            self.headers | call.headers if self.headers else call.headers,
                            path=operation.root + operation.path,
                            token=(
                                authenticator.token
                                if with_token
                                else self._other_credential(operation.auth)
                            ),
                            not_modified=operation.not_modified,
                            attempt=call.attempts,
                            state=call,
                            **call.content,
                        ),
                        endpoint,
                        strict=self.strict,
                        mask=transport.mask,
                    )
                    # Repairing an answer can take long. Other tasks and the time-out can interrupt
                    # the repair.
                    if isinstance(decoded, SlicedAnswer):
                        sliced = cast("SlicedAnswer[R]", decoded)
                        answer = await sliced.read()
                        transport.counts.lenient_decodes += sliced.is_repaired
                        return answer
                    return decoded
                finally:
                    limits.leave()
        except CallError as exc:
            exc.operation = exc.operation or operation.name  # not set yet if no request was sent
            exc.proxy = exc.proxy or transport.proxy_of(exc.endpoint)
            if isinstance(exc, Unauthorized):
                if operation.auth is Auth.BASIC:
                    exc.hint = OWN_CREDENTIAL
                elif operation.carries is Carries.AS_GIVEN and not with_token:
                    exc.hint = REFUSED_CREDENTIAL
            # The name of a call outside the schema is the path.
            elif isinstance(exc, NotFound) and exc.operation == operation.path:
                exc.hint = NO_SUCH_PATH
            raise
        except TimeoutError:
            broken = None
        except HookError as exc:
            broken = exc.__cause__
        except asyncio.CancelledError as exc:
            # Drop the frames, because this exception becomes the cause of the caller's
            # TimeoutError, and error reports show the frames of a cause.
            exc.__traceback__ = None
            raise
        try:
            if broken is None:
                raise self._cut_short(call, endpoint)
            if operation.kind is Kind.QUERY or not call.sent:
                raise broken.with_traceback(frames_of_hook(broken))
            raise interrupted_by_hook(operation.name, endpoint, broken) from broken
        finally:
            del broken  # avoid a reference cycle with this frame

    async def server_version(self, timeout: float | None = None) -> str:
        """Return the server version. Sessions that share connections request the version once."""
        transport = self.transport
        if transport.server_version is None:
            transport.running_loop()
            async with transport.asking_version:
                if transport.server_version is None:
                    transport.server_version = await self.send(GET_VERSION, timeout=timeout)
        return transport.server_version

    async def _retry(
        self, call: Call[R], failure: CallError, attempt: Callable[[Call[R]], Awaitable[R]]
    ) -> R:
        """Resend a failed call with `attempt` until it succeeds, and return the answer.

        If a further retry is not safe or not allowed, raise the error of the last attempt.

        Raises:
            SessionClosed: The session was closed during the retries.
        """
        name, mutation = call.operation.name, call.operation.kind is not Kind.QUERY
        while True:
            if failure.failure_kind in LOST:
                self.endpoints.forget(failure.endpoint)
            action = decide(failure, mutation=mutation, polling=call.polling)
            pause = self._pause(call, failure, action)
            if pause is None or (call.marks is not None and not call.marks.rewind()):
                if isinstance(failure, NotFound | BadRequest):
                    left = call.deadline - anyio.current_time()
                    ask = partial(self.server_version, left)
                    await explain(call.operation, call.content, failure, left, ask)
                try:
                    raise without_frames(self._final_error(call, failure, action))
                finally:
                    del failure  # avoid a reference cycle with this frame
            without_frames(failure)  # also drops this frame, which would keep the request
            number = call.attempts + 1
            told = {"operation": name, "attempt": number}
            _log.info("%s: retrying in %.2f s, attempt %d", name, pause, number, extra=told)
            self.transport.counts.lock_waits += action is RetryAction.WAIT
            try:
                await self.transport.sleep(pause, name)
            finally:
                self.transport.counts.lock_waits -= action is RetryAction.WAIT
            earlier, stop = failure, None
            try:
                return await attempt(call)
            except CallError as exc:
                failure = exc
            except CloudtowerError as exc:
                stop = exc
            if stop is not None:
                raise without_frames(stop)
            if isinstance(failure, CallTimeout) and failure.__cause__ is None:
                failure.__cause__ = earlier  # the cause shows how long the call waited

    def _pause(self, call: Call[R], failure: CallError, action: RetryAction) -> float | None:
        """Return the seconds until the next attempt, or None if the call is not retried."""
        if action is RetryAction.RETRY:
            if failure.failure_kind is not FailureKind.PASSIVE or call.turned:
                return self._back_off(call, failure)
            if not self.endpoints.follows:
                failure.hint = FOLLOW_BY_HAND
                return None
            call.turned = True
            call.logged_in = False  # the other node may not know the token
            return 0.0
        if action is RetryAction.LOG_IN:
            can_log_in = call.operation.auth is Auth.TOKEN and self.authenticator.can_log_in
            if call.logged_in or not can_log_in:
                return None
            call.logged_in = True
            self.authenticator.forget(call.login)  # so that the next attempt logs in
            return 0.0
        if action is not RetryAction.WAIT:
            return None
        now = anyio.current_time()
        if call.locked_at is None:
            call.locked_at = now
        left = call.locked_at + self.lock_timeout - now
        if left <= 0:
            return None
        call.locks += 1
        call.retries = 0
        pause = min(left, self.retry.pause(call.locks))
        call.deadline = now + pause + call.timeout
        return pause

    def _back_off(self, call: Call[R], failure: CallError) -> float | None:
        if call.retries + 1 >= self.retry.attempts:
            return None
        pause = self.retry.pause(call.retries + 1)
        if isinstance(failure, StatusError) and failure.retry_after is not None:
            pause = max(pause, failure.retry_after)
        if anyio.current_time() + pause >= call.deadline:
            return None
        # A retry of the search for the active node takes no token, because all calls share the
        # search.
        if not isinstance(failure, NoActive | MultipleActive) and not self.budget.take():
            return None
        call.retries += 1
        return pause

    def _final_error(self, call: Call[R], failure: CallError, action: RetryAction) -> CallError:
        """Return `failure` with details of the call, or `OutcomeUnknown` in its place."""
        failure.attempts = call.attempts
        if failure.operation == LOGIN and call.operation.name != LOGIN:
            failure.attempts = max(self.authenticator.tries - call.login_tries, 1)
        if action is RetryAction.UNKNOWN:
            return outcome_unknown(failure)
        if isinstance(failure, ResourceLocked) and call.locked_at is not None:
            waited = anyio.current_time() - call.locked_at if call.locks else 0.0
            describe_lock(failure, waited)
        elif type(failure) is Unauthorized and call.operation.auth is Auth.TOKEN:
            failure.hint = LOGIN_IN_VAIN if self.authenticator.can_log_in else NO_LOGIN
        return failure

    def _other_credential(self, auth: Auth | Credential) -> str | None:
        if isinstance(auth, Credential):
            return auth.header
        return self.authenticator.basic if auth is Auth.BASIC else None

    def _cut_short(self, call: Call[R], endpoint: str | None) -> CloudtowerError:
        operation = call.operation.name
        if not call.sent and call.attempts > 1:
            call.attempts -= 1  # no request was sent for this attempt
        if self.transport.closed:
            return closed_during(operation)
        endpoint = endpoint or self.endpoints.latest
        error = CallTimeout(
            f"no answer within {call.timeout:g} s",
            operation=operation,
            endpoint=endpoint,
            sent=call.sent,
            hint=None if call.sent else NOT_SENT,
        )
        error.proxy = self.transport.proxy_of(endpoint)
        return error


def _usual_priority(call: Call[R]) -> Priority:
    """Return ``"high"`` for mutations, uploads and polls, and ``"normal"`` for other queries."""
    return "high" if call.polling or call.operation.kind is not Kind.QUERY else "normal"


def _load_types(operation: Operation[R], arguments: object, validate: bool) -> None:
    """Load the types of an operation's answer and of the given arguments."""
    _ = operation.decoder
    with suppress(InvalidInput):  # a later check raises this error again
        check(operation, arguments, validate=validate)
    operation.loaded = True


def _all_hidden(value: object) -> object:
    return None if value is None else STARS


def _prepare(call: Call[R], arguments: object) -> None:
    """Set the content, the headers and the file positions of a call from its arguments."""
    if arguments is None:
        return
    carries = call.operation.carries
    if carries is Carries.AS_GIVEN:
        call.content = dict(cast("dict[str, Any]", arguments))
        call.headers.update(call.content.pop("headers", {}))
    else:
        call.content = {"fields" if carries is Carries.FORM else "query": arguments}
    if fields := call.content.get("fields"):
        call.marks = Marks(fields)
