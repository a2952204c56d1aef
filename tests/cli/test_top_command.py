"""``cloudtower-async top``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import anyio.to_thread
import pytest

from cloudtower_async.cli import main
from cloudtower_async.testing import Simulator
from tests.cli.command import Terminal, plain
from tests.support import login_variables, set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=2, vms=12) as simulator:
        set_login_variables(monkeypatch, simulator)
        yield simulator


@pytest.mark.parametrize("kind", ["vms", "hosts"])
@pytest.mark.parametrize("by", ["cpu", "memory", "iops"])
async def test_the_highest_come_first(
    kind: str, by: str, sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = next(iter(sim.store.table("Cluster").values()))
    resource = "Vm" if kind == "vms" else "Host"
    names = {
        one["name"] for one in sim.store.table(resource).values() if one["cluster"] == cluster["id"]
    }
    asked = ["top", kind, "--by", by, "--limit", "3", "--cluster", cluster["name"]]
    assert await anyio.to_thread.run_sync(main, asked) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["RANK", "NAME", by.upper()]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert {row.split()[1] for row in rows} <= names
    assert await anyio.to_thread.run_sync(main, [*asked, "-o", "json"]) == 0
    values = [one["value"] for one in json.loads(capsys.readouterr().out)]
    assert values == sorted(values, reverse=True)
    assert len(values) == 3


@pytest.mark.subprocess
async def test_on_a_terminal_it_is_refreshed_until_it_is_quit(sim: Simulator) -> None:
    def look() -> str:
        arguments = ("top", "hosts", "--interval", "0.05")
        with Terminal(*arguments, variables=login_variables(sim)) as terminal:
            terminal.read_until("q: quit")
            while len(sim.sent("get-top-n-metrics-in-clusters")) < 3:
                terminal.read_until("q: quit")
            terminal.enter("q")
            assert terminal.wait() == 0
            return plain(terminal.shown.rpartition("\x1b[?1049l")[2])

    assert "atlas-01-node-01" in await anyio.to_thread.run_sync(look)


async def test_an_interval_without_refreshes_is_refused(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["top", "hosts", "-o", "json", "--interval", "2"]
    assert await anyio.to_thread.run_sync(main, arguments) == 2
    assert "JSON is written once: leave out --interval" in capsys.readouterr().err
    assert sim.requests == []
