"""The table of failures, as data."""

from __future__ import annotations

import pytest

from cloudtower_async import errors
from cloudtower_async.errors.failure_kind import FailureKind
from cloudtower_async.retry.classify import (
    ACTIONS,
    STATUSES,
    RetryAction,
    decide,
    is_transient,
    statuses_of,
)
from cloudtower_async.transport.redaction import Mask
from cloudtower_async.transport.responses import status_error

NOT_EXECUTED = {
    *(400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 417, 421, 422, 425, 428, 429, 431),
    *(501, 505),
}
RETRIED_QUERIES = {307, 401, 408, 421, 425, 429, 502, 503, 504}
POLLS_ON = {307, 401, 408, 421, 425, 429} | {*range(500, 1000)} - {501, 505}
RESENT_MUTATIONS = {401, 429}


def of_status(status: int, code: str | None = None, *, pair: bool = False) -> errors.StatusError:
    body = b"{}" if code is None else b'{"message": "no", "code": "%s"}' % code.encode()
    return status_error(
        status,
        body,
        operation="vm.start_vm",
        endpoint="https://t",
        request_id=None,
        mask=Mask(),
        pair=pair,
    )


def test_every_kind_has_decisions() -> None:
    assert list(ACTIONS) == list(FailureKind)


def test_a_query_never_has_an_unknown_outcome() -> None:
    for decisions in ACTIONS.values():
        assert decisions.query is not RetryAction.UNKNOWN
        assert decisions.poll in {RetryAction.RETRY, RetryAction.LOG_IN, RetryAction.RAISE}


def test_only_these_failures_prove_that_a_mutation_was_not_executed() -> None:
    unknown = {kind for kind, row in ACTIONS.items() if row.mutation is RetryAction.UNKNOWN}
    assert unknown == {
        FailureKind.CUT_OFF,
        FailureKind.NO_RESPONSE,
        FailureKind.UNAVAILABLE,
        FailureKind.FAILED,
        FailureKind.UNREADABLE,
        FailureKind.UNEXPECTED,
    }


@pytest.mark.parametrize("pair", [False, True])
def test_each_status_is_in_the_right_row(pair: bool) -> None:
    for status in range(300, 1000):
        error = of_status(status, pair=pair)
        query = decide(error, mutation=False)
        mutation = decide(error, mutation=True)
        proves = status in NOT_EXECUTED or status == 307
        resent = {*RESENT_MUTATIONS, 307} if pair else RESENT_MUTATIONS
        assert (mutation is RetryAction.UNKNOWN) is not proves, status
        assert (mutation in {RetryAction.RETRY, RetryAction.LOG_IN}) is (status in resent), status
        assert (query is not RetryAction.RAISE) is (status in RETRIED_QUERIES), status
        poll = is_transient(error, can_log_in=True)
        assert poll is (status in POLLS_ON), status


def test_a_conflict_proves_something_only_with_an_error_code_of_the_server() -> None:
    assert decide(of_status(409), mutation=True) is RetryAction.UNKNOWN
    assert decide(of_status(409, "VM_DUPLICATE"), mutation=True) is RetryAction.RAISE


def test_the_documented_statuses_are_those_of_the_table() -> None:
    for status, kind in STATUSES.items():
        assert str(status) in statuses_of(kind)
        assert of_status(status).failure_kind is kind
    assert statuses_of(FailureKind.CUT_OFF) == ""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ConnectionFailed("x", sent=False), FailureKind.NO_CONNECTION),
        (errors.NameNotResolved("x", sent=False), FailureKind.NO_CONNECTION),
        (errors.NoActive("x"), FailureKind.NO_CONNECTION),
        (errors.CallTimeout("x", sent=False), FailureKind.NO_CONNECTION),
        (errors.ConnectionFailed("x"), FailureKind.CUT_OFF),
        (errors.CallTimeout("x"), FailureKind.NO_RESPONSE),
        (errors.Unauthorized("x", status=401), FailureKind.LOGGED_OUT),
        (errors.Unauthorized("x", status=200), FailureKind.LOGGED_OUT),
        (errors.LoginFailed("x", status=401), FailureKind.REFUSED),
        (errors.LoginFailed("x", status=200), FailureKind.REFUSED),
        (errors.ResourceLocked("x", status=400), FailureKind.LOCKED),
        (errors.NotFound("x"), FailureKind.REFUSED),
        (errors.ServerError("x"), FailureKind.FAILED),
        (errors.ResponseDecodeError("x", status=200), FailureKind.UNREADABLE),
        (errors.GraphQLError("x", status=200), FailureKind.REFUSED),
    ],
)
def test_each_error_is_of_one_kind(error: errors.CallError, kind: FailureKind) -> None:
    assert error.failure_kind is kind


def test_tls_that_fails_in_the_middle_is_a_cut() -> None:
    error = errors.TLSFailed("x")
    assert error.failure_kind is FailureKind.CUT_OFF
    refused = errors.TLSFailed("x")
    refused.sent = False
    assert refused.failure_kind is FailureKind.TLS_FAILED
    assert not is_transient(refused, can_log_in=True)


def test_failures_before_the_call_is_sent_are_harmless() -> None:
    login = of_status(503)
    assert decide(login, mutation=True) is RetryAction.UNKNOWN
    login.sent = False
    assert decide(login, mutation=True) is RetryAction.RETRY


def test_a_poll_continues_after_401_only_if_the_session_can_log_in() -> None:
    error = errors.Unauthorized("x", status=401)
    assert is_transient(error, can_log_in=True)
    assert not is_transient(error, can_log_in=False)
    assert not is_transient(errors.SessionClosed(), can_log_in=True)


def test_a_query_that_polls_outlasts_what_a_background_poll_does() -> None:
    assert decide(of_status(500), mutation=False) is RetryAction.RAISE
    assert decide(of_status(500), mutation=False, polling=True) is RetryAction.RETRY
    assert decide(of_status(403), mutation=False, polling=True) is RetryAction.RAISE
