"""Classify failed requests: one table says what follows, for queries, mutations and polls.

The table is the only place that decides whether an error is transient. A mutation is resent only
if it certainly was not executed; a failure that cannot prove that leaves its outcome unknown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from ..errors import (
    CallError,
    CallTimeout,
    CloudtowerError,
    ConnectionFailed,
    CredentialsUnavailable,
    LoginFailed,
    ProxyRefused,
    ResourceLocked,
    ResponseDecodeError,
    ServerError,
    StatusError,
    TLSFailed,
    Unauthorized,
)


class FailureKind(StrEnum):
    """Kinds of failure, as far as they matter for retries."""

    NO_CONNECTION = "no connection, or no active node in a pair"
    TLS_FAILED = "TLS failed: the certificate was refused, or the server does not speak TLS"
    PROXY_REFUSED = "the proxy wants credentials, or its rules forbid the connection"
    CUT_OFF = "the connection broke before the end of the response"
    NO_RESPONSE = "no complete response in time"
    PASSIVE = "the node is the passive one of a pair"
    MAYBE_PASSIVE = "the only address redirects: it may be a passive node"
    NO_CREDENTIALS = "the function passed as `credentials` raised an exception"
    LOGGED_OUT = "the token is invalid or has expired"
    LOCKED = "another task holds the resource (`ResourceLocked`)"
    TOO_MANY = "rate limit of the server"
    NOT_ACCEPTED = "the server did not accept the request on this connection"
    UNAVAILABLE = "the server, or a proxy in front of it, was unavailable or too slow"
    FAILED = "the server failed"
    UNREADABLE = "a success whose response cannot be decoded"
    REFUSED = "the server refused the request, or refused the login"
    UNEXPECTED = "a status that proves nothing"


class Decision(StrEnum):
    """Reaction to a failure."""

    AGAIN = "retried"
    LOG_IN = "new login, then retried once"
    WAIT = "retried until `lock_timeout` is over"
    RAISE = "the error is raised"
    UNKNOWN = "`OutcomeUnknown` is raised"


class Decisions(NamedTuple):
    """Reactions to a failure, for each kind of request.

    ``poll`` is for whatever keeps reading for a long time: waits, watches and uploads. It applies
    to the error that is left when the retries of one query are used up.
    """

    query: Decision
    mutation: Decision
    poll: Decision


_AGAIN, _LOG_IN, _WAIT = Decision.AGAIN, Decision.LOG_IN, Decision.WAIT
_RAISE, _UNKNOWN = Decision.RAISE, Decision.UNKNOWN

DECISIONS: dict[FailureKind, Decisions] = {
    FailureKind.NO_CONNECTION: Decisions(_AGAIN, _AGAIN, _AGAIN),
    FailureKind.TLS_FAILED: Decisions(_RAISE, _RAISE, _RAISE),
    FailureKind.PROXY_REFUSED: Decisions(_RAISE, _RAISE, _RAISE),
    FailureKind.CUT_OFF: Decisions(_AGAIN, _UNKNOWN, _AGAIN),
    FailureKind.NO_RESPONSE: Decisions(_AGAIN, _UNKNOWN, _AGAIN),
    FailureKind.PASSIVE: Decisions(_AGAIN, _AGAIN, _AGAIN),
    FailureKind.MAYBE_PASSIVE: Decisions(_AGAIN, _RAISE, _AGAIN),
    FailureKind.NO_CREDENTIALS: Decisions(_RAISE, _RAISE, _AGAIN),
    FailureKind.LOGGED_OUT: Decisions(_LOG_IN, _LOG_IN, _LOG_IN),
    FailureKind.LOCKED: Decisions(_WAIT, _WAIT, _AGAIN),
    FailureKind.TOO_MANY: Decisions(_AGAIN, _AGAIN, _AGAIN),
    FailureKind.NOT_ACCEPTED: Decisions(_AGAIN, _RAISE, _AGAIN),
    FailureKind.UNAVAILABLE: Decisions(_AGAIN, _UNKNOWN, _AGAIN),
    FailureKind.FAILED: Decisions(_RAISE, _UNKNOWN, _AGAIN),
    FailureKind.UNREADABLE: Decisions(_RAISE, _UNKNOWN, _AGAIN),
    FailureKind.REFUSED: Decisions(_RAISE, _RAISE, _RAISE),
    FailureKind.UNEXPECTED: Decisions(_RAISE, _UNKNOWN, _RAISE),
}
"""Reactions to each kind of failure."""

_REFUSALS = (400, 403, 404, 405, 406, 411, 413, 414, 415, 417, 422, 428, 431, 501, 505)

STATUSES: dict[int, FailureKind] = {
    401: FailureKind.LOGGED_OUT,
    **dict.fromkeys(_REFUSALS, FailureKind.REFUSED),
    **dict.fromkeys((421, 425), FailureKind.NOT_ACCEPTED),
    429: FailureKind.TOO_MANY,
    **dict.fromkeys((408, 502, 503, 504), FailureKind.UNAVAILABLE),
}
"""Kind of failure of each error status with one meaning.

Others are told apart by more than the status: 307 by the number of addresses, 400 and 409 by the
server's error code. The remaining 5xx are `FailureKind.FAILED`, the rest is
`FailureKind.UNEXPECTED`.
"""

_OTHER_STATUSES = {
    FailureKind.PASSIVE: "307",
    FailureKind.MAYBE_PASSIVE: "307",
    FailureKind.LOCKED: "400",
    FailureKind.FAILED: "any other 5xx",
    FailureKind.UNREADABLE: "2xx",
    FailureKind.REFUSED: "409 with an error code of CloudTower",
    FailureKind.UNEXPECTED: "any other, such as 409 without an error code, or a redirect",
}


def statuses_of(kind: FailureKind) -> str:
    """Return the HTTP statuses of a kind of failure, for documentation; may be empty."""
    listed = [str(status) for status, one in sorted(STATUSES.items()) if one is kind]
    if kind in _OTHER_STATUSES:
        listed.append(_OTHER_STATUSES[kind])
    return ", ".join(listed)


LOST = frozenset(
    {
        FailureKind.NO_CONNECTION,
        FailureKind.TLS_FAILED,
        FailureKind.CUT_OFF,
        FailureKind.NO_RESPONSE,
        FailureKind.PASSIVE,
        FailureKind.UNAVAILABLE,
    }
)
"""Failures after which the active node of a pair is looked up again."""


def decide(error: CallError, *, mutation: bool, pair: bool) -> Decision:
    """Return what to do about the failure of one request.

    Args:
        error: The failure.
        mutation: The call is no query.
        pair: The session has several addresses.
    """
    decisions = DECISIONS[kind_of(error, pair=pair)]
    # A failure before the call itself was sent, such as that of a login, is handled like a query's.
    return decisions.mutation if mutation and error.sent else decisions.query


def is_transient(error: CloudtowerError, *, pair: bool, can_log_in: bool) -> bool:
    """Return whether a background poll that failed with this error may succeed later.

    Args:
        error: What is left when the retries of one query are used up.
        pair: The session has several addresses.
        can_log_in: The session can get a new token by itself.
    """
    if not isinstance(error, CallError):
        return False
    decision = DECISIONS[kind_of(error, pair=pair)].poll
    return decision is Decision.AGAIN or (decision is Decision.LOG_IN and can_log_in)


def kind_of(error: CallError, *, pair: bool) -> FailureKind:
    """Return the kind of a failure.

    Args:
        error: The failure.
        pair: The session has several addresses.
    """
    if isinstance(error, ConnectionFailed):
        if error.sent:
            return FailureKind.CUT_OFF
        if isinstance(error, ProxyRefused):
            return FailureKind.PROXY_REFUSED
        is_tls = isinstance(error, TLSFailed)
        return FailureKind.TLS_FAILED if is_tls else FailureKind.NO_CONNECTION
    if isinstance(error, CallTimeout):
        return FailureKind.NO_RESPONSE if error.sent else FailureKind.NO_CONNECTION
    if isinstance(error, ResponseDecodeError):
        return FailureKind.UNREADABLE
    if isinstance(error, CredentialsUnavailable):
        return FailureKind.NO_CREDENTIALS
    if isinstance(error, LoginFailed):
        return FailureKind.REFUSED
    if isinstance(error, Unauthorized):
        return FailureKind.LOGGED_OUT
    if isinstance(error, ResourceLocked):
        return FailureKind.LOCKED
    if isinstance(error, StatusError):
        return _kind_of_status(error, pair=pair)
    return FailureKind.REFUSED


def _kind_of_status(error: StatusError, *, pair: bool) -> FailureKind:
    status = error.status
    if status is None:  # raised by this package about what an answer says
        return FailureKind.FAILED if isinstance(error, ServerError) else FailureKind.REFUSED
    if status == 307:
        return FailureKind.PASSIVE if pair else FailureKind.MAYBE_PASSIVE
    if status == 409 and error.code:
        return FailureKind.REFUSED
    return STATUSES.get(status, FailureKind.FAILED if status >= 500 else FailureKind.UNEXPECTED)
