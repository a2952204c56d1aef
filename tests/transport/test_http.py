"""One exchange, and its possible faults."""

from __future__ import annotations

import contextlib
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import anyio
import anyio.abc
import pytest
import trustme
from aiohttp import web

from cloudtower_async import errors
from cloudtower_async.transport.http import Transport
from cloudtower_async.transport.responses import Answer
from tests.support import TOKEN, serve, serve_bytes, settings, unused_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def exchange(endpoint: str, **options: object) -> Answer:
    transport = Transport(settings(endpoint, **options))
    try:
        return await transport.exchange(
            "vm.get_vms",
            "POST",
            endpoint,
            {"authorization": TOKEN},
            path="/v2/api/get-vms",
            body=b'{"first":1}',
        )
    finally:
        await transport.close()


async def failure(endpoint: str, **options: object) -> errors.CallError:
    with pytest.raises(errors.CallError) as info:
        await exchange(endpoint, **options)
    error = info.value
    assert (error.operation, error.endpoint) == ("vm.get_vms", endpoint)
    assert error.hint
    assert len(str(error).splitlines()) == 1
    return error


async def test_request_and_answer_go_through() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.method == "POST"
        assert request.path == "/v2/api/get-vms"
        assert await request.read() == b'{"first":1}'
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept"] == "application/json"
        assert request.headers["authorization"] == TOKEN
        assert request.headers["user-agent"].startswith("cloudtower-async/")
        assert request.headers["x-mine"] == "1"
        return web.Response(body=b"[]", headers={"x-tower-request-id": "r-1"})

    async with serve(handler) as url:
        answer = await exchange(url, headers={"X-Mine": "1"})
    assert answer == Answer(200, b"[]", "r-1", answer.headers)
    assert answer.headers["X-Tower-Request-Id"] == "r-1"


async def test_compressed_answers_are_unpacked() -> None:
    async def handler(request: web.Request) -> web.Response:
        response = web.Response(body=b"[" + b" " * 9000 + b"]")
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serve(handler) as url:
        assert len((await exchange(url)).body) == 9002


async def test_a_body_beyond_a_mebibyte_goes_without_a_warning() -> None:
    async def handler(request: web.Request) -> web.Response:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.Response(body=str(size).encode())

    async with serve(handler) as url:
        transport = Transport(settings(url))
        answer = await transport.exchange("x", "POST", url, {}, body=b"1" * (3 << 20))
        await transport.close()
    assert answer.body == str(3 << 20).encode()


async def test_cookies_are_not_kept() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert not request.cookies
        response = web.Response(body=b"{}")
        response.set_cookie("session", "1")
        return response

    async with serve(handler) as url:
        transport = Transport(settings(url))
        for _ in range(2):
            await transport.exchange("x", "GET", url, {})
        await transport.close()


async def test_redirects_are_not_followed() -> None:
    async def handler(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with serve(handler) as url:
        error = await failure(url)
    assert isinstance(error, errors.UnexpectedStatus)
    assert error.status == 307


async def test_an_error_status_is_its_error_with_the_request_id() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(
            {"message": "no"}, status=403, headers={"x-tower-request-id": "r-2"}
        )

    async with serve(handler) as url:
        error = await failure(url)
    assert isinstance(error, errors.Forbidden)
    assert (error.server_message, error.request_id) == ("no", "r-2")


async def test_not_modified_is_an_answer_only_where_it_is_one() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=304)

    async with serve(handler) as url:
        assert isinstance(await failure(url), errors.UnexpectedStatus)
        transport = Transport(settings(url))
        assert (await transport.exchange("x", "POST", url, {}, not_modified=True)).status == 304
        await transport.close()


async def test_a_refused_connection() -> None:
    error = await failure(f"http://127.0.0.1:{unused_port()}")
    assert type(error) is errors.ConnectionFailed
    assert "Connection refused" in str(error)
    assert not error.sent


async def test_a_connection_that_is_never_accepted() -> None:
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # more than it queues: from then on no request is answered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        error = await failure(f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.05)
    assert isinstance(error, errors.CallTimeout)
    assert "connect_timeout=" in error.hint
    assert not error.sent


async def test_a_name_that_does_not_resolve() -> None:
    error = await failure("http://tower.invalid")
    assert isinstance(error, errors.NameNotResolved)
    assert "'tower.invalid' cannot be resolved" in str(error)
    assert not error.sent


async def test_a_connection_closed_before_the_answer() -> None:
    async with serve_bytes() as url:
        error = await failure(url)
    assert type(error) is errors.ConnectionFailed
    assert "closed before the answer" in str(error)
    assert error.sent


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", b'[{"id":'],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"5\r\n[1,2,\r\n"],
    ],
)
async def test_a_body_that_is_cut_off(pieces: list[bytes]) -> None:
    async with serve_bytes(*pieces) as url:
        error = await failure(url)
    assert type(error) is errors.ConnectionFailed
    assert "cut off" in str(error)


async def test_a_body_that_cannot_be_unpacked() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n"
    async with serve_bytes(head + b"junk") as url:
        assert isinstance(await failure(url), errors.ConnectionFailed)


async def test_an_answer_that_is_not_http_shows_no_token() -> None:
    async with serve_bytes(b"220 mail.example ESMTP\r\n\r\n") as url:
        error = await failure(url)
    assert "not HTTP" in str(error)
    assert TOKEN not in repr(error.__cause__)
    assert TOKEN not in repr(vars(error.__cause__))


async def test_a_redirect_is_not_followed_and_names_its_target() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": "https://portal.example/login?t=1"})

    async with serve(handler) as url:
        error = await failure(url)
    assert "redirects to another address: https://portal.example/login?… [" in str(error)


async def test_a_redirect_to_nonsense_is_still_only_a_status() -> None:
    async with serve_bytes(
        b"HTTP/1.1 302 Found\r\nlocation: ::\r\ncontent-length: 0\r\n\r\n"
    ) as url:
        assert isinstance(await failure(url), errors.UnexpectedStatus)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(cert: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


async def empty_list(request: web.Request) -> web.Response:
    return web.Response(body=b"[]")


async def test_an_authority_that_is_not_known_is_refused_and_the_options_are_named(
    authority: trustme.CA,
) -> None:
    async with serve(empty_list, tls=server_context(authority.issue_cert("localhost"))) as url:
        error = await failure(url)
    assert isinstance(error, errors.TLSFailed)
    assert "authority" in str(error)
    assert "ca_file=" in error.hint
    assert "verify_tls=False" in error.hint
    assert error.reason
    assert not error.sent


@pytest.mark.parametrize("self_signed", [False, True])
async def test_an_authority_that_is_not_in_the_ca_file(
    authority: trustme.CA, self_signed: bool, tmp_path: Path
) -> None:
    ca_file, own = tmp_path / "other.pem", tmp_path / "own.pem"
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    context = server_context(authority.issue_cert("localhost"))
    if self_signed:
        own.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
        context.load_cert_chain(own)
    async with serve(empty_list, tls=context) as url:
        error = await failure(url, ca_file=ca_file)
    assert isinstance(error, errors.TLSFailed)
    assert ("self" in error.reason) is self_signed
    assert "not signed by an authority of the given ca_file" in str(error)
    assert "ca_file=" in error.hint


async def test_a_certificate_that_signed_itself(authority: trustme.CA, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
    context = server_context(authority.issue_cert("localhost"))
    context.load_cert_chain(own)
    async with serve(empty_list, tls=context) as url:
        error = await failure(url)
    assert "it is self-signed" in str(error)
    assert "ca_file=" in error.hint


async def test_a_private_authority_is_accepted_with_the_right_option(
    authority: trustme.CA, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with serve(empty_list, tls=server_context(authority.issue_cert("localhost"))) as url:
        assert (await exchange(url, ca_file=ca_file)).status == 200
        assert (await exchange(url, verify_tls=False)).status == 200
        own = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
        assert (await exchange(url, ssl_context=own)).status == 200


async def test_a_certificate_for_another_name(authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    async with serve(empty_list, tls=server_context(authority.issue_cert("other.example"))) as url:
        by_name = await failure(url, ca_file=ca_file)
        by_address = await failure(url.replace("localhost", "127.0.0.1"), ca_file=ca_file)
    assert "another host name" in str(by_name)
    assert "not for this IP address" in str(by_address)


async def test_an_expired_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    import datetime

    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    cert = authority.issue_cert(
        "localhost", not_before=yesterday - datetime.timedelta(days=9), not_after=yesterday
    )
    async with serve(empty_list, tls=server_context(cert)) as url:
        assert "it has expired" in str(await failure(url, ca_file=ca_file))


async def test_https_to_a_server_of_plain_http() -> None:
    async with serve(empty_list) as url:
        error = await failure(url.replace("http", "https"))
    assert isinstance(error, errors.TLSFailed)
    assert "https or http" in error.hint


async def test_plain_http_to_a_server_of_https(authority: trustme.CA) -> None:
    async with serve(empty_list, tls=server_context(authority.issue_cert("localhost"))) as url:
        error = await failure(url.replace("https", "http"))
    assert type(error) is errors.ConnectionFailed
    assert "The port may speak https" in error.hint


async def test_a_client_certificate_is_shown(authority: trustme.CA, tmp_path: Path) -> None:
    ca_file, client = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("bot@tower.example").private_key_and_cert_chain_pem.write_to_path(
        str(client)
    )
    context = server_context(authority.issue_cert("localhost"))
    authority.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    context.verify_mode = ssl.CERT_REQUIRED
    async with serve(empty_list, tls=context) as url:
        assert (await exchange(url, ca_file=ca_file, client_cert=client)).status == 200
        assert isinstance(await failure(url, ca_file=ca_file), errors.ConnectionFailed)


# Lifecycle


async def test_after_close_is_a_clear_error() -> None:
    transport = Transport(settings())
    await transport.close()
    await transport.close()
    with pytest.raises(errors.SessionClosed, match="the session is closed"):
        await transport.exchange("x", "GET", "http://127.0.0.1", {})


async def test_closing_ends_calls_under_way() -> None:
    arrived = anyio.Event()

    async def handler(request: web.Request) -> web.Response:
        arrived.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(handler) as url:
        transport = Transport(settings(url))

        async def call() -> None:
            with pytest.raises(errors.SessionClosed, match="during the call"):
                await transport.exchange("x", "GET", url, {})

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await arrived.wait()
            group.start_soon(transport.close)
            group.start_soon(transport.close)


async def test_a_passed_session_is_used_and_left_open() -> None:
    async with serve(empty_list) as url, aiohttp.ClientSession() as session:
        transport = Transport(settings(url), session=session)
        await transport.exchange("x", "GET", url, {})
        await transport.close()
        assert not session.closed

        connector = aiohttp.TCPConnector()
        transport = Transport(settings(url), connector=connector)
        await transport.exchange("x", "GET", url, {})
        await transport.close()
        assert not connector.closed
        await connector.close()


async def test_a_session_that_its_owner_closed_is_a_clear_error() -> None:
    async with aiohttp.ClientSession() as session:
        transport = Transport(settings(), session=session)
    with pytest.raises(errors.SessionClosed):
        await transport.exchange("x", "GET", "http://127.0.0.1", {})


async def test_a_session_brings_its_own_connector() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(errors.InvalidSettings, match="session: "):
            Transport(settings(), session=session, trace_configs=[aiohttp.TraceConfig()])


async def test_trace_configs_see_the_requests() -> None:
    seen: list[str] = []

    async def on_end(
        _session: aiohttp.ClientSession, _ctx: object, params: aiohttp.TraceRequestEndParams
    ) -> None:
        seen.append(params.method)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(on_end)
    async with serve(empty_list) as url:
        transport = Transport(settings(url), trace_configs=[trace])
        await transport.exchange("x", "GET", url, {})
        await transport.close()
    assert seen == ["GET"]


async def test_an_invalid_address_is_rejected() -> None:
    transport = Transport(settings())
    with pytest.raises(errors.InvalidInput, match="cannot be sent"):
        await transport.exchange("x", "GET", "http://:1", {})
    await transport.close()


async def test_exceptions_of_a_trace_hook_are_raised_unchanged() -> None:
    async def on_end(*_: object) -> None:
        raise ValueError("the hook broke")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(on_end)
    async with serve(empty_list) as url:
        transport = Transport(settings(url), trace_configs=[trace])
        with pytest.raises(ValueError, match="the hook broke") as info:
            await transport.exchange("x", "GET", url, {})
        await transport.close()
    assert type(info.value) is ValueError


async def test_a_session_that_raises_for_a_status_leaves_that_to_us() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"message": "no"}, status=403)

    async with serve(handler) as url, aiohttp.ClientSession(raise_for_status=True) as session:
        transport = Transport(settings(url), session=session)
        with pytest.raises(errors.Forbidden, match="no"):
            await transport.exchange("x", "GET", url, {})


async def test_none_is_left_out_of_a_query_string() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.query_string)

    async with serve(handler) as url:
        transport = Transport(settings())
        answer = await transport.exchange("x", "GET", url, {}, query={"a": None, "b": 1})
        await transport.close()
    assert answer.body == b"b=1"


async def test_arguments_that_cannot_be_sent() -> None:
    transport = Transport(settings())
    with pytest.raises(errors.InvalidInput, match="x: the arguments cannot be sent"):
        await transport.exchange("x", "GET", "http://127.0.0.1", {}, query={"a": object()})
    await transport.close()


async def test_a_call_cancelled_during_its_body_leaves_no_connection() -> None:
    # The answer is complete, but the server reads no more of the body: aiohttp's `read` waits.
    answered, given_up, gone = anyio.Event(), anyio.Event(), anyio.Event()

    async def answer_at_once(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]")
            answered.set()
            await given_up.wait()
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await stream.receive()
        gone.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    endpoint = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
    transport = Transport(settings(endpoint))
    body = bytes(2**26)  # more than fits in the buffers of the system
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(transport.close)
        await stack.enter_async_context(listener)
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(listener.serve, answer_at_once)
        async with anyio.create_task_group() as calling:
            calling.start_soon(partial(transport.exchange, "x", "POST", endpoint, {}, body=body))
            await answered.wait()
            for _ in range(9):  # of the event loop, which reads the answer
                await anyio.lowlevel.checkpoint()
            calling.cancel_scope.cancel()
        given_up.set()
        await gone.wait()  # though the session is still open
        group.cancel_scope.cancel()
