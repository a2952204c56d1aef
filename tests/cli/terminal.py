"""The command as people run it: a process of its own, in a pipe or in a terminal."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

COMMAND = (sys.executable, "-m", "cloudtower_async.cli")
PATIENCE = 60.0  # seconds until a test gives up


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without what would change what the command shows."""
    steering = (
        "CLOUDTOWER_",
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "LINES",
        "TTY_",
        "PYTHONIO",
        "PYTHONUNBUFFERED",
    )
    clean = {name: text for name, text in os.environ.items() if not name.startswith(steering)}
    return clean | {"TERM": "xterm-256color"} | variables


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a pipe, to its end."""
    return subprocess.run(  # noqa: S603
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=PATIENCE,
        env=environment(**variables),
        check=False,
    )


class Terminal:
    """The command in a terminal of 100 columns.

    Args:
        arguments: What is typed after the command's name.
        variables: Added to the environment.
    """

    def __init__(self, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        self.shown = ""
        # What is read may end within a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._end, theirs = pty.openpty()
        size = {"COLUMNS": "100", "LINES": "50"}
        self.process = subprocess.Popen(  # noqa: S603
            [*COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(**size, **(variables or {})),
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, text: str) -> str:
        """Wait until the text is on the terminal since the last time; returns what came."""
        start = len(self.shown)
        until = time.monotonic() + PATIENCE
        while text not in self.shown[start:]:
            assert self._read(until), f"{text!r} never came; only {self.shown[start:]!r}"
        return self.shown[start:]

    def enter(self, text: str) -> None:
        """Send what is typed."""
        self.send(text.encode())

    def send(self, data: bytes) -> None:
        """Send bytes, which may be no text."""
        os.write(self._end, data)

    def wait(self) -> int:
        """Read to the end and return the exit status."""
        until = time.monotonic() + PATIENCE
        while self._read(until):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, until: float) -> bool:
        ready, _, _ = select.select([self._end], [], [], max(0.0, until - time.monotonic()))
        assert ready, f"nothing came for too long; before that {self.shown[-2000:]!r}"
        try:
            data = os.read(self._end, 65536)
        except OSError:  # what Linux says when the other end is closed
            return False
        self.shown += self._decoder.decode(data)
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)
