"""The command ``metrics``: plot metrics on a terminal, or print them as rows."""

from __future__ import annotations

import warnings
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, cast, get_args

import anyio
import anyio.to_thread
from cyclopts import Parameter
from rich.console import Console

from ..calls import registry
from ..errors import CloudtowerError
from ..metrics.results import MetricRow, MetricsWarning
from .columns import Columns
from .connect import ConnectOptions, connect
from .errors import UsageError
from .formats import RAW_CSV_ONLY, Format, RawCsv, formatter_for
from .language import tr
from .messages import warn
from .metrics_plot import plot
from .similar_names import did_you_mean
from .streams import print_error, replace_unencodable, write_chunks, write_output
from .tables import format_table

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ..client import Cloudtower
    from ..metrics.results import Measurements
    from .formats import Formatter

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
"""For each kind: method of `tower.metrics`, filter argument of the method, and query for names."""

_COLUMNS = ["time", "metric", "unit", "subject_id", "subject_name", "labels", "value"]


def metrics(
    kind: str | None = None,
    /,
    *names: str,
    list_: Annotated[bool, Parameter(name="--list", negative="", show_default=False)] = False,
    metric: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    range_: Annotated[str, Parameter(name="--range")] = "24h",
    raw_csv: RawCsv = False,
    output: Annotated[Literal["plot"] | Format | None, Parameter(name=("--output", "-o"))] = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show metrics of VMs, hosts, disks, … as a plot, or as rows for other programs.

    Warnings on standard error name metrics whose values are missing or truncated. If no metric has
    values, the exit status is 1.

    Args:
        kind: Kind of the resources: vm, vm-network, vm-volume, host, host-network, disk, cluster.
        names: Names or ids of the resources. With --list, parts of metric names.
        list_: List the known metric names that contain a text: metrics --list cpu, or metrics vm
            --list cpu. Needs no server.
        metric: Name of a metric, such as elf_vm_cpu_overall_usage_percent. Repeat the option for
            several metrics.
        range_: Time range up to now: a number with the unit s, m, h, d or w, such as 24h.
        raw_csv: Do not change texts that a spreadsheet would run as formulas, as in get --raw-csv.
        output: plot draws one plot for each metric. The other formats print a row for each value.
            [default: plot on a terminal, otherwise csv]
        connection: Connection options.
    """
    if list_:
        _list_metrics([name for name in (kind, *names) if name is not None])
        return
    if kind not in get_args(Kind):
        kinds = ", ".join(get_args(Kind))
        if kind is None:
            raise UsageError(tr("metrics: pass the kind of the resources: {kinds}", kinds=kinds))
        meant = did_you_mean(kind, get_args(Kind))
        raise UsageError(
            tr(
                "metrics: there is no kind {kind!r}; expected one of {kinds}{meant}",
                kind=kind,
                kinds=kinds,
                meant=meant,
            )
        )
    if not names:
        raise UsageError(tr("metrics {kind}: pass the names or ids of the resources", kind=kind))
    if not metric:
        raise UsageError(
            tr(
                "metrics: pass the name of a metric, such as --metric "
                "elf_vm_cpu_overall_usage_percent; `cloudtower-async metrics {kind} "
                "--list` lists them",
                kind=kind,
            )
        )
    if raw_csv and output == "plot":
        raise UsageError(RAW_CSV_ONLY)
    if raw_csv and output is None:
        output = "csv"
    pages = formatter_for("csv" if output is None or output == "plot" else output, raw_csv=raw_csv)
    tower = connect(connection or ConnectOptions(), all_languages=False)
    anyio.run(_metrics, tower, cast(Kind, kind), names, metric, range_, output, pages)


def _list_metrics(words: Sequence[str]) -> None:
    """Print the known metrics whose names contain all words.

    If the first word is a kind of resource, print only metrics of this kind.
    """
    named: list[Kind] = [kind for kind in _KINDS if kind in words[:1]]
    patterns = words[1:] if named else words
    rows = [
        [name, kind]
        for kind in named or _KINDS
        for name in known_metrics(kind)
        if all(fnmatchcase(name, f"*{pattern.lower()}*") for pattern in patterns)
    ]
    if not rows:
        raise UsageError(
            tr(
                "metrics --list: no known name contains {names}; a server may have others",
                names=tr(" and ").join(patterns),
            )
        )
    write_output(format_table(["metric", "kind"], rows))
    print_error(tr("These are the most common names. Servers have more."))


def known_metrics(kind: Kind) -> list[str]:
    """Return the metric names that this package knows. Servers have more metrics."""
    from ..simulator.server.metric_series import METRIC_GROUPS  # few commands need it

    path = registry.operation(f"metrics.{_KINDS[kind][0]}").path.lstrip("/")
    return sorted(METRIC_GROUPS[path].names)


def _warn_of_misspellings(kind: Kind, metrics: Sequence[str]) -> None:
    known = known_metrics(kind)
    for metric in metrics:
        meant = "" if metric in known else did_you_mean(metric, known)
        if meant:
            warn(
                tr(
                    "{metric} is not among the known metrics of {kind}{meant}",
                    metric=metric,
                    kind=kind,
                    meant=meant,
                )
            )


async def _metrics(
    tower: Cloudtower,
    kind: Kind,
    names: Sequence[str],
    metrics: list[str],
    span: str,
    output: Literal["plot"] | Format | None,
    pages: Formatter,
) -> None:
    method, argument, lookup = _KINDS[kind]
    namespace, _, query = lookup.partition(".")
    look_up = getattr(getattr(tower, namespace), query)
    async with tower:
        ids = [(await tower.resolve(look_up, name)).id for name in names]
        wanted: dict[str, Any] = {argument: {"id_in": ids}, "metrics": metrics, "range": span}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MetricsWarning)  # printed below
            measured = await tower.measure(getattr(tower.metrics, method), **wanted)
    texts = [str(warning) for warning in measured.warnings]
    empty = [one for one in measured.warnings if one.fault == "empty"]
    _warn_of_misspellings(kind, [name for one in empty for name in one.metrics])
    if not any(one.times for one in measured.series):
        raise CloudtowerError("; ".join(texts) or tr("nothing was measured"))
    for text in texts:
        warn(text)
    console = Console(highlight=False)
    interactive = console.is_terminal and not console.is_dumb_terminal
    if output == "plot" or (output is None and interactive):
        await anyio.to_thread.run_sync(_draw, measured, console)
        return
    rows, columns = _rows(measured), Columns(MetricRow, _COLUMNS)
    async with aclosing(rows), aclosing(pages(rows, columns, False)) as chunks:
        await write_chunks(chunks)


def _draw(measured: Measurements, console: Console) -> None:
    replace_unencodable()
    for name in dict.fromkeys(one.metric for one in measured.series):
        series = [one for one in measured.series if one.metric == name and one.times]
        if series:
            color = console.is_terminal and console.color_system is not None
            print(plot(series, console.width, color=color), end="", flush=True)


async def _rows(measured: Measurements) -> AsyncGenerator[MetricRow]:
    for row in await anyio.to_thread.run_sync(measured.to_rows):
        yield row
