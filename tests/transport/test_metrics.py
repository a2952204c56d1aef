"""Metrics for OpenTelemetry's readers."""

from __future__ import annotations

import gc
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import msgspec
import pytest
from anyio import wait_all_tasks_blocked

from cloudtower_async import (
    CallTimeout,
    Cloudtower,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    ResourceLocked,
    RetryPolicy,
    ServerError,
)
from cloudtower_async.testing import Clock, Simulator
from cloudtower_async.transport.metrics import OTHER, durations, outcome_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(backoff=1e-6)
ADDRESS = "localhost"  # not the address of sessions that other tests left open
LOCKED = msgspec.json.encode(
    {
        "message": "locked",
        "code": "ResourceLocked",
        "status": 400,
        "props": {"locked_resources": [{"id": "v1", "type": "VM"}]},
    }
)


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator(vms=3, seed=1, clock=Clock(running=False, per_request=1.0)) as simulator:
        yield simulator


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401 - those of a session
    options = {"retry": AT_ONCE, **options}
    url = sim.url.replace("127.0.0.1", ADDRESS)
    return Cloudtower(url, username=sim.username, password=sim.password, **options)


def points(reader: InMemoryMetricReader, name: str) -> list[Any]:
    """Return the data points of a metric."""
    data = reader.get_metrics_data()
    return [
        point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == f"cloudtower.client.{name}"
        for point in metric.data.data_points
    ]


def values(reader: InMemoryMetricReader, name: str) -> dict[str, float]:
    """Return the values of an observable metric by state, or under an empty string."""
    found: dict[str, float] = {}
    for point in points(reader, name):
        attributes = dict(point.attributes)
        if attributes.pop("server.address") != ADDRESS:
            continue
        found[str(attributes.pop("cloudtower.client.connection.state", ""))] = point.value
        assert not attributes
    return found


def value(reader: InMemoryMetricReader, name: str) -> float | None:
    return values(reader, name).get("")


@asynccontextmanager
async def waiting(*calls: Any) -> AsyncGenerator[None]:  # noqa: ANN401 - functions of any kind
    """Run calls until they wait for something; cancel them at the end of the block."""
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)
        await wait_all_tasks_blocked()
        yield
        group.cancel_scope.cancel()


async def test_the_duration_of_calls_is_recorded_by_operation_and_outcome(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim, retry=RetryPolicy(attempts=1)) as tower:
        await tower.vm.get_vms(first=1)
        await tower.vm.get_vms(first=2)
        sim.faults.fail("get-vms", status=500)
        with pytest.raises(ServerError):
            await tower.vm.get_vms()
        with pytest.raises(InvalidInput):
            await tower.vm.get_vms(first=cast("int", "one"))
        sim.faults.hang("get-hosts")
        with pytest.raises(CallTimeout):
            await tower.host.get_hosts(timeout=0.05)
        sim.faults.reset("start-vm")
        with pytest.raises(OutcomeUnknown):
            await tower.vm.start_vm(where={"id": "v1"})
        sim.faults.hang("get-hosts")
        async with waiting(tower.host.get_hosts):
            pass
    found = {
        (
            point.attributes["cloudtower.operation"],
            point.attributes["cloudtower.outcome"],
            point.attributes.get("error.type"),
        ): point.count
        for point in points(metric_reader, "operation.duration")
    }
    assert found == {
        ("vm.get_vms", "success", None): 2,
        ("vm.get_vms", "failed", "ServerError"): 1,
        ("vm.get_vms", "rejected", "InvalidInput"): 1,
        ("host.get_hosts", "timeout", "CallTimeout"): 1,
        ("vm.start_vm", "unknown", "OutcomeUnknown"): 1,
        ("host.get_hosts", "cancelled", "CancelledError"): 1,
    }
    for point in points(metric_reader, "operation.duration"):
        assert point.attributes["server.address"] == ADDRESS
        assert point.explicit_bounds[:2] == (0.005, 0.01)
        assert 0 < point.sum < 60 * point.count  # seconds
        assert point.explicit_bounds[-1] == 300


async def test_retries_are_part_of_one_duration(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim) as tower:
        sim.faults.fail("get-vms", status=503, times=2)
        await tower.vm.get_vms(first=1)
    [point] = points(metric_reader, "operation.duration")
    assert point.count == 1


async def test_no_id_becomes_an_attribute(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim) as tower:
        vm_id = min(sim.store.table("Vm"))
        for call in (tower.request(f"/things/{vm_id}"), tower.raw("GET", f"/things/{vm_id}")):
            with pytest.raises(NotFound):
                await call
        operations = {
            point.attributes["cloudtower.operation"]
            for point in points(metric_reader, "operation.duration")
        }
    assert operations == {OTHER}


async def test_errors_of_the_program_have_no_separate_name() -> None:
    class OwnError(Exception):
        pass

    assert outcome_of(OwnError()) == "failed"


async def test_requests_connections_and_queue_are_observed(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim, max_in_flight=1, max_connections=7) as tower:
        assert value(metric_reader, "active_requests") == 0
        assert values(metric_reader, "connection.count") == {"used": 0, "idle": 1}
        limit = value(metric_reader, "connection.max")
        assert limit is not None
        assert limit >= 7
        sim.faults.hang("get-vms")
        async with waiting(*[tower.vm.get_vms] * 3):
            assert value(metric_reader, "active_requests") == 1
            assert value(metric_reader, "queued_requests") == 2
            assert values(metric_reader, "connection.count") == {"used": 1, "idle": 0}
        assert value(metric_reader, "active_requests") == 0
        assert value(metric_reader, "queued_requests") == 0


async def test_the_retry_budget_is_observed(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim, retry=RetryPolicy(backoff=1e-6, budget=10)) as tower:
        assert value(metric_reader, "retry_budget") == 10
        sim.faults.fail("get-vms", status=503)
        await tower.vm.get_vms(first=1)
        assert value(metric_reader, "retry_budget") == 9
        await tower.vm.get_vms(first=1)
        assert value(metric_reader, "retry_budget") == 9.5


async def test_waits_for_locks_are_observed(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim, retry=RetryPolicy(backoff=3600.0)) as tower:

        async def lock() -> None:
            async with tower.lock("v1"):
                await anyio.sleep_forever()

        async with waiting(lock, lock, lock):
            assert value(metric_reader, "lock_waits") == 2
        assert value(metric_reader, "lock_waits") == 0
        sim.faults.answer("start-vm", LOCKED, status=400, times=None)
        start = partial(tower.vm.start_vm, where={"id": "v1"})
        async with anyio.create_task_group() as group:
            group.start_soon(start)
            while value(metric_reader, "lock_waits") == 0:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert value(metric_reader, "lock_waits") == 0
        with pytest.raises(ResourceLocked):
            await tower.with_options(lock_timeout=0).vm.start_vm(where={"id": "v1"})


async def test_logins_polls_and_lenient_decodes_are_counted(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim) as tower:
        assert value(metric_reader, "logins") == 1
        sim.accounts.revoke_tokens()
        vms = await tower.vm.get_vms(where={"status": "RUNNING"})
        assert value(metric_reader, "logins") == 2

        assert value(metric_reader, "polls") == 0
        await tower.wait(tower.vm.poweroff_vm(where={"id": vms[0].id}), interval=0.01)
        assert value(metric_reader, "polls") == len(sim.sent("get-tasks")) > 0

        assert value(metric_reader, "lenient_decodes") == 0
        sim.faults.answer("get-hosts", b'[{"id": "h1", "name": 7}]', times=1)
        await tower.host.get_hosts()
        assert value(metric_reader, "lenient_decodes") == 1


async def test_sessions_of_one_server_are_summed_and_closing_removes_them(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim) as first:
        async with session(sim) as second:
            await second.vm.get_vms(first=1)
            assert value(metric_reader, "logins") == 2
            assert values(metric_reader, "connection.count") == {"used": 0, "idle": 2}
        assert values(metric_reader, "connection.count") == {"used": 0, "idle": 1}
        assert value(metric_reader, "logins") == 2  # a counter never goes down
        await first.vm.get_vms(first=1)
    for name in ("logins", "polls", "active_requests", "connection.max", "retry_budget"):
        assert values(metric_reader, name) == {}


async def test_a_session_that_is_not_closed_is_forgotten_with_it(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    tower = session(sim)
    assert value(metric_reader, "logins") == 0
    del tower
    gc.collect()
    assert value(metric_reader, "logins") is None


async def test_options_over_the_same_connections_are_no_separate_session(
    sim: Simulator, metric_reader: InMemoryMetricReader
) -> None:
    async with session(sim) as tower:
        other = tower.with_options(timeout=5.0)
        await other.vm.get_vms(first=1)
        assert value(metric_reader, "logins") == 1
        await other.close()
        assert value(metric_reader, "logins") == 1


@pytest.mark.usefixtures("metric_reader")
async def test_the_instruments_are_made_once_for_each_provider() -> None:
    assert durations() is not None
    assert durations() is durations()


@pytest.mark.subprocess
@pytest.mark.parametrize(
    "before", ["", "import opentelemetry.metrics"], ids=["not imported", "without a provider"]
)
def test_where_metrics_are_not_set_up_there_are_none(before: str) -> None:
    code = (
        f"{before}\nimport sys\nfrom cloudtower_async import Cloudtower\n"
        "from cloudtower_async.transport import metrics\n"
        "print(metrics.durations(), 'opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == ["None", str(bool(before))]
