"""Results of benchmarks: figures with their goals."""

from __future__ import annotations

import os
import platform
import re
import statistics
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PEERS = ("aiohttp", "anyio", "msgspec", "uvloop", "cloudtower-sdk")


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A measured figure.

    Args:
        what: Measured quantity.
        value: Value of the figure. If there are several measurements, this is their median.
        unit: Unit of the figure, or an empty text for a ratio.
        low: Lower quartile of the measurements, or None for a single measurement.
        high: Upper quartile of the measurements, or None for a single measurement.
        goal: Goal, or None if the figure has no goal.
        better: Whether the goal is a maximum (``less``) or a minimum (``more``).
        note: How the figure was measured.
    """

    what: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    goal: float | None = None
    better: Literal["less", "more"] = "less"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached, or None if the figure has no goal."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better == "less" else self.value >= self.goal


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run, with the machine and the versions of packages."""

    machine: str
    python: str
    packages: dict[str, str]
    figures: list[Figure]


def spread(measured: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the lower quartile and the upper quartile of measurements."""
    low, median, high = statistics.quantiles(measured, n=4, method="inclusive")
    return median, low, high


def print_as_lines(figures: Iterable[Figure]) -> None:
    """Print figures as lines of JSON for the process that collects the figures."""
    for figure in figures:
        print(msgspec.json.encode(figure).decode(), flush=True)


def report(figures: list[Figure]) -> Report:
    """Return a report with the figures, the machine and the versions of packages."""
    packages: dict[str, str] = {}
    for name in PEERS:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    parts = f"{platform.system()} {platform.machine()}", _cpu(), f"{os.cpu_count()} cores"
    machine = ", ".join(filter(None, parts))
    return Report(
        machine=machine, python=sys.version.split()[0], packages=packages, figures=figures
    )


def _cpu() -> str:
    """Return the processor model, or an empty text if the system does not report it."""
    listed = Path("/proc/cpuinfo")
    if not listed.is_file():
        return platform.processor()
    model = re.search(r"^model name\s*: (.+)$", listed.read_text(), re.MULTILINE)
    return model[1].strip() if model else ""


def markdown(found: Report) -> str:
    """Return the figures as a table for the documentation."""
    packages = ", ".join(f"{name} {number}" for name, number in found.packages.items())
    lines = [
        f"Measured on {found.machine}, Python {found.python}, {packages}.",
        "The page [Performance](performance.md) describes the clients *ours*, *bare*, *tuned* and",
        "*vendor*. A range in parentheses goes from the lower to the upper quartile of several",
        "measurements.",
        "",
        "| figure | measured | goal | details |",
        "| --- | ---: | ---: | --- |",
    ]
    lines += [
        f"| {figure.what} | {shown(figure)} | {_goal(figure)} | {figure.note} |"
        for figure in found.figures
    ]
    return "\n".join([*lines, ""])


def shown(figure: Figure) -> str:
    """Return a figure as text, with its unit, and with its quartiles if it has quartiles."""
    text = f"{_number(figure.value, _more(figure))} {figure.unit}".rstrip()
    if figure.low is None or figure.high is None:
        return text
    return f"{text} ({_number(figure.low)} to {_number(figure.high)})"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "≤" if figure.better == "less" else "≥"
    mark = "" if figure.met else " (missed)"
    return f"{sign} {_number(figure.goal, _more(figure))} {figure.unit}".rstrip() + mark


def _more(figure: Figure) -> int:
    """Return the number of additional digits for the goal in the table.

    If a goal is missed by so little that the rounded goal would equal the rounded value, more
    digits are shown. Otherwise, the result is 0.
    """
    more = 0
    if figure.goal is not None and not figure.met:
        while _rounded(figure.value, more) == _rounded(figure.goal, more):
            more += 1
    return more


def _number(value: float, more: int = 0) -> str:
    return f"{value:,.{_decimals(value, more)}f}"


def _rounded(value: float, more: int) -> float:
    return round(value, _decimals(value, more))


def _decimals(value: float, more: int) -> int:
    if float(value).is_integer():  # a whole number, such as a count
        return 0
    return more + (0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2)
