"""A job on several Towers with workers and a real Redis: processes die and no work is lost."""

from __future__ import annotations

import json
import pickle
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from cloudtower_async import CloudtowerError
from cloudtower_async.jobs import FleetItem, FleetJob
from cloudtower_async.jobs.fleet import QueueStatus, fleet_status, run_fleet
from cloudtower_async.jobs.redis_journal import redis_client
from tests.jobs.fleet_processes import JOB, fleet, kill
from tests.jobs.redis_server import needs_redis, redis_process

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

    from cloudtower_async import Cloudtower
    from cloudtower_async.jobs import Journal
    from cloudtower_async.jobs.fleet import FleetRun
    from cloudtower_async.testing import Simulator

pytestmark = [*needs_redis, pytest.mark.anyio]

RUN = "2026-01-31"
NEXT = "2026-02-01"
VMS = 6
AT_ONCE = 3


def each_once(sim: Simulator, run: str) -> bool:
    found = sim.store.select("VmSnapshot", {"name": f"nightly-{run}"})
    return Counter(one["vm"] for one in found) == Counter(list(sim.store.table("Vm")))


async def all_keys(redis: Redis, pattern: str = "*") -> list[bytes]:
    untyped: Any = redis
    keys: list[bytes] = await untyped.keys(pattern)
    return keys


def counts(report: FleetRun) -> list[tuple[int, int, int]]:
    return [(tower.items, tower.done, tower.failed) for tower in report.towers]


async def test_a_worker_redis_and_the_caller_die_and_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    reports: list[FleetRun] = []
    async with (
        fleet(tmp_path, "north", "south", vms=VMS, redis=False) as towers,
        towers.worker_process(f"--concurrency={AT_ONCE}") as first,
        towers.worker(concurrency=AT_ONCE),
        towers.caller_process(RUN, "north", "south") as caller,
        anyio.create_task_group() as group,
    ):
        # All of them wait for Redis.
        async with redis_process(tmp_path, towers.port, durable=True) as redis:
            await towers.asked_for(2 * AT_ONCE)  # both are busy: the clocks are stopped
            kill(first)
            kill(caller)
            redis.kill()
            await first.wait()
        group.start_soon(towers.let_time_pass)

        async def call() -> None:
            reports.append(await towers.run(RUN, "north", "south"))
            group.cancel_scope.cancel()

        group.start_soon(call)  # it continues as soon as Redis is back
        async with redis_process(tmp_path, towers.port, durable=True) as redis:
            await towers.asked_for(2 * AT_ONCE + 2)
            redis.kill()
        async with redis_process(tmp_path, towers.port, durable=True):
            await anyio.sleep_forever()
    [report] = reports
    assert (counts(report), report.complete) == ([(VMS, VMS, 0), (VMS, VMS, 0)], True)
    assert towers.asked() == 2 * VMS
    assert all(each_once(sim, RUN) for sim in towers.sims.values())


async def test_failed_items_are_done_by_the_next_call_and_all_keys_expire(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path, "north", "south", vms=VMS) as towers,
        towers.worker(),
        anyio.create_task_group() as group,
    ):
        north, south = towers.sims.values()
        group.start_soon(towers.let_time_pass)
        await south.nodes[0].refuse()
        north.tasks.fail_next()
        report = await towers.run(RUN, "north", "south")
        assert (counts(report), report.complete) == ([(VMS, VMS - 1, 1), (0, 0, 0)], False)
        assert south.url in str(report.towers[1].error)
        [failure] = report.failures
        assert failure.profile == "north"
        assert "the host did not answer" in failure.error

        report = await towers.run(RUN, "north")
        assert (counts(report), report.complete) == ([(VMS, VMS, 0)], True)
        assert len(north.sent("create-vm-snapshot")) == VMS + 1
        assert each_once(north, RUN)
        asked = len(north.mutations())
        assert (await towers.run(RUN, "north")).complete
        assert len(north.mutations()) == asked

        async with redis_client(towers.url) as redis:
            keys = await all_keys(redis)
            assert len(keys) > VMS
            assert [key for key in keys if await redis.ttl(key) < 0] == []
            assert await redis.xlen(f"cloudtower:fleet:queue:{JOB}") == 0
        group.cancel_scope.cancel()


async def test_limits_hold_across_workers_and_runs(tmp_path: Path) -> None:
    reports: list[FleetRun] = []
    async with fleet(tmp_path, "north", vms=VMS) as towers, towers.worker(), towers.worker():
        [sim] = towers.sims.values()

        async def call(run: str) -> None:
            reports.append(await towers.run(run, "north", per_tower=3, per_cluster=2))

        async with anyio.create_task_group() as group:
            group.start_soon(call, RUN)
            group.start_soon(call, NEXT)
            while len(reports) < 2:
                under_way = sim.store.select("VmSnapshot", {"entityAsyncStatus": "CREATING"})
                assert len(under_way) <= 2
                await anyio.sleep(0.02)  # a surplus request would arrive in this time
                sim.clock.advance(0.1)
    assert all(report.complete for report in reports)
    assert all(each_once(sim, run) for run in (RUN, NEXT))


async def test_a_tower_that_stops_answering_delays_only_itself(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path, "north", "south", vms=12) as towers,
        towers.worker(concurrency=4),
        anyio.create_task_group() as group,
    ):
        north, south = towers.sims.values()

        async def stop_answering() -> None:
            while not south.sent("get-vms"):  # noqa: ASYNC110
                await anyio.sleep(0.01)
            await south.nodes[0].refuse()

        group.start_soon(towers.let_time_pass)
        group.start_soon(stop_answering)
        report = await towers.run(RUN, "north", "south", per_tower=3)
        assert counts(report)[0] == (12, 12, 0)
        assert each_once(north, RUN)
        assert "the Tower did not answer 5 times in a row" in str(report.towers[1].error)
        assert report.towers[1].failed < 12
        group.cancel_scope.cancel()


async def test_sigterm_lets_a_worker_finish_its_items(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path, "north", vms=2) as towers,
        towers.worker_process() as worker,
        anyio.create_task_group() as group,
    ):
        [sim] = towers.sims.values()
        group.start_soon(towers.run, RUN, "north")
        await towers.asked_for(2)
        worker.send_signal(signal.SIGTERM)
        group.start_soon(towers.let_time_pass)
        assert await worker.wait() == 128 + signal.SIGTERM
        async with redis_client(towers.url) as redis:
            assert len(await all_keys(redis, "cloudtower:fleet:result:*")) == 2
        assert each_once(sim, RUN)
        group.cancel_scope.cancel()


class Bomb:
    """Creates a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"__import__('os').mkdir({str(self._folder)!r})",)


async def test_data_in_redis_is_not_run(tmp_path: Path) -> None:
    async with fleet(tmp_path, "north", vms=VMS) as towers, towers.worker():
        bomb = pickle.dumps(Bomb(tmp_path / "run"))
        vm = next(iter(towers.sims["north"].store.table("Vm")))
        stream = f"cloudtower:fleet:queue:{JOB}"
        foreign: dict[str, Any] = {"task_id": "x", "task_name": "item", "labels": {}}
        foreign |= {"args": ["os:system", "x"], "kwargs": {}}
        async with redis_client(towers.url) as redis:
            await redis.set(f"cloudtower:fleet:result:{JOB}/{RUN}/north/{vm}", bomb)
            await redis.xadd(stream, {"data": bomb})
            await redis.xadd(stream, {"data": json.dumps(foreign)})
            async with anyio.create_task_group() as group:
                group.start_soon(towers.let_time_pass)
                assert (await towers.run(RUN, "north")).complete
                group.cancel_scope.cancel()
            while await redis.xlen(stream):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert not await anyio.Path(tmp_path, "run").exists()


async def test_status_shows_queues_and_runs(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path, "north", vms=2) as towers,
        towers.worker(),
        anyio.create_task_group() as group,
    ):
        group.start_soon(towers.run, RUN, "north")
        await towers.asked_for(2)
        while not (found := await fleet_status(towers.url)).runs:  # noqa: ASYNC110
            await anyio.sleep(0.05)
        assert found.queues == [QueueStatus(job=JOB, queued=0, working=2, workers=1)]
        [run] = found.runs
        assert (run.job, run.run, counts(run)) == (JOB, RUN, [(2, 0, 0)])
        async with towers.process("status") as process:
            assert process.stdout is not None
            lines = b"".join([part async for part in process.stdout]).decode().splitlines()
        assert lines[1].split() == [JOB, "0", "2", "1"]
        assert lines[4].split() == [JOB, RUN, "1", "2", "0", "0"]
        group.cancel_scope.cancel()


async def test_workers_that_have_ended_are_forgotten(tmp_path: Path) -> None:
    stream = f"cloudtower:fleet:queue:{JOB}"
    async with fleet(tmp_path, "north", vms=1) as towers, redis_client(towers.url) as redis:
        await redis.xgroup_create(stream, "workers", mkstream=True)
        await redis.xgroup_createconsumer(stream, "workers", "ended")
        async with towers.worker():
            names = [b"ended"]
            while b"ended" in names:
                found: list[Any] = await redis.xinfo_consumers(stream, "workers")
                names = [consumer["name"] for consumer in found]
                await anyio.sleep(0.05)


async def test_items_that_cannot_be_stored_are_an_error_of_their_tower(tmp_path: Path) -> None:
    async def list_items(_: Cloudtower) -> list[FleetItem]:
        return [FleetItem(key="a", data=object())]

    async def work(_: Cloudtower, __: FleetItem, ___: Journal) -> None:
        raise AssertionError

    async with fleet(tmp_path, "north", vms=1) as towers:
        job = FleetJob(list_items, work)
        report = await run_fleet(towers.url, "a:b", job, ["north"], run=RUN)
    [tower] = report.towers
    assert (tower.listed, report.complete) == (False, False)
    assert str(tower.error).startswith("TypeError: ")


async def test_a_redis_that_stays_away_is_an_error(tmp_path: Path) -> None:
    async with fleet(tmp_path, "north", vms=1, redis=False) as towers:
        with pytest.raises(CloudtowerError, match="Redis was out of reach for "):
            await towers.run(RUN, "north", patience=0.1)
