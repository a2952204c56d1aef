"""Queries that decode only the selected fields, over HTTP."""

from __future__ import annotations

import gc
import inspect
import logging
import weakref
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web

from cloudtower_async import (
    Ambiguous,
    Cloudtower,
    InvalidInput,
    NotFound,
    ResponseDecodeError,
    select_fields,
)
from cloudtower_async.queries import projection
from cloudtower_async.testing import Simulator
from tests.support import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio

QUICK = 0.001  # seconds between polls


class ClusterName(msgspec.Struct, kw_only=True, frozen=True):
    name: str


class MyVm(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    id: str
    name: str
    memory: int
    cpu: msgspec.Raw
    cluster: ClusterName | None = None


class Sized(msgspec.Struct, kw_only=True, frozen=True):
    memory: int


class Sortable(msgspec.Struct, kw_only=True, frozen=True, rename={"usage": "cpu_usage"}):
    id: str
    name: str
    usage: float | None = None


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, hosts_per_cluster=3, vms=23) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with Cloudtower(sim.url, username=sim.username, password=sim.password) as session:
        yield session


def expected(sim: Simulator) -> dict[str, tuple[str, int]]:
    return {vm["id"]: (vm["name"], vm["memory"]) for vm in sim.store.table("Vm").values()}


async def test_a_direct_call_takes_the_same_arguments_and_returns_the_struct(
    sim: Simulator, tower: Cloudtower
) -> None:
    get_my_vms = select_fields(tower.vm.get_vms, MyVm)
    rows = await get_my_vms(where={"status": "RUNNING"}, first=3, content_language="zh-CN")
    assert [type(row) for row in rows] == [MyVm] * 3
    full = await tower.vm.get_vms(where={"status": "RUNNING"}, first=3)
    assert [(row.id, row.name, row.memory) for row in rows] == [
        (vm.id, vm.name, vm.memory) for vm in full
    ]
    assert [row.cluster and row.cluster.name for row in rows] == [
        vm.cluster and vm.cluster.name for vm in full
    ]
    assert msgspec.json.decode(rows[0].cpu) == msgspec.to_builtins(full[0].cpu)
    assert sim.sent("get-vms")[0] == sim.sent("get-vms")[1]
    assert inspect.signature(get_my_vms) == inspect.signature(tower.vm.get_vms)


async def test_arguments_are_checked_as_for_the_method(sim: Simulator, tower: Cloudtower) -> None:
    get_my_vms: Any = select_fields(tower.vm.get_vms, MyVm)
    with pytest.raises(InvalidInput, match=r"get_vms: .*nmae"):
        await get_my_vms(where={"nmae": "x"})
    assert not sim.sent("get-vms")


async def test_every_reading_method_returns_the_struct(sim: Simulator, tower: Cloudtower) -> None:
    get_my_vms = select_fields(tower.vm.get_vms, MyVm)
    wanted = expected(sim)
    paged = [row async for row in tower.iterate(get_my_vms, page_size=5)]
    fetched = await tower.fetch_all(get_my_vms, page_size=5)
    for rows in (paged, fetched):
        assert {row.id: (row.name, row.memory) for row in rows} == wanted
        assert {type(row) for row in rows} == {MyVm}
    some = [row.id for row in paged[:3]]
    assert await tower.fetch_all(get_my_vms, where={"id_in": some}) == paged[:3]
    one = paged[7]
    assert await tower.get_one(get_my_vms, where={"id": one.id}) == one
    assert await tower.resolve(get_my_vms, one.name) == one
    assert await tower.count(get_my_vms) == len(wanted)
    assert await tower.loader(get_my_vms).get(one.id) == one
    with pytest.raises(NotFound, match="nothing matches"):
        await tower.get_one(get_my_vms, where={"name": "none"})
    with pytest.raises(Ambiguous) as caught:
        await tower.get_one(get_my_vms)
    assert caught.value.count == len(wanted)


async def test_resolve_finds_by_name_also_without_that_field(tower: Cloudtower) -> None:
    class OnlyId(msgspec.Struct):
        id: str

    [vm] = await tower.vm.get_vms(first=1)
    assert await tower.resolve(select_fields(tower.vm.get_vms, OnlyId), vm.name) == OnlyId(vm.id)


@pytest.mark.parametrize("order", ["cpu_usage_ASC", "cpu_usage_DESC"])
async def test_pages_follow_the_sort_field_under_its_own_name(
    sim: Simulator,
    tower: Cloudtower,
    order: Any,  # noqa: ANN401
) -> None:
    for place, vm in enumerate(sim.store.table("Vm").values()):
        vm["cpu_usage"] = None if place % 3 == 0 else place % 5
    rows = [
        row
        async for row in tower.iterate(
            select_fields(tower.vm.get_vms, Sortable), page_size=4, order_by=order
        )
    ]
    full = [vm async for vm in tower.iterate(tower.vm.get_vms, page_size=4, order_by=order)]
    assert [(row.id, row.usage) for row in rows] == [(vm.id, vm.cpu_usage) for vm in full]


async def test_a_missing_sort_field_is_refused_before_anything_is_sent(
    sim: Simulator, tower: Cloudtower
) -> None:
    class ZeroDefault(msgspec.Struct, kw_only=True):
        id: str
        cpu_usage: float | None = 0.0

    sized: Any = select_fields(tower.vm.get_vms, Sized)
    reads: dict[str, Callable[[], Any]] = {
        "iterate": lambda: tower.iterate(sized),
        "watch": lambda: tower.watch(sized),
        "fetch_all": lambda: tower.fetch_all(sized),
        "get_one": lambda: tower.get_one(sized),
        "resolve": lambda: tower.resolve(sized, "x"),
        "count": lambda: tower.count(sized),
        "loader": lambda: tower.loader(sized),
    }
    for name, read in reads.items():
        with pytest.raises(InvalidInput, match=rf"{name}: .*declare `id: str` in Sized"):
            await read()
    mine = select_fields(tower.vm.get_vms, MyVm)
    with pytest.raises(InvalidInput, match=r"order_by: .*declare `vcpu: int` in MyVm"):
        tower.iterate(mine, order_by="vcpu_ASC")
    with pytest.raises(InvalidInput, match=r"declare `cpu_usage: float \| None = None` in Zero"):
        tower.iterate(select_fields(tower.vm.get_vms, ZeroDefault), order_by="cpu_usage_ASC")
    assert not sim.sent("get-vms")


async def test_a_view_reports_only_changes_of_the_selected_fields(
    sim: Simulator, tower: Cloudtower
) -> None:
    first, second, *_ = sim.store.table("Vm").values()
    async with tower.watch(select_fields(tower.vm.get_vms, MyVm), QUICK) as view:
        assert {row.id: (row.name, row.memory) for row in view.snapshot.values()} == expected(sim)
        first["description"] = "nobody looks at this"
        second["memory"] = 2**33
        event = await anext(view)
        assert (event.what, event.id) == ("changed", second["id"])
        assert event.new is not None
        assert event.new.memory == 2**33
        first["name"] = "renamed"
        assert (await anext(view)).id == first["id"]


@pytest.mark.parametrize("strict", [False, True])
async def test_only_selected_fields_can_break_an_answer(
    strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "v1", "name": "one", "memory": 1, "cpu": {}, "vcpu": "broken", "disks": 5},
        {"id": "v2", "name": "two", "memory": 2.0, "cpu": [1], "cluster": None},
    ]

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(rows)

    caplog.set_level(logging.WARNING, "cloudtower_async")
    async with serve(answer) as url, Cloudtower(url, token="t", strict=strict) as tower:
        get_my_vms = select_fields(tower.vm.get_vms, MyVm)
        found = await get_my_vms()
        assert [(row.id, row.memory, bytes(row.cpu)) for row in found] == [
            ("v1", 1, b"{}"),
            ("v2", 2, b"[1]"),
        ]
        assert not caplog.records
        rows[1]["memory"] = "broken"
        if strict:
            with pytest.raises(ResponseDecodeError, match=r"at \$\[1\]\.memory"):
                await get_my_vms()
            return
        found = await get_my_vms()
    assert [(row.name, row.memory, bytes(row.cpu)) for row in found] == [
        ("one", 1, b"{}"),
        ("two", None, b"[1]"),
    ]
    assert "$[1].memory" in caplog.text


async def test_other_queries_of_the_session_are_not_changed(tower: Cloudtower) -> None:
    select_fields(tower.vm.get_vms, MyVm)
    [vm] = await tower.vm.get_vms(first=1)
    assert type(vm).__name__ == "Vm"


async def test_a_selected_query_can_be_narrowed_again_and_follows_with_options(
    sim: Simulator, tower: Cloudtower
) -> None:
    other = tower.with_options(content_language="zh-CN")
    narrowed = select_fields(select_fields(other.vm.get_vms, MyVm), Sized)
    assert [type(row) for row in await narrowed(first=2)] == [Sized] * 2
    [request] = [one for one in sim.requests if one.path == "get-vms"]
    assert request.headers["content-language"] == "zh-CN"


async def test_decoders_are_cached_and_the_cache_is_bounded(tower: Cloudtower) -> None:
    def select() -> Callable[[], object]:
        class Local(msgspec.Struct):
            id: str

        select_fields(tower.vm.get_vms, Local)
        return weakref.ref(Local)

    first, *_ = [select() for _ in range(projection.MAX_CACHED + 1)]
    gc.collect()
    assert first() is None
    select_fields(tower.vm.get_vms, MyVm)
    before = projection.selected_operation.cache_info()
    select_fields(tower.vm.get_vms, MyVm)
    after = projection.selected_operation.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)
