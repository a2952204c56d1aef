"""`python -m benchmarks`: measure everything, and write it down.

Each part runs in processes of its own. The figures are printed, kept as JSON in build/bench.json,
and with ``--docs`` written as the table that the documentation shows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import msgspec

from .figures import Figure, markdown, report, shown

PARTS = (
    "decoding",
    "calls",
    "import_time",
    "dashboard",
    "growth",
    "checking",
    "installed",
    "task_waiter",
    "reading",
    "metrics",
    "uploads",
    "watch",
    "simulator_scale",
)
RESULTS = Path("build", "bench.json")
TABLE = Path("docs", "figures.md")


def run(part: str) -> list[Figure]:
    """What a part measures. Lines that are no figures are for whoever looks on."""
    figures: list[Figure] = []
    command = [sys.executable, "-m", f"benchmarks.{part}"]
    with subprocess.Popen(  # noqa: S603 - our own code
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - for type checkers
        for line in process.stdout:
            if not line.startswith('{"what"'):
                print(line, end="", flush=True)
                continue
            figure = msgspec.json.decode(line, type=Figure)
            figures.append(figure)
            goal = "" if figure.met is None else ("  met" if figure.met else "  MISSED")
            print(f"{figure.what}: {shown(figure)}{goal}  {figure.note}", flush=True)
    if process.returncode:
        print(f"benchmarks.{part} failed with status {process.returncode}", file=sys.stderr)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="only these")
    parser.add_argument("--docs", action="store_true", help=f"write {TABLE}")
    options = parser.parse_args()
    found = report([figure for part in options.parts or PARTS for figure in run(part)])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    if options.docs:
        TABLE.write_text(markdown(found), encoding="utf-8")
    missed = [figure.what for figure in found.figures if figure.met is False]
    print(f"{len(found.figures)} figures in {RESULTS}; goals missed: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
