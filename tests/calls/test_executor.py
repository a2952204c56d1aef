"""Calls from arguments to answer, over HTTP."""

from __future__ import annotations

import json
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import web

from cloudtower_async import errors, inputs
from cloudtower_async.calls.executor import Executor
from cloudtower_async.calls.operation import Auth, Carries, Kind, Operation
from cloudtower_async.transport.auth import Authenticator
from cloudtower_async.transport.http import Transport
from tests.support import TOKEN, is_login, login_answer, serve, serve_bytes, settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

ECHO = Operation("x.echo", "/echo", Kind.QUERY, lambda: dict[str, Any])
LIST = Operation("x.list", "/list", Kind.MUTATION, lambda: list[int], not_modified=True)
QUERY = Operation(
    "x.query",
    "/echo",
    Kind.QUERY,
    lambda: dict[str, Any],
    carries=Carries.QUERY_STRING,
    method="GET",
)
PUBLIC = Operation("x.public", "/echo", Kind.QUERY, lambda: dict[str, Any], auth=Auth.NONE)
OTHER = Operation("x.other", "/echo", Kind.QUERY, lambda: dict[str, Any], auth=Auth.BASIC)
UPLOAD = Operation("x.upload", "/echo", Kind.UPLOAD, lambda: dict[str, Any], carries=Carries.FORM)


@asynccontextmanager
async def caller(url: str, **options: object) -> AsyncGenerator[Executor]:
    chosen = settings(url, **options)
    transport = Transport(chosen)
    try:
        yield Executor(transport, Authenticator(transport))
    finally:
        await transport.close()


async def echo(request: web.Request) -> web.Response:
    """Answer with the received request."""
    form = request.content_type == "multipart/form-data"
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": "" if form else await request.text(),
            "form": sorted(await request.post()) if form else None,
        }
    )


@pytest.mark.parametrize("retry", [3, 0, {"attempts": 3}])
async def test_an_invalid_retry_policy_is_rejected(retry: object) -> None:
    with pytest.raises(errors.InvalidSettings, match=r"^retry: expected a RetryPolicy, ") as info:
        async with caller("http://tower.example", retry=retry):
            pass
    assert info.value.option == "retry"


async def test_none_is_left_out_at_the_top_and_sent_as_null_below() -> None:
    async with serve(echo) as url, caller(url) as c:
        seen = await c.call(ECHO, {"where": {"id": None}, "first": None, "skip": 0})
    assert json.loads(seen["body"]) == {"where": {"id": None}, "skip": 0}
    assert (seen["method"], seen["path"]) == ("POST", "/v2/api/echo")


async def test_an_object_of_nones_is_an_empty_object_and_no_arguments_are_no_body() -> None:
    async with serve(echo) as url, caller(url) as c:
        assert (await c.call(ECHO, {"where": None}))["body"] == "{}"
        assert (await c.call(ECHO))["body"] == ""


async def test_a_list_is_sent_as_it_is() -> None:
    async with serve(echo) as url, caller(url) as c:
        assert (await c.call(ECHO, [{"id": None}]))["body"] == '[{"id":null}]'


async def test_the_token_is_sent_without_a_scheme_and_not_to_public_operations() -> None:
    async with serve(echo) as url, caller(url) as c:
        assert (await c.call(ECHO))["headers"]["authorization"] == TOKEN
        assert "authorization" not in (await c.call(PUBLIC))["headers"]


async def test_the_first_call_logs_in() -> None:
    async def handler(request: web.Request) -> web.Response:
        return login_answer("fresh") if is_login(request) else await echo(request)

    async with serve(handler) as url, caller(url, username="root") as c:
        assert (await c.call(ECHO))["headers"]["authorization"] == "fresh"


async def test_the_language_of_the_call_wins_over_the_sessions() -> None:
    async with serve(echo) as url, caller(url, content_language="zh-CN") as c:
        assert (await c.call(QUERY))["headers"]["content-language"] == "zh-CN"
        assert (await c.call(ECHO))["headers"]["content-language"] == "zh-CN"
        assert (await c.call(ECHO, None, "*"))["headers"]["content-language"] == "*"


async def test_headers_that_do_not_apply_are_not_sent() -> None:
    async with serve(echo) as url, caller(url) as c:
        assert "external-cloudtower-id" not in (await c.call(ECHO))["headers"]
        assert (await c.call(ECHO, None, None, "t1"))["headers"]["external-cloudtower-id"] == "t1"


async def test_a_query_string_carries_the_arguments() -> None:
    async with serve(echo) as url, caller(url) as c:
        seen = await c.call(QUERY, {"start_revision": "7", "limit": 5, "action": None})
    assert (seen["method"], seen["body"]) == ("GET", "")
    assert seen["path"] == "/v2/api/echo?start_revision=7&limit=5"


async def test_a_form_carries_the_arguments() -> None:
    async with serve(echo) as url, caller(url) as c:
        seen = await c.call(UPLOAD, {"file": b"data", "name": "n", "size": None})
    assert seen["form"] == ["file", "name"]


@pytest.mark.parametrize("arguments", [{"a": object()}, {"a": "\ud800"}])
async def test_arguments_that_are_no_json_are_refused(arguments: dict[str, object]) -> None:
    async with caller("http://127.0.0.1") as c:
        with pytest.raises(errors.InvalidInput, match=r"x\.echo: .* cannot be written as JSON"):
            await c.call(ECHO, arguments)


async def test_not_modified_is_an_empty_list() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=304)

    async with serve(handler) as url, caller(url) as c:
        assert await c.call(LIST) == []
        with pytest.raises(errors.UnexpectedStatus, match="HTTP 304"):
            await c.call(ECHO)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"


@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 200 OK\r\n"], [HEAD, b"["]])
async def test_nothing_hangs_wherever_the_server_stops(pieces: list[bytes]) -> None:
    async with serve_bytes(*pieces, hang=True) as url, caller(url) as c:
        with pytest.raises(errors.CallTimeout, match=r"x\.list: no answer within 0\.05 s"):
            await c.call(LIST, timeout=0.05)


async def test_the_time_of_a_call_covers_its_login() -> None:
    async with serve_bytes(hang=True) as url, caller(url, username="root") as c:
        with pytest.raises(errors.CallTimeout, match=r"x\.list: no answer within 0\.05 s") as info:
            await c.call(LIST, timeout=0.05)
    assert not info.value.sent


async def test_a_login_that_fails_says_that_the_call_was_not_sent() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=503)

    async with serve(handler) as url, caller(url, username="root") as c:
        with pytest.raises(errors.ServerError) as info:
            await c.call(LIST)
        assert not info.value.sent
    async with serve(handler) as url, caller(url) as c:
        with pytest.raises(errors.OutcomeUnknown) as info_sent:
            await c.call(LIST)
        assert info_sent.value.sent


async def test_the_time_of_the_session_is_the_default() -> None:
    async with serve_bytes(hang=True) as url, caller(url, timeout=0.05) as c:
        with pytest.raises(TimeoutError):
            await c.call(LIST)


async def test_an_invalid_time_out_is_rejected() -> None:
    async with caller("http://127.0.0.1") as c:
        with pytest.raises(errors.InvalidInput, match=r"x\.list: timeout: expected .* got -1"):
            await c.call(LIST, timeout=-1)


@pytest.mark.parametrize("wrong", ["a\nb", "ä", 5])
async def test_headers_that_cannot_be_sent_are_refused(wrong: Any) -> None:  # noqa: ANN401
    async with caller("http://127.0.0.1") as c:
        with pytest.raises(errors.InvalidInput, match=r"x\.list: external_cloudtower_id: "):
            await c.call(LIST, external_cloudtower_id=wrong)
        with pytest.raises(errors.InvalidInput, match=r"x\.list: content_language: expected one"):
            await c.call(LIST, content_language=wrong)


async def test_a_body_of_the_caller_is_sent_as_it_is() -> None:
    async with serve(echo) as url, caller(url) as c:
        assert (await c.send(ECHO, {"a": None}))["body"] == '{"a":null}'


async def test_an_operation_with_a_credential_of_its_own_does_not_get_the_token() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert "authorization" not in request.headers
        return web.Response(status=401)

    async with serve(handler) as url, caller(url) as c:
        with pytest.raises(errors.Unauthorized, match="HTTP Basic with its own credential"):
            await c.call(OTHER)


async def test_the_credential_of_the_change_feed_goes_with_its_operation_only() -> None:
    async with serve(echo) as url, caller(url, change_feed=("feed", "pässword")) as c:
        headers = (await c.call(OTHER))["headers"]
        assert headers["authorization"] == "Basic ZmVlZDpww6Rzc3dvcmQ="
        assert headers["x-bypass-whitelist"] == "true"
        for operation in (ECHO, PUBLIC):
            headers = (await c.call(operation))["headers"]
            assert headers.get("authorization") in (TOKEN, None)
            assert "x-bypass-whitelist" not in headers


async def test_after_a_time_out_and_a_cancellation_the_pool_still_serves() -> None:
    stuck = anyio.Event()

    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("/list"):
            stuck.set()
            await anyio.sleep_forever()
        return await echo(request)

    async with serve(handler) as url, caller(url, max_connections=1) as c:
        with pytest.raises(errors.CallTimeout):
            await c.call(LIST, timeout=0.05)
        async with anyio.create_task_group() as group:
            group.start_soon(c.call, LIST)
            await stuck.wait()
            group.cancel_scope.cancel()
        assert (await c.call(ECHO, timeout=5))["path"] == "/v2/api/echo"


async def test_requests_in_flight_stay_below_the_limit() -> None:
    at_work: list[int] = []
    most: list[int] = []

    async def handler(_: web.Request) -> web.Response:
        at_work.append(1)
        most.append(len(at_work))
        for _turn in range(10):
            await anyio.lowlevel.checkpoint()
        at_work.pop()
        return web.json_response({})

    async with (
        serve(handler) as url,
        caller(url, max_connections=8, max_in_flight=2) as c,
        anyio.create_task_group() as group,
    ):
        for _ in range(20):
            group.start_soon(c.call, PUBLIC)
    assert (len(most), max(most)) == (20, 2)


async def test_a_time_out_in_the_rate_limit_says_that_the_call_was_not_sent() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.json_response([])

    async with serve(handler) as url, caller(url, token=TOKEN, rate_limit=0.01) as c:
        await c.call(LIST)  # uses the initial token of the bucket
        with pytest.raises(errors.CallTimeout, match="The call was not sent: it waited") as info:
            await c.call(LIST, timeout=0.02)
    assert not info.value.sent
    assert not isinstance(info.value, errors.OutcomeUnknown)
    assert len(seen) == 1


async def test_a_broken_answer_is_refused_only_when_strict() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b'[1, "x"]')

    async with serve(handler) as url:
        async with caller(url) as c:
            assert await c.call(LIST) == [1]
        async with caller(url, strict=True) as c:
            with pytest.raises(
                errors.OutcomeUnknown, match=r"\$\[1\].* it was carried out"
            ) as info:
                await c.call(LIST)
    assert isinstance(info.value.__cause__, errors.ResponseDecodeError)


async def test_the_first_calls_of_an_operation_load_its_types_once_in_a_thread() -> None:
    loaders: list[int] = []

    def answer() -> type[dict[str, Any]]:
        loaders.append(threading.get_ident())
        return dict[str, Any]

    operation = Operation(
        "x.first", "/echo", Kind.QUERY, answer, body=lambda: inputs.TaskWhereInput
    )
    async with (
        serve(echo) as url,
        caller(url, token=TOKEN) as executor,
        anyio.create_task_group() as group,
    ):
        for _ in range(20):
            group.start_soon(executor.send, operation, {"status": "FAILED"})
    assert operation.loaded
    assert threading.get_ident() not in loaders
    assert len(loaders) == 1


async def test_wrong_arguments_of_a_first_call_are_refused_by_the_call_itself() -> None:
    operation = Operation(
        "x.first", "/echo", Kind.QUERY, lambda: dict[str, Any], body=lambda: inputs.TaskWhereInput
    )
    async with serve(echo) as url, caller(url, token=TOKEN) as executor:
        for _ in range(2):
            with pytest.raises(errors.InvalidInput, match="stauts"):
                await executor.send(operation, {"stauts": "FAILED"})
