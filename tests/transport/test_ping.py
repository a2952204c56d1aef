"""Readiness: one request without a login, for a single server and for a pair."""

from __future__ import annotations

import anyio
import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, errors
from cloudtower_async.testing import Simulator
from tests.support import PASSWORD, TOKEN, serve, serve_bytes, unused_port

pytestmark = pytest.mark.anyio

PASSIVE = b"HTTP/1.1 307 Moved\r\nlocation: https://other.example/\r\ncontent-length: 0\r\n\r\n"


async def test_ping_of_a_ready_server_sends_one_request_without_credentials() -> None:
    seen: list[tuple[str, str, str | None]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.headers.get("authorization")))
        return web.Response(text="ok")

    async with serve(handler) as url:
        tower = Cloudtower(f"{url}/prefix", username="root", password=PASSWORD)
        assert await tower.ping() == f"{url}/prefix"
        assert await tower.with_options(timeout=1).ping() == f"{url}/prefix"
        await tower.close()
    assert seen == [("GET", "/prefix/api/healthz", None)] * 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, errors.UnexpectedStatus),
        (307, errors.UnexpectedStatus),
        (401, errors.Unauthorized),
        (404, errors.NotFound),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
async def test_any_other_status_means_not_ready_and_is_not_retried(
    status: int, kind: type[errors.CallError]
) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=status)

    async with serve(handler) as url, Cloudtower(url, token=TOKEN) as tower:
        with pytest.raises(kind, match=rf"^ping: .*HTTP {status}") as info:
            await tower.ping()
    assert info.value.status == status
    assert seen == ["/api/healthz"]


async def test_a_server_that_is_down_is_an_error_of_the_connection() -> None:
    async with Cloudtower(f"http://127.0.0.1:{unused_port()}", token=TOKEN) as tower:
        with pytest.raises(errors.ConnectionFailed, match=r"^ping: no connection"):
            await tower.ping()


async def test_a_server_that_hangs_is_given_up() -> None:
    async with serve_bytes(hang=True) as url, Cloudtower(url, token=TOKEN) as tower:
        with pytest.raises(errors.CallTimeout, match=r"^ping: no answer within 0\.05 s"):
            await tower.ping(timeout=0.05)


@pytest.mark.parametrize("wrong", [0, -1, True, "5", None])
async def test_an_invalid_time_out_is_rejected(wrong: float) -> None:
    async with Cloudtower("http://tower.example", token=TOKEN) as tower:
        with pytest.raises(errors.InvalidInput, match="ping: timeout: expected a number"):
            await tower.ping(timeout=wrong)


async def test_a_closed_session_says_so() -> None:
    tower = Cloudtower("http://tower.example", token=TOKEN)
    await tower.close()
    with pytest.raises(errors.SessionClosed):
        await tower.ping()


@pytest.mark.parametrize("addresses", [1, 2])
async def test_closing_ends_a_ping(addresses: int) -> None:
    arrived = anyio.Event()

    async def handler(_: web.Request) -> web.Response:
        arrived.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(handler) as first, serve(handler) as second:
        tower = Cloudtower([first, second][:addresses], token=TOKEN)

        async def ping() -> None:
            with pytest.raises(errors.SessionClosed, match="ping: the session was closed"):
                await tower.ping()

        async with anyio.create_task_group() as group:
            group.start_soon(ping)
            await arrived.wait()
            await tower.close()


async def test_calls_that_use_every_connection_do_not_block_a_ping() -> None:
    arrived, leave = anyio.Event(), anyio.Event()

    async def handler(request: web.Request) -> web.Response:
        if request.path != "/api/healthz":
            arrived.set()
            await leave.wait()
        return web.json_response([])

    async with (
        serve(handler) as url,
        Cloudtower(url, token=TOKEN, max_connections=1) as tower,
        anyio.create_task_group() as group,
    ):
        group.start_soon(tower.vm.get_vms)
        await arrived.wait()
        assert await tower.ping() == url
        leave.set()


async def test_ping_of_a_pair_returns_the_active_node_and_moves_no_calls() -> None:
    async with Simulator(standby=True) as simulator:
        first, second = (node.url for node in simulator.nodes)
        async with Cloudtower(
            [first, second],
            username=simulator.username,
            password=simulator.password,
            failover="manual",
        ) as tower:
            assert await tower.ping() == first
            simulator.switch()
            assert await tower.ping() == second
            assert tower.endpoint == first


async def test_a_pair_without_exactly_one_active_node_is_not_ready() -> None:
    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    async with (
        serve(ready) as first,
        serve(ready) as second,
        serve_bytes(PASSIVE) as passive,
    ):
        down = f"http://127.0.0.1:{unused_port()}"
        both = Cloudtower([first, second], token=TOKEN)
        none = Cloudtower([passive, down], token=TOKEN)
        with pytest.raises(errors.MultipleActive):
            await both.ping()
        with pytest.raises(errors.NoActive, match="passive") as info:
            await none.ping()
        assert set(info.value.answers) == {passive, down}
        await both.close()
        await none.close()
