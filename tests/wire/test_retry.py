"""The policy and the table, as data."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from cloudtower_async import InvalidSettings, RetryPolicy, errors
from cloudtower_async.wire.retry import (
    DECISIONS,
    Budget,
    Decision,
    Fault,
    decide,
    fault_of,
    retry_after,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SURE = {Fault.NO_CONNECTION, Fault.PASSIVE, Fault.LOGGED_OUT, Fault.LOCKED, Fault.TOO_MANY}


def test_every_fault_has_a_decision() -> None:
    assert list(DECISIONS) == list(Fault)


def test_what_changes_something_goes_again_only_when_it_was_not_carried_out() -> None:
    again = {Decision.AGAIN, Decision.LOG_IN, Decision.WAIT}
    assert {fault for fault, (_, mutation) in DECISIONS.items() if mutation in again} == SURE
    assert all(query is not Decision.UNKNOWN for query, _ in DECISIONS.values())


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.ConnectionFailed("x", sent=False), Fault.NO_CONNECTION),
        (errors.NameNotResolved("x", sent=False), Fault.NO_CONNECTION),
        (errors.CallTimeout("x", sent=False), Fault.NO_CONNECTION),
        (errors.ConnectionFailed("x"), Fault.CUT_OFF),
        (errors.CallTimeout("x"), Fault.NO_ANSWER),
        (errors.UnexpectedStatus("x", status=307), Fault.PASSIVE),
        (errors.UnexpectedStatus("x", status=302), Fault.REFUSED),
        (errors.Unauthorized("x", status=401), Fault.LOGGED_OUT),
        (errors.LoginFailed("x", status=401), Fault.REFUSED),
        (errors.ResourceLocked("x", status=400), Fault.LOCKED),
        (errors.BadRequest("x", status=400), Fault.REFUSED),
        (errors.Forbidden("x", status=403), Fault.REFUSED),
        (errors.NotFound("x", status=404), Fault.REFUSED),
        (errors.TooManyRequests("x", status=429), Fault.TOO_MANY),
        (errors.ServerError("x", status=500), Fault.FAILED),
        (errors.ServerError("x", status=501), Fault.REFUSED),
        (errors.ServerError("x", status=502), Fault.UNREACHED),
        (errors.ServerError("x", status=503), Fault.UNREACHED),
        (errors.ServerError("x", status=504), Fault.UNREACHED),
        (errors.ResponseDecodeError("x", status=200), Fault.UNREADABLE),
    ],
)
def test_each_error_is_of_one_fault(error: errors.CallError, fault: Fault) -> None:
    assert fault_of(error) is fault


def test_tls_that_fails_in_the_middle_is_a_cut() -> None:
    error = errors.TLSFailed("x")
    assert fault_of(error) is Fault.CUT_OFF
    error.sent = False
    assert fault_of(error) is Fault.NOT_TRUSTED


def test_what_fails_before_the_call_is_sent_is_no_danger() -> None:
    login = errors.ServerError("x", status=503)
    assert decide(login, changes=True) is Decision.UNKNOWN
    login.sent = False
    assert decide(login, changes=True) is Decision.AGAIN


def test_the_bound_of_the_pauses_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(backoff=0.5, cap=3.0)
    assert [policy.pause(number, 1.0) for number in (1, 2, 3, 4, 10_000)] == [0.5, 1, 2, 3, 3]
    assert policy.pause(1, 0.0) == 0
    assert policy.pause(2, 0.5) == 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"attempts": 2.0}, {"budget": -1}, {"backoff": 0}, {"cap": math.inf}],
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidSettings, match=f"retry: {next(iter(wrong))}: expected") as info:
        RetryPolicy(**wrong)
    assert info.value.option == "retry"


def test_two_successes_earn_one_sending_and_never_more_than_there_were() -> None:
    budget = Budget(2)
    budget.earn()
    assert [budget.take() for _ in range(3)] == [True, True, False]
    budget.earn()
    assert not budget.take()
    budget.earn()
    assert budget.take()
    assert not budget.take()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 0 ", 0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 00:01:00", None),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds
