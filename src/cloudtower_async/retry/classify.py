"""Decide whether a failed request is retried.

The table `ACTIONS` has the reactions to each kind of failure: for queries, mutations and polls. No
other code decides whether an error is transient. A mutation is resent only if the mutation was
certainly not executed. If the server may have executed a mutation, `OutcomeUnknown` is raised.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from ..errors import CallError, CloudtowerError
from ..errors.failure_kind import FailureKind


class RetryAction(StrEnum):
    """Reaction to a failed request."""

    RETRY = "retried"
    LOG_IN = "new login, then retried once"
    WAIT = "retried until `lock_timeout` is over"
    RAISE = "the error is raised"
    UNKNOWN = "`OutcomeUnknown` is raised"


class RetryActions(NamedTuple):
    """Reactions to a failure of a query, of a mutation, and of a background poll.

    A background poll is a query that a wait, a watch or an upload repeats. ``poll`` is the reaction
    if such a query still fails after its own retries.
    """

    query: RetryAction
    mutation: RetryAction
    poll: RetryAction


_RETRY, _LOG_IN, _WAIT = RetryAction.RETRY, RetryAction.LOG_IN, RetryAction.WAIT
_RAISE, _UNKNOWN = RetryAction.RAISE, RetryAction.UNKNOWN

ACTIONS: dict[FailureKind, RetryActions] = {
    FailureKind.NO_CONNECTION: RetryActions(_RETRY, _RETRY, _RETRY),
    FailureKind.TLS_FAILED: RetryActions(_RAISE, _RAISE, _RAISE),
    FailureKind.PROXY_REFUSED: RetryActions(_RAISE, _RAISE, _RAISE),
    FailureKind.CUT_OFF: RetryActions(_RETRY, _UNKNOWN, _RETRY),
    FailureKind.NO_RESPONSE: RetryActions(_RETRY, _UNKNOWN, _RETRY),
    FailureKind.PASSIVE: RetryActions(_RETRY, _RETRY, _RETRY),
    FailureKind.MAYBE_PASSIVE: RetryActions(_RETRY, _RAISE, _RETRY),
    FailureKind.NO_CREDENTIALS: RetryActions(_RAISE, _RAISE, _RETRY),
    FailureKind.LOGGED_OUT: RetryActions(_LOG_IN, _LOG_IN, _LOG_IN),
    FailureKind.LOCKED: RetryActions(_WAIT, _WAIT, _RETRY),
    FailureKind.TOO_MANY: RetryActions(_RETRY, _RETRY, _RETRY),
    FailureKind.NOT_ACCEPTED: RetryActions(_RETRY, _RAISE, _RETRY),
    FailureKind.UNAVAILABLE: RetryActions(_RETRY, _UNKNOWN, _RETRY),
    FailureKind.FAILED: RetryActions(_RAISE, _UNKNOWN, _RETRY),
    FailureKind.UNREADABLE: RetryActions(_RAISE, _UNKNOWN, _RETRY),
    FailureKind.REFUSED: RetryActions(_RAISE, _RAISE, _RAISE),
    FailureKind.UNEXPECTED: RetryActions(_RAISE, _UNKNOWN, _RAISE),
}
"""The reactions to each kind of failure."""

_REFUSALS = (400, 403, 404, 405, 406, 411, 413, 414, 415, 417, 422, 428, 431, 501, 505)

STATUSES: dict[int, FailureKind] = {
    401: FailureKind.LOGGED_OUT,
    **dict.fromkeys(_REFUSALS, FailureKind.REFUSED),
    **dict.fromkeys((421, 425), FailureKind.NOT_ACCEPTED),
    429: FailureKind.TOO_MANY,
    **dict.fromkeys((408, 502, 503, 504), FailureKind.UNAVAILABLE),
}
"""Kind of failure for each error status that has only one meaning.

The kind for status 307 also depends on the number of addresses. The kinds for 400 and 409 also
depend on the server's error code. All other 5xx are `FailureKind.FAILED`, and all other statuses
are `FailureKind.UNEXPECTED`.
"""

_OTHER_STATUSES = {
    FailureKind.PASSIVE: "307",
    FailureKind.MAYBE_PASSIVE: "307",
    FailureKind.LOCKED: "400",
    FailureKind.FAILED: "every 5xx that is in no other row",
    FailureKind.UNREADABLE: "2xx",
    FailureKind.REFUSED: "409 (only with an error code of CloudTower)",
    FailureKind.UNEXPECTED: "every status that is in no other row, such as other redirects, or a "
    "409 without an error code of CloudTower",
}


def statuses_of(kind: FailureKind) -> str:
    """Return the HTTP statuses of a kind of failure as a text: ``"421, 425"``.

    If no status belongs to this kind, return an empty string.
    """
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
"""Failures after which the session searches for the active node of a pair again."""


def kind_of_status(status: int, code: str | None, *, pair: bool) -> FailureKind:
    """Return the kind of failure for an error status.

    Args:
        status: HTTP status.
        code: Error code of the server.
        pair: Whether the session has the addresses of an active/passive pair.
    """
    if status == 307:
        return FailureKind.PASSIVE if pair else FailureKind.MAYBE_PASSIVE
    if status == 400 and code == "ResourceLocked":
        return FailureKind.LOCKED
    if status == 409 and code:
        return FailureKind.REFUSED
    return STATUSES.get(status, FailureKind.FAILED if status >= 500 else FailureKind.UNEXPECTED)


def decide(error: CallError, *, mutation: bool, polling: bool = False) -> RetryAction:
    """Return the reaction to the failure of one request.

    Args:
        error: The failure.
        mutation: Whether the call is a mutation or an upload.
        polling: Whether to return the reaction for a background poll.
    """
    actions = ACTIONS[error.failure_kind]
    if polling:
        return actions.poll
    # If the call itself was not sent, for example because the login failed, a mutation is handled
    # like a query.
    return actions.mutation if mutation and error.sent else actions.query


def is_transient(error: CloudtowerError, *, can_log_in: bool) -> bool:
    """Return whether to repeat a background poll that failed with this error.

    Args:
        error: Error of a query after its retries.
        can_log_in: Whether the session can log in again if its token is no longer valid.
    """
    if not isinstance(error, CallError):
        return False
    action = ACTIONS[error.failure_kind].poll
    return action is RetryAction.RETRY or (action is RetryAction.LOG_IN and can_log_in)
