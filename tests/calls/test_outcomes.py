"""Errors of mutations: whether the server may have received the request."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from cloudtower_async import (
    CallTimeout,
    Cloudtower,
    ConnectionFailed,
    MutationTimeout,
    NotFound,
    OutcomeUnknown,
    RetryPolicy,
)
from cloudtower_async.errors import UnexpectedStatus
from tests.conftest import Loop
from tests.support import TOKEN, serve, serve_bytes, unused_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    Mutation = Callable[[Cloudtower], Awaitable[object]]

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy(attempts=1)


async def with_json(tower: Cloudtower) -> object:
    return await tower.vm.start_vm(where={"id": "a"})


async def with_much_json(tower: Cloudtower) -> object:
    return await tower.request("big", {"x": "y" * 2**20})


async def with_a_form(tower: Cloudtower) -> object:
    return await tower.elf_image.create_elf_image(file=io.BytesIO(b"z"), upload_task_id="u")


async def without_a_body(tower: Cloudtower) -> object:
    return await tower.request("bare")


async def delete(tower: Cloudtower) -> object:
    return await tower.raw("DELETE", "/x")


async def put(tower: Cloudtower) -> object:
    return await tower.raw("PUT", "/x", data=b"y" * 2**21)


MUTATIONS = [with_json, with_much_json, with_a_form, without_a_body, delete, put]
WHOSE = ["ours", "connector", "session", "session with a middleware"]


@asynccontextmanager
async def session(whose: str, url: str, **options: Any) -> AsyncGenerator[Cloudtower]:  # noqa: ANN401
    """A session that creates its aiohttp objects, or that uses aiohttp objects of the caller."""

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        return await handler(request)

    async with (
        aiohttp.TCPConnector() as connector,
        aiohttp.ClientSession() as plain,
        aiohttp.ClientSession(middlewares=[middleware]) as changing,
    ):
        given: dict[str, dict[str, Any]] = {
            "ours": {},
            "connector": {"connector": connector},
            "session": {"session": plain},
            "session with a middleware": {"session": changing},
        }
        options.setdefault("retry", ONCE)
        async with Cloudtower(url, token=TOKEN, **given[whose], **options) as tower:
            yield tower


def let_time_pass() -> None:
    """Put the clock forward beyond every time-out."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    loop.ahead += 1000.0


@asynccontextmanager
async def serve_nothing() -> AsyncGenerator[str]:
    """Accept the first bytes of a connection; then let much time pass without an answer."""

    async def hang(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            let_time_pass()
            await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, hang)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("mutate", MUTATIONS)
async def test_a_time_out_before_a_connection_says_not_sent(mutate: Mutation, whose: str) -> None:
    async with (
        serve_nothing() as url,  # also no greeting of TLS
        session(whose, url.replace("http:", "https:")) as tower,
    ):
        with pytest.raises(CallTimeout) as info:
            await mutate(tower)
    assert not isinstance(info.value, OutcomeUnknown)
    assert not info.value.sent
    assert "was not sent" in info.value.hint


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("mutate", MUTATIONS)
async def test_a_time_out_after_the_request_has_an_unknown_outcome(
    mutate: Mutation, whose: str
) -> None:
    async with serve_nothing() as url, session(whose, url) as tower:
        with pytest.raises(MutationTimeout) as info:
            await mutate(tower)
    assert info.value.sent


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("mutate", MUTATIONS)
async def test_a_connection_closed_after_the_request_has_an_unknown_outcome(
    mutate: Mutation, whose: str
) -> None:
    async with serve_bytes() as url, session(whose, url) as tower:
        with pytest.raises(OutcomeUnknown) as info:
            await mutate(tower)
    assert info.value.sent


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("mutate", MUTATIONS)
async def test_a_mutation_is_not_retried_after_a_closed_connection(
    mutate: Mutation, whose: str, end: str
) -> None:
    """aiohttp repeats PUT and DELETE by itself."""
    received: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        received.append(request.method)
        assert request.transport is not None
        getattr(request.transport, end)()
        return web.json_response([])

    async with serve(handler) as url, session(whose, url, retry=RetryPolicy()) as tower:
        with pytest.raises(OutcomeUnknown) as info:
            await mutate(tower)
    assert len(received) == 1
    assert info.value.sent


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"000 None"])
async def test_a_status_below_200_is_no_success(status: bytes) -> None:
    head = b"HTTP/1.1 " + status + b"\r\nupgrade: x\r\nconnection: upgrade\r\n"
    async with (
        serve_bytes(head + b"content-length: 2\r\n\r\n[]") as url,
        session("ours", url) as tower,
    ):
        with pytest.raises(OutcomeUnknown, match="may have been carried out or not"):
            await with_json(tower)
        with pytest.raises(UnexpectedStatus):
            await tower.vm.get_vms(first=1)
        with pytest.raises(UnexpectedStatus):
            await tower.raw("GET", "/x")


@pytest.mark.parametrize("whose", WHOSE)
async def test_a_refused_connection_says_not_sent(whose: str) -> None:
    async with session(whose, f"http://127.0.0.1:{unused_port()}") as tower:
        with pytest.raises(ConnectionFailed) as info:
            await with_json(tower)
    assert not info.value.sent


async def test_only_the_last_attempt_counts() -> None:
    """The first request is rejected, and the second one gets no connection."""
    attempts = 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal attempts
        attempts += 1
        await request.read()
        return web.json_response({"message": "later"}, status=429, headers={"connection": "close"})

    async def stall(*_: object) -> None:
        if attempts:
            let_time_pass()
            await anyio.sleep_forever()

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(stall)
    quick = RetryPolicy(attempts=3, backoff=0.001)
    async with (
        serve(handler) as url,
        Cloudtower(url, token=TOKEN, trace_configs=[trace], retry=quick) as tower,
    ):
        with pytest.raises(CallTimeout) as info:
            await with_json(tower)
    assert attempts == 1
    assert not isinstance(info.value, OutcomeUnknown)


class BrokenError(Exception):
    """Error of a hook."""


class Counting:
    """Answers every request with an empty list and counts the requests."""

    def __init__(self) -> None:
        self.requests = 0

    async def __call__(self, request: web.Request) -> web.Response:
        await request.read()
        self.requests += 1
        if request.path.endswith("/missing"):
            return web.json_response({"message": "no"}, status=404)
        return web.json_response([])


async def fail(*_: object) -> None:
    raise BrokenError


async def fail_with_a_time_out(*_: object) -> None:
    raise TimeoutError


def hooks(moment: str, raising: Callable[..., Awaitable[None]] = fail) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    getattr(trace, moment).append(raising)
    return trace


BEFORE = ["on_request_start", "on_connection_create_start", "on_connection_create_end"]
AFTER = ["on_request_chunk_sent", "on_request_end", "on_response_chunk_received"]


def causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__


@pytest.mark.parametrize("whose", ["ours", "session"])
@pytest.mark.parametrize("moment", BEFORE + AFTER)
async def test_a_trace_hook_that_raises_does_not_hide_that_a_mutation_was_sent(
    moment: str, whose: str
) -> None:
    server = Counting()
    async with serve(server) as url, aiohttp.ClientSession(trace_configs=[hooks(moment)]) as own:
        given: dict[str, Any] = {"session": own}
        if whose == "ours":
            given = {"trace_configs": [hooks(moment)]}
        async with Cloudtower(url, token=TOKEN, retry=ONCE, **given) as tower:
            if moment in BEFORE:
                with pytest.raises(BrokenError):
                    await with_json(tower)
                assert not server.requests
            else:
                with pytest.raises(OutcomeUnknown) as info:
                    await with_json(tower)
                assert any(isinstance(cause, BrokenError) for cause in causes(info.value))
                assert info.value.sent
                assert "tower.vm.get_vms" in info.value.hint
            # A query raises the error of the hook, unless aiohttp has replaced it.
            with pytest.raises((BrokenError, ConnectionFailed)):
                await tower.vm.get_vms()


async def test_a_time_out_of_a_hook_is_not_the_calls_own() -> None:
    trace = hooks("on_request_end", fail_with_a_time_out)
    async with (
        serve(Counting()) as url,
        Cloudtower(url, token=TOKEN, retry=ONCE, trace_configs=[trace]) as tower,
    ):
        with pytest.raises(OutcomeUnknown) as info:
            await with_json(tower)
    assert info.value.sent


async def raise_before(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    raise BrokenError


async def raise_after(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    await handler(request)
    raise BrokenError


async def replace_the_body_and_raise_after(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    await request.update_body(b"{}")
    await handler(request)
    raise BrokenError


@asynccontextmanager
async def changed_by(middleware: Any, url: str) -> AsyncGenerator[Cloudtower]:  # noqa: ANN401
    async with (
        aiohttp.ClientSession(middlewares=[middleware]) as own,
        Cloudtower(url, token=TOKEN, session=own, retry=ONCE) as tower,
    ):
        yield tower


@pytest.mark.parametrize("mutate", MUTATIONS)
async def test_a_middleware_that_raises_before_the_request_has_sent_nothing(
    mutate: Mutation,
) -> None:
    server = Counting()
    async with serve(server) as url, changed_by(raise_before, url) as tower:
        with pytest.raises(BrokenError):
            await mutate(tower)
    assert not server.requests


@pytest.mark.parametrize("middleware", [raise_after, replace_the_body_and_raise_after])
@pytest.mark.parametrize("mutate", MUTATIONS)
async def test_a_middleware_that_raises_after_the_request_leaves_the_outcome_unknown(
    mutate: Mutation, middleware: object
) -> None:
    server = Counting()
    async with serve(server) as url, changed_by(middleware, url) as tower:
        with pytest.raises(OutcomeUnknown) as info:
            await mutate(tower)
        assert isinstance(info.value.__cause__, BrokenError)
    assert server.requests == 1


async def test_an_error_of_the_sdk_from_a_middleware_is_not_taken_for_the_calls_own() -> None:
    server = Counting()
    async with serve(server) as url, Cloudtower(url, token=TOKEN) as other:

        async def ask_another(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            await handler(request)
            await other.request("missing")
            raise AssertionError

        async with changed_by(ask_another, url) as tower:
            with pytest.raises(OutcomeUnknown, match=r"vm\.start_vm") as info:
                await with_json(tower)
            assert isinstance(info.value.__cause__, NotFound)


async def test_a_middleware_that_sends_another_request_does_not_hide_the_first() -> None:
    elsewhere = f"http://127.0.0.1:{unused_port()}"

    async def ask_elsewhere(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            return await handler(request)
        except aiohttp.ClientConnectionError:
            async with aiohttp.ClientSession() as other, other.get(elsewhere) as response:
                return response

    async with serve_bytes() as url, changed_by(ask_elsewhere, url) as tower:
        with pytest.raises(OutcomeUnknown) as info:
            await with_json(tower)
    assert isinstance(info.value.__cause__, ConnectionFailed)
    assert isinstance(info.value.__cause__.__cause__, aiohttp.ClientConnectorError)
