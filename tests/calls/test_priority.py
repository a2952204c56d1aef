"""The queue of a session over HTTP; the server holds calls and records their order."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import anyio
import msgspec
import pytest
from aiohttp import web
from anyio import wait_all_tasks_blocked

from cloudtower_async import CallTimeout, Cloudtower, models
from cloudtower_async.testing import make
from tests.support import PASSWORD, TOKEN, is_login, login_answer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

pytestmark = pytest.mark.anyio

DONE = msgspec.json.encode([make(models.Task, id="t1", status="SUCCESSED")])
LATER = 30  # seconds until a test gives up


class Server:
    """A server that holds reads of VMs until it is told to answer them.

    Attributes:
        came: Names of the calls in order of arrival.
        most: Maximum number of calls at a time, by the first letter of their names.
    """

    def __init__(self) -> None:
        self.came: list[str] = []
        self.most: dict[str, int] = {}
        self._running: list[str] = []
        self._news = anyio.Event()
        self._answer = anyio.Event()

    async def __call__(self, request: web.Request) -> web.Response:
        path = request.path.rpartition("/")[2]
        body: Any = await request.json() if request.can_read_body else {}
        name = path if path != "get-vms" else body["where"]["name"]
        self.came.append(name)
        self._running.append(name)
        kind = name[0]
        running = sum(one[0] == kind for one in self._running)
        self.most[kind] = max(running, self.most.get(kind, 0))
        self._news.set()
        self._news = anyio.Event()
        try:
            if is_login(request):
                return login_answer()
            if path == "get-vms":
                await self._answer.wait()
        finally:
            self._running.remove(name)
        return web.json_response(body=DONE if path == "get-tasks" else b"[]")

    async def has(self, number: int) -> None:
        """Wait until a number of calls have arrived."""
        while len(self.came) < number:
            await self._news.wait()

    def answer(self) -> None:
        """Answer all reads, present and future."""
        self._answer.set()


@asynccontextmanager
async def session(**options: object) -> AsyncGenerator[tuple[Server, Cloudtower]]:
    server = Server()
    given: dict[str, Any] = {**({} if "username" in options else {"token": TOKEN}), **options}
    with anyio.fail_after(LATER):
        async with serve(server) as url, Cloudtower(url, **given) as tower:
            yield server, tower


def read(tower: Cloudtower, name: str) -> Callable[[], Coroutine[Any, Any, object]]:
    return lambda: tower.vm.get_vms(where={"name": name})


def stop(tower: Cloudtower) -> Callable[[], Coroutine[Any, Any, object]]:
    return lambda: tower.vm.shut_down_vm(where={"id": "v1"})


@pytest.mark.parametrize(("limit", "in_flight"), [("max_in_flight", 10), ("max_connections", 41)])
async def test_a_mutation_starts_while_reads_use_all_other_slots(
    limit: str, in_flight: int
) -> None:
    reads = in_flight - max(1, in_flight // 20)
    async with session(**{limit: in_flight}) as (server, tower), anyio.create_task_group() as group:
        for number in range(3 * in_flight):
            group.start_soon(read(tower, f"r{number}"))
        await server.has(reads)
        await stop(tower)()
        await tower.wait("t1")
        assert server.came[reads:] == ["shutdown-vm", "get-tasks"]
        server.answer()
    assert sorted(server.came[:reads]) == sorted(f"r{number}" for number in range(reads))
    assert server.most["r"] == reads
    assert len(server.came) == 3 * in_flight + 2


async def test_with_one_slot_calls_are_sent_by_priority_and_then_in_their_order() -> None:
    async with session(max_in_flight=1) as (server, tower), anyio.create_task_group() as group:
        low, high = tower.with_options(priority="low"), tower.with_options(priority="high")
        group.start_soon(read(tower, "first"))
        await server.has(1)
        for call in (
            read(low, "low-1"),
            read(tower, "normal-1"),
            lambda: low.vm.start_vm(where={"id": "v1"}),
            read(low.with_options(timeout=50), "low-2"),
            stop(tower),
            read(high, "high"),
            lambda: tower.wait("t1"),
            read(low.with_options(priority="normal"), "normal-2"),
        ):
            group.start_soon(call)
            await wait_all_tasks_blocked()
        server.answer()
    assert server.came == [
        "first",
        "shutdown-vm",
        "high",
        "get-tasks",
        "normal-1",
        "normal-2",
        "low-1",
        "start-vm",
        "low-2",
    ]


async def test_a_read_is_not_overtaken_for_ever() -> None:
    async with session(max_in_flight=1) as (server, tower), anyio.create_task_group() as group:
        group.start_soon(read(tower, "first"))
        await server.has(1)
        group.start_soon(read(tower, "second"))
        for _ in range(20):
            group.start_soon(stop(tower))
        await wait_all_tasks_blocked()
        server.answer()
    assert server.came.index("second") == 9


async def test_a_mutation_that_times_out_in_the_queue_was_certainly_not_sent() -> None:
    async with session(max_in_flight=1) as (server, tower), anyio.create_task_group() as group:
        group.start_soon(read(tower, "first"))
        await server.has(1)
        with pytest.raises(CallTimeout) as info:
            await tower.vm.shut_down_vm(where={"id": "v1"}, timeout=0.01)
        assert type(info.value) is CallTimeout
        assert info.value.sent is False
        group.start_soon(read(tower, "last"))
        await wait_all_tasks_blocked()
        server.answer()
    assert server.came == ["first", "last"]


async def test_calls_that_are_cancelled_in_the_queue_leave_nothing_behind() -> None:
    async with session(max_in_flight=1) as (server, tower), anyio.create_task_group() as group:
        part = tower.with_options(max_in_flight=3, rate_limit=1000)
        group.start_soon(read(tower, "first"))
        await server.has(1)
        async with anyio.create_task_group() as cancelled:
            for number in range(5):
                cancelled.start_soon(read((tower, part)[number % 2], f"cancelled-{number}"))
            cancelled.start_soon(stop(tower))
            await wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        server.answer()
        for name in ("second", "third", "fourth", "fifth"):
            await read(part, name)()
    assert server.came == ["first", "second", "third", "fourth", "fifth"]


async def test_limits_of_a_part_apply_in_addition_to_those_of_the_session() -> None:
    async with session(max_in_flight=5) as (server, tower), anyio.create_task_group() as group:
        outer = tower.with_options(max_in_flight=3)
        inner = outer.with_options(max_in_flight=2).with_options(timeout=50)
        wide = tower.with_options(max_in_flight=100)
        for number in range(10):
            group.start_soon(read(inner, f"i{number}"))
            group.start_soon(read(outer, f"o{number}"))
            group.start_soon(read(wide, f"w{number}"))
        await server.has(5)
        await wait_all_tasks_blocked()
        assert sorted(name[0] for name in server.came) == ["i", "i", "o", "w", "w"]
        server.answer()
    assert len(server.came) == 30
    assert server.most["i"] <= 2
    assert server.most["o"] <= 3
    assert server.most["w"] <= 5


async def test_a_full_part_keeps_no_slot_from_the_others() -> None:
    async with session(max_in_flight=3) as (server, tower), anyio.create_task_group() as group:
        part = tower.with_options(max_in_flight=1)
        for number in range(20):
            group.start_soon(read(part, f"p{number}"))
        await server.has(1)
        group.start_soon(read(tower, "other"))
        await server.has(2)
        assert server.came == ["p0", "other"]
        server.answer()


async def test_a_login_waits_for_no_read() -> None:
    options = {"username": "root", "password": PASSWORD, "max_connections": 2}
    async with session(**options) as (server, tower), anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(read(tower, f"r{number}"))
        await server.has(1 + 2)
        tower._executor.authenticator.forget(1)  # pyright: ignore[reportPrivateUsage]
        await tower.get_token()
        assert server.came[3:] == ["login"]
        server.answer()


async def test_nothing_is_reserved_in_a_pool_that_is_not_ours() -> None:
    async with (
        aiohttp.TCPConnector(limit=10) as connector,
        session(connector=connector, max_in_flight=10) as (server, tower),
        anyio.create_task_group() as group,
    ):
        for number in range(12):
            group.start_soon(read(tower, f"r{number}"))
        await server.has(10)
        group.start_soon(stop(tower))
        await wait_all_tasks_blocked()
        server.answer()
    # Calls still queue by priority.
    assert set(server.came[:10]) == {f"r{number}" for number in range(10)}
    assert "shutdown-vm" in server.came[10:12]
