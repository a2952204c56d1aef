"""Servers and peers, each in its own process.

Python's garbage collector goes through all that a process has loaded, again and again: next to the
vendor's classes ours decode at half the speed. So this module, which all of these processes import,
itself imports next to nothing.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

LONGEST = 900.0  # seconds that a server waits for a word, and lives at most without one
T = TypeVar("T")
Place = TypeVar("Place")


class Address(msgspec.Struct, frozen=True):
    """Where a server is, and who may log in."""

    url: str
    username: str
    password: str


class Server(Generic[Place]):
    """A server in another process, as seen by the client.

    Args:
        process: The process.
        place: Type of the first line that the process prints.
    """

    def __init__(self, process: subprocess.Popen[bytes], place: type[Place]) -> None:
        assert process.stdin is not None  # noqa: S101 - for type checkers
        assert process.stdout is not None  # noqa: S101
        self._tell, self._told = process.stdin, process.stdout
        self.pid = process.pid
        self.place = self.hear(place)
        """Address of the server."""

    def say(self, line: str = "") -> None:
        """Send it a line."""
        self._tell.write(f"{line}\n".encode())
        self._tell.flush()

    def hear(self, kind: type[T]) -> T:
        """The next thing that it tells."""
        return msgspec.json.decode(self._told.readline(), type=kind)


@contextmanager
def talking(module: str, *arguments: str, place: type[Place]) -> Generator[Server[Place]]:
    """Run a server in another process until the end of the block.

    Args:
        module: Module of the server, which prints its address with `tell` and reads with `heard`.
        arguments: Arguments of the module.
        place: Type of the first line that the server prints.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    with subprocess.Popen(  # noqa: S603 - our own code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Server(process, place)
        finally:
            process.terminate()


@contextmanager
def serving(module: str, *arguments: str) -> Generator[Address]:
    """A server that tells its address and nothing else; it ends with the block."""
    with talking(module, *arguments, place=Address) as server:
        yield server.place


def replay(size: str) -> AbstractContextManager[Address]:
    """A server that answers from memory, as `benchmarks.replay` says."""
    return serving("replay", size)


def tell(what: object) -> None:
    """Say something to the process that has started this one."""
    print(msgspec.json.encode(what).decode(), flush=True)


async def heard(longest: float = LONGEST) -> str:
    """The next line from that process; empty when there will be none.

    Args:
        longest: Seconds until it is not waited for any more.
    """
    import anyio.to_thread

    with anyio.move_on_after(longest):
        return await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return ""


def measure_apart(part: str, *arguments: str, address: Address) -> list[float]:
    """Return the numbers that a part prints, run in its own process.

    Args:
        part: Which; it takes the address with `given_address`.
        arguments: Passed to it.
        address: The server's.
    """
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-m", f"benchmarks.{part}", *arguments],
        input=msgspec.json.encode(address),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [float(number) for number in done.stdout.split()]


def given_address() -> Address:
    """The address, in such a process."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Address)
