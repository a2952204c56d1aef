"""Retry policy of a session: the number of retries, and the pauses between retries."""

from __future__ import annotations

from dataclasses import dataclass

from ..validators import check_option, count_fault, seconds_fault
from .backoff import backoff_delay


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Number of retries, and pauses between retries. A request is only retried if a retry is safe.

    Each pause is a random time between 0 and an upper bound. The bound doubles with each retry.
    Because of the random pauses, callers that fail at the same time do not retry at the same time.
    If the server sends ``Retry-After``, the pause lasts at least as long as this header says.
    Retries do not extend the call's ``timeout``. If the remaining time is too short for a retry,
    the error is raised at once.

    Args:
        attempts: Maximum number of attempts per call, including the first attempt. With 1, there
            are no retries. A request that is sent again because a resource was locked or a token
            had expired does not count as an attempt.
        backoff: Upper bound of the first pause, in seconds.
        cap: Maximum of the upper bound, in seconds.
        budget: Number of tokens in the retry budget of the session. Each retry takes one token, and
            two successful calls put one token back. If no token is left, failed calls are not
            retried. This budget keeps retries from overloading a server that has problems.

    Raises:
        InvalidSettings: A value is invalid.

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
            number: Number of the pause within the call. The first pause has the number 1.
            chance: Number from 0 to 1, by which the longest possible pause is multiplied. None
                means a random number.
        """
        return backoff_delay(number, self.backoff, self.cap, jitter=1.0, chance=chance)


def policy_fault(value: object) -> str | None:
    """Return an error message if a value is not a `RetryPolicy`, or None."""
    if isinstance(value, RetryPolicy):
        return None
    return f"expected a RetryPolicy, such as RetryPolicy(attempts=3), got {value!r}"
