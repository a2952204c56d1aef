"""The commands ``report …``: unused resources, NIC errors, storage forecasts and expirations."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from cyclopts import App, Parameter, validators

from ..metrics.results import MetricsWarning, RankedMetric
from ..recipes import (
    CapacityForecast,
    Expiration,
    NicErrors,
    Orphan,
    find_expirations,
    find_orphans,
    forecast_capacity,
    measure_nic_errors,
)
from ..types import EVERYTHING
from .cluster_option import cluster_ids
from .connect import ConnectOptions, connect
from .listing import check_output, print_resources
from .messages import warn
from .output_options import OutputOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import msgspec

    from ..client import Cloudtower

ClusterNames = Annotated[
    list[str] | None, Parameter("--cluster", negative="", consume_multiple=False)
]
Range = Annotated[str, Parameter(name="--range")]

report: App = App(
    name="report",
    help="Report unused resources, NIC errors, storage forecasts and expiration dates.",
)


@report.command
def orphans(
    *,
    clusters: ClusterNames = None,
    min_age: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 1.0,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """List snapshots, volumes and templates that nothing uses.

    The command deletes nothing. Review the list before you delete resources, because an unused
    volume may be kept on purpose.

    Args:
        clusters: Name or id of a cluster to search. Repeat the option for several clusters.
            [default: all clusters and the content library]
        min_age: Leave out resources that were created within this number of hours.
        output: Output options.
        connection: Connection options.
    """
    _run(
        lambda tower, where: find_orphans(tower, where, min_age=min_age * 3600),
        Orphan,
        clusters,
        output,
        connection,
    )


@report.command
def top(
    metric: str,
    /,
    *,
    n: Annotated[int, Parameter(name=("--number", "-n"), validator=validators.Number(gte=1))] = 10,
    lowest: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    clusters: ClusterNames = None,
    range_: Range = "1h",
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Rank the resources with the highest values of a metric.

    Args:
        metric: Name of the metric, such as elf_vm_cpu_overall_usage_percent.
        n: Maximum number of resources.
        lowest: Rank the resources with the lowest values.
        clusters: Name or id of a cluster to search. Repeat the option for several clusters.
            [default: all clusters]
        range_: Time range up to now: a number with the unit s, m, h, d or w, such as 24h.
        output: Output options.
        connection: Connection options.
    """
    _run(
        lambda tower, where: tower.top_n(metric, n, clusters=where, range=range_, lowest=lowest),
        RankedMetric,
        clusters,
        output,
        connection,
    )


@report.command
def nic_errors(
    *,
    everything: Annotated[bool, Parameter("--all", negative="", show_default=False)] = False,
    clusters: ClusterNames = None,
    range_: Range = "24h",
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show how much the error counters of the hosts' NICs have increased in a time range.

    Args:
        everything: Also show NICs without new errors.
        clusters: Name or id of a cluster whose hosts are checked. Repeat the option for several
            clusters. [default: all clusters]
        range_: Time range up to now: a number with the unit s, m, h, d or w, such as 24h.
        output: Output options.
        connection: Connection options.
    """

    async def read(tower: Cloudtower, where: Any) -> list[NicErrors]:  # noqa: ANN401 - a filter
        found = await measure_nic_errors(tower, where, range=range_)
        return [row for row in found if everything or row.total != 0]

    _run(read, NicErrors, clusters, output, connection)


@report.command
def capacity(
    *,
    clusters: ClusterNames = None,
    range_: Range = "7d",
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Forecast the number of days until the storage of each cluster is full.

    Args:
        clusters: Name or id of a cluster. Repeat the option for several clusters. [default: all
            clusters]
        range_: Time range of past measurements to use for the forecast: a number with the unit s,
            m, h, d or w, such as 7d.
        output: Output options.
        connection: Connection options.
    """
    _run(
        lambda tower, where: forecast_capacity(tower, where, range=range_),
        CapacityForecast,
        clusters,
        output,
        connection,
    )


@report.command
def expiry(
    *,
    within: Annotated[float | None, Parameter(validator=validators.Number(gte=0))] = None,
    output: OutputOptions | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """List licenses, support periods and certificates with their expiration dates.

    Args:
        within: Show only items that expire within this number of days or have expired. [default:
            all items with an expiration date]
        output: Output options.
        connection: Connection options.
    """
    _run(
        lambda tower, _: find_expirations(tower, within=within),
        Expiration,
        None,
        output,
        connection,
    )


def _run(
    read: Callable[[Cloudtower, Any], Awaitable[Sequence[msgspec.Struct]]],
    kind: type[msgspec.Struct],
    clusters: list[str] | None,
    output: OutputOptions | None,
    connection: ConnectOptions | None,
) -> None:
    """Call `read` with a session and a filter of clusters, and print the rows.

    `kind` is the struct of the rows. If `clusters` is None, the report covers all clusters.
    """
    output = output or OutputOptions()
    check_output(kind, output)
    tower = connect(connection or ConnectOptions(), all_languages=False)
    anyio.run(_report, tower, read, kind, clusters, output)


async def _report(
    tower: Cloudtower,
    read: Callable[[Cloudtower, Any], Awaitable[Sequence[msgspec.Struct]]],
    kind: type[msgspec.Struct],
    clusters: list[str] | None,
    output: OutputOptions,
) -> None:
    async with tower:
        where = {"id_in": await cluster_ids(tower, clusters)} if clusters else EVERYTHING
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MetricsWarning)
            rows = await read(tower, where)
    for one in caught:
        warn(str(one.message))
    await print_resources(rows, kind, output)
