"""Reading all matches from servers with unusual pagination."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async import Cloudtower, PagingFailed, ResponseDecodeError
from cloudtower_async.testing import Clock, FleetSize, Simulator
from tests.odd_servers import as_it_is, capped, deaf_to, proxy, unchanged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from cloudtower_async.inputs import VmOrderByInput
    from cloudtower_async.models import Vm
    from tests.odd_servers import Ask, Tell

pytestmark = pytest.mark.anyio

VMS = 60


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def sim() -> AsyncIterator[Simulator]:
    size = FleetSize(clusters=1, hosts_per_cluster=3, vms=VMS)
    async with Simulator(size, clock=Clock(running=False)) as simulator:
        for place, vm in enumerate(simulator.store.table("Vm").values()):
            if place % 3 == 0:
                vm["description"] = None  # the schema requires a description
        yield simulator


@asynccontextmanager
async def odd(
    sim: Simulator, ask: Ask = as_it_is, tell: Tell = unchanged
) -> AsyncGenerator[Cloudtower]:
    async with (
        proxy(sim.url, ask, tell) as url,
        Cloudtower(url, username=sim.username, password=sim.password) as tower,
    ):
        sim.requests.clear()
        yield tower


def ids(sim: Simulator) -> list[str]:
    return sorted(sim.store.table("Vm"))


async def as_far_as_possible(vms: AsyncIterator[Vm]) -> tuple[list[Vm], PagingFailed | None]:
    read: list[Vm] = []
    try:
        async for vm in vms:
            read.append(vm)  # noqa: PERF401 - an error keeps what was read
    except PagingFailed as error:
        return read, error
    return read, None


# Fewer rows than requested


@pytest.mark.parametrize("cap", [1, 2, 7, 100])
@pytest.mark.parametrize("size", [1, 2, 5, 7, 8, 500])
@pytest.mark.parametrize("order", [None, "id_DESC", "name_ASC", "vm_tools_version_DESC"])
async def test_all_is_read_from_a_server_that_caps_its_pages(
    sim: Simulator, cap: int, size: int, order: VmOrderByInput | None
) -> None:
    async with odd(sim, capped(cap)) as tower:
        read = [vm.id async for vm in tower.iterate(tower.vm.get_vms, size, order_by=order)]
        assert sorted(read) == ids(sim)
        assert len(sim.sent("get-vms")) < 4 * VMS + 20
        found = await tower.fetch_all(tower.vm.get_vms, page_size=size, order_by=order)
        assert [vm.id for vm in found] == read
        assert not found.changed


@pytest.mark.parametrize("cap", [1, 7, 100])
async def test_the_limit_holds_whatever_a_page_holds(sim: Simulator, cap: int) -> None:
    async with odd(sim, capped(cap)) as tower:
        for first in (0, 1, 6, 7, 8, 10, 59, 60, 61):
            read = tower.iterate(tower.vm.get_vms, page_size=8, first=first)
            assert [vm.id async for vm in read] == ids(sim)[:first]
            found = await tower.fetch_all(tower.vm.get_vms, page_size=8, first=first)
            assert [vm.id for vm in found] == ids(sim)[:first]
            assert not found.changed


@pytest.mark.parametrize("cap", [1, 7, 100])
async def test_all_of_a_list_of_ids_is_read(sim: Simulator, cap: int) -> None:
    async with odd(sim, capped(cap)) as tower:
        where: Any = {"id_in": ["none", *reversed(ids(sim)), "nor this"]}
        expected = ids(sim)[::-1]
        read = tower.iterate(tower.vm.get_vms, page_size=40, where=where)
        assert [vm.id async for vm in read] == expected
        found = await tower.fetch_all(tower.vm.get_vms, where=where)
        assert [vm.id for vm in found] == expected
        few = [vm.id async for vm in tower.iterate(tower.vm.get_vms, where=where, first=10)]
        assert few == expected[:10]
        assert [vm.id for vm in await tower.fetch_all(tower.vm.get_vms, where=where, first=10)] == (
            expected[:10]
        )


async def test_a_page_size_cap_is_detected_on_the_first_page_and_used_for_the_others(
    sim: Simulator,
) -> None:
    async with odd(sim, capped(7)) as tower:
        await tower.fetch_all(tower.vm.get_vms, page_size=20)
        assert [body["first"] for body in sim.sent("get-vms")] == [7] * 10


# Nulls in required fields


@pytest.mark.parametrize("size", [1, 7, 500])
@pytest.mark.parametrize("order", ["description_ASC", "description_DESC"])
async def test_sorting_by_a_field_with_unexpected_nulls_reads_all(
    sim: Simulator, size: int, order: VmOrderByInput
) -> None:
    async with odd(sim) as tower:
        read = [vm async for vm in tower.iterate(tower.vm.get_vms, size, order_by=order)]
        assert sorted(vm.id for vm in read) == ids(sim)
        described: list[str | None] = [vm.description for vm in read]
        nulls = [place for place, text in enumerate(described) if text is None]
        assert len(nulls) == VMS / 3
        assert nulls[-1] - nulls[0] == len(nulls) - 1  # all at one end
        assert await tower.fetch_all(tower.vm.get_vms, page_size=size, order_by=order) == read


@pytest.mark.parametrize("order", ["description_ASC", "description_DESC", "name_ASC"])
async def test_a_server_that_cannot_compare_with_null_repeats_nothing(
    sim: Simulator, order: VmOrderByInput
) -> None:
    field = order.partition("_")[0]

    def null_is_no_condition(_: str, body: Any) -> Any:  # noqa: ANN401
        where = body.get("where")
        if not where:
            return body
        parts = where.get("AND", [where])
        kept = [one for one in parts if one not in ({field: None}, {f"{field}_not": None})]
        return {**body, "where": {"AND": kept}}

    async with odd(sim, null_is_no_condition) as tower:
        vms = tower.iterate(tower.vm.get_vms, 7, order_by=order)
        read, error = await as_far_as_possible(vms)
        if order == "description_DESC":  # the first page contains only nulls
            assert error is not None
        else:
            assert sorted(vm.id for vm in read) == ids(sim)


@pytest.mark.parametrize("size", [1, 7, 20, 500])
@pytest.mark.parametrize("hidden", [[3], [6], [19, 20, 21], [59], [*range(0, 60, 7)]])
async def test_a_row_without_an_id_is_read_or_reported(
    sim: Simulator, hidden: list[int], size: int
) -> None:
    without = {ids(sim)[place] for place in hidden}

    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        if path == "get-vms":
            return [{**vm, "id": None} if vm["id"] in without else vm for vm in answer]
        return answer

    async with odd(sim, tell=tell) as tower:
        vms = tower.iterate(tower.vm.get_vms, size)
        read, error = await as_far_as_possible(vms)
        names = [vm.name for vm in read]
        assert len(names) == len(set(names))
        if error is None:
            assert len(names) == VMS
        else:
            assert "vm.get_vms: a page has no resource with an id" in str(error)


# No progress


def repeating(cycle: int) -> Tell:
    """Answer with the same pages again and again."""
    pages: list[Any] = []
    asked = 0

    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        nonlocal asked
        if path != "get-vms":
            return answer
        if len(pages) < cycle:
            pages.append(answer)
        asked += 1
        return pages[(asked - 1) % cycle]

    return tell


@pytest.mark.parametrize("order", [None, "name_ASC"])
@pytest.mark.parametrize("cycle", [1, 2, 5])
async def test_repeated_pages_end_in_an_error(
    sim: Simulator, cycle: int, order: VmOrderByInput | None
) -> None:
    async with odd(sim, tell=repeating(cycle)) as tower:
        with pytest.raises(PagingFailed, match=r"^vm\.get_vms: "):
            async for _ in tower.iterate(tower.vm.get_vms, 7, order_by=order):
                pass
        assert len(sim.sent("get-vms")) <= cycle + (2 if order is None else 12)
    async with odd(sim, tell=repeating(cycle)) as tower:
        with pytest.raises(PagingFailed):
            await tower.fetch_all(tower.vm.get_vms, page_size=7, order_by=order)
        assert len(sim.sent("get-vms")) < 2 * cycle + 30


@pytest.mark.parametrize(
    "names",
    [
        ("first", "last"),
        ("after", "id_gt"),
        ("skip",),
        ("first", "last", "after", "id_gt"),
        ("first", "last", "after", "id_gt", "skip"),
        ("where",),
        ("orderBy",),
    ],
    ids=",".join,
)
@pytest.mark.parametrize("order", [None, "name_ASC"])
async def test_ignored_arguments_cause_an_error_or_a_complete_result(
    sim: Simulator, names: tuple[str, ...], order: VmOrderByInput | None
) -> None:
    async with odd(sim, deaf_to(*names)) as tower:
        vms = tower.iterate(tower.vm.get_vms, 7, order_by=order)
        read, error = await as_far_as_possible(vms)
        assert error or sorted(vm.id for vm in read) == ids(sim)
        assert len(sim.sent("get-vms")) < 4 * VMS
        sim.requests.clear()
        try:
            found = await tower.fetch_all(tower.vm.get_vms, page_size=7, order_by=order)
        except PagingFailed:
            pass
        else:
            assert sorted(vm.id for vm in found) == ids(sim)
        assert len(sim.sent("get-vms")) < 4 * VMS
        for first in (1, 7, 10):
            vms = tower.iterate(tower.vm.get_vms, 7, order_by=order, first=first)
            few, error = await as_far_as_possible(vms)
            assert len(few) < first if error else len(few) == first
            try:
                limited = await tower.fetch_all(
                    tower.vm.get_vms, page_size=7, order_by=order, first=first
                )
            except PagingFailed:
                pass
            else:
                assert len(limited) == first


@pytest.mark.parametrize("order", [None, "name_ASC"])
@pytest.mark.parametrize("count", [-1, 0, 1, 59, 61, 1_000_000, 10**15, None, "sixty", "60"])
async def test_a_wrong_count_costs_few_requests_and_no_resource(
    sim: Simulator, count: object, order: VmOrderByInput | None
) -> None:
    def tell(path: str, _: Any, answer: Any) -> Any:  # noqa: ANN401
        return {"aggregate": {"count": count}} if path == "get-vms-connection" else answer

    async with odd(sim, tell=tell) as tower:
        found = await tower.fetch_all(tower.vm.get_vms, page_size=7, order_by=order)
        assert sorted(vm.id for vm in found) == ids(sim)
        assert found.changed is isinstance(count, int)
        assert len(sim.sent("get-vms")) < VMS / 7 + 20


@pytest.mark.parametrize(
    "answer", [{"aggregate": None}, {"aggregate": {"count": None}}, {"aggregate": {"count": -1}}]
)
async def test_a_count_that_is_null_or_negative_is_an_error(sim: Simulator, answer: object) -> None:
    def tell(path: str, _: Any, told: Any) -> Any:  # noqa: ANN401
        return answer if path == "get-vms-connection" else told

    async with odd(sim, tell=tell) as tower:
        with pytest.raises(ResponseDecodeError, match=r"vm\.get_vms_connection: .*no count"):
            await tower.count(tower.vm.get_vms)


async def test_rows_that_were_not_requested_are_ignored_or_reported(sim: Simulator) -> None:
    async with odd(sim, deaf_to("id_in")) as tower:
        where: Any = {"id_in": ids(sim)[:3]}
        read = [vm.id async for vm in tower.iterate(tower.vm.get_vms, where=where)]
        assert read == ids(sim)[:3]
        with pytest.raises(PagingFailed, match="2 resources were requested by id"):
            await tower.fetch_all(tower.vm.get_vms, where={"id_in": ["no", "one"]})
