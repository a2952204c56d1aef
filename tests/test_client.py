"""The session: lifecycle, defaults, and calls through it."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import aiohttp.abc
import anyio
import pytest
from aiohttp import web

from cloudtower_async import Cloudtower, errors
from cloudtower_async.api.vm import GET_VMS
from tests.support import PASSWORD, TOKEN, is_login, login_answer, serve, serve_bytes, unused_port

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Tower:
    """A server that accepts every login, has no VMs, and records the requests."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str | None]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.seen.append((request.path, body, request.headers.get("content-language")))
        if is_login(request):
            return login_answer()
        if request.headers.get("authorization") != TOKEN:
            return web.json_response({"message": "who?"}, status=401)
        return web.json_response([])

    @property
    def paths(self) -> list[str]:
        return [path.removeprefix("/v2/api") for path, _, _ in self.seen]


@pytest.fixture
def tower() -> Tower:
    return Tower()


async def test_entering_logs_in(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, username="root", password=PASSWORD) as session:
        assert tower.paths == ["/login"]
        assert await session.vm.get_vms(where={"name": "x"}, first=1) == []
        assert tower.paths == ["/login", "/get-vms"]
        _, body, language = tower.seen[1]
        assert (json.loads(body), language) == ({"where": {"name": "x"}, "first": 1}, "en-US")


async def test_without_entering_the_first_call_logs_in(tower: Tower) -> None:
    async with serve(tower) as url:
        session = Cloudtower(url, username="root", password=PASSWORD)
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(session.vm.get_vms)
        await session.close()
    assert tower.paths.count("/login") == 1
    assert tower.paths.count("/get-vms") == 20


async def test_a_token_needs_no_login(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        await session.vm.get_vms()
    assert tower.paths == ["/get-vms"]


async def test_a_wrong_token_says_so(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, token="wrong") as session:
        with pytest.raises(errors.Unauthorized, match="pass a new token="):
            await session.vm.get_vms()


async def test_a_login_that_fails_on_entering_leaves_nothing_open() -> None:
    session = Cloudtower(f"http://127.0.0.1:{unused_port()}", username="root", password=PASSWORD)
    with pytest.raises(errors.ConnectionFailed, match=r"user\.login"):
        async with session:
            raise AssertionError
    with pytest.raises(errors.SessionClosed):
        await session.open()


async def test_after_close_is_a_clear_error(tower: Tower) -> None:
    async with serve(tower) as url:
        async with Cloudtower(url, token=TOKEN) as session:
            pass
        await session.close()
        with pytest.raises(errors.SessionClosed, match="the session is closed"):
            await session.vm.get_vms()
        with pytest.raises(errors.SessionClosed):
            await session.open()
        assert "closed" in repr(session)


async def test_entering_twice_is_a_clear_error(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, token=TOKEN) as session:
        with pytest.raises(errors.CloudtowerError, match="entered already"):
            async with session:
                raise AssertionError
        await session.vm.get_vms()


async def test_entering_a_closed_session_is_a_clear_error(tower: Tower) -> None:
    async with serve(tower) as url:
        session = Cloudtower(url, token=TOKEN)
        async with session:
            pass
        with pytest.raises(errors.SessionClosed, match="make a new one"):
            async with session:
                raise AssertionError


async def test_an_opened_session_can_be_entered(tower: Tower) -> None:
    async with serve(tower) as url:
        session = await Cloudtower(url, username="root", password=PASSWORD).open()
        async with session:
            await session.open()
    assert tower.paths == ["/login"]


async def test_closing_from_another_task_ends_the_calls_under_way() -> None:
    arrived = anyio.Event()

    async def handler(_: web.Request) -> web.Response:
        arrived.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(handler) as url:
        session = Cloudtower(url, token=TOKEN)

        async def call() -> None:
            with pytest.raises(errors.SessionClosed):
                await session.vm.get_vms()

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await arrived.wait()
            group.start_soon(session.close)
            group.start_soon(session.close)


@pytest.mark.parametrize("given", ["nothing", "connector", "session"])
async def test_closing_ends_waiters_also_with_a_given_connector_or_session(
    given: str,
) -> None:
    arrived = anyio.Event()

    async def handler(_: web.Request) -> web.Response:
        arrived.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with (
        serve(handler) as url,
        aiohttp.TCPConnector(limit=1) as connector,
        aiohttp.ClientSession(connector=connector, connector_owner=False) as own,
    ):
        options: dict[str, dict[str, Any]] = {
            "nothing": {"max_connections": 1},
            "connector": {"connector": connector},
            "session": {"session": own},
        }
        session = Cloudtower(url, token=TOKEN, **options[given])
        told: list[str] = []

        async def call() -> None:
            with pytest.raises(errors.SessionClosed) as info:
                await session.vm.get_vms()
            told.append(str(info.value))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)
            await arrived.wait()
            await anyio.wait_all_tasks_blocked()
            await session.close()
        assert told == ["vm.get_vms: the session was closed during the call"] * 3
        assert not own.closed


async def test_closing_ends_calls_that_wait_for_name_resolution() -> None:
    class Resolver(aiohttp.abc.AbstractResolver):
        asked = anyio.Event()

        async def resolve(self, *_: object, **__: object) -> NoReturn:
            self.asked.set()
            await anyio.sleep_forever()
            raise AssertionError

        async def close(self) -> None:
            pass

    async with aiohttp.TCPConnector(resolver=Resolver()) as connector:
        session = Cloudtower("tower.example", token=TOKEN, connector=connector)

        async def call() -> None:
            with pytest.raises(errors.SessionClosed):
                await session.vm.get_vms()

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)
            await Resolver.asked.wait()
            await session.close()


async def test_closing_ends_opening() -> None:
    arrived = anyio.Event()

    async def handler(_: web.Request) -> web.Response:
        arrived.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(handler) as url, aiohttp.ClientSession() as own:
        session = Cloudtower(url, username="root", password=PASSWORD, session=own)

        async def call() -> None:
            with pytest.raises(errors.SessionClosed, match=r"user\.login"):
                await session.open()

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)
            await arrived.wait()
            await session.close()


async def test_closing_ends_calls_that_wait_for_the_login() -> None:
    arrived = anyio.Event()

    async def handler(_: web.Request) -> web.Response:
        arrived.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with serve(handler) as url:
        session = Cloudtower(url, username="root", password=PASSWORD)

        async def call() -> None:
            with pytest.raises(errors.SessionClosed):
                await session.vm.get_vms()

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call)
            await arrived.wait()
            await anyio.wait_all_tasks_blocked()
            await session.close()


async def test_leaving_by_cancellation_closes(tower: Tower) -> None:
    async with serve(tower) as url:
        session = Cloudtower(url, token=TOKEN)
        with anyio.CancelScope() as scope:
            async with session:
                await session.vm.get_vms()
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        with pytest.raises(errors.SessionClosed):
            await session.vm.get_vms()


@pytest.mark.filterwarnings("ignore:.*deprecated and will be removed:DeprecationWarning")
async def test_an_aiohttp_session_with_credentials_is_rejected() -> None:
    auth = aiohttp.BasicAuth("someone", "else")
    async with aiohttp.ClientSession(auth=auth) as own:
        with pytest.raises(
            errors.InvalidSettings, match="session: it has its own credentials"
        ) as info:
            Cloudtower("http://127.0.0.1:9", token=TOKEN, session=own)
    assert info.value.option == "session"


async def test_no_task_is_left_behind(tower: Tower) -> None:
    before = asyncio.all_tasks()
    async with serve(tower) as url:
        within = asyncio.all_tasks()
        async with Cloudtower(url, username="root", password=PASSWORD) as session:
            await session.vm.get_vms()
            assert asyncio.all_tasks() - within - before <= {
                task for task in asyncio.all_tasks() if "RequestHandler" in repr(task)
            }
    assert asyncio.all_tasks() == before


async def test_with_options_shares_the_connection_and_changes_the_defaults(tower: Tower) -> None:
    async with serve(tower) as url, Cloudtower(url, username="root", password=PASSWORD) as session:
        chinese = session.with_options(content_language="zh-CN")
        quick = chinese.with_options(timeout=1.5)
        assert type(quick) is Cloudtower
        for each in (session, chinese, quick):
            await each.vm.get_vms()
        assert tower.paths.count("/login") == 1
        assert [language for _, _, language in tower.seen[1:]] == ["en-US", "zh-CN", "zh-CN"]
        assert chinese.vm is not session.vm
        assert chinese.endpoint == session.endpoint

        async with quick:
            pass
        await chinese.close()
        await session.vm.get_vms()
    with pytest.raises(errors.SessionClosed):
        await chinese.vm.get_vms()


async def test_with_options_sets_the_time_of_a_call() -> None:
    async with serve_bytes(hang=True) as url, Cloudtower(url, token=TOKEN) as session:
        with pytest.raises(errors.CallTimeout, match=r"within 0\.05 s"):
            await session.with_options(timeout=0.05).vm.get_vms()


async def test_with_options_checks_them() -> None:
    with pytest.raises(errors.InvalidSettings, match="timeout"):
        Cloudtower("tower.example", token=TOKEN).with_options(timeout=0)
    for wrong in ("fr", ""):
        with pytest.raises(errors.InvalidSettings, match="content_language: expected one of"):
            Cloudtower("tower.example", token=TOKEN).with_options(content_language=wrong)  # type: ignore[arg-type]


async def test_preload_loads_a_namespace_with_its_decoders() -> None:
    session = Cloudtower("tower.example", token=TOKEN)
    await session.preload("vm")
    assert "cloudtower_async.api.vm" in sys.modules
    decoder = GET_VMS.decoder
    assert decoder is GET_VMS.decoder
    with pytest.raises(errors.InvalidInput, match=r"'vms'; did you mean .*\bvm\b"):
        await session.preload("vms")


def test_from_env_makes_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDTOWER_ENDPOINT", "env.example")
    monkeypatch.setenv("CLOUDTOWER_TOKEN", TOKEN)
    assert repr(Cloudtower.from_env()) == "<Cloudtower https://env.example by token>"
    session = Cloudtower.from_env(endpoint="arg.example", username="root", password=PASSWORD)
    assert repr(session) == "<Cloudtower https://arg.example as 'root'>"


async def test_a_ca_file_that_is_missing_is_named_on_entering(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidSettings, match="ca_file: "):
        async with Cloudtower("tower.example", token=TOKEN, ca_file=tmp_path / "none.pem"):
            raise AssertionError


def test_a_session_is_made_without_an_event_loop() -> None:
    assert Cloudtower("tower.example/v2/api", token=TOKEN).endpoint == "https://tower.example"
