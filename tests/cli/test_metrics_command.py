"""``cloudtower-async metrics``, as a process beside a simulator."""

from __future__ import annotations

import csv
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import msgspec
import pytest

from cloudtower_async import MetricRow
from cloudtower_async.testing import Clock, Simulator
from tests.cli.terminal import Terminal, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from subprocess import CompletedProcess

pytestmark = pytest.mark.anyio

ESCAPE = "\x1b"
CPU, MEMORY = "elf_vm_cpu_overall_usage_percent", "elf_vm_memory_usage_percent"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=12, seed=3, clock=Clock(running=False)) as simulator:
        for name in ("web", "d\x1b[31mb"):
            simulator.add_vm(name=name, cpu_usage=20.0)
        yield simulator


def variables(sim: Simulator) -> dict[str, str]:
    return {
        "CLOUDTOWER_ENDPOINT": sim.url,
        "CLOUDTOWER_USERNAME": sim.username,
        "CLOUDTOWER_PASSWORD": sim.password,
        "TZ": "UTC",
    }


async def show(sim: Simulator, *arguments: str) -> CompletedProcess[str]:
    """Run the command in a pipe."""
    command = partial(run, "metrics", *arguments, **variables(sim))
    return await anyio.to_thread.run_sync(command)


def plain(text: str) -> str:
    """What is left of a terminal's text without the codes that steer it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


async def test_in_a_pipe_there_is_a_line_for_each_value(sim: Simulator) -> None:
    ended = await show(sim, "vm", "web", "--metric", CPU, "--metric", MEMORY, "--range", "5m")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = list(csv.DictReader(ended.stdout.splitlines()))
    assert [(row["metric"], row["subject_name"]) for row in rows] == [
        *[(CPU, "web")] * 10,
        *[(MEMORY, "web")] * 10,
    ]
    assert rows[9]["time"] == sim.clock.started_at.replace(microsecond=0).isoformat()
    assert all(0 <= float(row["value"]) <= 100 for row in rows)


async def test_json_is_what_a_program_reads_back(sim: Simulator) -> None:
    [vm] = sim.store.select("Vm", {"name": "web"})
    ended = await show(sim, "vm", vm["id"], "--metric", CPU, "--range", "1m", "-o", "json")
    rows = msgspec.json.decode(ended.stdout, type=list[MetricRow])
    assert [row.subject_id for row in rows] == [vm["id"]] * 2
    assert rows[0].labels == {"_vm": vm["local_id"]}


async def test_in_a_terminal_there_are_curves(sim: Simulator) -> None:
    arguments = ("metrics", "vm", "web", "d\x1b[31mb", "--metric", CPU, "--metric", MEMORY)

    def watch() -> tuple[int, str]:
        with Terminal(*arguments, variables=variables(sim)) as terminal:
            return terminal.wait(), terminal.shown

    status, shown = await anyio.to_thread.run_sync(watch)
    assert status == 0
    text = plain(shown)
    for title in (f"{CPU} (PERCENT)", f"{MEMORY} (PERCENT)"):
        assert text.count(title) == 1
    assert text.count(" web ") == text.count(" d [31mb ") == 2  # the legends
    assert "00:06" in text  # a time of the day
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 100
    assert f"{ESCAPE}[38;5;" in shown


@pytest.mark.parametrize("name", ["vm-network", "disk"])
async def test_other_kinds(sim: Simulator, name: str) -> None:
    tables: dict[str, Any] = {
        "vm-network": ("Vm", "elf_vm_network_receive_speed_bps"),
        "disk": ("Disk", "host_disk_read_iops"),
    }
    table, metric = tables[name]
    [one, *_] = sim.store.select(table, {"status": "RUNNING"} if table == "Vm" else None)
    ended = await show(sim, name, one["id"], "--metric", metric, "--range", "7d", "-o", "plot")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ESCAPE not in ended.stdout
    assert metric in ended.stdout
    assert re.search(r"\d\d-\d\d \d\d:\d\d", ended.stdout)  # days, not only hours


async def test_what_is_missing_is_told_beside_what_there_is(sim: Simulator) -> None:
    ended = await show(sim, "vm", "web", "--metric", CPU, "--metric", "cpu", "--range", "30s")
    assert ended.returncode == 0
    assert ended.stderr.startswith("cloudtower-async: metrics.get_vm_metrics: there is nothing of ")
    assert ended.stderr.count("\n") == 1
    assert len(ended.stdout.splitlines()) == 2
    ended = await show(sim, "vm", "web", "--metric", CPU, "--range", "30s", "-o", "plot")
    assert (ended.returncode, ended.stderr) == (0, "")


async def test_nothing_at_all_is_status_1(sim: Simulator) -> None:
    for arguments, told in (
        (("web", "--metric", "cpu"), "there is nothing of cpu"),
        (("web", "--metric", CPU, "--range", "72h"), "24h and 7d are known to work"),
        (("none", "--metric", CPU), "nothing matches"),
    ):
        ended = await show(sim, "vm", *arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert told in ended.stderr
        assert ended.stderr.count("\n") == 1


async def test_wrong_arguments_are_one_line_and_status_2(sim: Simulator) -> None:
    for arguments, told in (
        (("vm", "--metric", CPU), "pass the name of what to measure"),
        (("vm", "web"), "--metric elf_vm_cpu_overall_usage_percent"),
        (("vm", "web", "--metric", CPU, "--range", "soon"), "range"),
        (("vms", "web", "--metric", CPU), "vm-volume"),
    ):
        ended = await show(sim, *arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert told in ended.stderr
        assert ended.stderr.count("\n") == 1
