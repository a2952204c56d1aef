"""`python -m benchmarks.cli_startup`: start-up time of commands, and the unavoidable part of it.

Each measurement is the CPU time of one process. The kinds of processes alternate, so that load on
the machine affects all kinds. The simulated server runs in this process, whose CPU time is not
measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile

from cloudtower_async.testing import Simulator

from .figures import Figure, print_as_lines, spread

MINIMAL = '''
from cyclopts import App

app = App(name="minimal", help="A minimal program.")

def work(what: str, *, often: int = 1) -> None:
    """Do some work.

    Args:
        what: The work.
        often: How often.
    """

for number in range(12):
    app.command(work, name=f"work-{number}")
app(["--help"])
'''
CLI = ("-m", "cloudtower_async.cli")
CASES: dict[str, tuple[str, ...]] = {
    "minimal --help": ("-c", MINIMAL),
    "--help": (*CLI, "--help"),
    "imports": ("-c", "import aiohttp, cyclopts, rich"),
    "get vms": (*CLI, "get", "vms"),
}
GOALS = (
    ("--help", "minimal --help", "`--help` of a minimal program", 1.5),
    ("get vms", "imports", "the imports of its dependencies", 1.6),
)


async def cpu_time(arguments: tuple[str, ...], environment: dict[str, str]) -> float:
    """Run Python and return the CPU time of the process in seconds."""

    def run() -> float:
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, *arguments],
            environment,
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
        )
        _, status, usage = os.wait4(process, 0)
        if status:
            raise RuntimeError(f"{arguments[-2:]}: wait status {status}")
        return usage.ru_utime + usage.ru_stime

    return await asyncio.to_thread(run)


async def measure(runs: int) -> dict[str, list[float]]:
    """Return the CPU times in seconds of all processes, by kind of process."""
    times: dict[str, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as compiled:
        async with Simulator(clusters=2, vms=50) as sim:
            environment = {
                **os.environ,
                "PYTHONPYCACHEPREFIX": compiled,
                "CLOUDTOWER_ENDPOINT": sim.url,
                "CLOUDTOWER_USERNAME": sim.username,
                "CLOUDTOWER_PASSWORD": sim.password,
            }
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            for arguments in CASES.values():  # compile modules, fill the file cache
                await cpu_time(arguments, environment)
            for _ in range(runs):
                for case, arguments in CASES.items():
                    times[case].append(await cpu_time(arguments, environment))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="number of measurements of each kind")
    times = asyncio.run(measure(parser.parse_args().runs))
    for case, found in times.items():
        print(f"{case:16} {statistics.median(found) * 1e3:7.0f} ms")
    made: list[Figure] = []
    for case, other, meaning, goal in GOALS:
        ratios = [one / two for one, two in zip(times[case], times[other], strict=True)]
        value, low, high = spread(ratios)
        what = f"CPU time: `cloudtower-async {case}` / {meaning}"
        made.append(Figure(what=what, value=value, low=low, high=high, goal=goal))
    print_as_lines(made)


if __name__ == "__main__":
    main()
