"""`python -m benchmarks.import_time`: cost of importing the package without its dependencies.

Each measurement runs in a separate process, which imports the dependencies before it measures. All
modules are compiled beforehand, as in an installed package. Without this step, a checkout with
PYTHONDONTWRITEBYTECODE would be compiled in each process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

import msgspec

from .figures import Figure, print_as_lines, spread

CASES = {
    "import cloudtower_async": "import cloudtower_async",
    "from cloudtower_async import Cloudtower": "from cloudtower_async import Cloudtower",
    "all that a first tower.vm.get_vms(where=…) loads": (
        "from cloudtower_async import Cloudtower;"
        " Cloudtower('tower.example', token='t').vm;"
        " from cloudtower_async.api.vm import GET_VMS; GET_VMS.decoder;"
        " from cloudtower_async.calls.validation import check;"
        " check(GET_VMS, {'where': {'name': 'x'}}, validate=True)"
    ),
}
PROGRAM = """
import resource, time
import aiohttp, msgspec, anyio
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
{code}
spent = time.perf_counter() - start
print(spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
"""


class Cost(msgspec.Struct):
    """Time and memory of the imports in one process, without the dependencies."""

    milliseconds: float
    megabytes: float


def measure(code: str, compiled: str) -> Cost:
    """Run the code in a new process, and return the cost that the process prints.

    `compiled` is the folder with the bytecode that all processes share.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", PROGRAM.format(code=code)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    spent, more = done.stdout.split()
    unit = 2**20 if sys.platform == "darwin" else 2**10  # unit of ru_maxrss: bytes or KiB
    return Cost(float(spent) * 1e3, int(more) / unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="number of measurements of each case")
    runs: int = parser.parse_args().runs
    costs: dict[str, list[Cost]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as compiled:
        for code in CASES.values():  # the first run compiles modules and fills the file cache
            measure(code, compiled)
        for _ in range(runs):
            for case, code in CASES.items():
                costs[case].append(measure(code, compiled))
    print(f"Python {sys.version.split()[0]}, median of {runs} processes each")
    for case, found in costs.items():
        time, memory = figures(found)
        print(f"{case:42}{time.value:+8.1f} ms{memory.value:+8.1f} MB")
    *_, ready = costs.values()
    print_as_lines(figures(ready))


def figures(found: list[Cost]) -> list[Figure]:
    """Return the figures of time and memory, with the goals for the first typed call."""
    made: list[Figure] = []
    kinds = (("time", "milliseconds", "ms", 40), ("memory", "megabytes", "MB", 10))
    for kind, field, unit, goal in kinds:
        what = f"{kind} to import the package and prepare a first typed call"
        value, low, high = spread([getattr(cost, field) for cost in found])
        made.append(
            Figure(
                what=what,
                value=value,
                low=low,
                high=high,
                unit=unit,
                goal=goal,
                note="in addition to importing the dependencies",
            )
        )
    return made


if __name__ == "__main__":
    main()
