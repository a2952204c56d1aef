"""Limits of answers, with servers that send too much."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import json
import zlib
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from aiohttp import web

from cloudtower_async import (
    Cloudtower,
    OutcomeUnknown,
    ResponseDecodeError,
    RetryPolicy,
    errors,
)
from cloudtower_async.transport.response_bodies import SMALL_BODY
from tests.support import PASSWORD, TOKEN, is_login, login_answer, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support import Handler

pytestmark = pytest.mark.anyio

LIMIT = 3 * 2**20
ONCE = RetryPolicy(attempts=1)


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def brotli(content: bytes) -> bytes:
    packer: Any = importlib.import_module("brotli")
    return bytes(packer.compress(content, quality=5))


def zstd(content: bytes) -> bytes:
    packer: Any = importlib.import_module("backports.zstd")
    return bytes(packer.compress(content))


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = not any(map(importlib.util.find_spec, packages))
    return pytest.mark.skipif(missing, reason=f"needs {packages[0]}")


PACKED = [
    pytest.param("identity", bytes, id="plain"),
    pytest.param("gzip", gzip.compress, id="gzip"),
    pytest.param("deflate", zlib.compress, id="deflate"),
    pytest.param("deflate", raw_deflate, id="deflate without a header"),
    pytest.param("br", brotli, id="br", marks=needs("brotli")),
    pytest.param("zstd", zstd, id="zstd", marks=needs("backports.zstd")),
]


def list_of(size: int) -> bytes:
    """Return an empty list padded to a number of bytes."""
    return b"[" + b" " * (size - 2) + b"]"


def answering(
    content: bytes,
    *,
    status: int = 200,
    encoding: str = "identity",
    chunked: bool = False,
    content_type: str = "application/json",
) -> Handler:
    """Return a handler that sends this response to all requests except logins."""

    async def handler(request: web.Request) -> web.StreamResponse:
        await request.read()
        if is_login(request):
            return login_answer()
        response = web.StreamResponse(
            status=status,
            headers={"content-type": content_type, "x-tower-request-id": "r-1"},
        )
        if encoding != "identity":
            response.headers["content-encoding"] = encoding
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(content)
        try:
            await response.prepare(request)
            await response.write(content)
        except ConnectionError:  # the client closed the connection
            pass
        return response

    return handler


def session(url: str, **options: Any) -> Cloudtower:  # noqa: ANN401
    options.setdefault("max_response_bytes", LIMIT)
    return Cloudtower(url, token=TOKEN, retry=ONCE, **options)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("encoding", "pack"), PACKED)
async def test_an_answer_up_to_the_limit_is_read(
    encoding: str, pack: Callable[[bytes], bytes], *, chunked: bool
) -> None:
    handler = answering(pack(list_of(LIMIT)), encoding=encoding, chunked=chunked)
    async with serve(handler) as url, session(url) as tower:
        assert await tower.vm.get_vms() == []


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("encoding", "pack"), PACKED)
async def test_a_larger_answer_is_an_error_that_names_the_option(
    encoding: str, pack: Callable[[bytes], bytes], *, chunked: bool
) -> None:
    handler = answering(pack(list_of(LIMIT + 1)), encoding=encoding, chunked=chunked)
    async with serve(handler) as url, session(url) as tower:
        with pytest.raises(ResponseDecodeError, match="larger than 3,145,728 bytes") as info:
            await tower.vm.get_vms()
        assert (info.value.status, info.value.request_id) == (200, "r-1")
        assert "max_response_bytes=" in info.value.hint


async def test_a_small_limit_holds_for_an_answer_that_comes_at_once() -> None:
    handler = answering(list_of(101))
    async with serve(handler) as url:
        async with session(url, max_response_bytes=100) as tower:
            with pytest.raises(ResponseDecodeError, match="larger than 100 bytes"):
                await tower.vm.get_vms()
        async with session(url, max_response_bytes=101) as tower:
            assert await tower.vm.get_vms() == []


async def test_an_answer_without_end_is_cut_off() -> None:
    hung_up = anyio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 2**16)
        except ConnectionError:
            hung_up.set()
        return response

    async with serve(handler) as url, session(url) as tower:
        with pytest.raises(ResponseDecodeError, match="larger than"):
            await tower.vm.get_vms()
        await hung_up.wait()


async def test_the_outcome_of_a_mutation_is_unknown() -> None:
    handler = answering(gzip.compress(list_of(LIMIT + 1)), encoding="gzip")
    async with serve(handler) as url, session(url) as tower:
        with pytest.raises(OutcomeUnknown, match="larger than") as info:
            await tower.vm.start_vm(where={"id": "a"})
    assert info.value.sent
    assert isinstance(info.value.__cause__, ResponseDecodeError)


@pytest.mark.parametrize("size", [SMALL_BODY, 4 * SMALL_BODY])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("encoding", "pack"), PACKED)
async def test_an_error_body_is_cut_and_its_status_stays(
    encoding: str, pack: Callable[[bytes], bytes], size: int, *, chunked: bool
) -> None:
    content = pack(b"x" * size)
    handler = answering(content, status=403, encoding=encoding, chunked=chunked)
    async with serve(handler) as url, session(url) as tower:
        with pytest.raises(errors.Forbidden) as info:
            await tower.vm.start_vm(where={"id": "a"})
    assert info.value.server_message == "x" * SMALL_BODY
    assert info.value.request_id == "r-1"


async def test_an_error_body_within_the_limit_is_read_as_ever() -> None:
    body = json.dumps({"message": "no", "code": "X", "more": "x" * (SMALL_BODY - 100)}).encode()
    async with serve(answering(body, status=400)) as url, session(url) as tower:
        with pytest.raises(errors.BadRequest) as info:
            await tower.vm.get_vms()
    assert (info.value.server_message, info.value.code) == ("no", "X")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_large_html_page_is_not_read_to_its_end(encoding: str) -> None:
    page = b"<!DOCTYPE html><html>" + b" " * (2 * SMALL_BODY)
    content = gzip.compress(page) if encoding == "gzip" else page
    handler = answering(content, encoding=encoding, content_type="text/html")
    async with serve(handler) as url, session(url) as tower:
        with pytest.raises(ResponseDecodeError, match="an HTML page came back"):
            await tower.vm.get_vms()
        with pytest.raises(OutcomeUnknown, match="an HTML page came back"):
            await tower.vm.start_vm(where={"id": "a"})


async def test_large_json_may_be_called_html() -> None:
    handler = answering(list_of(2 * SMALL_BODY), content_type="text/html")
    async with serve(handler) as url, session(url) as tower:
        assert await tower.vm.get_vms() == []


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
async def test_a_login_has_the_small_limit(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    token = json.dumps({"task_id": None, "data": {"token": TOKEN}}).encode()

    async def handler(request: web.Request) -> web.Response:
        content = pack(token + b" " * SMALL_BODY)
        return web.Response(body=content, headers={"content-encoding": encoding})

    async with serve(handler) as url:
        tower = Cloudtower(url, username="root", password=PASSWORD)
        with pytest.raises(ResponseDecodeError, match="larger than 1,048,576 bytes") as info:
            await tower.open()
        await tower.close()
    assert info.value.operation == "user.login"
    assert not info.value.sent


async def test_a_node_of_a_pair_cannot_fill_memory_either() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await answering(b" " * (SMALL_BODY + 1))(request)

    async with serve(handler) as first, serve(answering(b"", status=307)) as second:
        tower = Cloudtower([first, second], token=TOKEN)
        with pytest.raises(errors.NoActive, match="larger than"):
            await tower.find_active()
        await tower.close()


async def test_an_early_answer_ends_a_body_that_is_still_being_sent() -> None:
    # aiohttp waits for the rest of the request if a response is released before its end.
    async def refuse(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            await stream.receive()
            head = f"HTTP/1.1 413 Too Large\r\ncontent-length: {2 * SMALL_BODY}\r\n\r\n"
            await stream.send(head.encode() + b"x" * 2 * SMALL_BODY)
            await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, refuse)
        url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        async with session(url) as tower:
            with pytest.raises(errors.StatusError) as info:
                await tower.request("big", {"x": "y" * 2**26})
        assert info.value.status == 413
        group.cancel_scope.cancel()


async def test_the_connection_is_not_used_again() -> None:
    peers: set[Any] = set()
    sizes = iter([9 * LIMIT, 2])

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return await answering(list_of(next(sizes)))(request)

    async with serve(handler) as url, session(url) as tower:
        with pytest.raises(ResponseDecodeError):
            await tower.vm.get_vms()
        assert await tower.vm.get_vms() == []
    assert len(peers) == 2
