"""Tests that start processes need a marker and fail without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.subprocess

Runs: TypeAlias = Callable[[str], pytest.RunResult]

ROOT = Path(__file__).parent.parent
CONFTEST = """
from tests import processes

def pytest_configure(config):
    config.pluginmanager.register(processes)
    config.addinivalue_line("markers", "subprocess")
"""
IMPORTS = "import asyncio, os, pty, subprocess, sys, pytest\n"
COMMAND = "[sys.executable, '-c', '']"
STARTS = {
    "subprocess": f"subprocess.run({COMMAND}, check=True)",
    "asyncio": f"asyncio.run(asyncio.create_subprocess_exec(*{COMMAND}))",
    "system": "os.system('exit')",
    "spawn": f"os.waitpid(os.posix_spawn(sys.executable, {COMMAND}, {{}}), 0)",
    "fork": "os.waitpid(os.fork() or os._exit(0), 0)",
    "terminal": "os.waitpid(pty.fork()[0] or os._exit(0), 0)",
}


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs the text of a test module in another process."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading plugins takes a second
    pytester.makeconftest(CONFTEST)

    def run_module(text: str) -> pytest.RunResult:
        pytester.makepyfile(IMPORTS + text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider")

    return run_module


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_a_test_that_starts_a_process_fails_without_the_marker(run: Runs, start: str) -> None:
    result = run(f"def test_it():\n    {start}\n")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*this test starts a process (*): mark it with @pytest.mark.*"])


def test_a_fixture_that_starts_a_process_counts_for_its_test(run: Runs) -> None:
    start = STARTS["subprocess"]
    fixture = f"@pytest.fixture(scope='module')\ndef one():\n    {start}\n"
    run(f"{fixture}\ndef test_it(one):\n    pass\n").assert_outcomes(passed=1, errors=1)


def test_a_caught_error_of_a_process_hides_nothing(run: Runs) -> None:
    text = "    try:\n        subprocess.run(['/nowhere'])\n    except OSError:\n        pass\n"
    run(f"def test_it():\n{text}").assert_outcomes(passed=1, errors=1)


def test_a_search_for_a_library_starts_nothing_that_counts(run: Runs) -> None:
    text = "import ctypes.util\n\ndef test_it():\n    ctypes.util.find_library('crypt')\n"
    run(text).assert_outcomes(passed=1)


def test_a_marked_test_may_start_processes(run: Runs) -> None:
    text = f"@pytest.mark.subprocess\ndef test_it():\n    {STARTS['subprocess']}\n"
    run(text + "\ndef test_next():\n    pass\n").assert_outcomes(passed=2)


def test_a_marked_module_may_start_processes(run: Runs) -> None:
    text = f"def test_it():\n    {STARTS['subprocess']}\n"
    run("pytestmark = pytest.mark.subprocess\n" + text).assert_outcomes(passed=1)
