"""The command ``dashboard``: once, or again and again."""

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
from rich.console import Console
from rich.live import Live

from ..errors import CallError
from ..recipes import build_dashboard
from .clusters import cluster_ids
from .connect import LOG_IN, ConnectOptions, connect
from .exit_codes import UsageError, one_line
from .outputs import json_text, show_any_text, write
from .render import picture
from .streams import tell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator

    from rich.console import RenderableType

    from ..client import Cloudtower
    from ..recipes import Dashboard
    from ..types import ContentLanguage


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was typed."""

    demo: bool
    watch: bool
    interval: float
    json: bool
    clusters: tuple[str, ...]
    language: ContentLanguage | None
    size: int | None
    seed: int | None


def dashboard(
    *,
    demo: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    watch: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    interval: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 5.0,
    output: Annotated[
        Literal["table", "json"], Parameter(name=("--format", "--output", "-o"))
    ] = "table",
    cluster: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    language: Literal["en-US", "zh-CN"] | None = None,
    size: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=50))] = None,
    seed: int | None = None,
    connection: ConnectOptions | None = None,
) -> None:
    """Show alerts, disks, CPU, memory and storage of the clusters.

    Args:
        demo: Show a simulated fleet; nothing else is needed.
        watch: Go on showing the present state, until Ctrl-C.
        interval: Seconds between two pictures of --watch.
        output: table: a picture. json: every figure; with --watch one line of it for each.
        cluster: Name or id of a cluster to show; repeat it for more. Without it: all.
        language: Language of the alerts' texts. [default: en-US]
        size: Number of clusters in the fleet of --demo. [default: 4]
        seed: The same seed makes the same fleet of --demo. [default: 1]
        connection: How to reach the server.
    """
    wanted = Wanted(
        demo=demo,
        watch=watch,
        interval=interval,
        json=output == "json",
        clusters=tuple(cluster or ()),
        language=language,
        size=size,
        seed=seed,
    )
    tower = _tower(wanted, connection or ConnectOptions())
    try:
        anyio.run(_show, wanted, tower)
    except KeyboardInterrupt:
        if not watch:
            raise


def _tower(wanted: Wanted, connection: ConnectOptions) -> Cloudtower | None:
    """The session; None: that of the demo is yet to be made."""
    if wanted.demo and connection != ConnectOptions():
        raise UsageError("--demo shows a simulated fleet: leave out the options of the connection")
    if not wanted.demo and (wanted.size, wanted.seed) != (None, None):
        option = "--seed" if wanted.size is None else "--size"
        raise UsageError(f"{option} is about the simulated fleet: it goes with --demo only")
    if wanted.demo:
        return None
    # Outside the event loop, as this may ask for the password.
    return connect(
        connection,
        language=wanted.language,
        all_languages=wanted.json,
        or_else=f"{LOG_IN}; --demo shows a simulated fleet",
    )


async def _show(wanted: Wanted, tower: Cloudtower | None) -> None:
    async with _source(wanted, tower) as (tower, stir):
        ids = await cluster_ids(tower, wanted.clusters) if wanted.clusters else None
        board = await build_dashboard(tower, ids)
        title = f"simulated fleet, seed {_seed(wanted)}" if wanted.demo else tower.endpoint
        with _outlet(wanted, title) as put:
            await _put(put, board, None)
            while wanted.watch:
                await anyio.sleep(wanted.interval)
                trouble: CallError | None = None
                try:
                    await stir()
                    board = await build_dashboard(tower, ids)
                except CallError as exc:
                    # A server that restarts must not end a picture that hangs on a wall.
                    trouble = exc
                await _put(put, board, trouble)


@asynccontextmanager
async def _source(
    wanted: Wanted, tower: Cloudtower | None
) -> AsyncGenerator[tuple[Cloudtower, Callable[[], Awaitable[None]]]]:
    """Open the session; with the demo also what makes its fleet move."""
    if tower is not None:
        async with tower:
            yield tower, anyio.lowlevel.checkpoint
        return
    from .demo import simulated

    clusters = 4 if wanted.size is None else wanted.size
    async with simulated(clusters=clusters, seed=_seed(wanted), language=wanted.language) as demo:
        yield demo.tower, demo.stir


def _seed(wanted: Wanted) -> int:
    return 1 if wanted.seed is None else wanted.seed


Put: TypeAlias = Callable[["Dashboard", "CallError | None"], None]


async def _put(put: Put, board: Dashboard, trouble: CallError | None) -> None:
    """Write in a thread: whoever reads may take their time."""
    await anyio.to_thread.run_sync(put, board, trouble, abandon_on_cancel=True)


@contextmanager
def _outlet(wanted: Wanted, title: str) -> Generator[Put]:
    """Where dashboards go: called with the latest one, and why there is no newer one."""
    if wanted.json:
        yield partial(_write_json, indent=-1 if wanted.watch else 2)
        return
    show_any_text()
    console = Console(highlight=False)
    if not wanted.watch or not console.is_terminal or console.is_dumb_terminal:
        yield partial(_print, console, title)
        return
    last: list[RenderableType] = []
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def put(board: Dashboard, trouble: CallError | None) -> None:
            last[:] = [picture(board, title)]
            live.update(picture(board, title, trouble=trouble, room=console.size), refresh=True)

        try:
            yield put
        finally:
            live.stop()
            # The screen of before is back: leave the last picture on it.
            console.print(*last)


def _print(console: Console, title: str, board: Dashboard, trouble: CallError | None) -> None:
    if trouble is None:
        console.print(picture(board, title))
    else:
        _complain(trouble)


def _write_json(board: Dashboard, trouble: CallError | None, *, indent: int) -> None:
    if trouble is not None:
        _complain(trouble)
        return
    write(msgspec.json.format(json_text(board), indent=indent) + b"\n")


def _complain(trouble: CallError) -> None:
    tell(f"cloudtower-async: {one_line(trouble)}")
