"""Check that tests that start processes have the marker `subprocess`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

STARTS = frozenset(
    (
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "subprocess.Popen",
    )
)
"""Audit events of the standard library."""

FINDERS = frozenset(("cc", "gcc", "ld", "ldconfig", "objdump"))
"""Programs of `ctypes.util.find_library`, which packages call when they are first imported."""

_started: list[str] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS and not (arguments and Path(str(arguments[0])).name in FINDERS):
        # Further arguments may contain an environment with secrets.
        _started.append(" ".join([event, *map(repr, arguments[:1])]))


def pytest_configure() -> None:
    """Listen to audit events. This cannot be undone."""
    sys.addaudithook(_note)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    """Start to watch a test, before its fixtures run."""
    _started.clear()
    yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail an unmarked test that started a process, directly or in a fixture."""
    yield
    if _started and item.get_closest_marker("subprocess") is None:
        pytest.fail(
            f"this test starts a process ({_started[0]}): mark it with "
            "@pytest.mark.subprocess, or its module with pytestmark",
            pytrace=False,
        )
