"""Errors from error statuses and bodies."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudtower_async import errors
from cloudtower_async.transport.redaction import Mask
from cloudtower_async.transport.responses import looks_like_html, status_error

BODY = b'{"message": "no such vm", "status": 404, "path": "/x", "code": "VmNotFound", "props": {}}'


def made(status: int, body: bytes = BODY, *secrets: str) -> errors.StatusError:
    return status_error(
        status,
        body,
        operation="vm.get_vms",
        endpoint="https://t",
        request_id="r-1",
        mask=Mask(*secrets),
    )


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (304, errors.UnexpectedStatus),
        (307, errors.UnexpectedStatus),
        (400, errors.BadRequest),
        (401, errors.Unauthorized),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (418, errors.UnexpectedStatus),
        (429, errors.TooManyRequests),
        (500, errors.ServerError),
        (501, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_each_status_has_its_class_and_advice(status: int, kind: type[errors.StatusError]) -> None:
    error = made(status)
    assert type(error) is kind
    assert error.hint
    assert "\n" not in str(error)


def test_an_error_has_all_details_of_the_response() -> None:
    error = made(404)
    assert (error.operation, error.endpoint, error.status) == ("vm.get_vms", "https://t", 404)
    assert (error.code, error.props, error.request_id) == ("VmNotFound", {}, "r-1")
    assert error.server_message == "no such vm"


def test_a_lock_has_a_separate_class() -> None:
    body = (
        b'{"message": "locked", "code": "ResourceLocked",'
        b' "props": {"locked_resources": [{"id": "v", "type": "VM"}]}}'
    )
    error = made(400, body)
    assert isinstance(error, errors.ResourceLocked)
    assert error.locked_resources == [errors.LockedResource("v", "VM")]
    assert str(error).count("locked") == 1
    assert type(made(500, body)) is errors.ServerError


def test_a_request_that_is_too_large_says_to_pass_fewer_ids() -> None:
    assert re.search(r"too large.*fewer ids", str(made(413, b"<html>too large</html>")))


def test_a_redirect_of_a_pair_does_not_suggest_both_addresses() -> None:
    assert "pass both addresses" in str(made(307))
    error = status_error(
        307, b"", operation="x", endpoint="https://t", request_id=None, mask=Mask(), pair=True
    )
    assert "both addresses" not in str(error)


def test_not_implemented_is_not_retried() -> None:
    text = str(made(501))
    assert "the server does not implement the operation: no such vm" in text
    assert "simulator" in text
    assert "later" not in text
    assert "support" not in text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", None),
        (b" \n", None),
        (b'{"message": ""}', None),
        (b"upstream timed out", "upstream timed out"),
        (b'{"message": 5, "code": 6}', '{"message": 5, "code": 6}'),
        (b"x" * 9000, "x" * 9000),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_a_body_that_is_not_the_apis_is_quoted(body: bytes, said: str | None) -> None:
    error = made(500, body)
    assert (error.server_message, error.code) == (said, None)
    assert len(str(error)) < 800


def test_a_message_cut_within_an_emoji_keeps_its_code() -> None:
    error = made(400, rb'{"message": "cut \ud83d", "code": "ResourceLocked"}')
    assert isinstance(error, errors.ResourceLocked)
    assert error.server_message == "cut \N{REPLACEMENT CHARACTER}"


def test_a_web_page_is_reported_and_not_quoted() -> None:
    error = made(502, b"<html><h1>Bad Gateway</h1></html>")
    assert error.server_message is None
    assert str(error).startswith(
        "vm.get_vms: the server failed, with an HTML page, perhaps of a proxy ["
    )


def test_a_secret_that_is_a_word_of_the_json_leaves_it_readable() -> None:
    body = (
        b'{"message": "the messages is busy", "code": "ResourceLocked",'
        b' "props": {"locked_resources": [{"id": "messages", "type": "VM"}], "n": 1}}'
    )
    error = made(400, body, "messages", "Resource", "locked_resources")
    assert isinstance(error, errors.ResourceLocked)
    assert error.server_message == "the *** is busy"
    assert error.code == "***Locked"
    assert error.locked_resources == [errors.LockedResource("***", "VM")]


def test_bodies_that_are_not_json_are_redacted_as_text() -> None:
    assert (
        made(500, b'{"message": "secret-token', "secret-token").server_message == '{"message": "***'
    )


def test_props_of_any_depth_are_read_or_left_out() -> None:
    for depth in (10, 300, 480, 900, 5000):
        body = b'{"code": "X", "props": ' + b"[" * depth + b"]" * depth + b"}"
        assert isinstance(made(400, body), errors.BadRequest)


@given(st.integers(300, 999), st.binary())
def test_any_answer_becomes_an_error_of_one_line(status: int, body: bytes) -> None:
    assert len(str(made(status, body)).splitlines()) == 1


@pytest.mark.parametrize("page", [b"<!DOCTYPE html>", b"\n <HTML>", b"<?xml version='1.0'?>"])
def test_pages_are_distinguished_from_answers(page: bytes) -> None:
    assert looks_like_html(page)
    assert not looks_like_html(b'{"a": "<html>"}')


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://portal.example/login", "https://portal.example/login"),
        ("//portal.example:8443/a//b", "//portal.example:8443/a//b"),
        ("/web/login", "/web/login"),
        ("https://me:s3cret@portal.example/a", "https://portal.example/a"),
        ("https://me:s3cret@@portal.example", "https://portal.example"),
        ("https://portal.example/a?token=s3cret#s3cret", "https://portal.example/a?…"),
        ("https://portal.example/\x1b[31m\x9b\u202ered\r\n", "https://portal.example/ [31m  red"),
        ("https://portal.example/the-token-1", "https://portal.example/***"),
        ("https://portal.example/" + "a" * 999, "https://portal.example/" + "a" * 177 + "…"),
    ],
)
def test_a_redirect_names_its_target_without_credentials_and_controls(
    location: str, shown: str
) -> None:
    error = status_error(
        302,
        b"<html>s3cret",
        operation="x",
        endpoint="https://t",
        request_id=None,
        mask=Mask("the-token-1"),
        location=location,
    )
    assert (
        f"the server redirects to another address, with an HTML page, perhaps of a proxy: {shown}"
        == (error.message)
    )


def test_only_a_redirect_names_a_location() -> None:
    error = status_error(
        400,
        b"",
        operation="x",
        endpoint="https://t",
        request_id=None,
        mask=Mask(),
        location="https://portal.example",
    )
    assert "portal" not in str(error)


def test_nginx_that_misses_a_client_certificate_names_client_cert() -> None:
    page = b"<html><head><title>400 No required SSL certificate was sent</title></head></html>"
    assert "client_cert=" in made(400, page).hint
