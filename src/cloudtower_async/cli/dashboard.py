"""The command ``dashboard``: show the dashboard once, or keep refreshing it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec
from cyclopts import Parameter, validators
from rich.console import ConsoleDimensions

from ..errors import CallError
from ..recipes import build_dashboard
from .cluster_option import cluster_ids
from .connect import LOG_IN, ConnectOptions, connect
from .dashboard_picture import picture
from .errors import UsageError
from .formats import json_text
from .language import content_language, tr
from .live_screen import LiveScreen, ScreenPage
from .messages import error_line
from .output_options import Interval, seconds_between
from .streams import print_error, replace_unencodable, write_output
from .terminal import make_console

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator

    from rich.console import Console

    from ..client import Cloudtower
    from ..recipes import Dashboard
    from .live_screen import Draw


@dataclass(frozen=True, kw_only=True)
class DashboardOptions:
    """Options of the command ``dashboard``."""

    demo: bool
    watch: bool
    interval: float
    json: bool
    clusters: tuple[str, ...]
    size: int | None
    seed: int | None


def dashboard(
    *,
    demo: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    watch: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    interval: Interval = None,
    output: Annotated[
        Literal["table", "json"], Parameter(name=("--format", "--output", "-o"))
    ] = "table",
    cluster: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    size: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=50))] = None,
    seed: int | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show alerts, disks, CPU, memory and storage of the clusters.

    Args:
        demo: Show a simulated fleet. No server is needed.
        watch: Keep refreshing until you press q or Ctrl-C. Arrow keys, PgUp and PgDn scroll.
        interval: Seconds between two refreshes with --watch. [default: 5]
        output: Output format. table draws a picture. json prints all figures. With --watch, json
            prints one line for each refresh.
        cluster: Name or id of a cluster to show. Repeat the option for several clusters. [default:
            all clusters]
        size: Number of clusters in the fleet of --demo. [default: 4]
        seed: Seed of the fleet of --demo. The same seed creates the same fleet. [default: 1]
        connection: Connection options.
    """
    wanted = DashboardOptions(
        demo=demo,
        watch=watch,
        interval=seconds_between(interval, watch=watch),
        json=output == "json",
        clusters=tuple(cluster or ()),
        size=size,
        seed=seed,
    )
    tower = _tower(wanted, connection or ConnectOptions())
    try:
        anyio.run(_dashboard, wanted, tower)
    except KeyboardInterrupt:
        if not watch:
            raise


def _tower(wanted: DashboardOptions, connection: ConnectOptions) -> Cloudtower | None:
    """Return a session that is not open yet, or None for --demo."""
    if wanted.demo and connection != ConnectOptions():
        raise UsageError(tr("--demo shows a simulated fleet: leave out the connection options"))
    if not wanted.demo and (wanted.size, wanted.seed) != (None, None):
        option = "--seed" if wanted.size is None else "--size"
        raise UsageError(
            tr("{option} is for the simulated fleet: pass --demo as well", option=option)
        )
    if wanted.demo:
        return None
    return connect(
        connection,
        all_languages=wanted.json,
        or_else=f"{LOG_IN}; --demo shows a simulated fleet",
    )


async def _dashboard(wanted: DashboardOptions, tower: Cloudtower | None) -> None:
    async with _session(wanted, tower) as (tower, change):
        ids = await cluster_ids(tower, wanted.clusters) if wanted.clusters else None
        board = await build_dashboard(tower, ids)
        title = (
            tr("simulated fleet, seed {seed}", seed=_seed(wanted))
            if wanted.demo
            else tower.endpoint
        )
        console = make_console()
        if (
            wanted.watch
            and not wanted.json
            and console.is_terminal
            and not console.is_dumb_terminal
        ):

            async def refresh() -> Draw:
                await change()
                return partial(_page, await build_dashboard(tower, ids), title, console.width)

            replace_unencodable()
            first = partial(_page, board, title, console.width)
            await LiveScreen(console, wanted.interval).show(first, refresh)
            return
        with _display(wanted, title) as show:
            await _show_in_thread(show, board, None)
            while wanted.watch:
                await anyio.sleep(wanted.interval)
                error: CallError | None = None
                try:
                    await change()
                    board = await build_dashboard(tower, ids)
                except CallError as exc:
                    # Show the error and continue, because a dashboard must survive a restart of the
                    # server.
                    error = exc
                await _show_in_thread(show, board, error)


@asynccontextmanager
async def _session(
    wanted: DashboardOptions, tower: Cloudtower | None
) -> AsyncGenerator[tuple[Cloudtower, Callable[[], Awaitable[None]]]]:
    """Open the session, and yield the session and a function.

    With --demo, the function changes the simulated fleet. Without --demo, it does nothing.
    """
    if tower is not None:
        async with tower:
            yield tower, anyio.lowlevel.checkpoint
        return
    from .demo import simulated

    clusters = 4 if wanted.size is None else wanted.size
    async with simulated(
        clusters=clusters, seed=_seed(wanted), language=content_language()
    ) as demo:
        yield demo.tower, demo.change


def _seed(wanted: DashboardOptions) -> int:
    return 1 if wanted.seed is None else wanted.seed


Show: TypeAlias = Callable[["Dashboard", "CallError | None"], None]


async def _show_in_thread(show: Show, board: Dashboard, error: CallError | None) -> None:
    """Call `show` in a thread, so that a slow terminal or pipe does not block the event loop."""
    await anyio.to_thread.run_sync(show, board, error, abandon_on_cancel=True)


@contextmanager
def _display(wanted: DashboardOptions, title: str) -> Generator[Show]:
    """Yield a function that prints a dashboard, or the error if a refresh failed."""
    if wanted.json:
        yield partial(_write_json, indent=-1 if wanted.watch else 2)
        return
    replace_unencodable()
    yield partial(_print, make_console(), title)


def _page(board: Dashboard, title: str, width: int, height: int | None) -> ScreenPage:
    room = None if height is None else ConsoleDimensions(width, height)
    return ScreenPage(picture(board, title, room=room))


def _print(console: Console, title: str, board: Dashboard, error: CallError | None) -> None:
    if error is None:
        console.print(picture(board, title))
    else:
        _report(error)


def _write_json(board: Dashboard, error: CallError | None, *, indent: int) -> None:
    if error is not None:
        _report(error)
        return
    write_output(msgspec.json.format(json_text(board), indent=indent) + b"\n")


def _report(error: CallError) -> None:
    print_error(f"cloudtower-async: {error_line(error)}")
