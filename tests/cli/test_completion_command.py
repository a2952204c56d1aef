"""``cloudtower-async completion``, and the list of commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from cloudtower_async.cli import main
from cloudtower_async.testing import Simulator
from tests.cli.command import PATIENCE, Terminal, environment, run
from tests.support import login_variables

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.subprocess

COMMANDS = (
    "backup",
    "call",
    "completion",
    "dashboard",
    "explain",
    "get",
    "login",
    "logout",
    "metrics",
    "profile",
    "profiles",
    "resources",
    "simulate",
    "tasks",
    "upload",
)


def test_the_list_of_commands_says_what_each_does() -> None:
    ended = run("--help", COLUMNS="100")
    assert ended.returncode == 0
    assert "\x1b" not in ended.stdout
    lines = ended.stdout.splitlines()
    for command in COMMANDS:
        [line] = [line for line in lines if line.startswith(f"│ {command} ")]
        assert len(line.strip("│ ").split()) > 3  # not just its name
    with Terminal() as terminal:
        assert terminal.wait() == 2  # nothing was typed, so the list is shown
    assert "profiles" in terminal.shown


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """Return variables with which shells find the command."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "cloudtower-async"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m cloudtower_async.cli "$@"\n')
    script.chmod(0o755)
    return environment(PATH=f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def bash_script(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", "bash"]) == 0
    return capsys.readouterr().out


def complete_in_bash(variables: dict[str, str], script: str, *lines: str) -> list[list[str]]:
    """Return the candidates of bash at the end of each line, with a completion script."""
    asked = """
complete_it() {
  COMP_LINE=$1 COMP_POINT=${#1}; read -ra COMP_WORDS <<< "$1"; COMPREPLY=()
  [[ $1 == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  "$(complete -p cloudtower-async | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"
  printf '%s\\n' "${COMPREPLY[@]}" "--"
}
"""
    calls = "".join(f"complete_it {shlex.quote(line)}\n" for line in lines)
    ended = subprocess.run(
        ["bash", "--norc"],  # noqa: S607
        input=script + asked + calls,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=variables,
        check=True,
    )
    assert ended.stderr == ""
    offered = ended.stdout.split("--\n")
    return [[word for word in block.splitlines() if word] for block in offered[:-1]]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_options_and_values(
    program: dict[str, str], bash_script: str
) -> None:
    assert complete_in_bash(
        program,
        bash_script,
        "cloudtower-async da",
        "cloudtower-async get vms --ord",
        "cloudtower-async get vms --where status=RU",
        "cloudtower-async get vms --output=ya",
    ) == [["dashboard"], ["--order-by"], ["RUNNING"], ["yaml"]]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.anyio
async def test_names_of_the_server_are_never_run_by_bash(
    program: dict[str, str], bash_script: str, tmp_path: Path
) -> None:
    async with Simulator(clusters=1, vms=0) as sim:
        file = tmp_path / "run"
        for name in (f"we $(touch {file})", f"we`touch {file}`", "web prod", "we\tb", "we\x1b[31m"):
            sim.add_vm(name=name)
        variables = program | login_variables(sim)
        [offered, quoted] = await anyio.to_thread.run_sync(
            complete_in_bash,
            variables,
            bash_script,
            "cloudtower-async backup we",
            'cloudtower-async backup "we',
        )
    assert "web\\ prod" in offered
    assert len(offered) == 3  # names with control characters are left out
    assert quoted == ["web prod"]  # quoted, so that bash runs none of the others
    assert not await anyio.Path(file).exists()


@pytest.mark.parametrize("shell", ["fish", "zsh"])
def test_other_shells_complete_with_the_same_program(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert "cloudtower-async __complete words" in output.out
    if (program := shutil.which(shell)) is not None:
        script = tmp_path / "script"
        script.write_text(output.out)
        subprocess.run([program, "-n", script], timeout=PATIENCE, check=True)  # noqa: S603


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_with_descriptions(program: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "script.fish"
    script.write_text(run("completion", "fish").stdout)
    asked = f'source {script}; complete -C "cloudtower-async get vms --ord"'
    ended = subprocess.run(  # noqa: S603
        ["fish", "--no-config", "-c", asked],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=program,
        check=True,
    )
    assert ended.stdout.startswith("--order-by\tField by which the server sorts")


def test_a_key_press_imports_only_what_it_needs() -> None:
    main(["completion", "bash"])  # writes the table of commands
    words = ["cloudtower-async", "get", "vms", "--outp"]
    ended = subprocess.run(  # noqa: S603
        [
            sys.executable,
            "-X",
            "importtime",
            "-m",
            "cloudtower_async.cli",
            "__complete",
            "words",
            *words,
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=True,
    )
    assert ended.stdout.startswith(":words\n--output\t")
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "cloudtower_async.cli.complete" in imported
    assert not imported & {"aiohttp", "anyio", "asyncio", "cyclopts", "msgspec", "rich"}
    assert not any(name.startswith("cloudtower_async.models") for name in imported)
