"""The command ``top``: rank VMs or hosts by CPU, memory or disk operations."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import anyio
import anyio.to_thread
from cyclopts import Parameter, validators
from rich.console import Group
from rich.text import Text

from ..metrics.results import MetricsWarning
from ..types import EVERYTHING
from .cluster_option import cluster_ids
from .connect import ConnectOptions, connect
from .errors import UsageError
from .formats import json_text
from .language import tr
from .live_screen import LiveScreen, ScreenPage
from .messages import warn
from .output_options import Interval, seconds_between
from .streams import replace_unencodable, write_output
from .tables import Fit, format_table, lay_out, line_text, table_texts
from .terminal import make_console

if TYPE_CHECKING:
    from ..client import Cloudtower
    from ..metrics.results import RankedMetric
    from .live_screen import Draw

Kind: TypeAlias = Literal["vms", "hosts"]
By: TypeAlias = Literal["cpu", "memory", "iops"]

_METRICS: dict[tuple[Kind, By], str] = {
    ("vms", "cpu"): "elf_vm_cpu_overall_usage_percent",
    ("vms", "memory"): "elf_vm_memory_usage_percent",
    ("vms", "iops"): "elf_vm_disk_overall_readwrite_iops",
    ("hosts", "cpu"): "host_cpu_overall_usage_percent",
    ("hosts", "memory"): "host_memory_usage_percent",
    ("hosts", "iops"): "host_disk_overall_readwrite_iops",
}
_FITS = [Fit(right=True), Fit(kept=True), Fit(kept=True, right=True), Fit()]
_BAR = 20  # characters


def top(
    kind: Kind,
    /,
    *,
    by: By = "cpu",
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 20,
    cluster: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    range_: Annotated[str, Parameter(name="--range")] = "5m",
    interval: Interval = None,
    output: Annotated[Literal["table", "json"], Parameter(name=("--output", "-o"))] = "table",
    connection: ConnectOptions | None = None,
) -> None:
    """Rank VMs or hosts by CPU, memory or disk operations.

    On a terminal, the ranking is refreshed until you press q or Ctrl-C. In a pipe, and with
    --output json, the ranking is printed once.

    Args:
        kind: Kind of resources to rank.
        by: What to rank by: CPU usage, memory usage, or disk operations per second.
        limit: Maximum number of VMs or hosts to show.
        cluster: Name or id of a cluster to search. Repeat the option for several clusters.
            [default: all clusters]
        range_: Time range up to now for the averages: a number with the unit s, m, h, d or w, such
            as 5m.
        interval: Seconds between two refreshes on a terminal. [default: 5]
        output: Output format: a table, or the ranking as JSON.
        connection: Connection options.
    """
    if output == "json" and interval is not None:
        raise UsageError(tr("JSON is written once: leave out --interval"))
    tower = connect(connection or ConnectOptions(), all_languages=False)
    seconds = seconds_between(interval, watch=True)
    rank = partial(tower.top_n, _METRICS[kind, by], limit, range=range_)
    try:
        anyio.run(
            _top,
            tower,
            rank,
            by,
            tuple(cluster or ()),
            seconds,
            output,
        )
    except KeyboardInterrupt:
        if output == "json" or not make_console().is_terminal:
            raise


async def _top(
    tower: Cloudtower,
    rank: Any,  # noqa: ANN401 - `Cloudtower.top_n` with some arguments
    by: By,
    names: tuple[str, ...],
    interval: float,
    output: Literal["table", "json"],
) -> None:
    async with tower:
        chosen = {"id_in": await cluster_ids(tower, names)} if names else EVERYTHING
        console = make_console()
        live = output == "table" and console.is_terminal and not console.is_dumb_terminal

        async def ranked() -> list[RankedMetric]:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", MetricsWarning)
                found: list[RankedMetric] = await rank(clusters=chosen)
            if not live:
                for one in caught:
                    warn(str(one.message))
            return found

        async def refresh() -> Draw:
            return partial(_page, await ranked(), by)

        if live:
            replace_unencodable()
            await LiveScreen(console, interval).show(await refresh(), refresh)
            return
        ranking = await ranked()
        if output == "json":
            text = json_text(ranking) + b"\n"
        else:
            text = format_table(*_table(ranking, by), _FITS, room="fit")
        await anyio.to_thread.run_sync(write_output, text)


def _table(ranking: list[RankedMetric], by: By) -> tuple[list[str], list[list[str]]]:
    highest = max((one.value for one in ranking), default=0.0)
    full = highest if by == "iops" else 100.0
    unit = "" if by == "iops" else "%"
    rows = [
        [
            str(one.rank),
            one.subject_name or one.subject_id or tr("unknown"),
            f"{one.value:.1f}{unit}",
            "#" * round(_BAR * min(one.value / full, 1.0)) if full > 0 else "",
        ]
        for one in ranking
    ]
    return ["rank", "name", by, ""], rows


def _page(ranking: list[RankedMetric], by: By, _height: int | None) -> ScreenPage:
    head, *lines = lay_out(*table_texts(*_table(ranking, by)), _FITS, make_console().width)
    empty = [Text(tr("Nothing was measured."), style="dim")]
    return ScreenPage(Group(*(map(line_text, lines) if lines else empty)), [line_text(head)])
