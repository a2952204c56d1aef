"""Whether to send again, and how long to wait first. Pure: it looks at errors and returns values.

A query may be sent again after any fault of the way. What changes something is sent again only when
it certainly was not carried out, as nothing else keeps one creation from becoming two.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ..errors import (
    CallError,
    CallTimeout,
    ConnectionFailed,
    InvalidSettings,
    LoginFailed,
    ResourceLocked,
    ResponseDecodeError,
    ServerError,
    TLSFailed,
    TooManyRequests,
    Unauthorized,
)
from ..settings import seconds_fault

if TYPE_CHECKING:
    from datetime import datetime

_EARNED = 0.5  # of a sending again, by each call that succeeds
_MOST_DOUBLINGS = 32  # the cap has long been reached; larger powers overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and after which pauses, a call is sent again where that is safe.

    The pauses are random, from 0 to a bound that doubles from one to the next: so callers that
    failed together do not come back together. A server that says when to come back
    (``Retry-After``) is given that time at least. All of it happens within the call's ``timeout``:
    when what is left of that is too short, the error is raised at once.

    Args:
        attempts: Most sendings of one call, the first included; 1: never again. Waiting for locked
            resources and one new login do not count.
        backoff: Bound of the first pause, in seconds.
        cap: Largest bound, in seconds.
        budget: Sendings again that the session has to give, so that it does not swamp a server
            that is in trouble: each takes one, and two calls that succeed earn one back.

    Raises:
        InvalidSettings: A value cannot be used.

    Example:
        ::

            once = RetryPolicy(attempts=1)
            async with Cloudtower(endpoint, token=token, retry=once) as tower:
                ...
    """

    attempts: int = 4
    backoff: float = 0.2
    cap: float = 5.0
    budget: int = 500

    def __post_init__(self) -> None:
        for name, least in (("attempts", 1), ("budget", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InvalidSettings(
                    f"retry: {name}: expected a whole number from {least} on, got {value!r}",
                    option="retry",
                )
        for name in ("backoff", "cap"):
            if fault := seconds_fault(getattr(self, name)):
                raise InvalidSettings(f"retry: {name}: {fault}", option="retry")

    def pause(self, number: int, chance: float) -> float:
        """Seconds before sending again.

        Args:
            number: Which pause of the call it is; 1 is the first.
            chance: Random, from 0 to 1.
        """
        doubled = self.backoff * 2.0 ** min(number - 1, _MOST_DOUBLINGS)
        return chance * min(self.cap, doubled)


def policy_fault(value: object) -> str | None:
    """Why this is no policy; None: it is, or none is given."""
    if value is None or isinstance(value, RetryPolicy):
        return None
    return f"expected a RetryPolicy, such as RetryPolicy(attempts=3), got {value!r}"


class Budget:
    """What a session has left to send again; see `RetryPolicy`."""

    __slots__ = ("_left", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._left: float = most

    def earn(self) -> None:
        """Tell that a call has succeeded."""
        if self._left < self._most:
            self._left = min(self._left + _EARNED, self._most)

    def take(self) -> bool:
        """Take one; False when there is none."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Fault(StrEnum):
    """What can go wrong with a call, as far as it matters for sending it again."""

    NO_CONNECTION = "no connection was made, or no server of a pair is the active one"
    NOT_TRUSTED = "TLS failed: the certificate was refused, or TLS is not spoken"
    CUT_OFF = "the connection was reset, closed or cut off before the end of the answer"
    NO_ANSWER = "no complete answer in time"
    PASSIVE = "307: the server is the passive one of a pair"
    LOGGED_OUT = "401: the token is not valid (any more)"
    LOCKED = "400 with the code ResourceLocked"
    TOO_MANY = "429: too many calls"
    UNREACHED = "502, 503, 504: a proxy did not reach the server, or not in time"
    FAILED = "500 and other 5xx: the server failed on the way"
    UNREADABLE = "a success, but nothing of the answer can be read"
    REFUSED = "any other status, a refused login and 501 (not implemented) among them"


class Decision(StrEnum):
    """What comes of it."""

    AGAIN = "sent again"
    LOG_IN = "logged in again, then sent again, once"
    WAIT = "sent again until `lock_timeout` is over"
    RAISE = "the error is raised"
    UNKNOWN = "`OutcomeUnknown` is raised"


DECISIONS: dict[Fault, tuple[Decision, Decision]] = {
    Fault.NO_CONNECTION: (Decision.AGAIN, Decision.AGAIN),
    Fault.NOT_TRUSTED: (Decision.RAISE, Decision.RAISE),
    Fault.CUT_OFF: (Decision.AGAIN, Decision.UNKNOWN),
    Fault.NO_ANSWER: (Decision.AGAIN, Decision.UNKNOWN),
    Fault.PASSIVE: (Decision.AGAIN, Decision.AGAIN),
    Fault.LOGGED_OUT: (Decision.LOG_IN, Decision.LOG_IN),
    Fault.LOCKED: (Decision.WAIT, Decision.WAIT),
    Fault.TOO_MANY: (Decision.AGAIN, Decision.AGAIN),
    Fault.UNREACHED: (Decision.AGAIN, Decision.UNKNOWN),
    Fault.FAILED: (Decision.RAISE, Decision.UNKNOWN),
    Fault.UNREADABLE: (Decision.RAISE, Decision.UNKNOWN),
    Fault.REFUSED: (Decision.RAISE, Decision.RAISE),
}
"""For each fault what is done: with a query, and with what changes something."""


LOST = frozenset(
    {
        Fault.NO_CONNECTION,
        Fault.NOT_TRUSTED,
        Fault.CUT_OFF,
        Fault.NO_ANSWER,
        Fault.PASSIVE,
        Fault.UNREACHED,
    }
)
"""Faults after which the active server of a pair is looked for again."""


def decide(error: CallError, *, changes: bool) -> Decision:
    """What to do about an error.

    Args:
        error: Of one sending.
        changes: The call changes something: it is no query.
    """
    # What failed before the call was sent, logging in, may be done again like a query.
    return DECISIONS[fault_of(error)][changes and error.sent]


def fault_of(error: CallError) -> Fault:
    """Which fault an error tells of."""
    if not error.sent and isinstance(error, TLSFailed):
        return Fault.NOT_TRUSTED
    if not error.sent and isinstance(error, ConnectionFailed | CallTimeout):
        return Fault.NO_CONNECTION
    if isinstance(error, ServerError):
        return _OF_SERVER.get(error.status, Fault.FAILED)
    if error.status == 307:
        return Fault.PASSIVE
    return next((fault for kind, fault in _KINDS if isinstance(error, kind)), Fault.REFUSED)


_OF_SERVER: dict[int | None, Fault] = {
    501: Fault.REFUSED,
    502: Fault.UNREACHED,
    503: Fault.UNREACHED,
    504: Fault.UNREACHED,
}
_KINDS: tuple[tuple[type[CallError], Fault], ...] = (
    (ConnectionFailed, Fault.CUT_OFF),
    (CallTimeout, Fault.NO_ANSWER),
    (ResponseDecodeError, Fault.UNREADABLE),
    (LoginFailed, Fault.REFUSED),
    (Unauthorized, Fault.LOGGED_OUT),
    (ResourceLocked, Fault.LOCKED),
    (TooManyRequests, Fault.TOO_MANY),
)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` asks to wait; None when it says nothing that can be read."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError):
        return None
