"""Each peer in a process of its own.

Python's garbage collector goes through all that a process has loaded, again and again: next to the
vendor's classes ours decode at half the speed.
"""

from __future__ import annotations

import subprocess
import sys

import msgspec

from .replay import Address


def measure_apart(part: str, *arguments: str, address: Address) -> list[float]:
    """Return the numbers that a part prints, run in a process of its own.

    Args:
        part: Which; it takes the address with `given_address`.
        arguments: Passed to it.
        address: Of the server.
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
