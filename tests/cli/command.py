"""Run the command as users do: in a process, with pipes or in a terminal."""

from __future__ import annotations

import codecs
import os
import re
import select
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Self, cast

import anyio
import anyio.to_thread

from tests.support import login_variables

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping
    from types import TracebackType

    from anyio.abc import Process

    from cloudtower_async.testing import Simulator

COMMAND = (sys.executable, "-m", "cloudtower_async.cli")
PATIENCE = 100.0  # seconds until a process counts as hung; less than the time-out of a test


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process, without variables that change the output."""
    ignored = (
        "CLOUDTOWER_",
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
        "LINES",
        "TTY_",
        "PYTHONIO",
        "PYTHONUNBUFFERED",
    )
    clean = {name: text for name, text in os.environ.items() if not name.startswith(ignored)}
    return clean | {"TERM": "xterm-256color"} | variables


def run_bytes(
    *arguments: str | bytes, stdin: bytes = b"", line: str = "", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a pipe until it exits.

    Args:
        arguments: Arguments of the command.
        stdin: Its standard input.
        line: A line of bash, in which ``"$@"`` is the command with its arguments.
        variables: Additional environment variables.
    """
    prefix = ("/bin/bash", "-c", line, "bash") if line else ()
    return subprocess.run(  # noqa: S603
        [*prefix, *COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        env=environment(**variables),
        check=False,
    )


def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a pipe until it exits; its output is UTF-8."""
    ended = run_bytes(*arguments, stdin=stdin.encode(), **variables)
    texts = (ended.stdout.decode(), ended.stderr.decode())
    return subprocess.CompletedProcess(ended.args, ended.returncode, *texts)


async def run_with(
    sim: Simulator, *arguments: str, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a pipe against a simulator of this event loop."""
    given = login_variables(sim) | variables
    return await anyio.to_thread.run_sync(partial(run, *arguments, stdin=stdin, **given))


@contextmanager
def start(
    *arguments: str, **variables: str
) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]]:
    """Start the command in a pipe; yields the process, its output and its errors."""
    with subprocess.Popen(  # noqa: S603
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**variables),
    ) as process:
        try:
            yield process, cast("IO[bytes]", process.stdout), cast("IO[bytes]", process.stderr)
        finally:
            process.kill()


@asynccontextmanager
async def start_with(sim: Simulator, *arguments: str, **variables: str) -> AsyncGenerator[Process]:
    """Start the command in a pipe against a simulator of this event loop."""
    given = login_variables(sim) | variables
    async with await anyio.open_process(
        [*COMMAND, *arguments], env=environment(**given), stdin=subprocess.DEVNULL
    ) as process:
        yield process


def plain(text: str) -> str:
    """Remove the escape sequences from terminal output."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class Terminal:
    """The command in a terminal of 100 columns.

    Args:
        arguments: Arguments of the command.
        variables: Additional environment variables.
    """

    def __init__(self, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        self.shown = ""
        # A read may end within a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        import pty  # not on Windows

        self._end, theirs = pty.openpty()
        size = {"COLUMNS": "100", "LINES": "50"}
        self.process = subprocess.Popen(  # noqa: S603
            [*COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(**size | dict(variables or {})),
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, text: str) -> str:
        """Wait until the text appears on the terminal; return the output since the last call."""
        start = len(self.shown)
        until = time.monotonic() + PATIENCE
        while text not in self.shown[start:]:
            assert self._read(until), f"{text!r} never came; only {self.shown[start:]!r}"
        return self.shown[start:]

    def enter(self, text: str) -> None:
        """Send typed text."""
        self.send(text.encode())

    def send(self, data: bytes) -> None:
        """Send bytes, which need not be valid text."""
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
        except OSError:  # Linux raises this when the other end is closed
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
