"""What follows when a sending has failed: the next one, where that is safe, or the error."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from ..errors import (
    BadRequest,
    CallError,
    CallTimeout,
    CloudtowerError,
    MultipleActive,
    MutationTimeout,
    NoActive,
    NotFound,
    OutcomeUnknown,
    ResourceLocked,
    ResponseDecodeError,
    StatusError,
    Unauthorized,
)
from ..retry.classify import LOST, Decision, FailureKind, decide, kind_of
from ..transport.connection_errors import without_frames
from ..transport.http import LOGIN
from ..transport.responses import HTML_INSTEAD
from .operation import Auth, Kind
from .server_version import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .executor import Call, Executor

R = TypeVar("R")

_log = logging.getLogger("cloudtower_async")

NO_LOGIN = (
    "The token is not valid (any more): pass a new token=, or renew that of a profile with "
    "`cloudtower-async login`; with username= and password= a session logs in again by itself."
)
LOGIN_IN_VAIN = "The session has logged in again, but the server refuses the new token, too."
_FOLLOW_BY_HAND = (
    "Another server of the pair is the active one: await tower.find_active(), then call again."
)
_WITHOUT_LIST = ("observability", "ovf")  # namespaces that have nothing to look at


class Again(Generic[R]):
    """Brings a call to its end whose first sending has failed.

    Args:
        caller: Sends.
        call: What.
        deadline: When the time of the call is over; each waiting for a lock begins a new one.
        attempt: Sends the call once, until a deadline; None: `Caller.once`.
    """

    def __init__(
        self,
        caller: Executor,
        call: Call[R],
        deadline: float,
        attempt: Callable[[Call[R], float], Awaitable[R]] | None = None,
    ) -> None:
        self._caller = caller
        self._call = call
        self._attempt = attempt or caller.once
        self._deadline = deadline
        self._retries = 0
        self._locks = 0
        self._locked_at: float | None = None
        self._logged_in = False
        self._turned = False

    async def send(self, failure: CallError) -> R:
        """Send again as often as it takes and is safe.

        Args:
            failure: Of the first sending.

        Raises:
            CallError: That of the last sending, or that the outcome is unknown.
            SessionClosed: Meanwhile.
        """
        while True:
            if self._kind_of(failure) in LOST:
                self._caller.endpoints.forget(failure.endpoint)
            pause = self._pause(failure)
            if pause is None or not self._call.rewind():
                if isinstance(failure, NotFound | BadRequest):
                    call, left = self._call, self._deadline - anyio.current_time()
                    await explain(self._caller, call.operation, call.content, failure, left)
                try:
                    raise without_frames(self._final(failure))
                finally:
                    del failure  # it and this frame would keep each other, and what was sent
            without_frames(failure)  # of which this is one: as above
            self._tell(pause)
            await self._caller.transport.sleep(pause, self._call.operation.name)
            earlier, stop = failure, None
            try:
                return await self._attempt(self._call, self._deadline)
            except CallError as exc:
                failure = exc
            except CloudtowerError as exc:
                stop = exc
            if stop is not None:
                raise without_frames(stop)
            if isinstance(failure, CallTimeout) and failure.__cause__ is None:
                failure.__cause__ = earlier  # why so much time had gone

    def _pause(self, failure: CallError) -> float | None:
        """Seconds until the next sending; None: there is none."""
        match self._decide(failure):
            case Decision.AGAIN if self._kind_of(failure) is FailureKind.PASSIVE:
                return self._turn_to_active(failure)
            case Decision.AGAIN:
                return self._back_off(failure)
            case Decision.LOG_IN:
                return self._log_in_again()
            case Decision.WAIT:
                return self._wait_for_lock()
            case _:
                return None

    def _decide(self, failure: CallError) -> Decision:
        operation = self._call.operation
        mutation = operation.kind is not Kind.QUERY
        decision = decide(failure, mutation=mutation, pair=self._caller.endpoints.several)
        if decision is Decision.LOG_IN and operation.auth is not Auth.TOKEN:
            return Decision.RAISE
        return decision

    def _kind_of(self, failure: CallError) -> FailureKind:
        return kind_of(failure, pair=self._caller.endpoints.several)

    def _back_off(self, failure: CallError) -> float | None:
        policy = self._caller.retry
        if self._retries + 1 >= policy.attempts:
            return None
        pause = policy.pause(self._retries + 1, random.random())  # noqa: S311 - no secret
        if isinstance(failure, StatusError) and failure.retry_after is not None:
            pause = max(pause, failure.retry_after)
        if anyio.current_time() + pause >= self._deadline:
            return None
        # Looking for the active server is done once for all who wait: it swamps nobody.
        if not isinstance(failure, NoActive | MultipleActive) and not self._caller.budget.take():
            return None
        self._retries += 1
        return pause

    def _turn_to_active(self, failure: CallError) -> float | None:
        endpoints = self._caller.endpoints
        if not endpoints.follows:
            failure.hint = _FOLLOW_BY_HAND
            return None
        if self._turned:
            return self._back_off(failure)
        self._turned = True
        self._logged_in = False  # the other one may not know the token
        return 0.0

    def _log_in_again(self) -> float | None:
        authenticator = self._caller.authenticator
        if self._logged_in or not authenticator.can_log_in:
            return None
        self._logged_in = True
        authenticator.forget(self._call.login)  # the next sending then logs in
        return 0.0

    def _wait_for_lock(self) -> float | None:
        now = anyio.current_time()
        if self._locked_at is None:
            self._locked_at = now
        left = self._locked_at + self._caller.lock_timeout - now
        if left <= 0:
            return None
        self._locks += 1
        pause = min(left, self._caller.retry.pause(self._locks, random.random()))  # noqa: S311
        self._deadline = now + pause + self._call.timeout
        self._retries = 0
        return pause

    def _tell(self, pause: float) -> None:
        name, number = self._call.operation.name, self._call.attempts + 1
        told = {"operation": name, "attempt": number}
        _log.info("%s: sent again in %.2f s, as attempt %d", name, pause, number, extra=told)

    def _final(self, failure: CallError) -> CallError:
        failure.attempts = self._call.attempts
        if failure.operation == LOGIN and self._call.operation.name != LOGIN:
            tries = self._caller.authenticator.tries - self._call.login_tries
            failure.attempts = max(tries, 1)
        if self._decide(failure) is Decision.UNKNOWN:
            return _unknown(failure)
        if isinstance(failure, ResourceLocked) and self._locked_at is not None:
            waited = anyio.current_time() - self._locked_at if self._locks else 0.0
            _tell_locks(failure, waited)
        elif type(failure) is Unauthorized and self._call.operation.auth is Auth.TOKEN:
            can_log_in = self._caller.authenticator.can_log_in
            failure.hint = LOGIN_IN_VAIN if can_log_in else NO_LOGIN
        return failure


def _tell_locks(failure: ResourceLocked, waited: float) -> None:
    failure.waited = waited
    locked = ", ".join(f"{one.type} {one.id}" for one in failure.locked_resources)
    failure.message += f" ({locked})" if locked else ""
    failure.message += f" for {waited:.3g} s already" if waited else ""


def _unknown(failure: CallError) -> OutcomeUnknown:
    kind = MutationTimeout if isinstance(failure, CallTimeout) else OutcomeUnknown
    doubt = "so it may have been carried out or not"
    if isinstance(failure, ResponseDecodeError) and failure.message != HTML_INSTEAD:
        doubt = "though the status says that it was carried out"
    error = kind(
        f"{failure.message}, {doubt}",
        operation=failure.operation,
        endpoint=failure.endpoint,
        status=failure.status,
        request_id=failure.request_id,
        code=failure.code,
        props=failure.props,
        server_message=failure.server_message,
        hint=where_to_look(failure.operation),
    )
    error.attempts = failure.attempts
    error.proxy = failure.proxy
    error.__cause__ = failure
    return error


def where_to_look(operation: str) -> str:
    """Name the calls that show whether a mutation was carried out."""
    namespace, _, method = operation.partition(".")
    if not method or not namespace.isidentifier() or namespace in _WITHOUT_LIST:
        return OutcomeUnknown.default_hint
    plural = namespace + ("es" if namespace[-1] in "os" else "s")
    if namespace[-1] == "y" and namespace[-2] not in "aeiou":
        plural = f"{namespace[:-1]}ies"
    return (
        "Before you call again look whether it was carried out: "
        f"tower.{namespace}.get_{plural} shows how things are, tower.task.get_tasks what was done."
    )
