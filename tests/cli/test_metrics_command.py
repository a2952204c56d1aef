"""``cloudtower-async metrics``, in a separate process and in the process of the test."""

from __future__ import annotations

import csv
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread
import msgspec
import pytest

from cloudtower_async import MetricRow, MetricSeries, Subject
from cloudtower_async.cli import main
from cloudtower_async.cli.metrics_plot import plot
from cloudtower_async.models import MetricUnit
from cloudtower_async.testing import Clock, Simulator
from tests.cli.command import Terminal, plain, run_with
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

ESCAPE = "\x1b"
CPU, MEMORY = "elf_vm_cpu_overall_usage_percent", "elf_vm_memory_usage_percent"


class Ended(NamedTuple):
    """Result of the command."""

    status: int
    out: str
    err: str


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=12, seed=3, clock=Clock(running=False)) as simulator:
        for name in ("web", "d\x1b[31mb"):
            simulator.add_vm(name=name, cpu_usage=20.0)
        set_login_variables(monkeypatch, simulator)
        monkeypatch.setenv("TZ", "UTC")
        yield simulator


async def show(capsys: pytest.CaptureFixture[str], *arguments: str) -> Ended:
    """Run the command in this process."""
    status = await anyio.to_thread.run_sync(main, ["metrics", *arguments])
    captured = capsys.readouterr()
    return Ended(status, captured.out, captured.err)


@pytest.mark.subprocess
async def test_in_a_pipe_there_is_a_line_for_each_value(sim: Simulator) -> None:
    arguments = ("metrics", "vm", "web", "--metric", CPU, "--metric", MEMORY, "--range", "5m")
    ended = await run_with(sim, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = list(csv.DictReader(ended.stdout.splitlines()))
    assert [(row["metric"], row["subject_name"]) for row in rows] == [
        *[(CPU, "web")] * 10,
        *[(MEMORY, "web")] * 10,
    ]
    assert rows[9]["time"] == sim.clock.started_at.replace(microsecond=0).isoformat()
    assert all(0 <= float(row["value"]) <= 100 for row in rows)


async def test_json_output_decodes_to_metric_rows(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    [vm] = sim.store.select("Vm", {"name": "web"})
    ended = await show(capsys, "vm", vm["id"], "--metric", CPU, "--range", "1m", "-o", "json")
    rows = msgspec.json.decode(ended.out, type=list[MetricRow])
    assert [row.subject_id for row in rows] == [vm["id"]] * 2
    assert rows[0].labels == {"_vm": vm["local_id"]}


@pytest.mark.subprocess
async def test_in_a_terminal_curves_are_drawn(sim: Simulator) -> None:
    arguments = ("metrics", "vm", "web", "d\x1b[31mb", "--metric", CPU, "--metric", MEMORY)

    def watch() -> tuple[int, str]:
        with Terminal(*arguments, variables=login_variables(sim)) as terminal:
            return terminal.wait(), terminal.shown

    status, shown = await anyio.to_thread.run_sync(watch)
    assert status == 0
    text = plain(shown)
    for title in (f"{CPU} (PERCENT)", f"{MEMORY} (PERCENT)"):
        assert text.count(title) == 1
    assert text.count(" web ") == text.count(" d [31mb ") == 2  # the legends
    assert f"{sim.clock.started_at:%H:%M}" in text  # the time of the last values
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 100
    assert f"{ESCAPE}[38;5;" in shown


@pytest.mark.parametrize("gap", [(), (math.nan,) * 20])
def test_where_nothing_was_measured_no_line_is_drawn(gap: tuple[float, ...]) -> None:
    values = [*range(20), *(gap or range(20, 40)), *range(40, 60)]
    series = MetricSeries(
        metric=CPU,
        unit=MetricUnit("PERCENT"),
        subject=Subject("1", "web"),
        labels={},
        times=[60_000 * minute for minute in range(60)],
        values=values,
    )
    lines = plot([series], 80, color=False).splitlines()
    curve = [line[5:79] for line in lines if "│" in line]
    inked = {place for line in curve for place, character in enumerate(line) if character != " "}
    assert {10, 60} <= inked
    assert (37 in inked) == (not gap)


@pytest.mark.parametrize("name", ["vm-network", "disk"])
async def test_network_and_disk_metrics_are_drawn(
    sim: Simulator, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    tables: dict[str, Any] = {
        "vm-network": ("Vm", "elf_vm_network_receive_speed_bps"),
        "disk": ("Disk", "host_disk_read_iops"),
    }
    table, metric = tables[name]
    [one, *_] = sim.store.select(table, {"status": "RUNNING"} if table == "Vm" else None)
    ended = await show(capsys, name, one["id"], "--metric", metric, "--range", "7d", "-o", "plot")
    assert (ended.status, ended.err) == (0, "")
    assert ESCAPE not in ended.out
    assert metric in ended.out
    assert re.search(r"\d\d-\d\d \d\d:\d\d", ended.out)  # shows days, not only hours


@pytest.mark.usefixtures("sim")
async def test_missing_metrics_are_reported_next_to_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = await show(capsys, "vm", "web", "--metric", CPU, "--metric", "cpu", "--range", "30s")
    assert ended.status == 0
    told = "cloudtower-async: warning: metrics.get_vm_metrics: no values of "
    assert ended.err.startswith(told)
    assert ended.err.count("\n") == 1
    assert len(ended.out.splitlines()) == 2
    ended = await show(capsys, "vm", "web", "--metric", CPU, "--range", "30s", "-o", "plot")
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.usefixtures("sim")
async def test_no_values_at_all_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in (
        (("web", "--metric", "cpu"), "no values of cpu"),
        (("web", "--metric", CPU, "--range", "72h"), "24h and 7d are known to work"),
        (("none", "--metric", CPU), "no resource has the name or the id 'none'"),
    ):
        ended = await show(capsys, "vm", *arguments)
        assert (ended.status, ended.out) == (1, "")
        assert told in ended.err
        assert ended.err.count("\n") == 1


@pytest.mark.usefixtures("sim")
async def test_wrong_arguments_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments, told in (
        (("vm", "--metric", CPU), "pass the names or ids of the resources"),
        (("vm", "web"), "--metric elf_vm_cpu_overall_usage_percent"),
        (("vm", "web", "--metric", CPU, "--range", "soon"), "range"),
        (("vms", "web", "--metric", CPU), "vm-volume"),
    ):
        ended = await show(capsys, *arguments)
        assert (ended.status, ended.out) == (2, "")
        assert told in ended.err
        assert ended.err.count("\n") == 1


async def test_known_metrics_are_listed_by_kind_and_by_parts_of_their_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def listed(*arguments: str) -> list[list[str]]:
        ended = await show(capsys, *arguments, "--list")
        assert (ended.status, ended.err) == (
            0,
            "These are the most common names. Servers have more.\n",
        )
        head, *lines = ended.out.splitlines()
        assert head.split() == ["METRIC", "KIND"]
        return [line.split() for line in lines]

    cpu = await listed("cpu")
    assert [CPU, "vm"] in cpu
    assert ["host_cpu_overall_usage_percent", "host"] in cpu
    assert all("cpu" in name for name, _ in cpu)
    assert {kind for _, kind in await listed("vm")} == {"vm"}
    assert await listed("disk", "TEMP*celsius") == [["host_disk_temperature_celsius", "disk"]]
    assert len({kind for _, kind in await listed()}) == 7
    none = await show(capsys, "--list", "zzz")
    assert (none.status, none.out) == (2, "")
    assert "no known name contains zzz" in none.err


@pytest.mark.usefixtures("sim")
async def test_a_misspelled_metric_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    ended = await show(capsys, "vm", "web", "--metric", CPU.removesuffix("_percent"))
    assert ended.status == 1
    assert "is not among the known metrics of vm; did you mean " in ended.err
    assert CPU in ended.err
