"""No secret appears in reprs, errors with their causes, or log records."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback
from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, CloudtowerError, ConnectionFailed, RetryPolicy
from tests.support import is_login, serve, serve_bytes, unused_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

MARK = "planted"
GIVEN = {"username": "root", "password": f'{MARK}-"pässword'}
TOKENS = f"{MARK}-token"


def shown(error: BaseException) -> str:
    """Return everything about an error that a log or a report may show."""
    pieces = ["".join(traceback.format_exception(error))]
    chain: BaseException | None = error
    while chain is not None:
        pieces += [str(chain), repr(chain), repr(vars(chain)), repr(chain.args)]
        chain = chain.__cause__ or chain.__context__
    return "\n".join(pieces)


async def echoing(request: web.Request) -> web.Response:
    """Reject every request and echo it."""
    heard = [await request.text(), *request.headers.values()]
    return web.json_response({"message": " ".join(heard), "props": heard}, status=400)


async def leaking(request: web.Request) -> web.Response:
    """Accept the login, then reject requests with the token in the answer."""
    if is_login(request):
        return web.json_response({"data": {"token": TOKENS}})
    return web.Response(status=500, text=f"<p>{request.headers['authorization']}")


async def broken_login(_: web.Request) -> web.Response:
    return web.Response(text=f'{{"data": {{"token": "{TOKENS}')


async def no_list(request: web.Request) -> web.Response:
    if is_login(request):
        return web.json_response({"data": {"token": TOKENS}})
    return web.Response(text=f'{{"token": "{request.headers["authorization"]}", "x')


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    caplog.set_level(logging.DEBUG)

    def all_of_them() -> str:
        return "\n".join(
            f"{record.getMessage()} {record.args!r} {record.exc_info!r}"
            for record in caplog.records
        )

    return all_of_them


@pytest.mark.parametrize("handler", [echoing, leaking, broken_login, no_list])
async def test_not_by_an_echo_of_the_server(
    handler: Callable[[web.Request], object], records: Callable[[], str]
) -> None:
    async with serve(handler) as url:  # type: ignore[arg-type]
        session = Cloudtower(url, **GIVEN)  # type: ignore[arg-type]
        with pytest.raises(CloudtowerError) as info:
            await session.vm.get_vms()
        assert MARK not in shown(info.value)
        assert MARK not in repr(session)
        assert MARK not in repr(vars(session))
        await session.close()
    assert MARK not in records()


async def test_not_by_a_change_feed_that_echoes_its_credential(
    records: Callable[[], str],
) -> None:
    password = f"{MARK}-pässword"
    for handler in (echoing, with_basic_spelt_out):
        async with serve(handler) as url:
            session = Cloudtower(url, token="t0ken", change_feed=("feed", password))
            call = session.resource_change.get_resource_changes
            with pytest.raises(CloudtowerError) as info:
                await call()
            for secret in (MARK, encoded(password)):
                assert secret not in shown(info.value)
                assert secret not in repr(vars(session))
                assert secret not in await with_variables(call)
                assert secret not in records()
            await session.close()


async def with_basic_spelt_out(request: web.Request) -> web.Response:
    return web.Response(status=500, text=f"<p>{request.headers['authorization'][6:]}")


def encoded(password: str) -> str:
    return b64encode(f"feed:{password}".encode()).decode()


async def test_not_by_connections_that_fail(records: Callable[[], str]) -> None:
    nowhere = f"http://127.0.0.1:{unused_port()}"
    async with serve_bytes(b"junk\r\n\r\n") as junk, serve_bytes() as closed:
        for url in (nowhere, junk, closed, "http://tower.invalid"):
            session = Cloudtower(url, token=TOKENS, headers={"x-key": f"{MARK}-key"})
            with pytest.raises(CloudtowerError) as info:
                await session.vm.get_vms()
            assert MARK not in shown(info.value)
            assert MARK not in repr(vars(session))
            await session.close()
    assert MARK not in records()


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 2x0 ",
        b"HTTP/1.1 200 OK\r\nbad header ",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 2**14,
        b"HTTP/1.1 200 OK\r\ncontent-length: ",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 999\r\n\r\n",
    ],
)
async def test_not_by_a_broken_response_that_repeats_the_request(
    start: bytes, records: Callable[[], str]
) -> None:
    """aiohttp quotes unparsable data in its errors, which are the causes of our errors."""
    for pieces in ([start + TOKENS.encode() + b"\r\n\r\n"], [start, TOKENS.encode() + b"\r\n\r\n"]):
        async with (
            serve_bytes(*pieces) as url,
            Cloudtower(url, token=TOKENS, retry=RetryPolicy(attempts=1)) as session,
        ):
            with pytest.raises(ConnectionFailed) as info:
                await session.raw("GET", "/x", query={"key": MARK})
            assert isinstance(info.value.__cause__, aiohttp.ClientError)
            assert MARK not in shown(info.value)
        assert MARK not in records()


async def test_not_by_the_variables_of_frames() -> None:
    """rich and error trackers show the variables of all frames in tracebacks."""
    nowhere = f"http://127.0.0.1:{unused_port()}"
    credentials: list[dict[str, Any]] = [GIVEN, {"token": TOKENS}, {**GIVEN, "source": "LDAP"}]
    async with (
        serve(echoing) as refusing,
        serve(no_list) as broken,
        serve(broken_login) as odd,
        serve_bytes(b"junk") as junk,
        serve_bytes(hang=True) as hanging,
    ):
        for url in (nowhere, refusing, broken, odd, junk, hanging, "http://tower.invalid"):
            for options in credentials:
                tower = Cloudtower(url, timeout=0.1, **options)
                for call in (tower.vm.get_vms, tower.vm.get_vms, tower.open):
                    shown_ = await with_variables(call)
                    assert MARK not in shown_
                await tower.close()


@pytest.mark.parametrize("options", [GIVEN, {"token": TOKENS}])
async def test_not_by_the_time_out_of_the_caller(options: dict[str, Any]) -> None:
    async with serve_bytes(hang=True) as url:
        tower = Cloudtower(url, timeout=5, headers={"x-key": f"{MARK}-key"}, **options)
        for call in (tower.vm.get_vms, tower.open):

            async def in_time(call: Callable[[], Awaitable[object]] = call) -> None:
                async with asyncio.timeout(0.1):
                    await call()

            assert MARK not in await with_variables(in_time)
        await tower.close()


async def test_not_by_an_exception_of_a_hook() -> None:
    async def raising(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        await handler(request)
        raise LookupError("of the hook")

    async with (
        serve(echoing) as url,
        aiohttp.ClientSession(middlewares=[raising]) as session,
        Cloudtower(url, token=TOKENS, session=session) as tower,
    ):
        with pytest.raises(LookupError) as info:
            await tower.vm.get_vms()
    report = traceback.TracebackException.from_exception(info.value, capture_locals=True)
    text = "".join(report.format())
    assert "in raising" in text
    assert MARK not in text


@pytest.mark.parametrize(
    "moment", ["on_request_start", "on_connection_create_start", "on_request_end"]
)
@pytest.mark.parametrize("options", [GIVEN, {"token": TOKENS}])
async def test_not_by_an_exception_of_a_trace_hook(moment: str, options: dict[str, Any]) -> None:
    async def raising(*given: object) -> None:
        del given  # the hook's variables are under the user's control
        raise LookupError("of the hook")

    trace = aiohttp.TraceConfig()
    getattr(trace, moment).append(raising)
    async with serve(leaking) as url:
        tower = Cloudtower(url, trace_configs=[trace], **options)
        calls: list[Callable[[], Awaitable[object]]] = [
            tower.vm.get_vms,
            partial(tower.vm.start_vm, where={"id": "vm"}),
        ]
        if "username" in options:
            calls.append(tower.open)
        for call in calls:
            assert MARK not in await with_variables(call)
        await tower.close()


async def with_variables(call: Callable[[], Awaitable[object]]) -> str:
    try:
        raise LookupError("of the caller's own")
    except LookupError:
        try:
            await call()
        except (CloudtowerError, TimeoutError, LookupError) as error:
            report = traceback.TracebackException.from_exception(error, capture_locals=True)
            text = "".join(report.format())
            assert "line" in text
        else:
            return ""
    return text


async def test_the_exception_of_the_caller_keeps_its_traceback() -> None:
    tower = Cloudtower(f"http://127.0.0.1:{unused_port()}", token=TOKENS)
    try:
        raise LookupError
    except LookupError:
        with pytest.raises(ConnectionFailed) as info:
            await tower.vm.get_vms()
    handled = info.value.__context__
    assert isinstance(handled, LookupError)
    assert handled.__traceback__ is not None
    assert info.value.__cause__ is not None
    await tower.close()


async def test_failed_logins_that_are_retried_are_not_kept_with_their_tracebacks() -> None:
    quick = RetryPolicy(attempts=3, backoff=0.001)
    address = f"http://127.0.0.1:{unused_port()}"
    tower = Cloudtower(address, retry=quick, **GIVEN)  # type: ignore[arg-type]
    before = failures()
    with pytest.raises(ConnectionFailed) as info:
        await tower.open()
    for kept in [one for one in failures() if one not in [*before, info.value]]:
        assert kept.__traceback__ is None
        assert kept.__cause__ is None or kept.__cause__.__traceback__ is None
    await tower.close()


async def test_a_failed_login_is_not_kept_with_its_traceback() -> None:
    once = RetryPolicy(attempts=1)
    address = f"http://127.0.0.1:{unused_port()}"
    tower = Cloudtower(address, retry=once, **GIVEN)  # type: ignore[arg-type]
    before = failures()
    with pytest.raises(ConnectionFailed) as info:
        await tower.open()
    (kept,) = [one for one in failures() if one not in [*before, info.value]]
    assert kept.__traceback__ is None
    assert kept.__cause__ is not None
    assert kept.__cause__.__traceback__ is None
    await tower.close()


def failures() -> list[ConnectionFailed]:
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, ConnectionFailed)]


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [
        (f"https://root:{MARK}@tower.example", {}),
        (f"ftp://root:{MARK}@tower.example", {}),
        ("tower.example", {"token": f"{MARK}\n"}),
        ("tower.example", {"password": MARK}),
        ("tower.example", {"username": "root", "password": f"{MARK}\udc80"}),
        ("tower.example", {"token": "t", "change_feed": ("root", f"{MARK}\udc80")}),
        ("tower.example", {"token": "t", "proxy": f"http://root:{MARK}\udc80@proxy.example"}),
        ("tower.example", {"token": "t", "headers": {"x-key": f"{MARK}\n"}}),
    ],
)
def test_not_by_settings_that_are_refused(endpoint: str, options: dict[str, object]) -> None:
    with pytest.raises(CloudtowerError) as info:
        Cloudtower(endpoint, **options)  # type: ignore[arg-type]
    assert MARK not in "".join(traceback.format_exception_only(info.value)) + repr(info.value)
