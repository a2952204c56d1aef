"""Spans for OpenTelemetry's exporters."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from cloudtower_async import (
    Cloudtower,
    InvalidInput,
    OperationCall,
    Proceed,
    RetryPolicy,
    ServerError,
    TaskTimeout,
)
from cloudtower_async.testing import Simulator
from cloudtower_async.transport import tracing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = pytest.mark.anyio

AT_ONCE = RetryPolicy(backoff=1e-6)


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator(vms=3, seed=1) as simulator:
        yield simulator


def session(sim: Simulator, **options: Any) -> Cloudtower:  # noqa: ANN401 - those of a session
    return Cloudtower(
        sim.url, username=sim.username, password=sim.password, retry=AT_ONCE, **options
    )


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def test_a_call_is_a_span_and_its_requests_are_below_it(
    sim: Simulator, exporter: InMemorySpanExporter
) -> None:
    async with session(sim, trace_configs=[create_trace_config()]) as tower:
        exporter.clear()
        sim.faults.fail("get-vms", status=503)
        await tower.vm.get_vms(first=1)
    first, second, call = exporter.get_finished_spans()
    assert call.name == "vm.get_vms"
    assert call.kind is SpanKind.CLIENT
    assert call.status.status_code is StatusCode.UNSET
    told = attributes(call)
    assert told.pop("cloudtower.request_id")
    assert told == {
        "cloudtower.operation": "vm.get_vms",
        "cloudtower.attempts": 2,
        "server.address": "127.0.0.1",
        "server.port": int(sim.url.rpartition(":")[2]),
        "http.response.status_code": 200,
    }
    assert call.context is not None
    for request in (first, second):
        assert request.parent is not None
        assert request.parent.span_id == call.context.span_id


async def test_middleware_runs_in_the_span_of_its_call(
    sim: Simulator, exporter: InMemorySpanExporter
) -> None:
    async def cached(call: OperationCall, proceed: Proceed) -> object:
        get_current_span().set_attribute("cached", call.operation == "vm.get_vms")
        return [] if call.operation == "vm.get_vms" else await proceed(call)

    async with session(sim, middleware=[cached]) as tower:
        exporter.clear()
        assert await tower.vm.get_vms() == []
        await tower.host.get_hosts(first=1)
    answered, sent = map(attributes, exporter.get_finished_spans())
    assert answered == {
        "cloudtower.operation": "vm.get_vms",
        "cloudtower.attempts": 0,
        "cached": True,
    }
    assert (sent["cloudtower.attempts"], sent["cached"]) == (1, False)


async def test_a_login_is_below_the_call_that_needed_it_and_no_attempt_of_it(
    sim: Simulator, exporter: InMemorySpanExporter
) -> None:
    tower = session(sim)
    await tower.vm.get_vms(first=1)
    await tower.close()
    (call,) = exporter.get_finished_spans()
    assert attributes(call)["cloudtower.attempts"] == 1


async def test_a_failure_is_recorded(sim: Simulator, exporter: InMemorySpanExporter) -> None:
    async with session(sim) as tower:
        sim.faults.fail("get-vms", status=500)
        with pytest.raises(ServerError):
            await tower.vm.get_vms(first=1)
        with pytest.raises(InvalidInput):
            await tower.vm.get_vms(first=cast("int", "one"))
    failed, refused = exporter.get_finished_spans()
    assert attributes(failed)["error.type"] == "ServerError"
    assert attributes(failed)["http.response.status_code"] == 500
    assert failed.status.status_code is StatusCode.ERROR
    assert [event.name for event in failed.events] == ["exception"]
    assert attributes(refused)["cloudtower.attempts"] == 0
    assert "server.address" not in attributes(refused)


@pytest.mark.parametrize("name", ["wait", "settle", "wait_until"])
async def test_a_wait_is_a_span_and_its_requests_are_below_it(
    sim: Simulator, exporter: InMemorySpanExporter, name: str
) -> None:
    async with session(sim) as tower:
        [vm] = await tower.vm.get_vms(where={"status": "RUNNING"}, first=1)
        exporter.clear()
        if name == "wait_until":
            await tower.wait_until(tower.vm.get_vms, lambda vm: vm.name, where={"id": vm.id})
        else:
            stop = tower.vm.poweroff_vm(where={"id": vm.id})
            await (tower.wait if name == "wait" else tower.settle)(stop, interval=0.01)
    *requests, wait = exporter.get_finished_spans()
    assert wait.name == name
    assert wait.kind is SpanKind.INTERNAL
    assert wait.context is not None
    names = [request.name for request in requests]
    assert (
        set(names)
        == {
            "wait": {"vm.poweroff_vm", "task.get_tasks"},
            "settle": {"vm.poweroff_vm", "task.get_tasks", "vm.get_vms"},
            "wait_until": {"vm.get_vms"},
        }[name]
    )
    for request in requests:
        assert request.parent is not None
        assert request.parent.span_id == wait.context.span_id


async def test_a_failed_wait_is_recorded(sim: Simulator, exporter: InMemorySpanExporter) -> None:
    async with session(sim) as tower:
        with pytest.raises(TaskTimeout):
            await tower.wait("never", timeout=0.05, interval=0.01)
    wait = exporter.get_finished_spans()[-1]
    assert (wait.name, attributes(wait)) == ("wait", {"error.type": "TaskTimeout"})
    assert wait.status.status_code is StatusCode.ERROR


async def test_waits_that_share_polls_link_to_the_one_that_leads(
    sim: Simulator, exporter: InMemorySpanExporter
) -> None:
    async with session(sim) as tower:
        vms = await tower.vm.get_vms(where={"status": "RUNNING"})
        started = await tower.vm.poweroff_vm(where={"id": vms[0].id})
        exporter.clear()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(partial(tower.wait, started, interval=0.01))
    spans = exporter.get_finished_spans()
    [leader, *others] = sorted(
        (span for span in spans if span.name == "wait"), key=lambda span: len(span.links)
    )
    assert leader.context is not None
    assert not leader.links
    assert len(others) == 2
    for other in others:
        assert [link.context.span_id for link in other.links] == [leader.context.span_id]
    polls = [span for span in spans if span.name == "task.get_tasks"]
    assert polls
    assert {span.parent.span_id for span in polls if span.parent} == {leader.context.span_id}


@pytest.mark.usefixtures("exporter")
def test_the_tracer_is_made_once_for_each_provider() -> None:
    assert tracing.tracer() is not None
    assert tracing.tracer() is tracing.tracer()


@pytest.mark.subprocess
@pytest.mark.parametrize(
    "before", ["", "import opentelemetry.trace"], ids=["not imported", "without a provider"]
)
def test_where_nobody_uses_it_there_is_no_tracer(before: str) -> None:
    code = (
        f"{before}\nimport sys\nfrom cloudtower_async import Cloudtower\n"
        "from cloudtower_async.transport import tracing\n"
        "print(tracing.tracer(), 'opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == ["None", str(bool(before))]
