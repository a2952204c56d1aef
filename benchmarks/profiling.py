"""`python -m benchmarks.profiling`: profile calls with py-spy, and write the result to profile.md.

A process makes calls for some seconds, one after the other. py-spy samples the stack of the process
a thousand times per second. The innermost frame of each stack is counted by package. The innermost
frame of our package is counted by function.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import anyio
import msgspec

from .apart import Address, given_address, replay
from .calls import Sessions, ours

SECONDS, RATE = 20.0, 1000
RESULT = Path("benchmarks", "profile.md")
OURS = "cloudtower_async"
PLACES = {
    OURS: "cloudtower_async",
    "aiohttp": "aiohttp and its dependencies",
    "multidict": "aiohttp and its dependencies",
    "yarl": "aiohttp and its dependencies",
    "anyio": "anyio",
    "asyncio": "asyncio",
    "selectors": "waiting for the server and system calls",
}


async def work(address: Address, vms: int, seconds: float) -> None:
    """Make calls for a number of seconds."""
    async with Sessions(address) as (tower, _):
        call = ours(tower, vms)
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            await call()


def profile(address: Address, vms: int) -> list[tuple[list[str], int]]:
    """Return the sampled stacks, each with the outermost frame first, and how often each occurs."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "stacks")
        program = [sys.executable, "-m", "benchmarks.profiling", "--work", str(vms)]
        command = ["py-spy", "record", "-r", str(RATE), "-f", "raw", "-o", str(result), "--"]
        scripts = str(Path(sys.executable).parent)
        subprocess.run(  # noqa: S603 - our own code
            [*command, *program],
            check=True,
            input=msgspec.json.encode(address),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        )
        lines = result.read_text(encoding="utf-8").splitlines()
    stacks = [line.rpartition(" ") for line in lines]
    # Exclude imports at the first use, because they are not part of the cost of a call.
    return [
        (stack.split(";"), int(count))
        for stack, _, count in stacks
        if "_run_once" in stack and "importlib" not in stack
    ]


def table(stacks: list[tuple[list[str], int]], vms: int) -> list[str]:
    """Return the shares of the time as Markdown tables, as a list of lines."""
    places: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, count in stacks:
        places[_place(stack[-1])] += count
        inner = next((frame for frame in reversed(stack) if OURS in frame), None)
        if inner is not None:
            functions[inner.partition(" (")[0] + " " + _module(inner)] += count
    every = places.total()
    lines = [f"## Call with a response of {vms} VM{'s' if vms > 1 else ''}", ""]
    lines += ["| part of the program | share of the time |", "| --- | ---: |"]
    lines += [f"| {place} | {count / every:.0%} |" for place, count in places.most_common()]
    lines += [
        "",
        "| function of this package, including calls into other packages | share of the time |",
    ]
    lines += ["| --- | ---: |"]
    lines += [f"| `{name}` | {count / every:.0%} |" for name, count in functions.most_common(12)]
    return [*lines, ""]


def _module(frame: str) -> str:
    return frame.partition("(")[2].rpartition(":")[0]


def _place(frame: str) -> str:
    path = _module(frame)
    if "selectors" in path or frame.startswith(("write (asyncio/sel", "_read_ready")):
        return PLACES["selectors"]
    parts = path.replace(".py", "").split("/")
    return next((PLACES[part] for part in parts if part in PLACES), "other")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    vms: int | None = parser.parse_args().work
    if vms is not None:
        anyio.run(work, given_address(), vms, SECONDS)
        return
    lines = ["# Where the time of a call goes", ""]
    lines += [
        "`python -m benchmarks.profiling` measured the shares below with py-spy. The time that"
    ]
    lines += [
        "msgspec needs is counted in the functions that call msgspec: `decode` and `_send`.",
        "",
    ]
    with replay("2 clusters, 100 VMs") as address:
        for number in (1, 50):
            lines += table(profile(address, number), number)
    RESULT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
