"""`python -m benchmarks.import_time`: what importing the package costs on top of its dependencies.

Each measurement runs in a process of its own; the two are taken in turn, so that whatever else the
machine does falls on both alike. All that is imported has been compiled before, as it is wherever a
package is installed: a checkout under PYTHONDONTWRITEBYTECODE would be compiled anew each time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

import msgspec

from .figures import Figure, print_as_lines, spread

DEPENDENCIES = "import aiohttp, msgspec, anyio"
CASES = {
    "aiohttp, msgspec, anyio": DEPENDENCIES,
    "import cloudtower_async": f"{DEPENDENCIES}; import cloudtower_async",
    "from cloudtower_async import Cloudtower": (
        f"{DEPENDENCIES}; from cloudtower_async import Cloudtower"
    ),
    "first use of tower.vm": (
        f"{DEPENDENCIES}; from cloudtower_async import Cloudtower;"
        " Cloudtower('tower.example', token='t').vm;"
        " from cloudtower_async.api.vm import GET_VMS; GET_VMS.decoder"
    ),
}


class Cost(msgspec.Struct):
    """What one process needed."""

    milliseconds: float
    megabytes: float


def measure(code: str, compiled: str) -> Cost:
    """Run the code in a new process and return what that process says of itself.

    `compiled` is the folder that keeps the bytecode from one process to the next.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    program = (
        "import time; start = time.perf_counter()\n"
        f"{code}\n"
        "spent = time.perf_counter() - start\n"
        "import resource; peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(spent, peak)"
    )
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    spent, peak = done.stdout.split()
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss: bytes or KiB
    return Cost(float(spent) * 1e3, int(peak) / unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="measurements of each case")
    runs: int = parser.parse_args().runs
    costs: dict[str, list[Cost]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as compiled:
        for code in CASES.values():  # the first run compiles and fills the file cache
            measure(code, compiled)
        for _ in range(runs):
            for case, code in CASES.items():
                costs[case].append(measure(code, compiled))
    print(f"Python {sys.version.split()[0]}, median of {runs} processes each")
    medians = {case: median(measured) for case, measured in costs.items()}
    base = next(iter(medians.values()))
    for case, cost in medians.items():
        more = Cost(cost.milliseconds - base.milliseconds, cost.megabytes - base.megabytes)
        print(
            f"{case:42}{cost.milliseconds:8.1f} ms{cost.megabytes:8.1f} MB"
            f"{more.milliseconds:+9.1f} ms{more.megabytes:+8.1f} MB"
        )
    first, *_, ready = costs.values()
    print_as_lines(
        [
            _more("milliseconds", "ms", 40, first, ready),
            _more("megabytes", "MB", 10, first, ready),
        ]
    )


def _more(name: str, unit: str, goal: float, first: list[Cost], ready: list[Cost]) -> Figure:
    """What it takes until the first typed call can be made, over the bare dependencies."""
    pairs = zip(first, ready, strict=True)
    value, low, high = spread([getattr(own, name) - getattr(base, name) for base, own in pairs])
    what = "import and first typed call ready, over the bare dependencies"
    return Figure(what=what, value=value, low=low, high=high, unit=unit, goal=goal)


def median(measured: list[Cost]) -> Cost:
    """The median of each figure on its own."""
    return Cost(
        statistics.median(cost.milliseconds for cost in measured),
        statistics.median(cost.megabytes for cost in measured),
    )


if __name__ == "__main__":
    main()
