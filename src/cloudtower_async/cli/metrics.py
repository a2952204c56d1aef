"""The command ``metrics``: curves on a terminal, rows for other programs."""

from __future__ import annotations

import warnings
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import anyio
import anyio.to_thread
from cyclopts import Parameter
from rich.console import Console

from ..errors import CloudtowerError
from ..metrics.results import MetricRow, MetricsWarning
from .columns import Columns
from .connect import ConnectOptions, connect
from .exit_codes import UsageError, warn
from .outputs import RAW_CSV_ONLY, Format, RawCsv, pages_of, put, show_any_text
from .plots import plot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ..client import Cloudtower
    from ..metrics.results import Measurements
    from .outputs import Pages

Kind: TypeAlias = Literal[
    "vm", "vm-network", "vm-volume", "host", "host-network", "disk", "cluster"
]

_KINDS: dict[Kind, tuple[str, str, str]] = {
    "vm": ("get_vm_metrics", "vms", "vm.get_vms"),
    "vm-network": ("get_vm_net_work_metrics", "vms", "vm.get_vms"),
    "vm-volume": ("get_vm_volume_metrics", "vm_volumes", "vm_volume.get_vm_volumes"),
    "host": ("get_host_metrics", "hosts", "host.get_hosts"),
    "host-network": ("get_host_network_metrics", "hosts", "host.get_hosts"),
    "disk": ("get_disk_metrics", "disks", "disk.get_disks"),
    "cluster": ("get_cluster_metrics", "clusters", "cluster.get_clusters"),
}
"""The method, its filter, and what looks up a name."""

_COLUMNS = ["time", "metric", "unit", "subject_id", "subject_name", "labels", "value"]


def metrics(
    kind: Kind,
    /,
    *names: str,
    metric: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    range_: Annotated[str, Parameter(name="--range")] = "24h",
    raw_csv: RawCsv = False,
    output: Annotated[Literal["plot"] | Format | None, Parameter(name=("--output", "-o"))] = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show metrics of VMs, hosts, disks, … as curves, or as rows for other programs.

    What comes back empty or cut short is told on the standard error. When nothing comes back at
    all, the exit status is 1.

    Args:
        kind: What is measured.
        names: Names or ids of one or more of these.
        metric: Name of a metric, such as elf_vm_cpu_overall_usage_percent; repeat it for more.
        range_: How far back from now: a number and s, m, h, d or w.
        raw_csv: Leave texts alone that a spreadsheet runs as formulas, as for get.
        output: plot draws a picture for each metric; the others have a row for each value.
            Without it: plot on a terminal, csv elsewhere.
        connection: How to reach the server.
    """
    if not names:
        raise UsageError(f"metrics {kind}: pass the name of what to measure, or its id")
    if not metric:
        raise UsageError(
            "metrics: pass the name of a metric, such as --metric elf_vm_cpu_overall_usage_percent"
        )
    if raw_csv and output == "plot":
        raise UsageError(RAW_CSV_ONLY)
    if raw_csv and output is None:
        output = "csv"
    pages = pages_of("csv" if output is None or output == "plot" else output, raw_csv=raw_csv)
    tower = connect(connection or ConnectOptions(), all_languages=False)
    anyio.run(_metrics, tower, kind, names, metric, range_, output, pages)


async def _metrics(
    tower: Cloudtower,
    kind: Kind,
    names: Sequence[str],
    metrics: list[str],
    span: str,
    output: Literal["plot"] | Format | None,
    pages: Pages,
) -> None:
    method, argument, lookup = _KINDS[kind]
    namespace, _, query = lookup.partition(".")
    look_up = getattr(getattr(tower, namespace), query)
    async with tower:
        ids = [(await tower.resolve(look_up, name)).id for name in names]
        wanted: dict[str, Any] = {argument: {"id_in": ids}, "metrics": metrics, "range": span}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MetricsWarning)  # told below
            measured = await tower.measure(getattr(tower.metrics, method), **wanted)
    told = [str(warning) for warning in measured.warnings]
    if not any(one.times for one in measured.series):
        raise CloudtowerError("; ".join(told) or "nothing was measured")
    for line in told:
        warn(line)
    console = Console(highlight=False)
    watched = console.is_terminal and not console.is_dumb_terminal
    if output == "plot" or (output is None and watched):
        await anyio.to_thread.run_sync(_draw, measured, console)
        return
    rows, columns = _rows(measured), Columns(MetricRow, _COLUMNS)
    async with aclosing(rows), aclosing(pages(rows, columns, False)) as chunks:
        await put(chunks)


def _draw(measured: Measurements, console: Console) -> None:
    show_any_text()
    for name in dict.fromkeys(one.metric for one in measured.series):
        series = [one for one in measured.series if one.metric == name and one.times]
        if series:
            colour = console.is_terminal and console.color_system is not None
            print(plot(series, console.width, colour=colour), end="", flush=True)


async def _rows(measured: Measurements) -> AsyncGenerator[MetricRow]:
    for row in await anyio.to_thread.run_sync(measured.to_rows):
        yield row
