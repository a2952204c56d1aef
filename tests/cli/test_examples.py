"""Examples in the help of commands."""

from __future__ import annotations

import re
import shlex

import pytest

from cloudtower_async.cli import main
from cloudtower_async.cli.app import app
from cloudtower_async.cli.command_table import command_table
from cloudtower_async.cli.complete import candidates
from cloudtower_async.cli.examples import EXAMPLES


def test_every_command_has_examples() -> None:
    commands = {path for path, command in command_table().items() if not command["commands"]}
    assert commands <= EXAMPLES.keys()


def test_examples_are_valid_command_lines() -> None:
    for path, examples in EXAMPLES.items():
        for typed in examples:
            words = shlex.split(f"{path} {typed.partition(' < ')[0]}")
            app.parse_args(words, exit_on_error=False, print_error=False)
            # Options have the names that completion offers.
            for place, word in enumerate(words):
                if re.match("--[a-z]", word):
                    offered = candidates(["cloudtower-async", *words[:place], word])
                    assert word in (offered or {}), (path, word)


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["get"], "$ cloudtower-async get vms --where status=RUNNING --where cluster.name=prod"),
        (["vm", "stop"], "$ cloudtower-async vm stop web-1 --force-after 2m"),
        (["vm"], "$ cloudtower-async vm create web-5 --cluster prod"),
        (["profile", "use"], "$ cloudtower-async profile use prod"),
    ],
)
def test_help_shows_examples_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    shown: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for flag in ("--help", "-h"):
        assert main([*command, flag]) == 0
        text = capsys.readouterr().out
        assert text.count("Examples:") == 1
        assert shown in text
        assert text.count("Exit status:") == 1
