"""`python -m benchmarks`: run all measurements and store the figures.

Each part runs in separate processes and prints its figures. The figures of a complete run are
stored as JSON in build/bench.json. With ``--docs``, they are also stored as a table in the
documentation. If a part fails, nothing is stored.
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
    "priority",
    "reading",
    "cli_startup",
    "projection",
    "large_answers",
    "first_use",
    "loading",
    "telemetry",
    "metrics",
    "uploads",
    "late_chunks",
    "watch",
    "subscribers",
    "simulator_scale",
)
RESULTS = Path("build", "bench.json")
TABLE = Path("docs", "figures.md")


def run(part: str) -> list[Figure] | None:
    """Run a part, print its output, and return its figures, or None if the part fails."""
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
        return None
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], help="run only these parts, and write no files"
    )
    parser.add_argument("--docs", action="store_true", help=f"write {TABLE}")
    options = parser.parse_args()
    if options.docs and options.parts:
        parser.error(f"{TABLE} has the figures of all parts: name none with --docs")
    found = {part: run(part) for part in options.parts or PARTS}
    figures = [figure for some in found.values() for figure in some or ()]
    missed = [f"{figure.what}: {shown(figure)}" for figure in figures if figure.met is False]
    print(f"{len(figures)} figures; goals missed: {'; '.join(missed) or 'none'}")
    if failed := [part for part, some in found.items() if some is None]:
        sys.exit(f"failed: {', '.join(failed)}")
    if not options.parts:
        written = report(figures)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(written)))
        if options.docs:
            TABLE.write_text(markdown(written), encoding="utf-8")


if __name__ == "__main__":
    main()
