"""No null in an answer ends a command with a traceback."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import anyio.to_thread
import pytest

from cloudtower_async import CloudtowerError
from cloudtower_async.cli import main
from cloudtower_async.cli.app import app
from cloudtower_async.simulator.tasks import Work
from cloudtower_async.testing import Failure, Simulator
from tests.nulls import alike, expect_no_broken_field, first

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from cloudtower_async import Cloudtower
    from tests.nulls import Flow

Typed: TypeAlias = "Callable[[Simulator], list[str]]"
"""Returns the arguments of the command."""

UNNEEDED = {
    *("completion", "explain", "resources", "simulate"),
    *("login", "logout", "profile", "profiles"),
    *("exporter", "fleet"),  # tests/jobs tests nulls for these
}
"""Commands that read no fields of answers, or that do not end."""

LISTED = ("alert", "cluster", "host", "image", "label", "snapshot", "task", "template", "vm")
"""Resources with a command ``list``."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def simulators() -> AsyncIterator[list[Simulator]]:
    async with alike(clusters=2, hosts_per_cluster=2, vms=4) as started:
        yield started


def tasks_to_wait_for(sim: Simulator) -> list[str]:
    cluster = first(sim, "Cluster")["id"]
    ids = [sim.tasks.start({"cluster": cluster, "description": "a task"}, Work()) for _ in range(3)]
    sim.tasks.abort(ids[1], Failure("CODE", "it broke"))
    return ["tasks", "wait", *ids, "--timeout", "0.2"]


def backup(sim: Simulator) -> list[str]:
    names = [vm["name"] for vm in list(sim.store.table("Vm").values())[:2]]
    return ["backup", *names, "--keep", "1", "--timeout", "0.2"]


def upload(file: Path, sim: Simulator) -> list[str]:
    cluster = first(sim, "Cluster")["name"]
    options = ["--cluster", cluster, "--kind", "elf-image", "--timeout", "0.1"]
    return ["upload", str(file), *options, "--settling-time", "0.1"]


def listing(resource: str, _: Simulator) -> list[str]:
    return [resource, "list"]


COMMANDS: dict[str, Typed] = {
    "backup": backup,
    "call": lambda _: ["call", "vm.get_vms", '{"first": 3}'],
    "dashboard": lambda _: ["dashboard"],
    "dashboard of one cluster": lambda sim: [
        "dashboard",
        "--cluster",
        first(sim, "Cluster")["name"],
    ],
    "dashboard as json": lambda _: ["dashboard", "--format", "json"],
    "get": lambda _: ["get", "vms"],
    "get as csv": lambda _: ["get", "vms", "--output", "csv", "--order-by", "name"],
    "get as json": lambda _: ["get", "vms", "--output", "json", "--limit", "3"],
    "metrics": lambda sim: [
        "metrics",
        "vm",
        first(sim, "Vm")["name"],
        "--metric",
        "elf_vm_cpu_overall_usage_percent",
        "--range",
        "1h",
    ],
    "report on orphans": lambda _: ["report", "orphans", "--min-age", "0"],
    "report of a ranking": lambda _: ["report", "top", "elf_vm_cpu_overall_usage_percent"],
    "tasks": tasks_to_wait_for,
    "top": lambda _: ["top", "vms"],
    "vm stop": lambda sim: ["vm", "stop", first(sim, "Vm")["name"], "--force", "--yes"],
    "disk list": lambda sim: ["disk", "list", first(sim, "Vm")["name"]],
    **{f"{name} list": partial(listing, name) for name in LISTED},
}


def typing(command: Typed) -> Flow:
    """Return a flow that runs a command."""

    async def flow(tower: Cloudtower, sim: Simulator) -> None:
        os.environ["CLOUDTOWER_ENDPOINT"] = tower.endpoint
        os.environ["CLOUDTOWER_TOKEN"] = await tower.get_token()
        status = await anyio.to_thread.run_sync(main, command(sim))
        assert status in (0, 1, 2)
        if status:
            raise CloudtowerError("the command failed")

    return flow


@pytest.mark.anyio
@pytest.mark.parametrize("name", [*COMMANDS, "upload"])
async def test_a_null_in_any_field_is_no_traceback(
    simulators: list[Simulator],
    name: str,
    tell: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for variable in ("CLOUDTOWER_ENDPOINT", "CLOUDTOWER_TOKEN"):
        monkeypatch.setenv(variable, "")  # and restored afterwards
    file = tmp_path / "disc.iso"
    file.write_bytes(b"x" * 3000)
    command = partial(upload, file) if name == "upload" else COMMANDS[name]
    assert await anyio.to_thread.run_sync(main, ["--version"]) == 0
    await expect_no_broken_field(simulators, typing(command), f"command {name}", tell, caplog)
    capsys.readouterr()


def test_every_command_is_walked() -> None:
    walked = {name.partition(" ")[0] for name in COMMANDS} | {"upload"}
    assert {name for name in app if not name.startswith("-")} == walked | UNNEEDED
