"""Modules that commands import when they start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cloudtower_async.cli.app import app
from cloudtower_async.cli.commands import COMMANDS
from tests.cli.command import environment

SLOW = ("aiohttp", "anyio", "msgspec", "cloudtower_async.models", "cloudtower_async.errors")
PROGRAM = """
import sys
from cloudtower_async.cli import main
status = main(sys.argv[1:])
print(status, *sys.modules, file=sys.stderr)
"""


def imported(*arguments: str, **variables: str) -> tuple[str, set[str]]:
    """Run a command; return its status and the modules that it imported."""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=environment(**variables),
        check=True,
    )
    status, *modules = ended.stderr.splitlines()[-1].split()
    return status, set(modules)


@pytest.mark.subprocess
def test_an_overview_of_the_commands_imports_none_of_them() -> None:
    status, modules = imported("--help")
    assert status == "0"
    assert modules & {*SLOW} == set()
    commands = {f"cloudtower_async.cli.{path.partition(':')[0]}" for path in COMMANDS}
    assert modules & commands == set()


@pytest.mark.subprocess
def test_english_reads_no_catalog() -> None:
    _, english = imported("resources", LANG="en_US.UTF-8", PYTHONUTF8="1")
    _, chinese = imported("resources", LANG="zh_CN.UTF-8", PYTHONUTF8="1")
    assert "pkgutil" not in english  # it reads the catalog
    assert "pkgutil" in chinese


@pytest.mark.subprocess
def test_a_table_in_a_pipe_is_made_without_rich() -> None:
    status, modules = imported("resources")
    assert status == "0"
    assert not {name for name in modules if name.startswith("rich.")}


def test_the_overview_has_the_first_line_of_the_help_of_each_command() -> None:
    commands = app.resolved_commands()
    for path, summary in COMMANDS.items():
        text = commands[path.partition(":")[2]].help
        assert " ".join(str(text).partition("\n\n")[0].split()) == summary
