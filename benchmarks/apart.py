"""Servers and measured clients, each in a separate process.

Python's garbage collector repeatedly traverses everything that a process has loaded: next to the
vendor's classes, our client decodes at half the speed. All these processes import this module,
so it imports very little.
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

LONGEST = 900.0  # seconds that a server waits for input, and its maximum lifetime without input
T = TypeVar("T")
Place = TypeVar("Place")


class Address(msgspec.Struct, frozen=True):
    """Address of a server, and a login."""

    url: str
    username: str
    password: str


class Server(Generic[Place]):
    """A server in another process, from the client's side.

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
        """Send a line to the server."""
        self._tell.write(f"{line}\n".encode())
        self._tell.flush()

    def hear(self, kind: type[T]) -> T:
        """Return the next line of the server."""
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
    """Run a server that prints its address and nothing else; it ends with the block."""
    with talking(module, *arguments, place=Address) as server:
        yield server.place


def replay(size: str) -> AbstractContextManager[Address]:
    """Run a server that answers from memory; see `benchmarks.replay`."""
    return serving("replay", size)


def tell(what: object) -> None:
    """Print a line for the process that started this one."""
    print(msgspec.json.encode(what).decode(), flush=True)


async def heard(longest: float = LONGEST) -> str:
    """Return the next line from the parent process; empty at the end of the input.

    Args:
        longest: Seconds to wait.
    """
    import anyio.to_thread

    with anyio.move_on_after(longest):
        return await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return ""


def measure_apart(part: str, *arguments: str, address: Address) -> list[float]:
    """Run a part in a separate process and return the numbers that it prints.

    Args:
        part: Module of the part; it reads the address with `given_address`.
        arguments: Arguments of the part.
        address: Address of the server.
    """
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-m", f"benchmarks.{part}", *arguments],
        input=msgspec.json.encode(address),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [float(number) for number in done.stdout.split()]


def given_address() -> Address:
    """Return the address that such a process was given."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Address)
