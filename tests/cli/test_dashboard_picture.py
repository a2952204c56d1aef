"""The text of the dashboard: its contents and its width."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console, ConsoleDimensions

from cloudtower_async import Cloudtower, ServerError, models
from cloudtower_async.cli.dashboard_picture import Meter, picture
from cloudtower_async.cli.demo import simulated
from cloudtower_async.recipes import build_dashboard
from cloudtower_async.recipes.dashboard import summarise
from cloudtower_async.testing import Simulator

if TYPE_CHECKING:
    from cloudtower_async.recipes import Dashboard

pytestmark = pytest.mark.anyio


def drawn(board: Dashboard, width: int = 100, *, colours: bool = False, **options: Any) -> str:  # noqa: ANN401
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        highlight=False,
        force_terminal=colours,
        color_system="standard" if colours else None,
    )
    console.print(picture(board, "the tower", **options))
    return file.getvalue()


async def fleet(clusters: int = 4) -> Dashboard:
    async with (
        Simulator(clusters=clusters, vms=clusters * 8) as sim,
        Cloudtower(sim.url, username=sim.username, password=sim.password) as tower,
    ):
        return await build_dashboard(tower)


def alert(**values: object) -> models.Alert:
    required = dict.fromkeys(
        (
            *("id", "local_id", "message", "severity", "cause", "impact", "solution"),
            *("local_create_time", "local_start_time", "local_update_time", "local_end_time"),
        ),
        "",
    )
    figures: dict[str, object] = {"threshold": 0, "value": 0, "ended": False, "labels": {}}
    return msgspec.convert({**required, **figures, **values}, models.Alert)


@pytest.mark.parametrize("width", [60, 80, 96, 100, 120, 140, 160, 240])
async def test_every_line_has_the_given_width(width: int) -> None:
    text = drawn(await fleet(), width)
    assert {len(line) for line in text.splitlines()} == {width}
    for part in ("CPU", "Memory", "Storage", "Disks", "Alerts: ", "draco-01", "disconnected"):
        assert part in text


async def test_everything_that_fits_is_shown() -> None:
    board = await fleet()
    assert "SMTX OS" not in drawn(board, 80)
    assert "SMTX OS · VMWARE" in drawn(board, 100)
    assert "SMTX OS 6.2.0 · VMWARE" in drawn(board, 120)
    beside = [line for line in drawn(board, 160).splitlines() if "Disks" in line]
    assert "Alerts" in beside[0]


async def test_on_a_narrow_screen_nothing_is_cut() -> None:
    board = await fleet()
    for width in (60, 75, 76):
        text = drawn(board, width)
        assert "…" not in text
        assert "SATA or SAS SSD" in text
        assert text.count("unknown") == 2  # CPU and memory of the disconnected cluster
    meters = drawn(board, 75).partition("Clusters")[0]
    assert not [line for line in meters.splitlines() if "CPU" in line and "Memory" in line]


async def test_unknown_figures_are_shown_as_such() -> None:
    text = drawn(await fleet())
    assert "unknown" in next(line for line in text.splitlines() if "draco-01" in line)
    assert "≥ " in text
    assert "≈ " in text


async def test_colours_show_health() -> None:
    text = drawn(await fleet(), colours=True)
    assert "\x1b[31m●" in text
    assert "\x1b[1;31mcritical" in text
    assert "\x1b[33mnotice" in text


@pytest.mark.parametrize(
    ("severity", "health", "colour"),
    [("INFO", "HEALTHY", "32"), ("NOTICE", "HEALTHY", "33"), ("INFO", "NEW", "33")],
)
async def test_the_frame_has_the_colour_of_the_worst_status(
    severity: str, health: str, colour: str
) -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        for disk in sim.store.table("Disk").values():
            disk |= {"health_status": health, "usage_status": "MOUNTED"}
        for one in sim.store.table("Alert").values():
            one["severity"] = severity
        async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
            text = drawn(await build_dashboard(tower), colours=True)
    assert text.startswith(f"\x1b[{colour}m╭─")
    assert ("unknown" in text) == (health == "NEW")


async def test_values_that_do_not_apply_to_a_cluster_are_a_dash() -> None:
    async with Simulator(clusters=1, vms=4) as sim:
        (cluster,) = sim.store.table("Cluster").values()
        cluster |= {"type": "SMTX_ZBS", "hypervisor": None, "vm_num": None}
        async with Cloudtower(sim.url, username=sim.username, password=sim.password) as tower:
            text = drawn(await build_dashboard(tower))
    line = next(line for line in text.splitlines() if "●" in line)
    assert re.search(r"SMTX ZBS +3 +\d+/\? +- +- +━", line)


def test_an_empty_fleet_is_shown_as_none() -> None:
    text = drawn(summarise([], [], [], []))
    assert text.count("none") == 3
    assert "0 clusters · 0 hosts · 0 VMs, 0 running" in text
    assert "0B" in text


async def test_with_little_room_alerts_come_first() -> None:
    board = await fleet()
    for height in (30, 24):
        top = "\n".join(drawn(board, 80, room=ConsoleDimensions(80, height)).splitlines()[:height])
        assert top.index("Alerts: ") < top.index("CPU")
        assert "critical" in top
        assert "more; --format json has all" in top
    text = drawn(board, 80, room=ConsoleDimensions(80, 24))
    assert text.count("Alerts: ") == 2  # hidden alerts are summed up at the end
    roomy = drawn(board, room=ConsoleDimensions(100, 200))
    assert roomy.index("Alerts: ") > roomy.index("Disks")


async def test_on_a_terminal_of_ascii_it_is_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=file, width=80, color_system=None)
    console.print(picture(await fleet(), "the tower"))
    file.seek(0)
    text = file.read()
    assert "| *" in text
    assert "?" not in text.partition("Clusters")[0]


def test_some_of_many_alerts_are_shown() -> None:
    board = summarise([], [], [], [alert(severity="INFO", message=f"m{n}") for n in range(30)])
    text = drawn(board)
    assert "Alerts: 30 info" in text
    assert "and 10 more; --format json has all" in text


@pytest.mark.parametrize("height", [24, 1000])
def test_a_screen_that_scrolls_has_every_alert_up_to_a_limit(height: int) -> None:
    board = summarise([], [], [], [alert(severity="INFO", message=f"m{n}") for n in range(230)])
    text = drawn(board, 80, room=ConsoleDimensions(80, height))
    assert " m199 " in text
    assert " m200 " not in text
    assert "and 30 more; --format json has all" in text


def test_an_alert_of_another_severity_names_it() -> None:
    text = drawn(summarise([], [], [], [alert(severity="VERY_ODD", message="what?")]))
    assert "Alerts: 1 other" in text
    assert "very odd" in text
    assert "unknown" in text  # since when


async def test_the_reason_for_old_values_is_shown() -> None:
    error = ServerError("the server failed", operation="host.get_hosts", status=500)
    text = drawn(await fleet(), error=error)
    assert "Refresh failed: host.get_hosts: the server failed" in text


@pytest.mark.parametrize(
    ("percent", "bar"),
    [
        (0.0, "──────────"),
        (0.1, "━─────────"),
        (50.0, "━━━━━─────"),
        (100.0, "━━━━━━━━━━"),
    ],
)
def test_a_meter_is_as_full_as_the_figure_says(percent: float, bar: str) -> None:
    console = Console(file=io.StringIO(), width=14, color_system=None)
    with console.capture() as shown:
        console.print(Meter(percent, "xx%"))
    assert shown.get().rstrip("\n") == f"{bar} xx%"


@pytest.mark.parametrize(("percent", "colour"), [(10.0, "32"), (75.0, "33"), (90.0, "31")])
def test_a_meter_is_coloured_by_how_full_it_is(percent: float, colour: str) -> None:
    console = Console(
        file=io.StringIO(), width=14, force_terminal=True, color_system="standard", no_color=False
    )
    with console.capture() as shown:
        console.print(Meter(percent, "xx%"))
    assert f"\x1b[{colour}m" in shown.get()


async def test_figures_of_the_demo_change() -> None:
    async with simulated(clusters=2, seed=3, language=None) as demo:
        before = await build_dashboard(demo.tower)
        await demo.change()
        after = await build_dashboard(demo.tower)
    assert before.cpu.used.value != after.cpu.used.value
    assert before.cpu.total == after.cpu.total
