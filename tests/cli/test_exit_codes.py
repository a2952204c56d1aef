"""Exit codes of errors, and their documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudtower_async import (
    CloudtowerError,
    EmptyFilter,
    InvalidInput,
    InvalidSettings,
    MutationRefused,
    Plan,
    PlanEnded,
    PlannedMutation,
)
from cloudtower_async.cli import main
from cloudtower_async.cli.errors import OutputError, UsageError
from cloudtower_async.cli.exit_codes import MEANINGS, ExitCode, exit_code

STARTED = PlannedMutation(operation="vm.start_vm", body={})
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no such option"), 2),
        (InvalidInput("no such field"), 2),
        (EmptyFilter("matches everything"), 2),
        (InvalidSettings("no such host"), 2),
        (MutationRefused("vm.start_vm"), 2),
        (PlanEnded("vm.start_vm", "only the server knows", Plan()), 1),
        (PlanEnded("vm.start_vm", "only the server knows", Plan([STARTED])), 0),
        (CloudtowerError("the call failed"), 1),
        (OutputError("closed"), 1),
        (OSError("disk full"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code


def test_every_exit_code_is_explained() -> None:
    assert list(MEANINGS) == list(ExitCode)
    assert [int(code) for code in ExitCode] == [0, 1, 2, 130, 143]


def test_the_documentation_shows_the_same_table() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Exit status\n")[2]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert rows[2:] == [f"| {code:d} | {text} |" for code, text in MEANINGS.items()]


def test_the_help_explains_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for code, text in MEANINGS.items():
        assert f"{code:d}: {text.replace('`', '')}" in shown
