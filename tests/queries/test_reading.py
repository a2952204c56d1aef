"""Reading through a session: page by page, all at once, exactly one, counts."""

from __future__ import annotations

import asyncio
import gc
import random
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from cloudtower_async import (
    EVERYTHING,
    Ambiguous,
    Cloudtower,
    InvalidInput,
    NotFound,
    ServerError,
    SessionClosed,
    SetChanged,
)
from cloudtower_async.simulator.store.paging import Order, in_order
from cloudtower_async.testing import Clock, FleetSize, Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from cloudtower_async.inputs import VmOrderByInput
    from cloudtower_async.models import Vm

pytestmark = pytest.mark.anyio

SMALL = FleetSize(clusters=1, hosts_per_cluster=3, vms=23)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SMALL, clock=Clock(running=False)) as simulator:
        yield simulator


@pytest.fixture
async def tower(sim: Simulator) -> AsyncIterator[Cloudtower]:
    async with session(sim) as tower:
        yield tower


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401
    return Cloudtower(sim.url, username=sim.username, password=sim.password, **options)


def after_each_request(act: Callable[[int], None]) -> aiohttp.TraceConfig:
    """Call a function after each request for VMs, with the number of requests so far."""
    times = 0

    async def ended(_: object, __: object, about: aiohttp.TraceRequestEndParams) -> None:
        nonlocal times
        if about.url.path.endswith("/get-vms"):
            times += 1
            act(times)

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(ended)
    return trace


def ids(sim: Simulator, order: str = "id_ASC") -> list[str]:
    """Return the ids of all VMs in the server's order."""
    field, _, way = order.rpartition("_")
    vms = sim.store.table("Vm").values()
    return [vm["id"] for vm in in_order(vms, Order(field, way == "DESC"))]


def remove(sim: Simulator, *gone: str) -> None:
    for one in gone:
        sim.store.remove("Vm", one)


def create(sim: Simulator, identifier: str) -> None:
    """Add a VM with this id, which determines its place in the order."""
    resource = sim.store.resources["Vm"]
    relations = {relation.field for relation in resource.relations}
    like = sim.store.get("Vm", ids(sim)[-1]) if ids(sim) else sim.add_vm()
    plain = {field: value for field, value in like.items() if field not in relations}
    sim.store.add("Vm", {**plain, "id": identifier})


def reading_tasks() -> list[asyncio.Task[Any]]:
    """Return the tasks that read pages."""
    codes = ((task, getattr(task.get_coro(), "cr_code", None)) for task in asyncio.all_tasks())
    here = str(Path("cloudtower_async", "calls"))
    return [task for task, code in codes if code is not None and here in code.co_filename]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.lowlevel.checkpoint()


# Page by page


async def test_iterate_reads_all_page_by_page_in_the_order_of_ids(
    sim: Simulator, tower: Cloudtower
) -> None:
    assert [vm.id async for vm in tower.iterate(tower.vm.get_vms, page_size=5)] == ids(sim)
    bodies = sim.sent("get-vms")
    assert all(body["orderBy"] == "id_ASC" and "skip" not in body for body in bodies)
    # Only an empty page is the end.
    ends = [None, *ids(sim)[4:20:5], ids(sim)[-1]]
    assert [body.get("where", {}).get("id_gt") for body in bodies] == ends


@pytest.mark.parametrize("size", [1, 22, 23, 24, 500])
async def test_iterate_ends_whatever_is_left_for_the_last_page(
    sim: Simulator, tower: Cloudtower, size: int
) -> None:
    assert [vm.id async for vm in tower.iterate(tower.vm.get_vms, size)] == ids(sim)


async def test_iterate_of_nothing_is_empty(sim: Simulator, tower: Cloudtower) -> None:
    assert [vm async for vm in tower.iterate(tower.vm.get_vms, where={"name": "none"})] == []
    assert len(sim.sent("get-vms")) == 1


async def test_everything_as_filter_matches_all_resources(
    sim: Simulator, tower: Cloudtower
) -> None:
    ids = sorted(sim.store.table("Vm"))
    vms = tower.iterate(tower.vm.get_vms, where=EVERYTHING, page_size=5)
    assert [vm.id async for vm in vms] == ids
    found = await tower.fetch_all(tower.vm.get_vms, where=EVERYTHING, page_size=5)
    assert [vm.id for vm in found] == ids


async def test_iterate_yields_only_matching_resources(sim: Simulator, tower: Cloudtower) -> None:
    where = {"status": "RUNNING"}
    running = {vm["id"] for vm in sim.store.select("Vm", where)}
    assert 0 < len(running) < 23
    found = tower.iterate(tower.vm.get_vms, page_size=2, where={"status": "RUNNING"})
    assert {vm.id async for vm in found} == running


async def test_iterate_yields_no_more_than_first(sim: Simulator, tower: Cloudtower) -> None:
    found = tower.iterate(tower.vm.get_vms, page_size=3, first=7)
    assert [vm.id async for vm in found] == ids(sim)[:7]
    assert [body["first"] for body in sim.sent("get-vms")] == [3, 3, 1]


@pytest.mark.parametrize("size", [1, 2, 7, 16, 100])
@pytest.mark.parametrize(
    "order",
    [
        "id_DESC",
        "name_ASC",
        "vcpu_DESC",
        "status_ASC",
        "vm_tools_version_ASC",
        "vm_tools_version_DESC",
        "os_ASC",
        "cpu_usage_DESC",
    ],
)
async def test_any_order_is_kept_also_among_equals_and_nulls(
    sim: Simulator, tower: Cloudtower, order: VmOrderByInput, size: int
) -> None:
    found = tower.iterate(tower.vm.get_vms, page_size=size, order_by=order)
    assert [vm.id async for vm in found] == ids(sim, order)


async def test_the_next_page_is_fetched_while_the_caller_works(
    sim: Simulator, tower: Cloudtower
) -> None:
    async with aclosing(tower.iterate(tower.vm.get_vms, page_size=5)) as vms:
        await anext(vms)
        await until(lambda: len(sim.sent("get-vms")) == 2)
        await until(lambda: all(task.done() for task in reading_tasks()))
        assert len(sim.sent("get-vms")) == 2  # and no more than one ahead


@pytest.mark.parametrize("order", ["id_ASC", "id_DESC", "name_ASC", "vcpu_DESC"])
async def test_the_last_row_of_a_page_may_be_deleted_before_the_next_request(
    sim: Simulator, tower: Cloudtower, order: VmOrderByInput
) -> None:
    before = ids(sim, order)
    gone = before[3::4]
    seen: list[str] = []
    async for vm in tower.iterate(tower.vm.get_vms, page_size=4, order_by=order):
        if not seen or len(seen) % 4 == 0:  # before the next page is requested
            place = before.index(vm.id)
            remove(sim, *(one for one in before[place + 3 : place + 4] if one in gone))
        seen.append(vm.id)
    assert seen == before


async def test_all_rows_of_a_page_may_be_deleted_before_the_next_request(
    sim: Simulator, tower: Cloudtower
) -> None:
    before = ids(sim)
    seen: list[str] = []
    async for vm in tower.iterate(tower.vm.get_vms, page_size=1):
        remove(sim, vm.id)
        seen.append(vm.id)
    assert seen == before
    assert not ids(sim)


async def test_when_sorted_by_name_a_lost_cursor_is_an_error(
    sim: Simulator, tower: Cloudtower
) -> None:
    vms = tower.iterate(tower.vm.get_vms, page_size=1, order_by="name_ASC")
    remove(sim, (await anext(vms)).id)
    with pytest.raises(SetChanged, match=r"vm\.get_vms: .*no longer match.*Read the result"):
        await anext(vms)


async def test_the_cursor_is_recovered_even_if_rows_move_again(sim: Simulator) -> None:
    order = ids(sim, "name_ASC")

    def act(times: int) -> None:
        if times in (1, 3):  # the last VM of the page, and of the page found instead
            remove(sim, order[3 if times == 1 else 2])

    async with session(sim, trace_configs=[after_each_request(act)]) as tower:
        found = tower.iterate(tower.vm.get_vms, page_size=4, order_by="name_ASC")
        assert [vm.id async for vm in found] == order


async def test_resources_that_always_exist_are_read_exactly_once() -> None:
    chance = random.Random(5)  # noqa: S311
    size = FleetSize(clusters=1, hosts_per_cluster=3, vms=3000)
    async with Simulator(size, clock=Clock(running=False)) as sim, session(sim) as tower:
        before = ids(sim)
        gone = set(chance.sample(before, 30))
        leaving, steps = iter(sorted(gone, key=lambda _: chance.random())), 0
        seen: list[str] = []
        async for vm in tower.iterate(tower.vm.get_vms, page_size=100):
            seen.append(vm.id)
            if len(seen) % 90 == 0:
                steps += 1
                remove(sim, *(one for one in [next(leaving, "")] if one))
                create(sim, f"{chance.choice(before)}{steps}")
        assert steps >= 30
        staying = set(before) - gone
        assert [one for one in seen if one in staying] == sorted(staying)
        assert len(set(seen)) == len(seen)


async def test_an_error_is_raised_in_place_of_its_page(sim: Simulator, tower: Cloudtower) -> None:
    vms = tower.iterate(tower.vm.get_vms, page_size=5)
    first = await anext(vms)
    sim.faults.fail("get-vms", status=500)
    assert [first.id, *[(await anext(vms)).id for _ in range(4)]] == ids(sim)[:5]
    with pytest.raises(ServerError):
        await anext(vms)
    assert not reading_tasks()


# Leaving early


async def test_leaving_the_loop_ends_the_request_under_way(
    sim: Simulator, tower: Cloudtower
) -> None:
    async for _ in tower.iterate(tower.vm.get_vms, page_size=5):
        sim.faults.hang("get-vms")
        await until(lambda: len(sim.sent("get-vms")) == 2)
        break
    gc.collect()
    await until(lambda: not reading_tasks())
    assert await tower.count(tower.vm.get_vms) == 23


async def test_closing_waits_for_the_end_of_the_request_under_way(
    sim: Simulator, tower: Cloudtower
) -> None:
    vms = tower.iterate(tower.vm.get_vms, page_size=5)
    await anext(vms)
    sim.faults.hang("get-vms")
    await until(lambda: len(sim.sent("get-vms")) == 2)
    await vms.aclose()
    assert not reading_tasks()


async def test_closing_before_the_first_page_sends_nothing(
    sim: Simulator, tower: Cloudtower
) -> None:
    await tower.iterate(tower.vm.get_vms).aclose()
    assert not sim.sent("get-vms")


async def test_an_error_of_an_unread_prefetched_page_is_not_raised(
    sim: Simulator, tower: Cloudtower
) -> None:
    vms = tower.iterate(tower.vm.get_vms, page_size=5)
    await anext(vms)
    sim.faults.fail("get-vms", status=500)
    await until(lambda: all(task.done() for task in reading_tasks()))
    await vms.aclose()


async def test_closing_the_session_ends_reading(sim: Simulator) -> None:
    async with session(sim) as tower:
        vms = tower.iterate(tower.vm.get_vms, page_size=5)
        await anext(vms)
        sim.faults.hang("get-vms")
        await until(lambda: len(sim.sent("get-vms")) == 2)
    with pytest.raises(SessionClosed):
        async for _ in vms:
            pass
    assert not reading_tasks()


async def _iterate(tower: Cloudtower) -> None:
    async with aclosing(tower.iterate(tower.vm.get_vms, page_size=5)) as vms:
        async for _ in vms:
            await anyio.lowlevel.checkpoint()


async def _fetch_all(tower: Cloudtower) -> None:
    await tower.fetch_all(tower.vm.get_vms, concurrency=3, page_size=5)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("read", [_iterate, _fetch_all])
async def test_cancelled_anywhere_nothing_is_left(
    sim: Simulator, tower: Cloudtower, read: Callable[[Cloudtower], Awaitable[None]], native: bool
) -> None:
    await read(tower)  # loads the modules of the first call
    steps, done = 0, False
    while not done:
        scope = anyio.CancelScope()

        async def reading(scope: anyio.CancelScope = scope) -> None:
            with scope:
                await read(tower)

        task = asyncio.create_task(reading())
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        done = task.done()
        if native:
            task.cancel()
        else:
            scope.cancel()
        await asyncio.wait([task])
        assert not reading_tasks()
        steps += 1
    assert steps > 15
    assert len(await tower.fetch_all(tower.vm.get_vms, page_size=5)) == 23


# All at once


@pytest.mark.parametrize("size", [1, 4, 22, 23, 24, 500])
@pytest.mark.parametrize("order", [None, "name_DESC", "vm_tools_version_ASC"])
async def test_fetch_all_is_one_big_query(
    sim: Simulator, tower: Cloudtower, size: int, order: VmOrderByInput
) -> None:
    found = await tower.fetch_all(tower.vm.get_vms, page_size=size, order_by=order)
    assert [vm.id for vm in found] == ids(sim, order or "id_ASC")
    assert found == await tower.vm.get_vms(order_by=order or "id_ASC")
    assert not found.changed


async def test_fetch_all_of_nothing_is_empty(tower: Cloudtower) -> None:
    found = await tower.fetch_all(tower.vm.get_vms, where={"name": "none"})
    assert found == []
    assert not found.changed


@pytest.mark.parametrize("first", [0, 1, 10, 12, 23, 40])
async def test_fetch_all_reads_no_more_than_first(
    sim: Simulator, tower: Cloudtower, first: int
) -> None:
    found = await tower.fetch_all(tower.vm.get_vms, page_size=5, first=first)
    assert [vm.id for vm in found] == ids(sim)[:first]
    assert not found.changed


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_fetch_all_sends_no_more_than_concurrency_at_a_time(
    sim: Simulator, concurrency: int
) -> None:
    under_way, most = 0, 0

    async def started(*_: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

    async def ended(*_: object) -> None:
        nonlocal under_way
        under_way -= 1

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(started)
    trace.on_request_end.append(ended)
    async with session(sim, trace_configs=[trace]) as tower:
        await tower.fetch_all(tower.vm.get_vms, concurrency=concurrency, page_size=2)
    assert most == concurrency


@pytest.mark.parametrize("seed", range(25))
async def test_fetch_all_returns_once_each_resource_that_exists_throughout(
    sim: Simulator, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)  # noqa: S311
    before = ids(sim)
    ever = set(before)

    def act(times: int) -> None:
        for _ in range(chance.randrange(3)):
            if chance.random() < 0.6 and len(ids(sim)) > 3:
                remove(sim, chance.choice(ids(sim)))
        for place in range(chance.randrange(3)):
            one = f"{chance.choice(before)}-{times}-{place}"
            create(sim, one)
            ever.add(one)

    size = chance.choice([2, 5, 8])
    async with session(sim, trace_configs=[after_each_request(act)]) as tower:
        found = await tower.fetch_all(tower.vm.get_vms, concurrency=1, page_size=size)
    read = [vm.id for vm in found]
    assert set(before) & set(ids(sim)) <= set(read) <= ever
    assert len(read) == len(set(read))
    assert read == sorted(read)
    assert found.changed == ("created or deleted" in caplog.text)


@pytest.mark.parametrize("page", [1, 4])
@pytest.mark.parametrize(
    "order", ["id_ASC", "name_ASC", "vm_tools_version_ASC", "vm_tools_version_DESC"]
)
async def test_resources_that_move_forward_between_two_pages_are_read_too(
    sim: Simulator, order: VmOrderByInput, page: int
) -> None:
    before = ids(sim, order)

    def act(times: int) -> None:
        if times == page:  # including the last VM of this page
            remove(sim, *before[5 * page - 3 : 5 * page])

    async with session(sim, trace_configs=[after_each_request(act)]) as tower:
        found = await tower.fetch_all(tower.vm.get_vms, concurrency=1, page_size=5, order_by=order)
    assert [vm.id for vm in found] == before
    assert found.changed


async def test_fetch_all_reports_that_the_set_grew_or_shrank(sim: Simulator) -> None:
    def act(times: int) -> None:
        if times == 1:
            create(sim, "zz")
        if times == 7:
            remove(sim, "zz", *ids(sim)[-3:-1])

    async with session(sim, trace_configs=[after_each_request(act)]) as tower:
        grown = await tower.fetch_all(tower.vm.get_vms, concurrency=1, page_size=5)
        assert [vm.id for vm in grown] == ids(sim)
        shrunk = await tower.fetch_all(tower.vm.get_vms, concurrency=1, page_size=5)
    assert grown.changed
    assert shrunk.changed


async def test_fetch_all_ends_with_the_first_error(sim: Simulator, tower: Cloudtower) -> None:
    sim.faults.fail("get-vms", status=500)
    with pytest.raises(ServerError):
        await tower.fetch_all(tower.vm.get_vms, page_size=2)
    assert len(sim.sent("get-vms")) <= 8
    assert not reading_tasks()


async def test_without_a_count_fetch_all_reads_one_page_after_the_other(
    sim: Simulator, tower: Cloudtower
) -> None:
    found = await tower.fetch_all(tower.pci_device.get_pci_devices, page_size=1)
    assert {one.id for one in found} == set(sim.store.table("PciDevice"))
    assert [one.id for one in await tower.fetch_all(tower.ipmi.get_ipmis)] == sorted(
        sim.store.table("Ipmi")
    )


# Long lists of ids


async def test_resources_are_returned_once_in_the_order_of_the_given_ids(
    sim: Simulator, tower: Cloudtower
) -> None:
    asked = ids(sim, "name_DESC")
    where: Any = {"id_in": [*asked, "none", asked[0]]}
    assert [vm.id async for vm in tower.iterate(tower.vm.get_vms, 4, where=where)] == asked
    # Resources missing from an answer are requested again: the server may have truncated it.
    assert [len(body["where"]["id_in"]) for body in sim.sent("get-vms")] == [4] * 6 + [1]
    assert all("orderBy" not in body for body in sim.sent("get-vms"))
    found = await tower.fetch_all(tower.vm.get_vms, page_size=4, where=where)
    assert [vm.id for vm in found] == asked
    assert not found.changed
    first = await tower.fetch_all(tower.vm.get_vms, where=where, first=3)
    assert [vm.id for vm in first] == asked[:3]
    running = [vm.id for vm in found if vm.status == "RUNNING"]
    where = {"id_in": asked, "status": "RUNNING"}
    assert [vm.id async for vm in tower.iterate(tower.vm.get_vms, 4, where=where)] == running


async def test_a_long_list_of_ids_is_split(sim: Simulator, tower: Cloudtower) -> None:
    asked = [*(f"none-{place}" for place in range(1200)), *ids(sim)]
    found = await tower.fetch_all(tower.vm.get_vms, page_size=5000, where={"id_in": tuple(asked)})
    assert [vm.id for vm in found] == ids(sim)
    asked_for = sorted(len(body["where"]["id_in"]) for body in sim.sent("get-vms"))
    assert asked_for == [200, 223, 500, 500]


async def test_ids_can_be_sorted_when_they_fit_in_one_request(
    sim: Simulator, tower: Cloudtower
) -> None:
    found = tower.iterate(tower.vm.get_vms, 4, where={"id_in": set(ids(sim))}, order_by="name_ASC")
    assert [vm.id async for vm in found] == ids(sim, "name_ASC")
    many: Any = [str(number) for number in range(501)]
    with pytest.raises(InvalidInput, match=r"order_by: 501 ids take several requests"):
        tower.iterate(tower.vm.get_vms, where={"id_in": many}, order_by="name_ASC")


# Errors


async def own(**_: object) -> list[Vm]:
    return []


def refused(tower: Cloudtower) -> dict[str, Callable[[], AsyncGenerator[Any]]]:
    iterate: Any = tower.iterate
    vm = tower.vm
    return {
        r"iterate: vm\.start_vm is not a query": lambda: iterate(vm.start_vm, where={"id": "x"}),
        r"elf_image\.create_elf_image is not": lambda: iterate(tower.elf_image.create_elf_image),
        r"vm\.get_vms_connection is not": lambda: iterate(vm.get_vms_connection),
        r"get_cluster_storage_info is not": lambda: iterate(tower.cluster.get_cluster_storage_info),
        r"get_api_version is not": lambda: iterate(tower.api_info.get_api_version),
        r"expected a method of the session, such as .*own": lambda: iterate(own),
        r"expected a method .*VmNamespace": lambda: iterate(vm),
        r"expected a method .*got its call: leave out": lambda: iterate(vm.get_vms(first=1)),
        r"vm\.get_vms: skip: leave it out; all": lambda: iterate(vm.get_vms, skip=3),
        r"vm\.get_vms: first: must not be negative": lambda: iterate(vm.get_vms, first=-1),
        r"vm\.get_vms: last: leave it out; all": lambda: iterate(vm.get_vms, last=3),
        r"in the order of cpu": lambda: iterate(vm.get_vms, order_by="cpu_ASC"),
        r"in the order of nmae": lambda: iterate(vm.get_vms, order_by="nmae_ASC"),
        r"page_size: .* got 0": lambda: iterate(vm.get_vms, page_size=0),
        r"page_size: .* got 1\.5": lambda: iterate(vm.get_vms, page_size=1.5),
        r"page_size: .* got '500'": lambda: iterate(vm.get_vms, "500"),
        r"vm\.get_vms: first: expected a whole number, got a fraction": lambda: iterate(
            vm.get_vms, first=2.5
        ),
        r"order_by: expected a field with _ASC or _DESC, .* got 'name'": lambda: iterate(
            vm.get_vms, order_by="name"
        ),
        r"order_by: expected a field with _ASC or _DESC, .* got '-created_at'": lambda: iterate(
            vm.get_vms, order_by="-created_at"
        ),
    }


async def test_queries_without_pagination_are_rejected_at_once(
    sim: Simulator, tower: Cloudtower
) -> None:
    for text, call in refused(tower).items():
        with pytest.raises(InvalidInput, match=text):
            call()
    with pytest.raises(InvalidInput, match=r"fetch_all: concurrency: .* got -1"):
        await tower.fetch_all(tower.vm.get_vms, concurrency=-1)
    assert not [request for request in sim.requests if request.path != "login"]


async def test_arguments_of_the_query_are_never_taken_by_position(
    sim: Simulator, tower: Cloudtower
) -> None:
    untyped: Any = tower
    get, where = tower.vm.get_vms, {"name": "no-such"}
    metrics = tower.metrics.get_vm_metrics
    calls: list[tuple[str, Callable[[], object]]] = [
        ("iterate", lambda: untyped.iterate(get, where)),
        ("iterate", lambda: untyped.iterate(get, 500, where)),
        ("fetch_all", lambda: untyped.fetch_all(get, where)),
        ("fetch_all", lambda: untyped.fetch_all(get, 8, where)),
        ("fetch_all", lambda: untyped.fetch_all(get, 8, 500, where)),
        ("get_one", lambda: untyped.get_one(get, where)),
        ("count", lambda: untyped.count(get, where)),
        ("watch", lambda: untyped.watch(get, where)),
        ("watch", lambda: untyped.watch(get, 5.0, where)),
        ("watch", lambda: untyped.watch(get, 5.0, 60.0, where)),
        ("measure", lambda: untyped.measure(metrics, where)),
        ("measure", lambda: untyped.measure(metrics, 50, 4, where)),
    ]
    for name, call in calls:
        shown = (
            rf"^{name}\(\) takes the arguments of the query by keyword: tower\.{name}\(tower\..*="
        )
        with pytest.raises(TypeError, match=shown):
            await cast("Any", call())
    assert not [request for request in sim.requests if request.path != "login"]


async def test_numbers_may_be_floats_without_a_fraction(sim: Simulator, tower: Cloudtower) -> None:
    untyped: Any = tower
    expected = ids(sim)[:7]
    by_page = untyped.iterate(tower.vm.get_vms, page_size=3.0, first=7.0)
    assert [vm.id async for vm in by_page] == expected
    at_once = await untyped.fetch_all(tower.vm.get_vms, concurrency=2.0, page_size=3.0, first=7.0)
    assert [vm.id for vm in at_once] == expected
    chosen = untyped.iterate(tower.vm.get_vms, where={"id_in": expected}, first=2.0)
    assert [vm.id async for vm in chosen] == expected[:2]


# Exactly one, and counts


async def test_get_one_returns_the_matching_resource(sim: Simulator, tower: Cloudtower) -> None:
    one = sim.store.get("Vm", ids(sim)[7])
    vm = await tower.get_one(tower.vm.get_vms, where={"name": one["name"]})
    assert vm.id == one["id"]
    newest = await tower.get_one(tower.vm.get_vms, order_by="id_DESC", first=1)
    assert newest.id == ids(sim)[-1]


async def test_get_one_of_none_is_not_found(sim: Simulator, tower: Cloudtower) -> None:
    with pytest.raises(
        NotFound, match=r'^vm\.get_vms: nothing matches {"name": "none"} \[.*Check the filter'
    ) as info:
        await tower.get_one(tower.vm.get_vms, where={"name": "none"})
    assert isinstance(info.value, LookupError)
    assert info.value.status is None
    assert info.value.endpoint == sim.url


async def test_get_one_of_none_quotes_no_secret(tower: Cloudtower) -> None:
    token = await tower.get_token()
    with pytest.raises(NotFound, match=r'nothing matches {"name": "\*\*\*"} \['):
        await tower.get_one(tower.vm.get_vms, where={"name": token})


async def test_get_one_of_none_quotes_the_start_of_a_long_where(tower: Cloudtower) -> None:
    where: Any = {"id_in": [f"none-{number}" for number in range(1000)]}
    with pytest.raises(NotFound, match=r'nothing matches {"id_in": \["none-0", .*… \[') as info:
        await tower.get_one(tower.vm.get_vms, where=where)
    assert len(str(info.value)) < 500


@pytest.mark.parametrize("number", [2, 5, 6, 23])
async def test_get_one_of_several_says_how_many_and_which(
    sim: Simulator, tower: Cloudtower, number: int
) -> None:
    where: Any = {"id_in": ids(sim)[:number]}
    with pytest.raises(Ambiguous) as info:
        await tower.get_one(tower.vm.get_vms, where=where, order_by="id_ASC")
    assert info.value.count == number
    assert info.value.ids == tuple(ids(sim)[: min(number, 5)])
    assert f"vm.get_vms: {number} match where one was wanted: " in str(info.value)
    assert (", …" in str(info.value)) == (number > 5)
    assert isinstance(info.value, LookupError)


async def test_without_a_counting_query_the_number_is_a_minimum(tower: Cloudtower) -> None:
    with pytest.raises(Ambiguous) as info:
        await tower.get_one(tower.pci_device.get_pci_devices, where={})
    assert info.value.count >= 2


async def test_resolve_takes_a_name_or_an_id(sim: Simulator, tower: Cloudtower) -> None:
    one, other = ids(sim)[3:5]
    name = sim.store.get("Vm", one)["name"]
    assert (await tower.resolve(tower.vm.get_vms, one)).id == one
    assert (await tower.resolve(tower.vm.get_vms, name)).id == one
    sim.store.change("Vm", other, name=one)  # ids take precedence over names
    assert (await tower.resolve(tower.vm.get_vms, one)).id == one
    sim.store.change("Vm", other, name=name)
    with pytest.raises(Ambiguous, match="2 match"):
        await tower.resolve(tower.vm.get_vms, name)
    with pytest.raises(NotFound):
        await tower.resolve(tower.vm.get_vms, "none")


async def test_resolve_takes_ids_of_resources_without_a_name(
    sim: Simulator, tower: Cloudtower
) -> None:
    one = next(iter(sim.store.table("VmDisk")))
    assert (await tower.resolve(tower.vm_disk.get_vm_disks, one)).id == one
    assert sim.sent("get-vm-disks")[0]["where"] == {"id": one}


@pytest.mark.parametrize("text", ["", None, 3])
async def test_resolve_of_nothing_is_refused(tower: Cloudtower, text: object) -> None:
    resolve: Any = tower.resolve
    with pytest.raises(InvalidInput, match="resolve: expected a name or an id"):
        await resolve(tower.vm.get_vms, text)


async def test_count_counts_what_matches(sim: Simulator, tower: Cloudtower) -> None:
    running = len(sim.store.select("Vm", {"status": "RUNNING"}))
    assert await tower.count(tower.vm.get_vms, where={"status": "RUNNING"}) == running
    assert await tower.count(tower.vm.get_vms) == 23
    assert not sim.sent("get-vms")
    with pytest.raises(InvalidInput, match=r"the API has no count for ipmi\.get_ipmis"):
        await tower.count(tower.ipmi.get_ipmis)
