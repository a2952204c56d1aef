"""``cloudtower-async completion``, and the list of commands."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.cli.command import PATIENCE, Terminal, environment, run

pytestmark = pytest.mark.subprocess

COMMANDS = (
    "backup",
    "call",
    "completion",
    "dashboard",
    "get",
    "login",
    "logout",
    "metrics",
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


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_and_options() -> None:
    script = run("completion", "bash").stdout
    asked = f"""{script}
complete -p cloudtower-async
complete_it() {{
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  "$(complete -p cloudtower-async | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"
  echo "${{COMPREPLY[@]}}"
}}
complete_it cloudtower-async da
complete_it cloudtower-async get vms --ord
"""
    ended = subprocess.run(
        ["bash", "--norc"],  # noqa: S607
        input=asked,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=True,
    )
    _, command, option = ended.stdout.splitlines()
    assert command.strip() == "dashboard"
    assert option.strip() == "--order-by"


@pytest.mark.parametrize("shell", ["fish", "zsh"])
def test_other_shells_have_a_script_with_all_commands(shell: str) -> None:
    ended = run("completion", shell)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert all(command in ended.stdout for command in COMMANDS)
    with Terminal("completion", shell) as terminal:
        assert terminal.wait() == 0
    assert terminal.shown.splitlines() == ended.stdout.splitlines()
