"""Behavior that depends on the terminal: colors and confirmations."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from cloudtower_async.cli.app import app
from cloudtower_async.testing import Simulator
from tests.cli.in_process import in_pipe
from tests.support import set_login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from cyclopts import App

pytestmark = pytest.mark.anyio

CHANGES = (
    "alert resolve a1",
    'call vm.start_vm {"where":{"name":"mail-1"}}',
    "disk add mail-1 --size 20GiB",
    "disk detach mail-1 data",
    "disk grow mail-1 data --size 20GiB",
    "host maintenance enter atlas-01-node-01",
    "host maintenance exit atlas-01-node-01",
    "image delete debian.iso",
    "label add tier=web mail-1",
    "label remove tier=web mail-1",
    "snapshot create mail-1",
    "snapshot delete before-update",
    "snapshot revert before-update --vm mail-1",
    "template deploy base web-9 --cluster atlas-01",
    "vm clone mail-1 web-9",
    "vm create web-9 --cluster atlas-01",
    "vm delete mail-1",
    "vm migrate mail-1",
    "vm resize mail-1 --vcpu 2",
    "vm restart mail-1",
    "vm resume mail-1",
    "vm start mail-1",
    "vm stop mail-1",
    "vm suspend mail-1",
)
"""A command line for each command that asks before it changes something."""

_COLOR = "\x1b[3"


def _asking(parent: App, path: str = "") -> Iterator[str]:
    """Yield each command that has the option ``--yes``."""
    for name, command in parent.resolved_commands().items():
        if name.startswith("-"):
            continue
        yield from _asking(command, f"{path}{name} ")
        if command.default_command is not None:
            parameters = inspect.signature(command.default_command).parameters
            if not {"change", "yes"}.isdisjoint(parameters):
                yield f"{path}{name}"


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with Simulator(clusters=1, vms=2) as simulator:
        set_login_variables(monkeypatch, simulator)
        yield simulator


@pytest.mark.parametrize("command", [(), ("vm",), ("vm", "start"), ("get",)])
async def test_help_has_colors_in_a_pipe_only_if_they_are_forced(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    help_of = [*command, "--help"]
    assert "\x1b" not in (await in_pipe(help_of)).out
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert _COLOR in (await in_pipe(help_of)).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert _COLOR not in (await in_pipe(help_of)).out


def test_each_command_that_asks_is_tested_without_a_terminal() -> None:
    found = sorted(_asking(app))
    assert len(found) == len(CHANGES)
    for name, line in zip(found, CHANGES, strict=True):
        assert line.startswith(f"{name} ")


async def test_no_command_asks_before_a_change_without_a_terminal(sim: Simulator) -> None:
    for line in CHANGES:
        ended = await in_pipe(line.split(), "y\n" * 9)
        assert (line, ended.code, ended.out) == (line, 2, "")
        assert "pass --yes, because there is no terminal to ask on\n" in ended.err
        assert ended.err.count("\n") == 1
    assert sim.mutations() == []


@pytest.mark.parametrize("command", ["get vms", "vm list", "dashboard", "top vms", "login"])
async def test_no_command_asks_for_credentials_without_a_terminal(
    command: str, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOUDTOWER_PASSWORD")
    ended = await in_pipe([*command.split(), "--username", "root"], "password\n" * 9)
    assert (ended.code, ended.out) == (2, "")
    assert "CLOUDTOWER_PASSWORD" in ended.err
    assert ended.err.count("\n") == 1
    assert sim.requests == []
