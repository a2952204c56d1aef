"""Types of metrics. Not run; see `calls.py`."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, assert_type

from cloudtower_async import EVERYTHING, Measurements, MetricRow, RankedMetric, Subject, models

if TYPE_CHECKING:
    from cloudtower_async import Cloudtower

CPU = "elf_vm_cpu_overall_usage_percent"


async def measured(tower: Cloudtower) -> None:
    """`measure` takes the arguments of the method, and its result is typed."""
    found = await tower.measure(
        tower.metrics.get_vm_metrics, vms={"name": "web"}, metrics=[CPU], range="24h"
    )
    assert_type(found, Measurements)
    assert_type(found.missing, tuple[Subject, ...])
    for row in found.to_rows():
        assert_type(row, MetricRow)
        assert_type(row.time, datetime)
        assert_type(row.unit, models.MetricUnit)
        assert_type(row.subject_name, str | None)
        assert_type(row.labels, Mapping[str, str])
        assert_type(row.value, float | None)
    await tower.measure(
        tower.metrics.get_host_servicek_metrics,
        20,
        2,
        hosts={"cluster": {"name": "prod"}},
        services=["zbs-chunkd"],
        metrics=["host_service_cpu_usage_percent"],
        range="1h",
        timeout=20.0,
    )


async def ranked(tower: Cloudtower) -> None:
    for one in await tower.top_n(CPU, 5, clusters=EVERYTHING, range="24h", lowest=True):
        assert_type(one, RankedMetric)
        assert_type(one.rank, int)
        assert_type(one.subject_name, str | None)
        assert_type(one.value, float)
    await tower.top_n(CPU, clusters={"nmae": "prod"})  # type: ignore[arg-type]
    await tower.top_n(CPU)  # type: ignore[call-arg]


async def mistakes(tower: Cloudtower) -> None:
    """Mistakes that both checkers report."""
    method = tower.metrics.get_vm_metrics
    await tower.measure(method, vms={"name": "web"}, metrics=[CPU])  # type: ignore[call-arg]
    await tower.measure(method, vms={"nmae": "web"}, metrics=[CPU], range="1h")  # type: ignore[typeddict-unknown-key]
    await tower.measure(method, vms={"name": "web"}, metrics=CPU, range="1h")  # type: ignore[arg-type]
    await tower.measure(tower.vm.get_vms, where={"name": "web"})  # type: ignore[arg-type]
