"""Helpers that run servers and measured clients in separate processes.

Python's garbage collector repeatedly traverses everything that a process has loaded. In one process
with the vendor's classes, our client would decode at half the speed. All measured processes import
this module, so this module imports very little.
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

LONGEST = 900.0  # seconds that a server waits for a line of input before it ends
T = TypeVar("T")
Place = TypeVar("Place")


class Address(msgspec.Struct, frozen=True):
    """Address of a server, and the credentials of a user."""

    url: str
    username: str
    password: str


class Server(Generic[Place]):
    """Connection to a server in another process, over its standard input and output.

    Args:
        process: Process of the server.
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
        """Return the next line that the server prints, decoded from JSON."""
        return msgspec.json.decode(self._told.readline(), type=kind)


@contextmanager
def talking(module: str, *arguments: str, place: type[Place]) -> Generator[Server[Place]]:
    """Run a server in another process during a ``with`` block.

    Args:
        module: Module of the server. It prints its address with `tell` and reads lines with
            `heard`.
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
    """Run a server in another process during a ``with`` block, and yield its address."""
    with talking(module, *arguments, place=Address) as server:
        yield server.place


def replay(size: str) -> AbstractContextManager[Address]:
    """Run `benchmarks.replay` during a ``with`` block; this server answers from memory."""
    return serving("replay", size)


def tell(what: object) -> None:
    """Print an object as a line of JSON for the parent process."""
    print(msgspec.json.encode(what).decode(), flush=True)


async def heard(longest: float = LONGEST) -> str:
    """Return the next line from the parent process.

    Return an empty text at the end of the input, or if no line arrives in time.

    Args:
        longest: Time-out in seconds.
    """
    import anyio.to_thread

    with anyio.move_on_after(longest):
        return await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return ""


def measure_apart(part: str, *arguments: str, address: Address) -> list[float]:
    """Run a part in a separate process and return the numbers that it prints.

    Args:
        part: Module of the part. It reads the address with `given_address`.
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
    """Return the address that `measure_apart` has passed to this process."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Address)
