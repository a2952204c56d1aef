"""Everyday tasks, each one command: on a terminal of 80 by 24 characters and in pipes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cloudtower_async.testing import Simulator
from tests.cli.in_process import Ended, in_pipe, in_terminal
from tests.support import set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.anyio


class Fleet:
    """The simulator, with lookups by name for the checks."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def named(self, kind: str, name: str) -> dict[str, Any] | None:
        found = [one for one in self.sim.store.table(kind).values() if one.get("name") == name]
        return found[0] if found else None

    def vm(self, name: str) -> dict[str, Any]:
        found = self.named("Vm", name)
        assert found is not None, name
        return found

    def is_in(self, name: str, status: str) -> bool:
        return bool(self.vm(name)["status"] == status)

    def labels(self, name: str) -> list[str]:
        keys = self.sim.store.table("Label").values()
        return [one["key"] for one in keys if self.vm(name)["id"] in (one.get("vms") or ())]


@dataclass(frozen=True)
class Everyday:
    """An everyday task.

    Attributes:
        line: The command line.
        shown: Expected output.
        check: Whether the server has the right state afterwards.
    """

    line: str
    shown: str
    check: Callable[[Fleet], bool] | None = None


READ = [
    Everyday("vm list --where name_starts_with=web-", "web-1"),
    Everyday("vm show web-1", "vcpu"),
    Everyday("host list", "{host}"),
    Everyday("host show {host}", "management_ip"),
    Everyday("cluster list", "{cluster}"),
    Everyday("alert list --limit 3", "CRITICAL"),
    Everyday("task list --limit 3", "SUCCESSED"),
    Everyday("template list", "rocky-9"),
    Everyday("image list", "rocky-9.iso"),
    Everyday("snapshot list --limit 3", "-0"),
    Everyday("disk list web-1", "{volume}"),
    Everyday("vm console web-1", "/terminal/"),
]

CHANGE = [
    Everyday("vm stop web-1 web-2", "STOPPED", lambda f: f.is_in("web-2", "STOPPED")),
    Everyday("vm start web-1", "RUNNING", lambda f: f.is_in("web-1", "RUNNING")),
    Everyday("vm restart web-1 --force", "RUNNING", lambda f: f.is_in("web-1", "RUNNING")),
    Everyday("vm suspend web-1", "SUSPENDED", lambda f: f.is_in("web-1", "SUSPENDED")),
    Everyday("vm resume web-1", "RUNNING", lambda f: f.is_in("web-1", "RUNNING")),
    Everyday("vm migrate web-1", "web-1"),
    Everyday("vm stop web-1 --force-after 1m", "STOPPED", lambda f: f.is_in("web-1", "STOPPED")),
    Everyday(
        "vm resize web-1 --vcpu 6 --memory 6GiB",
        "web-1",
        lambda f: (f.vm("web-1")["vcpu"], f.vm("web-1")["memory"]) == (6, 6 << 30),
    ),
    Everyday("vm clone web-1 web-3", "web-3", lambda f: f.is_in("web-3", "STOPPED")),
    Everyday(
        "vm create new-1 --cluster {cluster} --vcpu 2 --memory 2GiB --disk 10GiB",
        "new-1",
        lambda f: f.vm("new-1")["memory"] == 2 << 30,
    ),
    Everyday(
        "template deploy rocky-9 new-2 --cluster {cluster} --start",
        "new-2",
        lambda f: f.is_in("new-2", "RUNNING"),
    ),
    Everyday(
        "snapshot create web-1 --name before",
        "before",
        lambda f: f.named("VmSnapshot", "before") is not None,
    ),
    Everyday("snapshot revert before", "web-1", lambda f: f.vm("web-1")["vcpu"] == 6),
    Everyday(
        "image delete rocky-9.iso",
        "rocky-9.iso",
        lambda f: f.named("ContentLibraryImage", "rocky-9.iso") is None,
    ),
    Everyday("snapshot delete before", "before", lambda f: f.named("VmSnapshot", "before") is None),
    Everyday(
        "disk add web-1 --size 20GiB --name data",
        "data",
        lambda f: (f.named("VmVolume", "data") or {})["size"] == 20 << 30,
    ),
    Everyday(
        "disk grow web-1 data --size 30GiB",
        "data",
        lambda f: (f.named("VmVolume", "data") or {})["size"] == 30 << 30,
    ),
    Everyday(
        "disk detach web-1 data",
        "",
        lambda f: not (f.named("VmVolume", "data") or {})["mounting"],
    ),
    Everyday("label add tier=web web-1 web-2", "tier", lambda f: f.labels("web-2") == ["tier"]),
    Everyday("label remove tier=web web-2", "tier", lambda f: f.labels("web-2") == []),
    Everyday("alert resolve {alert}", "{alert_end}"),
    Everyday("host maintenance enter {host}", "{host}"),
    Everyday("host maintenance exit {host}", "{host}"),
    Everyday("vm delete web-2 web-3", "web-3", lambda f: f.named("Vm", "web-3") is None),
]


@pytest.fixture
async def fleet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    async with Simulator(clusters=1, vms=4, seed=3, task_duration=0.01) as sim:
        set_login_variables(monkeypatch, sim)
        monkeypatch.setenv("TERM", "xterm-256color")
        for name in ("web-1", "web-2"):
            sim.add_vm(name=name, status="RUNNING")
        yield Fleet(sim)


def filled(fleet: Fleet, text: str) -> str:
    store = fleet.sim.store
    vm = fleet.vm("web-1")
    [disk] = [one for one in store.table("VmDisk").values() if one["vm"] == vm["id"]][:1]
    alert = next(iter(store.table("Alert")))
    return text.format(
        host=next(iter(store.table("Host").values()))["name"],
        cluster=next(iter(store.table("Cluster").values()))["name"],
        alert=alert,
        alert_end=alert[-6:],
        volume=store.table("VmVolume")[disk["vm_volume"]]["name"] if disk["vm_volume"] else "",
    )


def joined(ended: Ended) -> str:
    """Return the output without line ends, because a narrow table may fold its cells."""
    return "".join(ended.out.split())


@pytest.mark.parametrize("run", [in_terminal, in_pipe])
async def test_everyday_tasks_are_one_command(run: Any, fleet: Fleet) -> None:  # noqa: ANN401
    for task in READ:
        ended = await run(filled(fleet, task.line).split())
        assert ended.code == 0, (task.line, ended)
        assert filled(fleet, task.shown) in joined(ended) or run is in_terminal, (task.line, ended)
    assert fleet.sim.mutations() == []


async def test_on_a_terminal_each_change_is_one_command_and_a_yes(fleet: Fleet) -> None:
    for task in CHANGE:
        arguments = filled(fleet, task.line).split()
        before = len(fleet.sim.mutations())
        refused = await in_terminal(arguments, "n\n")
        assert refused.code == 2, (task.line, refused)
        assert "[y/N]" in refused.out
        assert "not confirmed; nothing was sent" in refused.out
        assert len(fleet.sim.mutations()) == before, task.line
        ended = await in_terminal(arguments, "y\n")
        assert ended.code == 0, (task.line, ended)
        assert "Traceback" not in ended.out
        assert task.check is None or task.check(fleet), (task.line, ended)
        assert len(fleet.sim.mutations()) > before


async def test_in_a_pipe_each_change_is_one_command_with_yes(fleet: Fleet) -> None:
    for task in CHANGE:
        arguments = filled(fleet, task.line).split()
        before = len(fleet.sim.mutations())
        refused = await in_pipe(arguments, "y\n")
        assert (refused.code, refused.out) == (2, ""), (task.line, refused)
        assert "pass --yes, because there is no terminal" in refused.err
        planned = await in_pipe([*arguments, "--dry-run"])
        assert planned.out == ""
        assert "Dry run: " in planned.err, (task.line, planned)
        assert len(fleet.sim.mutations()) == before, task.line
        ended = await in_pipe([*arguments, "--yes", "-o", "json"])
        assert ended.code == 0, (task.line, ended)
        assert isinstance(json.loads(ended.out), list)
        assert filled(fleet, task.shown) in ended.out, (task.line, ended)
        assert task.check is None or task.check(fleet), (task.line, ended)
