"""Retry policy of a session: how often requests are resent, and after which pauses."""

from __future__ import annotations

from dataclasses import dataclass

from ..validators import check_option, count_fault, seconds_fault
from .backoff import backoff_delay


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Number and pauses of retries. A request is only retried if a retry is safe.

    Each pause is random, between 0 and a bound that doubles each time, so that callers that fail
    together do not retry together. If the server sends ``Retry-After``, the pause lasts at least as
    long as the server asks. Retries stay within the call's ``timeout``: if too little time is left,
    the error is raised at once.

    Args:
        attempts: Maximum number of attempts per call, including the first one; 1: no retries. Waits
            for locked resources and one new login do not count.
        backoff: Bound of the first pause, in seconds.
        cap: Largest bound, in seconds.
        budget: Retry budget of the session (token bucket), so that retries do not overload a server
            in trouble: each retry consumes one token, and two successful calls return one.

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
        faults = {
            "attempts": count_fault(self.attempts),
            "budget": count_fault(self.budget, least=0),
            "backoff": seconds_fault(self.backoff),
            "cap": seconds_fault(self.cap),
        }
        for name, fault in faults.items():
            check_option("retry", fault and f"{name}: {fault}")

    def pause(self, number: int, chance: float | None = None) -> float:
        """Return the seconds to wait before a retry.

        Args:
            number: Number of the pause within the call; 1 is the first.
            chance: Random number from 0 to 1; None: draw one.
        """
        return backoff_delay(number, self.backoff, self.cap, jitter=1.0, chance=chance)


def policy_fault(value: object) -> str | None:
    """Return why a value is not a valid policy, or None if the value is valid."""
    if isinstance(value, RetryPolicy):
        return None
    return f"expected a RetryPolicy, such as RetryPolicy(attempts=3), got {value!r}"
