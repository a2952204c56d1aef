"""Memory of a client that receives a decompression bomb, each in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.subprocess,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]

MOST = 100_000  # kilobytes above idle
COMMAND = [sys.executable, "-m", "tests.transport.bombs"]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    with subprocess.Popen(  # noqa: S603 - our own code
        [*COMMAND, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()


@pytest.mark.parametrize(
    ("scene", "error"),
    [
        ("login", "ResponseDecodeError"),
        ("query", "ResponseDecodeError"),
        ("mutation", "OutcomeUnknown"),
        ("failing", "ServerError"),
    ],
)
def test_a_bomb_of_300_mb_never_inflates(
    scene: str, error: str, port: str, tell: Callable[[str], None]
) -> None:
    done = subprocess.run(  # noqa: S603 - our own code
        [*COMMAND, scene, port], capture_output=True, text=True, check=True, timeout=60
    )
    raised, grown = done.stdout.split()
    tell(f"memory over idle, {scene} answered by a bomb: {int(grown) / 1000:.0f} MB")
    assert raised == error
    assert int(grown) < MOST
