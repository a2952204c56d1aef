"""`python -m benchmarks.telemetry`: CPU time of a call with OpenTelemetry.

A call is measured first with only a meter provider, then also with a tracer provider. Both are
compared with the same call without OpenTelemetry. Most of the cost of traces is the cost of
OpenTelemetry's SDK. The call with traces is therefore also compared with a call for which the
program itself creates a span and records a duration. A batch processor sends the traces to an
exporter that drops them. A reader keeps the metrics in memory.

The CPU time of this process is measured in short turns of each kind. In a turn without
OpenTelemetry, its modules are hidden, as in a program that has not imported them.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from .apart import replay
from .figures import Figure, print_as_lines, spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from types import ModuleType

    from opentelemetry.sdk.trace import ReadableSpan

    from .apart import Address

    Call = Callable[[], Awaitable[object]]
    Watched = Callable[[Call], Awaitable[None]]

CALLS = {1: 200, 50: 50}
"""Number of calls in a turn, by the number of VMs in an answer."""
ROUNDS, WARM_UP = 60, 3
GOAL = 1.08


def set_up_metrics() -> None:
    """Set a global meter provider, as an application does."""
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))


def set_up_traces() -> Watched:
    """Set a global tracer provider, and return a function that instruments calls by hand."""
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )
    from opentelemetry.trace import SpanKind

    class Dropping(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    traces = TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(Dropping()))
    trace.set_tracer_provider(traces)
    tracer = trace.get_tracer("benchmark")
    durations = metrics.get_meter("benchmark").create_histogram("duration", unit="s")

    async def by_hand(call: Call) -> None:
        attributes = {"operation": "vm.get_vms", "outcome": "success", "server": "127.0.0.1"}
        started = time.perf_counter()
        with tracer.start_as_current_span(
            "vm.get_vms", kind=SpanKind.CLIENT, attributes={"operation": "vm.get_vms"}
        ):
            await call()
        durations.record(time.perf_counter() - started, attributes)

    return by_hand


def switch(modules: dict[str, ModuleType], *, on: bool) -> None:
    """Show or hide the modules of OpenTelemetry in `sys.modules`."""
    for name, module in modules.items():
        if on:
            sys.modules[name] = module
        else:
            sys.modules.pop(name, None)


async def cpu(call: Call, calls: int) -> float:
    """Return the CPU time in microseconds per call. The calls are made one after the other."""
    start = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - start) / calls * 1e6


async def compare(kinds: dict[str, Call], calls: int, what: str) -> Iterator[Figure]:
    """Measure kinds of turns in alternation.

    Return figures that compare the first kind with each other kind.
    """
    names = ("opentelemetry", "opentelemetry.trace", "opentelemetry.metrics")
    modules = {name: sys.modules[name] for name in names}
    ours, *others = kinds
    spent: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(-WARM_UP, ROUNDS):
        for kind in kinds if number % 2 else reversed(kinds):
            switch(modules, on=kind == ours)
            gc.collect()
            found = await cpu(kinds[kind], calls)
            if number >= 0:
                spent[kind].append(found)
    switch(modules, on=True)
    return (
        Figure(
            what=f"CPU time per call with a {what}: {ours} / {other}",
            value=value,
            low=low,
            high=high,
            goal=GOAL,
            note=" / ".join(f"{spread(spent[kind])[0]:,.0f} µs" for kind in (ours, other)),
        )
        for other in others
        for value, low, high in [
            spread([one / base for one, base in zip(spent[ours], spent[other], strict=True)])
        ]
    )


async def measure(address: Address) -> list[Figure]:
    """Return the figures with metrics alone, and with metrics and traces."""
    from cloudtower_async import Cloudtower

    figures: list[Figure] = []
    async with Cloudtower(
        address.url, username=address.username, password=address.password
    ) as tower:
        set_up_metrics()
        for vms, calls in CALLS.items():
            plain = partial(tower.vm.get_vms, first=vms, order_by="id_ASC")
            kinds: dict[str, Call] = {"with OpenTelemetry metrics": plain, "without": plain}
            figures += await compare(kinds, calls, f"{vms}-VM response")
        by_hand = set_up_traces()
        for vms, calls in CALLS.items():
            plain = partial(tower.vm.get_vms, first=vms, order_by="id_ASC")
            kinds = {
                "with OpenTelemetry metrics and traces": plain,
                "without": plain,
                "with hand-written code for a span and a duration": partial(by_hand, plain),
            }
            figures += await compare(kinds, calls, f"{vms}-VM response")
    return figures


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with replay("2 clusters, 100 VMs") as address:
        print_as_lines(asyncio.run(measure(address)))


if __name__ == "__main__":
    main()
