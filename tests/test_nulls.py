"""No null in an answer breaks a flow: it works or raises one of our errors."""

from __future__ import annotations

import io
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import Cloudtower, ElfImage, TaskFailed
from cloudtower_async.simulator.tasks import Work
from cloudtower_async.testing import Failure, Simulator
from tests.nulls import alike, consumed, expect_no_broken_field, first, walk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from tests.nulls import Flow

QUICK = 0.001  # seconds between polls
SHORT: Any = {"timeout": 0.1, "interval": QUICK}
BRIEF: Any = {**SHORT, "grace": 0.01}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def simulators() -> AsyncIterator[list[Simulator]]:
    async with alike(clusters=2, hosts_per_cluster=2, vms=6) as started:
        yield started


async def all_of(rows: AsyncGenerator[Any]) -> None:
    async with aclosing(rows):
        async for _ in rows:
            pass


def update(tower: Cloudtower, sim: Simulator) -> Awaitable[list[Any]]:
    where: Any = {"id_in": list(sim.store.table("Vm"))[:2]}
    return tower.vm.update_vm(where=where, data={"description": "new"})


async def as_completed(tower: Cloudtower, sim: Simulator) -> None:
    async for task in tower.as_completed(update(tower, sim), **BRIEF):
        str(task)


async def progress(tower: Cloudtower, sim: Simulator) -> None:
    async for task in tower.progress(update(tower, sim), **BRIEF):
        str(task)


async def wait_for_one(tower: Cloudtower, sim: Simulator) -> None:
    [first, _] = await update(tower, sim)
    for task in await tower.wait(first, **BRIEF):
        await tower.wait(task, **BRIEF)


async def wait_for_a_failure(tower: Cloudtower, sim: Simulator) -> None:
    [cluster, *_] = sim.store.table("Cluster")
    task_id = sim.tasks.start({"cluster": cluster, "description": "fails"}, Work())
    sim.tasks.abort(task_id, Failure("CODE", "it broke"))
    try:
        await tower.wait(task_id, **BRIEF)
    except TaskFailed as error:
        str(error)


async def settle_one(tower: Cloudtower, sim: Simulator) -> None:
    [answer, _] = await update(tower, sim)
    found: Any = await tower.settle(answer, **BRIEF)
    assert found is not None


async def settle(tower: Cloudtower, sim: Simulator) -> None:
    found = await tower.settle(update(tower, sim), **BRIEF)
    assert None not in found


async def follow(tower: Cloudtower, sim: Simulator) -> None:
    [vm, *_] = sim.store.table("Vm").values()
    async with tower.watch(tower.vm.get_vms, QUICK, 0.005) as view:
        vm["name"] = "one" if vm["name"] != "one" else "two"
        with anyio.move_on_after(0.05):
            await anext(view)


async def follow_by_polls(tower: Cloudtower, sim: Simulator) -> None:
    async with Cloudtower(tower.endpoint, token=await tower.get_token()) as without_feed:
        await follow(without_feed, sim)


async def changes(tower: Cloudtower, sim: Simulator) -> None:
    [vm, *_] = sim.store.table("Vm").values()
    feed = tower.changes(["Vm"], interval=QUICK)
    await feed.anchor()
    vm["name"] = "one" if vm["name"] != "one" else "two"
    with anyio.move_on_after(0.05):
        change = await anext(feed)
        str((change, change.old, change.new))


async def measure(tower: Cloudtower, sim: Simulator) -> None:
    measured = await tower.measure(
        tower.metrics.get_vm_metrics,
        vms={"id_in": list(sim.store.table("Vm"))},
        metrics=["elf_vm_cpu_overall_usage_percent"],
        range="1h",
    )
    measured.to_rows()


async def measure_top(tower: Cloudtower, _: Simulator) -> None:
    measured = await tower.measure(
        tower.metrics.get_top_nvm_volume_metrics,
        metrics=["zbs_volume_readwrite_iops"],
        clusters={"name_not": "x"},
        type="top",
        n=3,
        range="1h",
    )
    measured.to_rows()


async def api_keys(tower: Cloudtower, _: Simulator) -> None:
    key = await tower.api_keys.create("bot")
    str(await tower.api_keys.list())
    await tower.api_keys.delete(key)


async def vnc(tower: Cloudtower, sim: Simulator) -> None:
    str(await tower.vnc(next(iter(sim.store.table("Vm")))))


async def upload(tower: Cloudtower, sim: Simulator) -> None:
    async with tower.upload(
        io.BytesIO(b"x" * 3000),
        ElfImage(cluster_id=next(iter(sim.store.table("Cluster")))),
        name="disc",
        chunk_size=1000,
        settling_time=0.02,
        **SHORT,
    ) as sending:
        async for one in sending:
            str(one)


def ids_of(sim: Simulator) -> Any:  # noqa: ANN401
    return {"id_in": list(sim.store.table("Vm"))}


def name_of(sim: Simulator) -> str:
    return str(first(sim, "Vm")["name"])


FLOWS: dict[str, Flow] = {
    "iterate": lambda tower, _: all_of(tower.iterate(tower.vm.get_vms, 4)),
    "iterate by name": lambda tower, _: all_of(
        tower.iterate(tower.vm.get_vms, 4, order_by="name_ASC")
    ),
    "iterate over ids": lambda tower, sim: all_of(
        tower.iterate(tower.vm.get_vms, 4, where=ids_of(sim))
    ),
    "fetch_all": lambda tower, _: tower.fetch_all(tower.vm.get_vms, page_size=2),
    "fetch_all by vcpu": lambda tower, _: tower.fetch_all(
        tower.vm.get_vms, page_size=2, order_by="vcpu_DESC"
    ),
    "get_one": lambda tower, sim: tower.get_one(tower.vm.get_vms, where={"name": name_of(sim)}),
    "get_one of many": lambda tower, _: tower.get_one(tower.vm.get_vms),
    "resolve": lambda tower, sim: tower.resolve(tower.vm.get_vms, name_of(sim)),
    "count": lambda tower, _: tower.count(tower.vm.get_vms),
    "wait": lambda tower, sim: tower.wait(update(tower, sim), **BRIEF),
    "wait for one": wait_for_one,
    "wait for a failure": wait_for_a_failure,
    "as_completed": as_completed,
    "progress": progress,
    "settle": settle,
    "settle one": settle_one,
    "watch": follow,
    "watch without a feed": follow_by_polls,
    "changes": changes,
    "measure": measure,
    "measure top": measure_top,
    "api keys": api_keys,
    "vnc": vnc,
    "upload": upload,
}


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::cloudtower_async.MetricsWarning")
@pytest.mark.parametrize("name", FLOWS)
async def test_a_null_in_any_field_is_no_python_error(
    simulators: list[Simulator],
    name: str,
    tell: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await expect_no_broken_field(simulators, FLOWS[name], name, tell, caplog)


@pytest.mark.anyio
@pytest.mark.parametrize("together", [1, 3, 12])
async def test_each_field_that_breaks_a_flow_is_named(
    simulators: list[Simulator], together: int
) -> None:
    async def careless(tower: Cloudtower, _: Simulator) -> None:
        for vm in await tower.vm.get_vms():
            assert vm.name.lower()
            assert vm.id.lower()
        for host in await tower.host.get_hosts():
            assert host.name.lower()

    walked = await walk(simulators, careless, together)
    broken = [("get-hosts", ("name",)), ("get-vms", ("id",)), ("get-vms", ("name",))]
    assert sorted(walked.broken) == broken
    assert len(walked.fields) > 50
    assert together == 1 or walked.runs < len(walked.fields)


def test_fields_that_code_reads_are_found() -> None:
    assert {"id", "name", "status", "progress", "task_id", "count", "entityAsyncStatus"} <= (
        consumed()
    )
    assert "scsi_id" not in consumed()
